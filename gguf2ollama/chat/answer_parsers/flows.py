"""How Ollama's parsers go through an answer: from thoughts to what is said, to calls, and back.

Each is told the whole answer, and gives what the server has told when it is over. White space between what
is said, thought and called may be more there: that depends on how the answer comes in bits. Sources: the
files in ``model/parsers`` of Ollama 0.34.4 that have the names of the parsers; 0.32.15 does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from gguf2ollama.chat.answer_parsers.calls import cohere_calls, glm_call, qwen_coder_call
from gguf2ollama.chat.answer_parsers.reading import SPACE, Call, Heard, Unread, cut, first_of, without_begun
from gguf2ollama.chat.conversation import Conversation

__all__ = ["cohere", "glm", "qwen35", "qwen_coder"]

_ReadCall: TypeAlias = Callable[[str, Sequence[Mapping[str, Any]]], Call]

_OPEN, _CLOSE = "<think>", "</think>"
_CALL, _CALL_END = "<tool_call>", "</tool_call>"


def qwen_coder(answer: str, asked: Conversation) -> Heard:
    """``qwen3-coder``: no thoughts; calls as XML."""
    heard = Heard()
    _say_and_call(heard, answer, asked, read=qwen_coder_call, keeps_end=True)
    return heard


def qwen35(answer: str, asked: Conversation) -> Heard:
    """``qwen3.5``: begins in a thought, unless it is told not to think; calls as XML."""
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
    """``cohere``: blocks with a beginning and an end, and a thought first, unless it is told not to think."""
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
    """Take what stands before the end of a thought; give the rest."""
    mark = first_of(text, _CLOSE, _CALL) if ends_with_call else first_of(text, _CLOSE)
    if mark is None:
        heard.thought = without_begun(text, _CLOSE, _CALL) if ends_with_call else without_begun(text, _CLOSE)
        return ""
    heard.thought = text[: mark.start()].rstrip(SPACE)
    return text[mark.start() :] if mark[0] == _CALL else text[mark.end() :]


def _say_and_call(
    heard: Heard, text: str, asked: Conversation, *, read: _ReadCall, keeps_end: bool = False
) -> None:
    """Take what is said and the calls between tags; of the end, not all may be told.

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
