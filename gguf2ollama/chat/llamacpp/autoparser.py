"""Find how a template writes reasoning, and whether llama.cpp can make a parser of it, by comparing prompts.

Whether there is reasoning decides what ``enable_thinking`` is where nobody says, and where an answer that is
continued begins. A template whose calls look like JSON and are none keeps llama-server from starting.

Source: ``common/chat-diff-analyzer.cpp`` of llama.cpp b10488 and b11095, which do not differ in this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn, Protocol

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.chat.llamacpp.jinja_engine.errors import TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.values import as_bytes_text
from gguf2ollama.chat.llamacpp.probe_chats import ANSWER, ARGUMENTS, FUNCTIONS, THOUGHT, USER, probe_tools
from gguf2ollama.chat.llamacpp.segments import WHITE_SPACE, Split, segments, split, without_white_space

__all__ = ["Reasoning", "Render", "find_reasoning", "require_parser"]

_ANCHOR = 64  # bytes
_MARKER = r"(?:<[^>]*>|\[[^\]]*\])"
_SPACE = f"[{WHITE_SPACE}]*"
_WRAPPED = lazy_pattern(f"({_MARKER}{_SPACE}){re.escape(THOUGHT)}({_SPACE}{_MARKER}{_SPACE})")
_DELIMITED = lazy_pattern(f"{re.escape(THOUGHT)}{_SPACE}({_MARKER}{_SPACE})?")


class Render(Protocol):
    """Renders messages; ``None`` where the template raises."""

    def __call__(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = False,
        enable_thinking: bool = True,
    ) -> str | None:
        """Return the prompt."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Whether a template reasons, and what stands before and after: byte by byte, ``""`` where unknown."""

    is_found: bool = False
    start: str = ""
    end: str = ""


@dataclass(frozen=True, slots=True)
class _Pair:
    left: str
    right: str

    @property
    def split(self) -> Split:
        return split(self.left, self.right)


def find_reasoning(render: Render, source: str, *, supports_calls: bool) -> Reasoning:
    """Find how a template writes reasoning."""
    found = _in_answers(render, Reasoning())
    found = _in_switch(render, found)
    if supports_calls:
        found = _in_calls(render, found)
    return _patched(found, source)


