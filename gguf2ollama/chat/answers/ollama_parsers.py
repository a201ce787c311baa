"""Ollama's built-in parsers of answers (``PARSER``), as far as a TEMPLATE can make use of them.

Without one, Ollama reads calls of tools that are JSON behind a tag, and thoughts between tags that the
TEMPLATE shows. With one, it reads what the models of one family write. The TEMPLATE renders as before, and
always: that the chat template in the GGUF may be able to do more is not asked then (``server/routes.go``,
``server/prompt.go`` and ``server/images.go`` of 0.34.4).

A parser goes through an answer from reasoning to content, to calls, and back. Each gets the whole answer, and
returns what the server has sent when it is over; white space between content, reasoning and calls may differ,
which depends on how the answer arrives in bits. What they do to repair calls that a model wrote wrongly is
left out. Sources: the files in ``model/parsers`` of Ollama 0.34.4 that have the names of the parsers
(``qwen3coder.go``, ``glm46.go``, ``cohere.go``); 0.32.15 does the same.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.outcome import Call, Heard
from gguf2ollama.gotmpl.versions import is_since

__all__ = ["AnswerParser", "known_parsers"]

# what Go's unicode.IsSpace takes for white space
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class Unread(Exception):
    """The server ends the answer with an error: a call in it is written in another way."""


def cut(text: str, mark: str) -> tuple[str, str | None]:
    """Return what stands before a mark and what stands behind it; ``None`` where it is not there."""
    before, found, behind = text.partition(mark)
    return before, behind if found else None


def first_of(text: str, *marks: str) -> re.Match[str] | None:
    """Find the mark that comes first, as a parser does that gets the answer bit by bit."""
    return re.search("|".join(map(re.escape, marks)), text)


def without_begun(text: str, *marks: str) -> str:
    """Leave out what a parser holds back and then forgets: a mark that was begun, and white space."""
    begun = max(
        (
            length
            for mark in marks
            for length in range(1, min(len(mark), len(text)) + 1)
            if text.endswith(mark[:length])
        ),
        default=0,
    )
    return text[: len(text) - begun].rstrip(SPACE)


_MAX_INTEGER = (1 << 63) - 1
_FUNCTION = lazy_pattern(r"\s*<function=([^>]+)>(.*?)</function>", re.DOTALL)
_PARAMETER = lazy_pattern(r"<parameter=([^>]+)>(.*?)</parameter>", re.DOTALL)
_DIGITS = r"[0-9]+(?:_[0-9]+)*"  # as Go's ParseFloat takes them
_NUMBER = lazy_pattern(rf"[+-]?(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?")
_ARGUMENT = lazy_pattern(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
_GLM_TAG = lazy_pattern(r"</?arg_(?:key|value)>")


def qwen_coder_call(raw: str, tools: Sequence[Mapping[str, Any]]) -> Call:
    """Read ``<function=NAME><parameter=KEY>VALUE</parameter></function>``.

    Raises:
        Unread: It is written in another way.
    """
    match = _FUNCTION.match(raw)
    if match is None:
        raise Unread
    name = match[1]
    rest = _PARAMETER.sub("", match[2])
    if "<parameter" in rest or "</parameter" in rest or "<function" in rest:
        raise Unread
    types = _types(tools, name)
    return name, {key: _value(told, types.get(key, ())) for key, told in _PARAMETER.findall(match[2])}


def glm_call(raw: str, tools: Sequence[Mapping[str, Any]]) -> Call:
    """Read ``NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>``.

    Raises:
        Unread: It is written in another way.
    """
    name = _ARGUMENT.sub("", raw)
    if _GLM_TAG.search(name) or not name.strip(SPACE):
        raise Unread
    return _with_arguments(name.strip(SPACE), raw, tools)


def cohere_calls(raw: str) -> Iterator[Call]:
    """Read a JSON array of calls, each with ``tool_name`` and ``parameters``; else there are none."""
    try:
        found = json.loads(raw.strip(SPACE))
    except (ValueError, RecursionError):
        return
    if not isinstance(found, list):
        return
    for one in found:
        if isinstance(one, dict) and isinstance(one.get("parameters", {}), dict):
            yield str(one.get("tool_name", "")), one.get("parameters", {})


def _with_arguments(name: str, raw: str, tools: Sequence[Mapping[str, Any]]) -> Call:
    types = _types(tools, name)
    found = ((key.strip(SPACE), told) for key, told in _ARGUMENT.findall(raw))
    return name, {key: _value(told, types.get(key, ())) for key, told in found}


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text.strip(SPACE))
    except (ValueError, RecursionError):
        raise Unread from None
    if not isinstance(found, dict):
        raise Unread
    return found


def _types(tools: Sequence[Mapping[str, Any]], name: str) -> dict[str, tuple[str, ...]]:
    """Return the types of a tool's arguments, by their names."""
    for tool in tools:
        function = tool.get("function", {})
        if function.get("name") == name:
            properties = function.get("parameters", {}).get("properties") or {}
            return {key: tuple(_types_of(schema)) for key, schema in properties.items()}
    return {}


