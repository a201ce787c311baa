"""Changes to a chat template that keep what it means, and change what an Ollama makes of it.

A server that renders with the chat template in a GGUF decides by that text which variables there are, whether
the model thinks, and whether it is told a system message at all. Each change here mends one such decision.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from gguf2ollama.chat.missing_members import with_missing_members
from gguf2ollama.chat.numbered_members import with_brackets
from gguf2ollama.chat.printed_values import with_values_printed
from gguf2ollama.chat.rewriting import Insertion, Piece, rewritten, unused_name
from gguf2ollama.chat.trims import with_wide_trims

__all__ = ["Change", "Patch", "changes", "keep_out_detection", "with_all_trimmed"]

# what llama.cpp gives a template that transformers does not: `caps_apply_preserve_reasoning` in
# common/jinja/caps.cpp, and common/chat.cpp
_GIVEN = (
    *("preserve_thinking", "clear_thinking", "truncate_history_thinking", "drop_thinking"),
    *("date_string", "datetime"),
)
_SWITCH, _OTHER_SWITCH = "enable_thinking", "thinking"
_TAGS = ("<think>", "</think>")
# `workaround::convert_tool_responses_gemma4` in common/chat.cpp
_MOVES_RESULTS, _TAKES_RESULTS = "'<|tool_call>call:'", "{#- OpenAI Chat Completions:"
_DETECTION_DISTANCE = 100  # edits: one template taken for another (Named in Ollama's template/template.go)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A changed chat template.

    Attributes:
        text: The chat template.
        why: What the changes mend, one phrase each.
    """

    text: str
    why: tuple[str, ...]


Change: TypeAlias = Callable[[str], Patch | None]


def changes() -> Iterator[Change]:
    """Give the changes that may mend something, those that change least first.

    Each gives ``None`` for a template that it does not apply to. Which of them mends anything on a server is
    seen by trying; one may be made upon another.
    """
    for name in _GIVEN:
        yield partial(_without_variable, name=name)
    yield _with_system
    yield _with_known_switch
    yield _with_thinking_seen
    yield partial(_without_variable, name=_SWITCH)
    yield _with_results_kept
    yield _rewriting(with_brackets, why="the server takes no number behind a dot")
    yield _rewriting(with_missing_members, why="the server refuses what is missing and has a method's name")
    yield _rewriting(with_values_printed, why="the server prints None, lists and objects in another way")


def _without_variable(text: str, *, name: str) -> Patch | None:
    if name == _SWITCH and _shows_thinking(text):
        return None
    renamed = _rename(text, name, unused_name(text, name))
    if renamed is None:
        return None
    return Patch(text=renamed, why=(f"{name} is given by the server and not by transformers",))


def _with_system(text: str) -> Patch | None:
    if "system" not in text:
        return None
    return Patch(
        text=_before(text, "{% if messages and messages[0].content == '' %}{% endif %}"),
        why=("the server would put the system message into the first question",),
    )


def _with_known_switch(text: str) -> Patch | None:
    """Have the switch go by the name by which the server gives it; transformers gives it by either."""
    if re.search(rf"\b{_SWITCH}\b", text):
        return None
    renamed = _rename(text, _OTHER_SWITCH, _SWITCH)
    if renamed is None:
        return None
    return Patch(text=renamed, why=(f"the server gives the switch {_OTHER_SWITCH} as {_SWITCH} alone",))


def _with_thinking_seen(text: str) -> Patch | None:
    if _shows_thinking(text) or not re.search("think|reason", text):
        return None
    known = _with_known_switch(text) or Patch(text=text, why=())
    return Patch(
        text=_before(known.text, f"{{# {_TAGS[0]}{_TAGS[1]} #}}"),
        why=("the server would not see that the model thinks", *known.why),
    )


def _with_results_kept(text: str) -> Patch | None:
    """Have messages with results stay; llama.cpp leaves them where it reads that a template takes them."""
    if _MOVES_RESULTS not in text or _TAKES_RESULTS in text:
        return None
    return Patch(
        text=_before(text, f"{_TAKES_RESULTS} messages with results are told as they are. #}}"),
        why=("the server would put results into the messages that call",),
    )


def _rewriting(rewrite: Callable[[str], str | None], *, why: str) -> Change:
    """Give the change that a rewriting makes, and why it is made."""

    def change(text: str) -> Patch | None:
        changed = rewrite(text)
        return None if changed is None else Patch(text=changed, why=(why,))

    return change


def with_all_trimmed(text: str) -> Patch | None:
    """Have a template trim all white space that Python knows.

    Apart from the others, since a TEMPLATE does it without a changed header, which would have weights stored
    a second time.
    """
    why = "the server leaves white space around texts that is not ASCII"
    return _rewriting(with_wide_trims, why=why)(text)


def _shows_thinking(text: str) -> bool:
    return all(tag in text for tag in _TAGS)


def keep_out_detection(text: str) -> Patch:
    """Make a chat template unlike all that ``ollama create`` knows, so that it puts none before this one."""
    filling = "This text keeps Ollama from taking the template for one that it knows and giving it another. "
    room = filling * (_DETECTION_DISTANCE // len(filling) + 1)
    comment = f"{{# {room}#}}"
    kept = text if text.startswith(comment) else _before(text, comment)
    return Patch(text=kept, why=("the server would put another template before it",))


def _before(text: str, addition: str) -> str:
    """Put a comment or statement before a template; ``trim_blocks`` removes the line's end after it."""
    return f"{addition}\n{text}"


def _rename(text: str, name: str, new: str) -> str | None:
    """Give the template with another name for one variable; ``None`` where it has no such variable."""
    if not re.search(rf"\b{name}\b", text):
        return None

    def found(_: str, pieces: Sequence[Piece]) -> Iterator[Insertion]:
        depth = 0
        for number, piece in enumerate(pieces):
            if piece.kind == "operator":
                depth += (piece.text in "([{") - (piece.text in ")]}")
            is_member = number > 0 and pieces[number - 1].text in {".", "|"}
            is_argument = depth > 0 and number + 1 < len(pieces) and pieces[number + 1].text == "="
            if piece.kind == "name" and piece.text == name and not is_member and not is_argument:
                yield Insertion(piece.start, new, instead_of=piece.end - piece.start)

    return rewritten(text, found)
