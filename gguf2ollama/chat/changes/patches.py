"""Changes to a chat template that keep its meaning in transformers, and fix what Ollama renders.

A server that renders with the chat template in a GGUF decides by that text which variables there are, whether
the model thinks, and whether it gets system messages at all. Each change here fixes one such decision.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.changes.rewrites import (
    WIDE_SPACES,
    with_arguments_as_json,
    with_missing_members,
    with_text_split,
    with_values_printed,
    with_wide_trims,
)
from gguf2ollama.chat.comparison import Case
from gguf2ollama.chat.llamacpp.special_templates import family_of
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.jinja.edit import Insertion, Piece, rewritten, unused_name
from gguf2ollama.jinja.facts import shows_tools

__all__ = ["Change", "Patch", "Shown", "changes", "keep_out_detection"]

# what llama.cpp passes to a template and transformers does not: `caps_apply_preserve_reasoning` in
# common/jinja/caps.cpp, and common/chat.cpp
_GIVEN = (
    *("preserve_thinking", "clear_thinking", "truncate_history_thinking", "drop_thinking"),
    *("date_string", "datetime"),
)
_SWITCH, _OTHER_SWITCH = "enable_thinking", "thinking"
_TAGS = ("<think>", "</think>")
_DETECTION_DISTANCE = 100  # edits: one template taken for another (Named in Ollama's template/template.go)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A changed chat template.

    Attributes:
        text: The chat template.
        why: What the changes fix, one phrase each.
    """

    text: str
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a server does with a template as it is.

    Attributes:
        faults: The conversations that do not come out as the authors mean them.
        moves_system: Whether the server puts system messages into the first question.
        misses_calls: Whether the server would not read the model's calls.
        reads_answers: Whether it reads answers at all.
    """

    faults: Sequence[Case]
    moves_system: bool
    misses_calls: bool = False
    reads_answers: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change that may fix something.

    Attributes:
        make: Makes it; returns ``None`` for a template that it does not apply to.
        may_mend: Whether it could fix anything of what a server renders: cheaper than trying.
    """

    make: Callable[[str], Patch | None]
    may_mend: Callable[[Shown], bool] = lambda _: True


def changes(*, tool_use: str = "") -> Iterator[Change]:
    """Return the changes that may fix something, those that change least first.

    Which of them fixes anything on a server is found by trying; one may be made on top of another.

    Args:
        tool_use: The chat template of that name, which renders chats with tools; ``""`` for none.
    """
    for name in _GIVEN:
        yield Change(make=partial(_without_variable, name=name))
    yield Change(make=partial(_with_system, is_named=True), may_mend=lambda shown: shown.moves_system)
    yield Change(make=_with_system_refused, may_mend=lambda _: False)  # unless the server does not even start
    if tool_use:
        tags = _shows_thinking(tool_use)
        yield Change(make=partial(_with_tools_seen, has_tags=tags), may_mend=_refuses_tools)
    yield Change(make=_with_marks_apart, may_mend=lambda shown: not shown.reads_answers)
    yield Change(make=_with_known_switch)
    yield Change(make=_with_thinking_seen)
    yield Change(make=partial(_without_variable, name=_SWITCH))
    why = "the server finds the form of calls only if their arguments are printed as JSON"
    yield Change(make=_rewriting(with_arguments_as_json, why=why), may_mend=lambda shown: shown.misses_calls)
    why = "the server fails on missing keys that are named like methods"
    yield Change(make=_rewriting(with_missing_members, why=why), may_mend=_refuses)
    why = "the server prints None, lists and objects differently"
    yield Change(make=_rewriting(with_values_printed, why=why), may_mend=_misses_values)
    yield Change(make=partial(_with_system, is_named=False), may_mend=lambda shown: shown.moves_system)
    why = "the server does not trim non-ASCII whitespace"
    yield Change(
        make=_rewriting(with_wide_trims, why=why),
        may_mend=lambda shown: any(map(_leaves_wide_spaces, shown.faults)),
    )


def _leaves_wide_spaces(case: Case) -> bool:
    """Return whether a prompt has more white space that is not ASCII than it should have."""
    if not isinstance(case.got, Rendered) or not isinstance(case.want, Rendered):
        return False
    want, got = case.want.prompt, case.got.prompt
    return not got.isascii() and any(got.count(one) > want.count(one) for one in WIDE_SPACES)


def _refuses(shown: Shown) -> bool:
    return not all(isinstance(case.got, Rendered) for case in shown.faults)


def _refuses_tools(shown: Shown) -> bool:
    """Return whether a chat is refused that a template takes, and that has tools."""
    return any(case.conversation.tools and not isinstance(case.got, Rendered) for case in shown.faults)


def _misses_values(shown: Shown) -> bool:
    """Return whether a prompt has less of what Python prints than it should have."""
    for case in shown.faults:
        if not isinstance(case.got, Rendered) or not isinstance(case.want, Rendered):
            return True
        want, got = case.want.prompt, case.got.prompt
        if any(want.count(mark) > got.count(mark) for mark in ("None", "[", "{")):
            return True
    return False


