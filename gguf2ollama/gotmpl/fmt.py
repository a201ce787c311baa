"""Print values as Go's package ``fmt`` does (``print.go``, ``format.go``): Sprint, Sprintln, Sprintf."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.gotmpl.errors import EvaluationError
from gguf2ollama.gotmpl.strconv import as_text, format_float, quote, quote_character
from gguf2ollama.gotmpl.values import (
    NOTHING,
    Byte,
    Map,
    Pairs,
    Pointer,
    Slice,
    Struct,
    Value,
    entries_of,
    items_of,
    type_name,
)

__all__ = [
    "print_values",
    "printed",
    "printf",
    "println",
]


MAX_TEXT_BYTES = 32 << 20
_DEFAULT_DIGITS = 6
_MAX_RUNE = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


def printed(value: Value) -> bytes:
    """Return what an action prints for a value."""
    kind = type(value)
    if kind is bytes:
        return value  # type: ignore[no-any-return]
    if kind is int:
        return b"%d" % value
    if value is NOTHING or value is None:
        return b"<no value>"
    if kind is Pairs:
        raise EvaluationError(
            f"cannot print a value of type {type_name(value)}", hint="iterate over it with `range`"
        )
    if kind is Pointer:
        target = value.target
        if target is None:
            return b"<nil>"
        return _text_of(target, is_addressable=True) or format_value(target, "v", PLAIN)
    return _text_of(value, is_addressable=True) or format_value(value, "v", PLAIN)


def print_values(values: list[Value]) -> bytes:
    """Return ``fmt.Sprint``: a space between two neighbours neither of which is a string."""
    out: list[bytes] = []
    was_string = True
    for value in values:
        is_string = type(value) is bytes
        if out and not is_string and not was_string:
            out.append(b" ")
        out.append(value if is_string else format_value(value, "v", PLAIN))
        was_string = is_string
    return bounded(out)


def println(values: list[Value]) -> bytes:
    """Return ``fmt.Sprintln``: a space between all neighbours, and a line break."""
    return bounded([b" ".join(format_value(value, "v", PLAIN) for value in values), b"\n"])


def bounded(pieces: list[bytes]) -> bytes:
    """Join the parts of a string, unless it would be too long."""
    if sum(map(len, pieces)) > MAX_TEXT_BYTES:
        raise EvaluationError(
            f"a string grows beyond {MAX_TEXT_BYTES >> 20} MiB",
            hint="does the template double a string in a loop?",
        )
    return b"".join(pieces)


class Directive:
    """Flags, width and precision of one verb."""

    __slots__ = ("erring", "minus", "plus", "precision", "sharp", "space", "syntax", "width", "zero")

    def __init__(self) -> None:
        self.minus = self.plus = self.sharp = self.space = self.zero = False
        self.syntax = ""  # of %v: "+" adds field names, "#" is Go syntax
        self.width: int | None = None
        self.precision: int | None = None
        self.erring = False

    def pad(self, text: bytes, *, with_zeros: bool = True) -> bytes:
        """Pad a text to the width, which counts characters."""
        if not self.width:
            return text
        missing = self.width - len(text if text.isascii() else as_text(text))
        if missing <= 0:
            return text
        if self.minus:
            return text + b" " * missing
        return (b"0" if with_zeros and self.zero else b" ") * missing + text


PLAIN = Directive()


def _text_of(value: Value, *, is_addressable: bool = False) -> bytes | None:
    """Return the result of a value's method ``String``, if it has one."""
    if isinstance(value, Struct | Slice | Map):
        method = value.type.text or (value.type.text_of_pointer if is_addressable else None)
        return method(value) if method else None
    if isinstance(value, Pointer) and value.target is not None:
        return _text_of(value.target, is_addressable=True)
    return None


def format_value(value: Value, verb: str, directive: Directive, *, depth: int = 0) -> bytes:
    """Format one value for a verb."""
    if value is None or value is NOTHING:
        return _format_nil(verb, directive, depth=depth)
    if verb == "T" and not depth:
        return directive.pad(type_name(value).encode())
    if verb == "p" or isinstance(value, Pairs) or (isinstance(value, Pointer) and depth):
        raise EvaluationError(
            "this would print a memory address, which differs on every run",
            hint="print its fields, or its JSON with `json`",
        )
    if verb in "vsxXq" and not directive.erring and directive.syntax != "#":
        text = _text_of(value)
        if text is not None:
            return _format_string(text, verb, directive, value)
    basic = _BASIC_FORMATS.get(type(value))
    return basic(value, verb, directive) if basic else _format_composite(value, verb, directive, depth=depth)


def _format_boolean(value: Value, verb: str, directive: Directive) -> bytes:
    return directive.pad(b"true" if value else b"false") if verb in "tv" else _bad(verb, value, directive)


