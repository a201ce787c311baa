"""Read the formats of ``printf`` (``fmt/print.go`` of Go, ``doPrintf``)."""

from __future__ import annotations

import re
from functools import lru_cache

from gguf2ollama.gotmpl.fmt import PLAIN, Directive, bounded, format_value
from gguf2ollama.gotmpl.values import NOTHING, Value, type_name

__all__ = ["printf"]

_MAX_WIDTH = 1_000_000
_MAX_PLAN_BYTES = 4096
_LONGEST_CHARACTER = 4
_SIMPLE = re.compile(rb"(?:[^%]|%[%sdvc])*\Z")
_SIMPLE_VERB = re.compile(rb"%[%sdvc]")


@lru_cache(maxsize=512)
def _simple_plan(form: bytes) -> tuple[list[bytes], str] | None:
    """Cut a format of plain verbs into the texts around them and the verbs."""
    if len(form) > _MAX_PLAN_BYTES or not _SIMPLE.match(form):
        return None
    texts, verbs, at = [b""], "", 0
    for match in _SIMPLE_VERB.finditer(form):
        texts[-1] += form[at : match.start()]
        at = match.end()
        if match.group() == b"%%":
            texts[-1] += b"%"
        else:
            verbs += chr(match.group()[1])
            texts.append(b"")
    texts[-1] += form[at:]
    return texts, verbs


def printf(form: bytes, values: list[Value]) -> bytes:
    """Return ``fmt.Sprintf``."""
    plan = _simple_plan(form)
    if plan is None or len(plan[1]) != len(values):
        return _Printf(form, values).run()
    texts, verbs = plan
    out = [texts[0]]
    for verb, value, text in zip(verbs, values, texts[1:], strict=True):
        if type(value) is bytes and verb in "sv":
            out.append(value)
        else:
            out.append(format_value(value, verb, PLAIN))
        out.append(text)
    return bounded(out)


_FLAGS = {0x23: "sharp", 0x30: "zero", 0x2B: "plus", 0x2D: "minus", 0x20: "space"}
_STAR, _DOT, _BRACKET = 0x2A, 0x2E, 0x5B
_DECIMALS = re.compile(rb"\d+")
_INDEX = re.compile(rb"\[(\d+)\]")


class _Printf:
    """A format that is read verb by verb."""

    def __init__(self, form: bytes, values: list[Value]) -> None:
        self._form = form
        self._values = values
        self._at = 0
        self._next = 0
        self._is_reordered = False
        self._is_index_good = True
        self._is_after_index = False

    def run(self) -> bytes:
        out: list[bytes] = []
        form = self._form
        while (start := form.find(b"%", self._at)) >= 0:
            out.append(form[self._at : start])
            self._at = start + 1
            out.append(self._verb())
            if len(out) % 64 == 0:
                out = [bounded(out)]
        out.append(form[self._at :])
        out.append(self._extra())
        return bounded(out)

    def _verb(self) -> bytes:
        form, directive = self._form, Directive()
        self._is_index_good = True
        while self._at < len(form) and (flag := _FLAGS.get(form[self._at])):
            setattr(directive, flag, True)
            self._at += 1
        self._argument_index()
        errors = self._width(directive) + self._precision(directive)
        if not self._is_after_index:
            self._argument_index()
        if self._at >= len(form):
            return errors + b"%!(NOVERB)"
        verb = form[self._at : self._at + _LONGEST_CHARACTER].decode("utf-8", "replace")[0]
        self._at += len(verb.encode()) if form.startswith(verb.encode(), self._at) else 1
        return errors + self._shown(verb, directive)

    def _shown(self, verb: str, directive: Directive) -> bytes:
        if verb == "%":
            return b"%"
        if not self._is_index_good:
            return b"%!" + verb.encode() + b"(BADINDEX)"
        if self._next >= len(self._values):
            return b"%!" + verb.encode() + b"(MISSING)"
        if verb == "v":
            directive.syntax = "#" if directive.sharp else "+" if directive.plus else ""
            directive.sharp = directive.plus = False
        value = self._values[self._next]
        self._next += 1
        return format_value(value, verb, directive)

    def _argument_index(self) -> None:
        """Read ``[n]``, which says what argument comes next."""
        self._is_after_index = False
        form = self._form
        if self._at >= len(form) or form[self._at] != _BRACKET:
            return
        self._is_reordered = True
        match = _INDEX.match(form, self._at)
        if match and 1 <= _number(match[1]) <= len(self._values):
            self._next, self._at = _number(match[1]) - 1, match.end()
            self._is_after_index = True
            return
        self._is_index_good = False
        end = form.find(b"]", self._at + 1) if len(form) - self._at >= len("[n]") else -1
        self._is_after_index = bool(match)
        self._at = end + 1 if end >= 0 else self._at + 1

    def _width(self, directive: Directive) -> bytes:
        form = self._form
        if self._at < len(form) and form[self._at] == _STAR:
            self._at += 1
            self._is_after_index = False
            width = self._star()
            if width is None:
                return b"%!(BADWIDTH)"
            if width < 0:
                directive.minus, directive.zero = True, False
            directive.width = abs(width)
            return b""
        directive.width = self._digits()
        if self._is_after_index and directive.width is not None:
            self._is_index_good = False
        return b""

    def _precision(self, directive: Directive) -> bytes:
        form = self._form
        if self._at + 1 >= len(form) or form[self._at] != _DOT:
            return b""
        self._at += 1
        if self._is_after_index:
            self._is_index_good = False
        self._argument_index()
        if self._at < len(form) and form[self._at] == _STAR:
            self._at += 1
            self._is_after_index = False
            precision = self._star()
            if precision is None or precision < 0:
                return b"%!(BADPREC)"
            directive.precision = precision
            return b""
        directive.precision = self._digits() or 0
        return b""

    def _star(self) -> int | None:
        """Take the next argument for a width or precision; ``None`` where it is no fitting integer."""
        if self._next >= len(self._values):
            return None
        value = self._values[self._next]
        self._next += 1
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        return int(value) if is_integer and abs(value) <= _MAX_WIDTH else None

    def _digits(self) -> int | None:
        match = _DECIMALS.match(self._form, self._at)
        if match is None:
            return None
        value = _number(match.group())
        if value > _MAX_WIDTH:
            self._at = len(self._form)
            return None
        self._at = match.end()
        return value

    def _extra(self) -> bytes:
        rest = self._values[self._next :]
        if self._is_reordered or not rest:
            return b""
        shown = [
            b"<nil>"
            if value is None or value is NOTHING
            else type_name(value).encode() + b"=" + format_value(value, "v", PLAIN)
            for value in rest
        ]
        return b"%!(EXTRA " + b", ".join(shown) + b")"


def _number(digits: bytes) -> int:
    return int(digits) if len(digits) < len("10000000") else 10 * _MAX_WIDTH
