"""Tell by its text where a template prints a prompt that ends early if it is not to be answered.

llama.cpp renders each chat twice, with ``add_generation_prompt`` and without it, and a template that raises
in either fails. Where that variable does no more than to let something be printed at the very end, the one
without it takes the same steps as the other, and then none: what goes wrong in it goes wrong there, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import nodes

from gguf2ollama.chat.llamacpp.jinja_engine.parser import parts_of

__all__ = ["only_adds_at_the_end"]


def only_adds_at_the_end(body: Sequence[nodes.Node], variable: str) -> bool:
    """Return whether the truth of a variable makes nothing but an addition at the end of what is printed."""
    parts = list(parts_of(body))
    while parts and _is_text(parts[-1]):
        parts.pop()
    if parts and _adds(parts[-1], variable):
        parts.pop()
    return not any(_names(part, variable) for part in parts)


def _adds(part: nodes.Node, variable: str) -> bool:
    """Return whether a part runs nothing where a variable is false."""
    if isinstance(part, nodes.If):
        otherwise = [*part.elif_, *parts_of(part.else_)]
        return _needs(part.test, variable) and all(map(_is_text, otherwise))
    if isinstance(part, nodes.CondExpr):
        return _needs(part.test, variable) and (part.expr2 is None or _is_text(part.expr2))
    return False


def _needs(test: nodes.Node, variable: str) -> bool:
    """Return whether a test fails at once where a variable is false."""
    while isinstance(test, nodes.And):
        test = test.left
    return isinstance(test, nodes.Name) and test.name == variable


def _is_text(part: nodes.Node) -> bool:
    return isinstance(part, (nodes.TemplateData, nodes.Const))


def _names(part: nodes.Node, variable: str) -> bool:
    """Return whether a part of a template names a variable."""
    is_named = isinstance(part, nodes.Name) and part.name == variable
    return is_named or any(name.name == variable for name in part.find_all(nodes.Name))