def _format_bytes(value: Value, verb: str, directive: Directive) -> bytes:
    return _format_string(value, verb, directive, value)


def _format_nil(verb: str, directive: Directive, *, depth: int) -> bytes:
    if depth:
        return b"interface {}(nil)" if directive.syntax == "#" else b"<nil>"
    return directive.pad(b"<nil>") if verb in "Tv" else b"%!" + verb.encode() + b"(<nil>)"


def _bad(verb: str, value: Value, directive: Directive) -> bytes:
    was, directive.erring = directive.erring, True
    try:
        shown = format_value(value, "v", directive)
    finally:
        directive.erring = was
    return b"%!" + verb.encode() + b"(" + type_name(value).encode() + b"=" + shown + b")"


def _cut(text: bytes, precision: int | None) -> bytes:
    """Truncate a string to a number of characters."""
    if precision is None or len(text) <= precision:
        return text
    if text.isascii():
        return text[:precision]
    return text.decode("utf-8", "surrogateescape")[:precision].encode("utf-8", "surrogateescape")


def _format_string(text: bytes, verb: str, directive: Directive, value: Value) -> bytes:
    if verb == "s" or (verb == "v" and directive.syntax != "#"):
        return directive.pad(_cut(text, directive.precision))
    if verb in "qv":
        is_raw = directive.sharp or directive.syntax == "#"
        cut = _cut(text, directive.precision)
        return directive.pad(
            quote(cut, ascii_only=directive.plus, raw=is_raw and verb == "q"), with_zeros=True
        )
    if verb in "xX":
        return _format_hexadecimal(text, verb, directive)
    return _bad(verb, value, directive)


def _format_hexadecimal(text: bytes, verb: str, directive: Directive) -> bytes:
    text = text if directive.precision is None else text[: directive.precision]
    digits = [b"%02x" % byte for byte in text]
    prefix = b"0x" if directive.sharp and digits else b""
    joined = prefix + (b" " + prefix if directive.space else b"").join(digits)
    joined = joined.upper() if verb == "X" else joined
    return directive.pad(joined)


_BASES = {"d": 10, "v": 10, "b": 2, "o": 8, "O": 8, "x": 16, "X": 16}


def _format_integer(value: int, verb: str, directive: Directive) -> bytes:
    if verb == "c":
        return directive.pad(_character(value).encode())
    if verb == "q":
        return directive.pad(quote_character(_character(value), ascii_only=directive.plus))
    if verb == "U":
        return _format_code_point(value, directive)
    base = _BASES.get(verb)
    if base is None:
        return _bad(verb, value, directive)
    is_syntax = verb == "v" and directive.syntax == "#" and isinstance(value, Byte)
    digits = _digits(abs(value), 16 if is_syntax else base)
    sign = "-" if value < 0 else "+" if directive.plus else " " if directive.space else ""
    if directive.precision is not None:
        if not directive.precision and not value:
            return b" " * (directive.width or 0)
        digits = digits.rjust(directive.precision, "0")
    elif directive.zero and not directive.minus and directive.width:
        digits = digits.rjust(directive.width - bool(sign), "0")
    text = sign + _prefixed(digits, verb, is_sharp=directive.sharp or is_syntax)
    return directive.pad((text.upper() if verb == "X" else text).encode(), with_zeros=False)


def _digits(value: int, base: int) -> str:
    return format(value, {2: "b", 8: "o", 10: "d", 16: "x"}[base])


def _prefixed(digits: str, verb: str, *, is_sharp: bool) -> str:
    if verb == "O":
        return "0o" + (digits if digits.startswith("0") or not is_sharp else "0" + digits)
    if not is_sharp or verb == "d":
        return digits
    if verb == "b":
        return "0b" + digits
    if verb == "o":
        return digits if digits.startswith("0") else "0" + digits
    return "0x" + digits


def _character(value: int) -> str:
    return "�" if not 0 <= value <= _MAX_RUNE or value in _SURROGATES else chr(value)


def _format_code_point(value: int, directive: Directive) -> bytes:
    digits = format(value & (2**64 - 1), "X").rjust(max(4, directive.precision or 0), "0")
    is_shown = directive.sharp and 0 <= value <= _MAX_RUNE and _character(value).isprintable()
    return directive.pad(f"U+{digits}{f' {chr(value)!r}' if is_shown else ''}".encode(), with_zeros=False)


