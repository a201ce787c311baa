"""Read a Go template as far as the linter needs it: texts, actions and their nesting.

The syntax is that of Go's ``text/template``; nothing is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.modelfiles._answer import Event

__all__ = ["GoTemplate", "UnbalancedTemplateError", "read_go_template"]

_QUOTED = r"\"(?:[^\"\\\n]|\\.)*\"|`[^`]*`|'(?:[^'\\\n]|\\.)*'"
_ACTION = lazy_pattern(
    r"\{\{(?P<left>-(?=[ \t\r\n]))?"
    rf"(?:\s*/\*.*?\*/\s*|(?P<source>(?:{_QUOTED}|(?!\}}\}})[^\"`'])*?))"
    r"(?P<right>(?<=[ \t\r\n])-)?\}\}",
    re.DOTALL,
)
_STRING = lazy_pattern(_QUOTED)
_KEYWORD = lazy_pattern(r"(if|with|range|else|end|define|block|template|break|continue)\b")
_ASSIGNMENT = lazy_pattern(r"\$\w*\s*(?:,\s*\$\w*\s*)?:?=")
_FIELD = lazy_pattern(r"\.([A-Za-z_]\w*)")
_NEGATED = lazy_pattern(r"\bnot\s+\(?\$?[\w.]*")
_SPACE = " \t\r\n"
_ANSWER = frozenset({"ToolCalls", "Thinking"})


class UnbalancedTemplateError(Exception):
    """An unclosed action, or an ``end`` too many or too few; the message says where."""


@dataclass(slots=True, kw_only=True)
class GoTemplate:
    """What the linter needs to know of a template.

    ``fields`` are the fields used in actions; ``prints_tools`` is whether ``.Tools`` reaches the
    output; ``events`` are the texts and values in their order.
    """

    fields: set[str] = field(default_factory=set)
    prints_tools: bool = False
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Block:
    """An open block: the number of its tool call or reasoning, and whether it iterates over the tools."""

    line: int
    answer: int | None
    walks_tools: bool
    has_else: bool = False


def read_go_template(text: str) -> GoTemplate:
    """Read a template.

    Raises:
        UnbalancedTemplateError: Actions or blocks do not match.
    """
    template = GoTemplate()
    blocks: list[_Block] = []
    for line, literal, action in _split(text):
        if literal:
            template.events.append(Event(text=literal, block=blocks[-1].answer if blocks else None))
        if action is None:
            continue
        bare = _STRING.sub('""', action).strip()
        fields = _FIELD.findall(bare)
        template.fields.update(fields)
        is_assignment = _ASSIGNMENT.search(bare) is not None
        is_value = _follow(bare, line=line, blocks=blocks, number=len(template.events)) and not is_assignment
        if is_value:
            answer = blocks[-1].answer if blocks else None
            template.events.append(Event(block=answer, is_response="Response" in fields))
        template.prints_tools |= ("Tools" in fields and (is_value or is_assignment)) or (
            is_value and bool(blocks) and blocks[-1].walks_tools
        )
    if blocks:
        raise UnbalancedTemplateError(
            f"the block that begins at its line {blocks[-1].line} has no {{{{ end }}}}"
        )
    return template


def _split(text: str) -> Iterator[tuple[int, str, str | None]]:
    """Yield line, literal text (trimmed as Go trims it) and the action after it.

    The action is ``None`` for a comment, and after the last text.
    """
    at, line, is_trimmed = 0, 1, False
    while (start := text.find("{{", at)) >= 0:
        line += text.count("\n", at, start)
        match = _ACTION.match(text, start)
        if match is None:
            raise UnbalancedTemplateError(f"unclosed action at its line {line}")
        literal = text[at:start]
        literal = literal.lstrip(_SPACE) if is_trimmed else literal
        yield line, literal.rstrip(_SPACE) if match["left"] else literal, match["source"]
        line += text.count("\n", start, match.end())
        at, is_trimmed = match.end(), match["right"] is not None
    yield line, text[at:].lstrip(_SPACE) if is_trimmed else text[at:], None


def _follow(bare: str, *, line: int, blocks: list[_Block], number: int) -> bool:
    """Open, switch or close blocks for an action; return whether it is a pipeline that prints."""
    match = _KEYWORD.match(bare)
    keyword = match.group() if match else ""
    if keyword in {"if", "with", "range", "define", "block"}:
        blocks.append(_open(bare, line=line, outer=blocks[-1] if blocks else None, number=number))
    elif keyword in {"else", "end"} and not blocks:
        raise UnbalancedTemplateError(f"unexpected {{{{{keyword}}}}} at its line {line}")
    elif keyword == "end":
        blocks.pop()
    elif keyword == "else":
        ended = blocks.pop()
        if ended.has_else:
            raise UnbalancedTemplateError(f"unexpected second {{{{else}}}} at its line {line}")
        head = bare.removeprefix("else").strip()
        blocks.append(_open(head, line=line, outer=blocks[-1] if blocks else None, number=number))
        blocks[-1].has_else = not head
    return bool(bare) and keyword in {"", "template"}


def _open(head: str, *, line: int, outer: _Block | None, number: int) -> _Block:
    fields = set(_FIELD.findall(_NEGATED.sub("", head)))
    is_answer = bool(fields & _ANSWER) and "Content" not in fields
    walks_tools = "Tools" in fields and head.startswith(("range", "with"))
    if outer is None:
        return _Block(line=line, answer=number if is_answer else None, walks_tools=walks_tools)
    answer = number if outer.answer is None and is_answer else outer.answer
    return _Block(line=line, answer=answer, walks_tools=walks_tools or outer.walks_tools)
