"""How a Go template tells the facts of `facts`, as conditions inside ``range $i, $_ := .Messages``."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["VARIABLES", "condition"]

_PLAIN = {
    "tools": "$.Tools",
    "last": "$last",
    "content": ".Content",
    "thinking": "$message.Thinking",  # a field outside the tags would mislead Ollama, which looks for it
    "calls": "$calls",
    "first": "eq $i $first",
    "last user": "eq $i $lastUser",
    "after last user": "gt $i $lastUser",
    "last answer": "eq $i $lastAnswer",
}
_COMPARED = {"previous": "$previous", "before": "$before", "last role": "$lastRole"}
VARIABLES = {
    "system": "$hasSystem",
    "first": "$first",
    "last user": "$lastUser",
    "after last user": "$lastUser",
    "last answer": "$lastAnswer",
    "last": "$last",
    **_COMPARED,
}
"""The variable that a fact is told by, where there is one."""


def condition(
    fact: str, values: Collection[str], *, negated: bool = False, levelled: bool = False, message: str = ""
) -> str:
    """Return the condition that a fact has one of the values, or has none of them.

    Args:
        fact: The fact's name.
        values: The values.
        negated: Whether it must have none of them.
        message: What stands for the message, where it isn't the dot.
        levelled: Whether the template tells levels of thinking apart; ``think: true`` is then ``medium``.
    """
    if fact in _COMPARED:
        return _compared(_COMPARED[fact], values, negated=negated)
    if fact == "think":
        return _levels(values, negated=negated) if levelled else _think(values, negated=negated)
    if fact == "call":
        return f"{'ne' if ('first' in values) == negated else 'eq'} $j 0"
    expression = "$hasSystem" if fact == "system" else _PLAIN[fact]
    if expression.startswith("."):
        expression = f"{message}{expression}"
    return _negate(expression, negated=negated != ("yes" not in values))


def _compared(expression: str, values: Collection[str], *, negated: bool) -> str:
    if len(values) == 1:
        (value,) = values
        return f'{"ne" if negated else "eq"} {expression} "{value}"'
    listed = " ".join(f'"{value}"' for value in sorted(values))
    return _negate(f"eq {expression} {listed}", negated=negated)


_THINK = {
    frozenset({"on"}): "$.Think",
    frozenset({"off"}): "and $.IsThinkSet (not $.Think)",
    frozenset({"unset"}): "not $.IsThinkSet",
    frozenset({"on", "off"}): "$.IsThinkSet",
    frozenset({"unset", "off"}): "not $.Think",
    frozenset({"unset", "on"}): "or $.Think (not $.IsThinkSet)",
}


def _think(values: Collection[str], *, negated: bool) -> str:
    wanted = frozenset(values)
    return _THINK[frozenset({"unset", "on", "off"}) - wanted if negated else wanted]


def _levels(values: Collection[str], *, negated: bool) -> str:
    wanted = sorted("medium" if value == "on" else value for value in values)
    tests = [f"({_THINK[frozenset({value})]})" for value in wanted if value in {"off", "unset"}]
    if levels := [value for value in wanted if value not in {"off", "unset"}]:
        tests.append(f"({_compared('$.ThinkLevel', levels, negated=False)})")
    if len(tests) == 1:
        return _negate(tests[0][1:-1], negated=negated)
    return _negate(f"or {' '.join(tests)}", negated=negated)


def _negate(expression: str, *, negated: bool) -> str:
    if not negated:
        return expression
    if expression.startswith("not "):
        return expression.removeprefix("not ").removeprefix("(").removesuffix(")")
    return f"not ({expression})" if " " in expression else f"not {expression}"
