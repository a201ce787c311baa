"""Fit a Go template to an older Ollama: what that one does not know gives way to what it would have been.

Go breaks at a field that a struct does not have, and cannot parse a template with a function that it does not
know. An older Ollama drops the thinking of messages, names of tools and ids of calls before a template runs,
so that empty texts in their places print what is left. A date is another matter: it stays what it is.
"""

from __future__ import annotations

from datetime import date, timedelta

from gguf2ollama._dataclass import dataclass
from gguf2ollama.gotmpl.lex import Token, tokenize
from gguf2ollama.gotmpl.versions import Dialect, dialect

__all__ = ["Fitted", "fit"]

_EMPTY = '""'


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A template that was fitted.

    Attributes:
        text: The template.
        fields: The fields that gave way to empty texts, in order.
        day: The day that it tells from now on, whatever day it is; ``None`` where it tells none.
    """

    text: str
    fields: tuple[str, ...] = ()
    day: date | None = None


def fit(text: str, *, version: str, today: date) -> Fitted:
    """Fit a template to a version of Ollama; one that fits stays as it is, and so does what is no template.

    Args:
        text: The template.
        version: The version, such as ``0.8.0``.
        today: What stands for the date where Ollama has no function for it.

    Raises:
        UsageProblem: It is no version.
    """
    known = dialect(version)
    unknown, days = _unknown_fields(known), _days(known, today)
    if not unknown and not days:
        return Fitted(text=text)
    tokens = tokenize(text)
    parts: list[str] = []
    fields: dict[str, None] = {}
    end, is_dated = 0, False
    for at, token in enumerate(tokens):
        if token.kind == "field" and token.value in unknown:
            if (start := _start(tokens, at)) < end:  # within it something gave way already
                continue
            fields[token.value] = None
            parts.append(text[end:start] + _EMPTY)
        elif token.kind == "identifier" and token.value in days:
            is_dated = True
            parts.append(f'{text[end : token.at]}"{days[token.value].isoformat()}"')
        else:
            continue
        end = token.at + len(token.value)
    return Fitted(text="".join(parts) + text[end:], fields=tuple(fields), day=today if is_dated else None)


def _unknown_fields(known: Dialect) -> frozenset[str]:
    """Return the fields of texts that a version does not have, each with its dot."""
    unknown = set()
    if not known.has_thinking:
        unknown.add(".Thinking")
    if not known.has_tool_names:
        unknown.add(".ToolName")
    if not known.has_call_ids:
        unknown |= {".ToolCallID", ".ID"}
    return frozenset(unknown)


def _days(known: Dialect, today: date) -> dict[str, date]:
    """Return the functions for a day that a version does not have, and the day for each."""
    days = {"currentDate": today, "yesterdayDate": today - timedelta(days=1)}
    return {name: day for name, day in days.items() if name not in known.functions}


def _start(tokens: list[Token], at: int) -> int:
    """Return where an operand begins that ends with a field: ``.A``, ``$x.A`` or ``(index $x 0).A``."""
    while at and tokens[at - 1].at + len(tokens[at - 1].value) == tokens[at].at:
        if tokens[at - 1].kind == ")":
            at = _opening(tokens, at - 1)
            break
        if tokens[at - 1].kind not in {"field", "variable"}:
            break
        at -= 1
    return tokens[at].at


def _opening(tokens: list[Token], at: int) -> int:
    """Return the index of the parenthesis that one at an index closes."""
    depth = 0
    while at:
        depth += {")": 1, "(": -1}.get(tokens[at].kind, 0)
        if not depth:
            break
        at -= 1
    return at
