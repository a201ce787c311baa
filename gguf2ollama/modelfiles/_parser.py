"""Parse a Modelfile as Ollama does (``parser/parser.go`` of 0.34.4).

::

    modelfile   = { blank | comment | instruction }
    comment     = "#" to the end of the line
    instruction = keyword sp value
                | "PARAMETER" sp name sp value
                | "MESSAGE" sp role sp value
    name        = letters, digits, "_"
    role        = "system" | "user" | "assistant"
    sp          = one space or tab
    value       = text to the end of the line, blanks around it dropped
                | '"' text '"'  |  three quotes, text, three quotes

Keywords are case-insensitive, names and roles are not. A quoted value ends at the first line that ends with
closing quotes (ignoring blanks), so it may contain quotes, and includes text that follows closing quotes on
their line. There are no escapes. Characters that are not printable for Go are dropped everywhere, except
that values keep tabs and line ends.
"""

from __future__ import annotations

import bisect
import codecs
import re
from dataclasses import field
from typing import NoReturn, cast

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.modelfiles._charset import drop_unprintable, find_unprintable
from gguf2ollama.modelfiles._parameters import is_name
from gguf2ollama.modelfiles._value import Instruction, Message, Modelfile, Parameter, Role

__all__ = ["InvalidLine", "decode_modelfile", "parse_modelfile"]

_LONGEST = 4 << 20
_LONGEST_SHOWN = 40
_BLANK = " \t\r\n"
_SKIPPED = lazy_pattern(r"(?:[ \t\r\n]+|#[^\r\n]*)*")
_KEYWORD = lazy_pattern(r"(.)([A-Za-z]*)", re.DOTALL)
_NAME = lazy_pattern(r"[A-Za-z0-9_]*")
_ROLE = lazy_pattern(r"[A-Za-z]*")
_LINE = lazy_pattern(r"([^\r\n]*)([\r\n]?)")
_LINE_END = lazy_pattern(r"\r\n|\r|\n")
_KEYWORDS = (
    *("FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE"),
    *("MESSAGE", "RENDERER", "PARSER", "REQUIRES", "DRAFT"),
)
_TEXTS = ("SYSTEM", "TEMPLATE", "LICENSE", "MESSAGE")
_ROLES = ("system", "user", "assistant")
_TRIPLE = '"""'


class InvalidLine(InvalidModelfile):
    """A Modelfile that cannot be parsed.

    Attributes:
        line: Where, from 1.
        reason: Why, without the position.
        is_ours: Whether Ollama accepts it.
    """

    def __init__(self, reason: str, *, line: int, column: int, hint: str | None, is_ours: bool) -> None:
        super().__init__(f"Modelfile, line {line}, column {column}: {reason}", hint=hint)
        self.line, self.reason, self.is_ours = line, reason, is_ours


def parse_modelfile(text: str | bytes, *, needs_from: bool = True) -> Modelfile:
    """Read a Modelfile.

    Args:
        text: Its text, or its bytes: UTF-8, or UTF-16 with a byte order mark. At most 4 Mi of either.
        needs_from: Whether one without FROM is refused, as by Ollama.

    Raises:
        InvalidModelfile: Ollama would reject the text, too, would replace invalid bytes, or would
            take a PARAMETER for an instruction (``PARAMETER system …``); the message names line and column
            (from 1, in characters) and what was expected.
    """
    if len(text) > _LONGEST:
        raise InvalidModelfile(
            f"the Modelfile is too long: {len(text):,} characters, the limit is {_LONGEST:,}",
            hint="check that it is a Modelfile",
        )
    text = decode_modelfile(text) if isinstance(text, bytes) else text.removeprefix("\ufeff")
    return _Reader(text=text, needs_from=needs_from).read()


def decode_modelfile(data: bytes, *, replaces_invalid: bool = False) -> str:
    """Return the text of a Modelfile: UTF-8, or UTF-16 with a byte order mark.

    Args:
        data: Its bytes.
        replaces_invalid: Whether invalid bytes become U+FFFD, as for Ollama.

    Raises:
        InvalidModelfile: There are invalid bytes, and they are not replaced.
    """
    marks = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
    mark = next((mark for mark in marks if data.startswith(mark)), b"")
    try:
        return data[len(mark) :].decode(
            marks.get(mark, "utf-8"), errors="replace" if replaces_invalid else "strict"
        )
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, len(mark) + error.start) + 1
        raise InvalidModelfile(
            f"Modelfile, line {line}: invalid {error.encoding.upper()} at byte {len(mark) + error.start}",
            hint="save the file as UTF-8",
        ) from None


