"""The keys that a template looks up in values.

Runs inside the worker process.
"""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import nodes

__all__ = ["mentioned_keys"]


def mentioned_keys(tree: nodes.Template) -> list[str]:
    """Return the names looked up as ``x.name``, ``x['name']`` or ``x.get('name')``, sorted."""
    return sorted(set(_keys(tree)))


def _keys(tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all((nodes.Getattr, nodes.Getitem, nodes.Call)):
        if isinstance(node, nodes.Getattr):
            yield node.attr
        elif isinstance(node, nodes.Getitem):
            yield from _text(node.arg)
        elif (
            isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr == "get"
        ):
            for argument in node.args[:1]:
                yield from _text(argument)


def _text(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value