def _types_of(schema: Mapping[str, Any]) -> Iterator[str]:
    for one in schema.get("anyOf") or [schema]:
        told = one.get("type", ())
        yield from [told] if isinstance(told, str) else told


def _value(raw: str, types: tuple[str, ...]) -> Any:  # noqa: ANN401 - any JSON value
    """Read a value by the types that it may have, the narrowest first (``parseValue``)."""
    raw = raw.removeprefix("\n").removesuffix("\n")
    word = raw.lower()
    if word == "null":
        return None
    if "boolean" in types and word in {"true", "false"}:
        return word == "true"
    if types == ("boolean",):
        return False
    return next(_values(raw, types), raw)


def _values(raw: str, types: tuple[str, ...]) -> Iterator[Any]:
    """Return what a text is as a number, an array or an object, where it may be one."""
    if "integer" in types and re.fullmatch(r"[+-]?[0-9]+", raw) and abs(int(raw)) <= _MAX_INTEGER:
        yield int(raw)
    if "number" in types and (number := _number(raw)) is not None:
        yield number
    for kind, wanted in (("array", list), ("object", dict)):
        if kind in types:
            with contextlib.suppress(ValueError, RecursionError):
                found = json.loads(raw)
                if isinstance(found, wanted):
                    yield found


def _number(raw: str) -> float | int | None:
    if not _NUMBER.fullmatch(raw):
        return None
    number = float(raw)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) <= _MAX_INTEGER else number


_ReadCall: TypeAlias = Callable[[str, Sequence[Mapping[str, Any]]], Call]

_OPEN, _CLOSE = "<think>", "</think>"
_CALL, _CALL_END = "<tool_call>", "</tool_call>"


def qwen_coder(answer: str, asked: Conversation) -> Heard:
    """``qwen3-coder``: no thoughts; calls as XML."""
    heard = Heard()
    _say_and_call(heard, answer, asked, read=qwen_coder_call, keeps_end=True)
    return heard


def qwen35(answer: str, asked: Conversation) -> Heard:
    """``qwen3.5``: begins in a thought unless thinking is off; calls as XML."""
    heard = Heard()
    if asked.think is not False and not _is_begun(asked):
        answer = _think(heard, _without_opening(answer)).lstrip(SPACE)
    _say_and_call(heard, answer, asked, read=qwen_coder_call)
    return heard


def glm(answer: str, asked: Conversation) -> Heard:
    """``glm-4.7``: begins in a thought, even where an answer is to be continued; keys and values."""
    heard = Heard()
    if asked.think is not False:
        answer = _think(heard, answer, ends_with_call=False).lstrip(SPACE)
    elif answer.lstrip(SPACE).startswith(_OPEN):
        answer = _think(heard, _without_opening(answer), ends_with_call=False).lstrip(SPACE)
    elif _OPEN.startswith(answer.lstrip(SPACE)):
        return heard
    _say_and_call(heard, answer, asked, read=glm_call)
    return heard


def cohere(answer: str, asked: Conversation) -> Heard:
    """``cohere``: blocks with a beginning and an end, and a thought first unless thinking is off."""
    heard = Heard()
    rest = answer
    if _is_begun(asked):
        rest = _cohere_text(heard, rest)
    elif asked.think is not False:
        thought, behind = cut(rest, "<|END_THINKING|>")
        is_over = behind is not None
        heard.thought = thought.rstrip(SPACE) if is_over else without_begun(thought, "<|END_THINKING|>")
        rest = behind or ""
    while rest := rest.lstrip(SPACE):
        if rest.startswith("<|START_ACTION|>"):
            raw, behind = cut(rest.removeprefix("<|START_ACTION|>"), "<|END_ACTION|>")
            heard.calls += cohere_calls(raw)
            rest = behind or ""
        elif rest.startswith(("<|START_TEXT|>", "<|START_RESPONSE|>")):
            rest = _cohere_text(heard, rest.partition("|>")[2])
        elif rest.startswith("<|END_OF_TURN_TOKEN|>"):
            rest = rest.removeprefix("<|END_OF_TURN_TOKEN|>")
        else:
            rest = _cohere_text(heard, rest)
    return heard