def _without_variable(text: str, *, name: str) -> Patch | None:
    if name == _SWITCH and _shows_thinking(text):
        return None
    renamed = _rename(text, name, unused_name(text, name))
    if renamed is None:
        return None
    return Patch(text=renamed, why=(f"{name} is set by the server but not by transformers",))


def _with_system(text: str, *, is_named: bool) -> Patch | None:
    if ("system" in text) is not is_named:
        return None
    return Patch(
        text=_before(text, "{% if messages and messages[0].content == '' %}{% endif %}"),
        why=("the server would merge the system message into the first user message",),
    )


def _with_system_refused(text: str) -> Patch | None:
    """Have a template reject system messages before it looks at them: then it gets none.

    A server tries a chat with one when it starts, unless it has seen that the template asks for none.
    """
    if "raise_exception" not in text:
        return None
    refusal = "{{ raise_exception('This chat template takes no system message.') }}"
    return Patch(
        text=_before(text, f"{{% if messages and messages[0].role == 'system' %}}{refusal}{{% endif %}}"),
        why=("the server would not start with a template that rejects system messages",),
    )


def _with_tools_seen(text: str, *, has_tags: bool) -> Patch | None:
    """Have a server see tools where another chat template in the GGUF is for them: ``tool_use``.

    And that the model thinks, where that template shows it: the server asks this text alone.
    """
    if shows_tools(text):
        return None
    tags = f" {_TAGS[0]}{_TAGS[1]}" if has_tags and not _shows_thinking(text) else ""
    comment = f"{{# The chat template tool_use renders chats with tools.{tags} #}}"
    return Patch(
        text=_before(text, comment),
        why=("the server would not detect that the chat template tool_use supports tools",),
    )


def _with_marks_apart(text: str) -> Patch | None:
    """Have a server find out by trying how a template writes answers, not by what it is taken for."""
    family = family_of(text)
    mark = family.marks[-1] if family is not None else ""
    changed = with_text_split(text, (mark,) if isinstance(mark, str) else mark)
    if family is None or changed is None:
        return None
    return Patch(text=changed, why=(f"the server would read answers as those of {family.name}",))


def _with_known_switch(text: str) -> Patch | None:
    """Rename the switch to the name by which the server passes it; transformers passes either."""
    if re.search(rf"\b{_SWITCH}\b", text):
        return None
    renamed = _rename(text, _OTHER_SWITCH, _SWITCH)
    if renamed is None:
        return None
    return Patch(text=renamed, why=(f"the server passes the switch {_OTHER_SWITCH} as {_SWITCH} only",))


def _with_thinking_seen(text: str) -> Patch | None:
    if _shows_thinking(text) or not re.search("think|reason", text):
        return None
    known = _with_known_switch(text) or Patch(text=text, why=())
    return Patch(
        text=_before(known.text, f"{{# {_TAGS[0]}{_TAGS[1]} #}}"),
        why=("the server would not detect that the model thinks", *known.why),
    )


def _rewriting(rewrite: Callable[[str], str | None], *, why: str) -> Callable[[str], Patch | None]:
    """Return what makes a patch of a rewriting, and why it is made."""

    def change(text: str) -> Patch | None:
        changed = rewrite(text)
        return None if changed is None else Patch(text=changed, why=(why,))

    return change


def _shows_thinking(text: str) -> bool:
    return all(tag in text for tag in _TAGS)


def keep_out_detection(text: str) -> Patch:
    """Make a chat template unlike all that ``ollama create`` knows, so that it puts none before this one."""
    filling = "This text keeps Ollama from taking the template for one that it knows and giving it another. "
    room = filling * (_DETECTION_DISTANCE // len(filling) + 1)
    comment = f"{{# {room}#}}"
    kept = text if text.startswith(comment) else _before(text, comment)
    return Patch(text=kept, why=("the server would replace it with another template",))


def _before(text: str, addition: str) -> str:
    """Put a comment or statement before a template; ``trim_blocks`` removes the line's end after it."""
    return f"{addition}\n{text}"


def _rename(text: str, name: str, new: str) -> str | None:
    """Return the template with another name for one variable; ``None`` where it has no such variable."""
    if not re.search(rf"\b{name}\b", text):
        return None

    def found(_: str, pieces: Sequence[Piece]) -> Iterator[Insertion]:
        depth = 0
        for number, piece in enumerate(pieces):
            depth += piece.deepens
            is_member = number > 0 and pieces[number - 1].text in {".", "|"}
            is_argument = depth > 0 and number + 1 < len(pieces) and pieces[number + 1].text == "="
            if piece.kind == "name" and piece.text == name and not is_member and not is_argument:
                yield Insertion(piece.start, new, instead_of=piece.end - piece.start)

    return rewritten(text, found)
