"""Adapt a Go template to an older Ollama: replace fields and functions that it does not support.

Go fails at an unknown field of a struct, and cannot parse a template with an unknown
function. An older Ollama drops reasoning, tool names and call ids from messages before a template runs,
so empty strings print the same as their fields would. A date becomes that of the build.
"""

from __future__ import annotations

from datetime import date, timedelta

from gguf2ollama._dataclass import dataclass
from gguf2ollama.gotmpl.lex import Token, tokenize
from gguf2ollama.gotmpl.versions import Dialect, dialect

__all__ = ["Adapted", "adapt"]

_EMPTY = '""'


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """An adapted template.

    Attributes:
        text: The template.
        fields: The fields that were replaced by empty strings, in order.
        day: The date that it prints from now on, whatever the date; ``None`` where it prints none.
    """

    text: str
    fields: tuple[str, ...] = ()
    day: date | None = None


def adapt(text: str, *, version: str, today: date) -> Adapted:
    """Adapt a template to a version of Ollama; it stays as it is if supported, or if it is not a template.

    Args:
        text: The template.
        version: The version, such as ``0.8.0``.
        today: The date to print where Ollama has no function for it.

    Raises:
        UsageProblem: It is not a version.
    """
    known = dialect(version)
    unknown, days = _unknown_fields(known), _days(known, today)
    if not unknown and not days:
        return Adapted(text=text)
    tokens = tokenize(text)
    parts: list[str] = []
    fields: dict[str, None] = {}
    end, is_dated = 0, False
    for at, token in enumerate(tokens):
        if token.kind == "field" and token.value in unknown:
            if (start := _start(tokens, at)) < end:  # something in it has been replaced already
                continue
            fields[token.value] = None
            parts.append(text[end:start] + _EMPTY)
        elif token.kind == "identifier" and token.value in days:
            is_dated = True
            parts.append(f'{text[end : token.at]}"{days[token.value].isoformat()}"')
        else:
            continue
        end = token.at + len(token.value)
    return Adapted(text="".join(parts) + text[end:], fields=tuple(fields), day=today if is_dated else None)


def _unknown_fields(known: Dialect) -> frozenset[str]:
    """Return the string fields that a version does not have, each with its dot."""
    unknown = set()
    if not known.has_thinking:
        unknown.add(".Thinking")
    if not known.has_tool_names:
        unknown.add(".ToolName")
    if not known.has_call_ids:
        unknown |= {".ToolCallID", ".ID"}
    return frozenset(unknown)


def _days(known: Dialect, today: date) -> dict[str, date]:
    """Return the date functions that a version does not have, with the date of each."""
    days = {"currentDate": today, "yesterdayDate": today - timedelta(days=1)}
    return {name: day for name, day in days.items() if name not in known.functions}


def _start(tokens: list[Token], at: int) -> int:
    """Return the start of an operand that ends with a field: ``.A``, ``$x.A`` or ``(index $x 0).A``."""
    while at and tokens[at - 1].at + len(tokens[at - 1].value) == tokens[at].at:
        if tokens[at - 1].kind == ")":
            at = _opening(tokens, at - 1)
            break
        if tokens[at - 1].kind not in {"field", "variable"}:
            break
        at -= 1
    return tokens[at].at


def _opening(tokens: list[Token], at: int) -> int:
    """Return the index of the parenthesis closed by the one at an index."""
    depth = 0
    while at:
        depth += {")": 1, "(": -1}.get(tokens[at].kind, 0)
        if not depth:
            break
        at -= 1
    return at
