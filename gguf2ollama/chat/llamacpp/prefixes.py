"""Tell by its text where a template prints a prompt that ends early if it is not to be answered.

llama.cpp renders each chat twice, with ``add_generation_prompt`` and without it, and a template that raises
in either fails. Where that variable does no more than to let something be printed at the very end, the one
without it takes the same steps as the other, and then none: what goes wrong in it goes wrong there, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from gguf2ollama.chat.llamacpp import nodes

__all__ = ["only_adds_at_the_end"]


def only_adds_at_the_end(body: Sequence[nodes.Statement], variable: str) -> bool:
    """Return whether the truth of a variable makes nothing but an addition at the end of what is printed."""
    statements = list(body)
    while statements and isinstance(statements[-1], (nodes.Literal, nodes.Nothing)):
        statements.pop()
    if statements and _adds(statements[-1], variable):
        statements.pop()
    return not any(_names(one, variable) for one in statements)


def _adds(statement: nodes.Statement, variable: str) -> bool:
    """Return whether a statement runs nothing where a variable is false."""
    if isinstance(statement, nodes.If):
        return _needs(statement.test, variable) and all(map(_is_text, statement.otherwise))
    if isinstance(statement, nodes.Conditional):
        return _needs(statement.test, variable) and _is_text(statement.otherwise)
    return isinstance(statement, nodes.Select) and _needs(statement.test, variable)


def _needs(test: nodes.Expression, variable: str) -> bool:
    """Return whether a test fails at once where a variable is false."""
    while isinstance(test, nodes.Binary) and test.operator == "and":
        test = test.left
    return isinstance(test, nodes.Name) and test.name == variable


def _is_text(statement: nodes.Statement) -> bool:
    return isinstance(statement, (nodes.Literal, nodes.Nothing))


def _names(part: object, variable: str) -> bool:
    """Return whether a part of a template names a variable."""
    if isinstance(part, tuple):
        return any(_names(one, variable) for one in part)
    if isinstance(part, nodes.Name) and part.name == variable:
        return True
    fields = getattr(part, "__dataclass_fields__", ())  # dataclasses.fields() looks at each, many times over
    return any(_names(getattr(part, name), variable) for name in fields)