def _format_float(value: float, verb: str, directive: Directive) -> bytes:
    if verb not in "vgGeEfFbxX":
        return _bad(verb, value, directive)
    kind = {"v": "g", "F": "f"}.get(verb, verb)
    precision = directive.precision
    if precision is not None and verb in "xX":
        raise EvaluationError(f"cannot print a float as %.{precision}{verb}")
    if precision is None:
        precision = _DEFAULT_DIGITS if kind in "eEf" else -1
    text = format_float(abs(value), kind, precision)
    if directive.sharp and verb != "b":
        text = _with_point(text, verb, precision)
    is_negative = str(value).startswith("-")
    sign = "-" if is_negative else "+" if directive.plus else " " if directive.space else ""
    if sign and directive.zero and not directive.minus and (directive.width or 0) > len(text) + 1:
        return (sign + text.rjust((directive.width or 0) - 1, "0")).encode()
    return directive.pad((sign + text).encode())


def _with_point(text: str, verb: str, precision: int) -> str:
    """Add the decimal point and the trailing zeros that the flag ``#`` keeps."""
    end = re.search("[pP]" if verb in "xX" else "[eE]", text)
    number, tail = (text[: end.start()], text[end.start() :]) if end else (text, "")
    digits = len(number.replace(".", "").lstrip("0"))
    if "." not in number:
        digits += number == "0"
        number += "."
    wanted = (_DEFAULT_DIGITS if precision < 0 else precision) if verb in "vgGx" else 0
    return number + "0" * (wanted - digits) + tail


_BASIC_FORMATS: dict[type, Callable[[Value, str, Directive], bytes]] = {
    bytes: _format_bytes,
    bool: _format_boolean,
    int: _format_integer,
    Byte: _format_integer,
    float: _format_float,
}


def _format_composite(value: Value, verb: str, directive: Directive, *, depth: int) -> bytes:
    if isinstance(value, Pointer):
        return _format_pointer(value, verb, directive)
    is_syntax = directive.syntax == "#"
    separator = b", " if is_syntax else b" "
    name = type_name(value).encode() if is_syntax else b""
    if isinstance(value, Struct):
        names = (f"{name}:".encode() if directive.syntax else b"" for name in value.fields)
        fields = [format_value(field, verb, directive, depth=depth + 1) for field in value.fields.values()]
        return name + b"{" + separator.join(map(bytes.__add__, names, fields)) + b"}"
    entries = entries_of(value)
    if entries is not None:
        if is_syntax and isinstance(value, Map) and value.entries is None:
            return name + b"(nil)"
        pairs = [
            format_value(key, verb, directive, depth=depth + 1)
            + b":"
            + format_value(entries[key], verb, directive, depth=depth + 1)
            for key in sorted(entries)
        ]
        return (name + b"{" if is_syntax else b"map[") + separator.join(pairs) + (b"}" if is_syntax else b"]")
    return _format_slice(value, verb, directive, depth=depth)


def _format_slice(value: Value, verb: str, directive: Directive, *, depth: int) -> bytes:
    items = items_of(value) or []
    is_bytes = isinstance(value, Slice) and isinstance(value.type.zero(), Byte)
    if is_bytes and verb in "sqxX":
        return _format_string(bytes(items), verb, directive, value)
    is_syntax = directive.syntax == "#"
    if is_syntax and isinstance(value, Slice) and value.items is None:
        return value.type.name.encode() + b"(nil)"
    shown = [format_value(item, verb, directive, depth=depth + 1) for item in items]
    if is_syntax:
        return type_name(value).encode() + b"{" + b", ".join(shown) + b"}"
    return b"[" + b" ".join(shown) + b"]"


def _format_pointer(value: Pointer, verb: str, directive: Directive) -> bytes:
    if value.target is None:
        if verb == "v":
            return (
                f"(*{value.type.name})(nil)".encode() if directive.syntax == "#" else directive.pad(b"<nil>")
            )
        return b"%!" + verb.encode() + b"(*" + value.type.name.encode() + b"=<nil>)"
    return b"&" + format_value(value.target, verb, directive, depth=1)


_MAX_WIDTH = 1_000_000
_MAX_PLAN_BYTES = 4096
_LONGEST_CHARACTER = 4
_SIMPLE = lazy_pattern(rb"(?:[^%]|%[%sdvc])*\Z")
_SIMPLE_VERB = lazy_pattern(rb"%[%sdvc]")


@lru_cache(maxsize=512)
def _simple_plan(form: bytes) -> tuple[list[bytes], str] | None:
    """Split a format with plain verbs only into its texts and its verbs; ``None`` for any other."""
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
_DECIMALS = lazy_pattern(rb"\d+")
_INDEX = lazy_pattern(rb"\[(\d+)\]")


class _Printf:
    """An interpreter of one format, verb by verb."""

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
        """Read ``[n]``, which selects the next argument."""
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
        """Take the next argument for a width or precision; ``None`` where it is not a suitable integer."""
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
