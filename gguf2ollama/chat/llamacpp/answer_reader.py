"""Read an answer as llama-server does, by the forms that it found in the chat template.

Source: ``common/chat-auto-parser-generator.cpp`` and ``common/chat-peg-parser.cpp`` of llama.cpp b10488 and
b11095. What a grammar makes a model write otherwise than the template does is not foreseen, nor what comes of
a call without its end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gguf2ollama.chat.llamacpp.autoparser import Reasoning
from gguf2ollama.chat.llamacpp.call_form import CallForm
from gguf2ollama.chat.llamacpp.segments import WHITE_SPACE
from gguf2ollama.chat.outcome import Call, Heard

__all__ = ["read_answer", "read_calling_answer"]

_decoder = json.JSONDecoder()


class _Unread(Exception):
    """That the text goes on in another way."""


class _Ended(Exception):
    """That the text ends before what has to follow: llama-server takes what it has read by then."""


def read_answer(text: str, *, reasoning: Reasoning, content: tuple[str, str]) -> Heard | None:
    """Read an answer to a request without tools; ``None`` where it ends with an error.

    Args:
        text: What the model writes, behind what its prompt begins of its thought; byte by byte.
        reasoning: How thoughts are written.
        content: What an answer stands between; ``("", "")`` for nothing.
    """
    reader = _Reader(text)
    if reasoning.is_found:
        reader.skip_space()
    try:
        if all(content):
            if reasoning.is_found:
                reader.try_(lambda: reader.thought(reasoning))
            else:
                reader.said(content[0])
            reader.wrapped(content)
        else:
            reader.try_(lambda: reader.thought(reasoning))
            reader.said("")
    except _Unread:
        return None
    except _Ended:
        return reader.heard
    return reader.heard if reader.at == len(text) else None


def read_calling_answer(
    text: str, *, form: CallForm, reasoning: Reasoning, tools: Sequence[Mapping[str, Any]]
) -> Heard | None:
    """Read an answer to a request with tools; ``None`` where it ends with an error.

    Args:
        text: What the model writes, behind what its prompt begins of its thought; byte by byte.
        form: How calls are written.
        reasoning: How thoughts are.
        tools: The tools that are offered.
    """
    reader = _CallReader(text, form, tools)
    reader.skip_space()
    try:
        reader.try_(lambda: reader.thought(reasoning))
        reader.content()
    except _Ended:
        return reader.heard
    reader.heard.calls += reader.calls()
    return reader.heard if reader.at == len(text) else None


class _Reader:
    """Reads from a place of a text on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.is_calling = False
        self.heard = Heard()

    def try_(self, read: Callable[[], object]) -> bool:
        """Read what may be missing."""
        start = self.at
        try:
            read()
        except _Unread:
            self.at = start
            return False
        return True

    def expect(self, literal: str) -> None:
        if not self.text.startswith(literal, self.at):
            is_begun = literal.startswith(self.text[self.at :])
            raise _Ended if is_begun and not self.is_calling else _Unread
        self.at += len(literal)

    def skip_space(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in WHITE_SPACE:
            self.at += 1

    def until(self, literal: str) -> str:
        """Read up to a text, or all where that is missing."""
        place = self.text.find(literal, self.at) if literal else self.at
        start, self.at = self.at, len(self.text) if place < 0 else place
        return self.text[start : self.at]

    def loosely(self, mark: str) -> None:
        """Read a mark whose white space around may be missing, character by character."""
        core = mark.strip(WHITE_SPACE)
        before, _, after = mark.partition(core) if core else (mark, "", "")
        for part in (*before, None, *after):
            if part is None:
                self.expect(core)
            elif self.text.startswith(part, self.at):
                self.at += 1

    def thought(self, reasoning: Reasoning) -> None:
        if not reasoning.is_found or not reasoning.end:
            raise _Unread
        if reasoning.start:
            self.loosely(reasoning.start)
        self.heard.thought = self.until(reasoning.end.strip(WHITE_SPACE))
        self.loosely(reasoning.end)

    def said(self, mark: str) -> None:
        """Read what is said up to a mark, or to the end for ``""``."""
        self.heard.said += self.until(mark) if mark else self.text[self.at :]
        self.at = self.at if mark else len(self.text)

    def wrapped(self, marks: tuple[str, str]) -> None:
        """Read what is said between two marks."""
        self.expect(marks[0])
        self.heard.said += self.until(marks[1])
        self.expect(marks[1])


class _CallReader(_Reader):
    """Reads calls, too."""

    def __init__(self, text: str, form: CallForm, tools: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(text)
        self.form = form
        self.schemas = dict(_schemas(tools))

    def content(self) -> None:
        """Read what is said before the first call."""
        form = self.form
        if form.mode == "JSON" and all(form.content):
            self.try_(lambda: self.wrapped(form.content))
            return
        if mark := form.section[0] or form.call[0] or ("{" if form.mode == "JSON" else ""):
            self.said(mark)

    def calls(self) -> list[Call]:
        form, found = self.form, list[Call]()
        self.is_calling = True
        if form.mode != "JSON":
            self.try_(lambda: found.extend(self._in_tags()))
            return found
        if form.section[0] or not form.call[0]:
            self.try_(lambda: found.extend(self._section(form.section, self._json_call)))
            return found
        while self.try_(lambda: found.extend(self._section(form.call, self._json_call))):
            self.skip_space()
        return found

    def _section(self, marks: tuple[str, str], read: Callable[[], Call]) -> list[Call]:
        """Read calls between two marks, with commas between them."""
        self.expect(marks[0])
        self.skip_space()
        if self.form.is_list:
            self.expect("[")
            self.skip_space()
        found = [read()]
        while self.try_(lambda: found.append(self._behind_comma(read))):
            pass
        self.skip_space()
        if self.form.is_list:
            self.expect("]")
            self.skip_space()
        self.expect(marks[1])
        return found

    def _behind_comma(self, read: Callable[[], Call]) -> Call:
        self.skip_space()
        self.expect(",")
        self.skip_space()
        return read()

    def _json(self) -> Any:  # noqa: ANN401 - any JSON value
        try:
            value, end = _decoder.raw_decode(self.text, self.at)
        except (ValueError, RecursionError):
            raise _Unread from None
        self.at = end
        return value

    def _json_call(self) -> Call:
        """Read a call that is JSON: its keys have to stand as in the template."""
        start = self.at
        if not self.text.startswith("{", start):
            raise _Unread
        told = self._json()
        name_key, arguments_key, id_key, number_key = self.form.keys
        if self.form.name_is_key:
            name = next(iter(told), "")
            arguments = told.get(name)
            if arguments_key and isinstance(arguments, dict):
                arguments = arguments.get(arguments_key)
        elif "." in name_key or "." in arguments_key:
            outer = (name_key if "." in name_key else arguments_key).partition(".")[0]
            inner = told.get(outer)
            inner = inner if isinstance(inner, dict) else {}
            name, arguments = (
                inner.get(name_key.rpartition(".")[2]),
                inner.get(arguments_key.rpartition(".")[2]),
            )
            if not set(told) <= {outer, id_key, number_key} or len(inner) != 2:  # noqa: PLR2004 - both
                raise _Unread
        else:
            name, arguments = told.get(name_key), told.get(arguments_key)
            known = [key for key in (name_key, arguments_key, id_key, number_key) if key]
            ordered = sorted(known, key=lambda key: (key not in self.form.order, self._place(key)))
            if list(told) != [key for key in ordered if key in told]:
                raise _Unread
        if name not in self.schemas or not isinstance(arguments, dict):
            raise _Unread
        return str(name), arguments

    def _place(self, key: str) -> int:
        return self.form.order.index(key) if key in self.form.order else 0

    def _in_tags(self) -> list[Call]:
        form = self.form
        found = list[Call]()
        if not form.call[0]:
            self.expect(form.section[0])
            if form.mode == "tags":
                self.skip_space()
            found.append(self._tag_call())
            while self.try_(lambda: found.append(self._behind(", "))):
                pass
            if form.mode == "tags":
                self.skip_space()
            self.expect(form.section[1])
            return found
        if form.section[0]:
            self.expect(form.section[0])
            self.skip_space()
        found.append(self._marked_call())
        while self.try_(lambda: found.append(self._next_marked_call())):
            pass
        if form.mode == "tags":
            self.skip_space()
        if form.section[0]:
            self.skip_space()
            self.expect(form.section[1])
            if form.mode == "tags" and form.section[1]:
                self.skip_space()
        return found

    def _behind(self, separator: str) -> Call:
        self.expect(separator)
        return self._tag_call()

    def _next_marked_call(self) -> Call:
        self.skip_space()
        return self._marked_call()

    def _marked_call(self) -> Call:
        self.expect(self.form.call[0])
        if self.form.mode == "tags":
            self.skip_space()
        call = self._tag_call()
        if self.form.mode == "tags":
            self.skip_space()
        self.expect(self.form.call[1])
        return call

    def _tag_call(self) -> Call:
        """Read the name, and the arguments in JSON or in tags of their own."""
        form, start = self.form, self.at
        for name in self.schemas:
            self.at = start
            try:
                self.expect(f"{form.name[0]}{name}{form.name[1]}")
                if form.separator:
                    self.skip_space()
                    self.expect(form.separator)
            except _Unread:
                continue
            if form.id is not None:
                self.try_(self._id)
            self.skip_space()
            arguments = self._json() if form.mode == "tag with JSON" else self._tagged_arguments(name)
            if not isinstance(arguments, dict):
                raise _Unread
            self._close()
            return name, arguments
        raise _Unread

    def _id(self) -> None:
        assert self.form.id is not None  # noqa: S101 - it is read only where there is one
        self.expect(self.form.id[0])
        self.until(self.form.id[1])
        self.expect(self.form.id[1])

    def _close(self) -> None:
        if self.form.closing:
            self.skip_space()
            self.expect(self.form.closing)
        elif self.form.call[1]:
            if not self.text.startswith(self.form.call[1], self.at):
                raise _Unread
        else:
            self.skip_space()

    def _tagged_arguments(self, name: str) -> dict[str, Any]:
        properties, required = self.schemas[name]
        found: dict[str, Any] = {}
        first = [key for key in properties if key in required]
        for number, key in enumerate(first):
            if number:
                self.skip_space()
            self._argument(key, properties[key], found)
        others = [key for key in properties if key not in required]
        while any(self._has_argument(key, properties[key], found) for key in others):
            pass
        return found

    def _has_argument(self, key: str, schema: Mapping[str, Any], found: dict[str, Any]) -> bool:
        def read() -> None:
            self.skip_space()
            self._argument(key, schema, found)

        return self.try_(read)

    def _argument(self, key: str, schema: Mapping[str, Any], found: dict[str, Any]) -> None:
        form = self.form
        self.expect(f"{form.argument[0]}{key}{form.argument[1]}")
        self.expect(form.value[0])
        value: Any = self.until(form.value[1]) if _may_be_text(schema) else self._json()
        self.expect(form.value[1])
        found[key] = value


def _schemas(
    tools: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[str, tuple[Mapping[str, Any], frozenset[str]]]]:
    for tool in tools:
        function = tool.get("function") or {}
        parameters = function.get("parameters") or {}
        required = frozenset(parameters.get("required") or ())
        yield str(function.get("name")), (parameters.get("properties") or {}, required)


def _may_be_text(schema: Mapping[str, Any]) -> bool:
    types = schema.get("type", "string")
    return types == "string" or (isinstance(types, list) and "string" in types)