@dataclass(slots=True, kw_only=True)
class _Reader:
    """A position in the text, and what has been read so far."""

    text: str
    needs_from: bool
    at: int = 0
    dropped: str = ""
    quotes: str = ""
    line_starts: list[int] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)

    def read(self) -> Modelfile:
        self.line_starts = [0, *(match.end() for match in _LINE_END.finditer(self.text))]
        self._skip()
        while self.at < len(self.text):
            self._read_instruction()
            self._skip()
        if self.needs_from and "FROM" not in self.values:
            raise InvalidModelfile(
                "the Modelfile has no FROM", hint="name a GGUF, a folder or a model: FROM ./model.gguf"
            )
        return Modelfile(
            sources=self._all("FROM"),
            parameters=tuple(self.parameters),
            template=self._last("TEMPLATE"),
            system=self._last("SYSTEM"),
            messages=tuple(self.messages),
            licenses=self._all("LICENSE"),
            adapters=self._all("ADAPTER"),
            drafts=self._all("DRAFT"),
            renderer=self._last("RENDERER"),
            parser=self._last("PARSER"),
            requires=self._last("REQUIRES"),
            instructions=tuple(self.instructions),
        )

    def _all(self, keyword: str) -> tuple[str, ...]:
        return tuple(self.values.get(keyword, ()))

    def _last(self, keyword: str) -> str | None:
        return self.values[keyword][-1] if keyword in self.values else None

    def _skip(self) -> None:
        match = _SKIPPED.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _read_instruction(self) -> None:
        start = self.at
        word = drop_unprintable("".join(self._take(_KEYWORD)))
        # lower(), since upper() would turn some other words into keywords
        keyword = next((keyword for keyword in _KEYWORDS if keyword.lower() == word.lower()), None)
        if keyword is None:
            self._fail(start, f"unknown instruction {word[:_LONGEST_SHOWN]!r}", hint=self._unknown_hint())
        self._take_space(f"a value of {keyword}")
        line, _ = self._position(start)
        self.dropped = ""
        if keyword == "PARAMETER":
            name, value = self._read_parameter(line)
        elif keyword == "MESSAGE":
            name, value = self._read_message()
        else:
            name, value = "", self._read_value(keyword)
            self.values.setdefault(keyword, []).append(value)
        self.instructions.append(
            Instruction(
                keyword=keyword,
                line=line,
                value=value,
                name=name,
                quotes=self.quotes,
                dropped=self.dropped,
            )
        )

    def _unknown_hint(self) -> str:
        if self.instructions:
            last = self.instructions[-1]
            if last.keyword in _TEXTS and not last.quotes:
                return f"put {_TRIPLE} around the text of {last.keyword} if it has several lines"
        return f"use one of {', '.join(_KEYWORDS)}"

    def _read_parameter(self, line: int) -> tuple[str, str]:
        start = self.at
        (name,) = self._take(_NAME)
        if not is_name(name):
            self._fail(
                start,
                "expected the name of a parameter after one space",
                hint=f"write {name.upper()} without PARAMETER" if name else None,
                is_ours=bool(name),
            )
        shown = name[:_LONGEST_SHOWN]
        self._take_space(f"a value of {shown}")
        value = self._read_value(shown)
        self.parameters.append(Parameter(name=name, value=value, line=line))
        return name, value

    def _read_message(self) -> tuple[str, str]:
        start = self.at
        (role,) = self._take(_ROLE)
        if role not in _ROLES:
            self._fail(
                start, "expected the role of the message after one space", hint=f"use {', '.join(_ROLES)}"
            )
        self._take_space("the text of the message")
        content = self._read_value("MESSAGE")
        self.messages.append(Message(role=cast("Role", role), content=content))
        return role, content

    def _read_value(self, what: str) -> str:
        start = self.at
        lines = [self._take_line().lstrip(_BLANK)]
        quotes = next((quotes for quotes in (_TRIPLE, '"') if lines[0].startswith(quotes)), "")
        is_closed = not quotes or lines[0].rstrip(_BLANK)[len(quotes) :].endswith(quotes)
        while not is_closed:
            if self.at == len(self.text):
                self._fail(
                    start,
                    f"unclosed {quotes} in the value of {what}",
                    hint=f"put the closing {quotes} at the end of a line, with nothing behind it, not even a"
                    " comment",
                )
            lines.append(self._take_line())
            is_closed = lines[-1].rstrip(_BLANK).endswith(quotes)
        self.quotes = quotes
        return "".join(lines).rstrip(_BLANK)[len(quotes) :].removesuffix(quotes)

    def _take(self, pattern: re.Pattern[str]) -> tuple[str, ...]:
        match = pattern.match(self.text, self.at)
        if match is None:
            return ("",)
        self.at = match.end()
        return match.groups() or (match.group(),)

    def _take_line(self) -> str:
        """Take one line with the character that ends it, if any, as the parser keeps it."""
        line = "".join(self._take(_LINE))
        if not self.dropped and (match := find_unprintable(line)):
            self.dropped = match.group()[0]
        return drop_unprintable(line)

    def _take_space(self, expected: str) -> None:
        if self.text[self.at : self.at + 1] not in {" ", "\t"}:
            self._fail(self.at, f"expected a space and {expected}")
        self.at += 1

    def _position(self, offset: int) -> tuple[int, int]:
        line = bisect.bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def _fail(self, offset: int, reason: str, *, hint: str | None = None, is_ours: bool = False) -> NoReturn:
        line, column = self._position(offset)
        raise InvalidLine(reason, line=line, column=column, hint=hint, is_ours=is_ours)