def _cohere_text(heard: Heard, text: str) -> str:
    mark = first_of(text, "<|END_TEXT|>", "<|END_RESPONSE|>", "<|END_OF_TURN_TOKEN|>")
    heard.said += text if mark is None else text[: mark.start()]
    return "" if mark is None else text[mark.end() :]


def _is_begun(asked: Conversation) -> bool:
    """Return whether the answer was begun, and is to be continued."""
    last = asked.messages[-1] if asked.messages else None
    return last is not None and last.role == "assistant" and bool(last.content)


def _without_opening(answer: str) -> str:
    """Leave out an opening mark at the beginning: the prompt holds it already."""
    text = answer.lstrip(SPACE)
    if text.startswith(_OPEN):
        return text.removeprefix(_OPEN).lstrip(SPACE)
    return "" if _OPEN.startswith(text) else answer


def _think(heard: Heard, text: str, *, ends_with_call: bool = True) -> str:
    """Take what stands before the end of a thought; return the rest."""
    mark = first_of(text, _CLOSE, _CALL) if ends_with_call else first_of(text, _CLOSE)
    if mark is None:
        heard.thought = without_begun(text, _CLOSE, _CALL) if ends_with_call else without_begun(text, _CLOSE)
        return ""
    heard.thought = text[: mark.start()].rstrip(SPACE)
    return text[mark.start() :] if mark[0] == _CALL else text[mark.end() :]


def _say_and_call(
    heard: Heard, text: str, asked: Conversation, *, read: _ReadCall, keeps_end: bool = False
) -> None:
    """Take what is said and the calls between tags; the end may be missing in part.

    Raises:
        Unread: A call is written in another way, or has no end.
    """
    while True:
        before, behind = cut(text, _CALL)
        if behind is None:
            heard.said += text if keeps_end else without_begun(text, _CALL)
            return
        heard.said += before.rstrip(SPACE)
        raw, rest = cut(behind, _CALL_END)
        if rest is None:
            raise Unread
        heard.calls.append(read(raw, asked.tools))
        text = rest.lstrip(SPACE)


# The names are older, most of them; this is the oldest Ollama whose parsers were seen to read like these.
_SINCE = "0.32.15"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerParser:
    """A built-in parser.

    Attributes:
        name: What ``PARSER`` calls it.
        thinks: Whether Ollama takes a model that has it for one that thinks.
        since: The first version of Ollama that has it like this.
    """

    name: str
    thinks: bool
    flow: Callable[[str, Conversation], Heard]
    since: str = _SINCE

    def read(self, answer: str, *, asked: Conversation) -> Heard | None:
        """Return what a server reads in an answer; ``None`` where it returns an error.

        Args:
            answer: What the model wrote, without the end of its turn.
            asked: What it answers, as the server takes it
                (:func:`gguf2ollama.chat.reference_prompt.as_asked`).
        """
        try:
            return self.flow(answer, asked)
        except Unread:
            return None


# In the order in which they are tried. Of the others, some read no more than is read without one, or the same
# as one of these (ornith, nemotron-3-nano). Two lose what was said: gemma4 takes every answer behind the
# result of a tool for a thought, laguna an answer with JSON in it for a call, and ends it with an error.
_PARSERS = (
    AnswerParser(name="qwen3-coder", thinks=False, flow=qwen_coder),
    AnswerParser(name="qwen3.5", thinks=True, flow=qwen35),
    AnswerParser(name="glm-4.7", thinks=True, flow=glm),
    AnswerParser(name="cohere", thinks=True, flow=cohere),
)


def known_parsers(version: str) -> tuple[AnswerParser, ...]:
    """Return the parsers of a version of Ollama.

    Raises:
        UsageProblem: It is no version.
    """
    return tuple(one for one in _PARSERS if is_since(version, one.since))