def require_parser(render: Render, found: Reasoning) -> None:
    """Check that llama.cpp can make a parser of a template that shows calls.

    Raises:
        TemplateFault: It cannot.
    """
    answer = {"role": "assistant", "content": ANSWER}
    called = _call(dict(zip(ARGUMENTS, ("XXXX", "YYYY"), strict=True)))
    call = {"role": "assistant", "content": "", "tool_calls": [called]}
    pair = _pair(render([_user(), answer], tools=probe_tools()), render([_user(), call], tools=probe_tools()))
    if pair is None or not pair.split.right:
        return
    told = pair.split.right
    if not re.search(rf'[{{:]{_SPACE}"{FUNCTIONS[0]}"', told):
        return
    for mark in (found.start, found.end):
        told = told.replace(mark, "", 1) if mark else told
    start = max(told.find("{"), 0)
    try:
        json.loads(_as_utf8(told[start : told.rfind("}") + 1]), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise TemplateFault(f"Automatic parser generation failed: a call is not JSON ({error})") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _as_utf8(text: str) -> bytes:
    return text.encode("latin-1")


def _user() -> dict[str, Any]:
    return {"role": "user", "content": USER}


def _answer(*, thought: bool) -> dict[str, Any]:
    told = {"role": "assistant", "content": ANSWER}
    return told | {"reasoning_content": THOUGHT} if thought else told


def _call(arguments: dict[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = {"name": FUNCTIONS[0], "arguments": arguments}
    return {"id": "call00001", "type": "function", "function": function}


def _pair(left: str | None, right: str | None) -> _Pair | None:
    return None if left is None or right is None else _Pair(as_bytes_text(left), as_bytes_text(right))


def _in_answers(render: Render, found: Reasoning) -> Reasoning:
    """Look at what surrounds the reasoning of an answer."""
    pair = _pair(render([_user(), _answer(thought=False)]), render([_user(), _answer(thought=True)]))
    if pair is None or THOUGHT not in pair.split.right:
        return found
    if match := _WRAPPED.search(pair.right):
        return Reasoning(is_found=True, start=match.group(1), end=match.group(2))
    match = _DELIMITED.search(pair.right)
    return Reasoning(is_found=True, end=match.group(1)) if match and match.group(1) else found


def _in_switch(render: Render, found: Reasoning) -> Reasoning:
    """Look at what the switch changes at the end of the prompt."""
    pair = _pair(
        render([_user()], add_generation_prompt=True, enable_thinking=False),
        render([_user()], add_generation_prompt=True, enable_thinking=True),
    )
    if pair is None:
        return found
    sides = pair.split
    left, right = sides.left.strip(WHITE_SPACE), sides.right.strip(WHITE_SPACE)
    if not left and sides.right:
        if right and pair.right.endswith(right) and not found.start:
            found = Reasoning(is_found=True, start=sides.right, end=found.end)
    elif not right and sides.left:
        if left and pair.left.endswith(left) and not found.end:
            parts = without_white_space(segments(pair.left))
            is_after_marker = len(parts) > 1 and parts[-1].text == left and parts[-2].is_marker
            start = parts[-2].text if is_after_marker else found.start
            found = Reasoning(is_found=True, start=start, end=sides.left)
    elif left and right:
        found = _at_anchor(pair, found)
    return replace(found, is_found=found.is_found or (not found.start and bool(found.end)))


def _at_anchor(pair: _Pair, found: Reasoning) -> Reasoning:
    """Look for two markers that follow in one prompt what ends the other."""
    for base, extended in ((pair.right, pair.left), (pair.left, pair.right)):
        anchor = base[-_ANCHOR:]
        at = extended.rfind(anchor)
        if at < 0 or at + len(anchor) >= len(extended):
            continue
        extra = extended[at + len(anchor) :].strip(WHITE_SPACE)
        parts = without_white_space(segments(extra)) if extra else []
        if len(parts) == 2 and all(part.is_marker for part in parts):  # noqa: PLR2004 - one on each side
            return Reasoning(
                is_found=True, start=found.start or parts[0].text, end=found.end or parts[1].text
            )
    return found


def _in_calls(render: Render, found: Reasoning) -> Reasoning:
    """Look for reasoning that is shown before calls only."""
    call = {
        "role": "assistant",
        "content": None,
        "reasoning_content": THOUGHT,
        "tool_calls": [_call({ARGUMENTS[0]: "VVVV", ARGUMENTS[1]: "XXXX"})],
    }
    tools = probe_tools()
    pair = _pair(render([_user(), _answer(thought=True)], tools=tools), render([_user(), call], tools=tools))
    if pair is None or THOUGHT in pair.left or THOUGHT not in pair.right:
        return found
    if match := _WRAPPED_LOOSELY.search(pair.right):
        return Reasoning(is_found=True, start=match.group(1), end=match.group(2))
    match = _DELIMITED.search(pair.right)
    return Reasoning(is_found=True, start=found.start, end=(match.group(1) or "") if match else "")


_WRAPPED_LOOSELY = lazy_pattern(f"({_MARKER}{_SPACE}){re.escape(THOUGHT)}{_SPACE}({_MARKER}{_SPACE})")
_Patch = Callable[[Reasoning, str], Reasoning]


def _patched(found: Reasoning, source: str) -> Reasoning:
    """Change what was found where llama.cpp knows better, by marks in the template's text."""
    for patch in _PATCHES:
        found = patch(found, source)
    return found


def _split_at_end(found: Reasoning, source: str) -> Reasoning:
    splits = "content.split('</think>')" in source
    if (
        splits
        and not any(one in source for one in ("reasoning_content", "<SPECIAL_12>"))
        and not found.is_found
    ):
        return Reasoning(is_found=True, start="<think>", end="</think>")
    return found


def _with_response(found: Reasoning, source: str) -> Reasoning:
    told = "Write your thoughts between <think></think> and write your response between <response></response>"
    return Reasoning(is_found=True, start="<think>", end="</think>") if told in source else found


def _special_tokens(found: Reasoning, source: str) -> Reasoning:
    marks = ("<SPECIAL_10>", "<SPECIAL_11>", "<SPECIAL_12>", "<TOOL_RESPONSE>")
    is_meant = all(mark in source for mark in marks)
    return Reasoning(is_found=True, start="<think>\n", end="</think>") if is_meant else found


def _bare_tags(found: Reasoning, source: str) -> Reasoning:
    if "laguna_glm_thinking" not in source:
        return found
    return replace(found, start=found.start.strip(WHITE_SPACE), end=found.end.strip(WHITE_SPACE))


_PATCHES: tuple[_Patch, ...] = (_split_at_end, _with_response, _special_tokens, _bare_tags)
