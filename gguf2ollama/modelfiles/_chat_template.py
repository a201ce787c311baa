"""Read a Jinja chat template, as embedded in a GGUF, as far as the linter needs it.

It is parsed and never run.
"""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import TemplateError, nodes

from gguf2ollama.jinja.syntax import parse_tree
from gguf2ollama.modelfiles._answer import Event

__all__ = ["read_chat_template"]

_LONGEST = 1 << 18
_BODIES = (nodes.Macro, nodes.With, nodes.Scope, nodes.Block, nodes.FilterBlock, nodes.CallBlock)
_ANSWER = frozenset({"tool_calls", "reasoning_content"})
_ABSENCE = frozenset({"none", "undefined"})
_SILENT = frozenset({"bos_token", "eos_token", "raise_exception"})


def read_chat_template(source: str) -> tuple[Event, ...]:
    """Return the output of a chat template, in order; empty if the text is not a template.

    Templates of more than 256 Ki characters are not read either. The special tokens (``bos_token``,
    ``eos_token``) do not count as values.
    """
    if len(source) > _LONGEST:
        return ()
    try:
        return tuple(_events(parse_tree(source).body, None))
    except (TemplateError, RecursionError, ValueError, OverflowError):
        # besides its own errors, the parser raises those of number literals
        return ()


def _events(body: list[nodes.Node], block: int | None) -> Iterator[Event]:
    for node in body:
        if isinstance(node, nodes.Output):
            for part in node.nodes:
                yield from _printed(part, block)
        elif isinstance(node, nodes.If):
            yield from _events(node.body, _block(node, node.test, block))
            yield from _events([*node.elif_, *node.else_], block)
        elif isinstance(node, nodes.For):
            yield from _events(node.body, _block(node, node.iter, block))
            yield from _events(node.else_, block)
        elif isinstance(node, _BODIES):
            yield from _events(node.body, block)


def _printed(node: nodes.Node, block: int | None) -> Iterator[Event]:
    if isinstance(node, nodes.TemplateData | nodes.Const):
        text = node.data if isinstance(node, nodes.TemplateData) else str(node.value)
        if text:
            yield Event(text=text, block=block)
    elif isinstance(node, nodes.Add):
        yield from _printed(node.left, block)
        yield from _printed(node.right, block)
    elif isinstance(node, nodes.Concat):
        for part in node.nodes:
            yield from _printed(part, block)
    elif isinstance(node, nodes.CondExpr):
        yield from _printed(node.expr1, block)
        if node.expr2 is not None:
            yield from _printed(node.expr2, block)
    elif not _SILENT & _names(node):
        yield Event(block=block)


def _block(node: nodes.Node, condition: nodes.Node, outer: int | None) -> int | None:
    """Return the number of the tool call or thought that a branch prints."""
    names = _names(condition)
    is_answer = bool(names & _ANSWER) and "content" not in names
    return id(node) if outer is None and is_answer else outer


def _names(node: nodes.Node) -> set[str]:
    """Return the names, attributes and strings in an expression, without negated ones."""
    if isinstance(node, nodes.Not) or (isinstance(node, nodes.Test) and node.name in _ABSENCE):
        return set()
    own = {
        value
        for key in ("name", "attr", "value")
        if isinstance(value := getattr(node, key, None), str) and not isinstance(node, nodes.Filter)
    }
    return own.union(*(_names(child) for child in node.iter_child_nodes()))
