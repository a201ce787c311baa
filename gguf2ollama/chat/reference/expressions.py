"""Jinja expressions as text again, to tell a person which condition is meant. Runs inside the worker."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from jinja2 import nodes

from gguf2ollama.jinja.syntax import COMPARISONS

__all__ = ["shorten", "write_expression"]

_CAP_CHARACTERS = 400
# how strongly an expression holds together, loosest first; source: the methods of jinja2.parser.Parser
_LEVELS: tuple[tuple[type[nodes.Expr], ...], ...] = (
    (nodes.CondExpr,),
    (nodes.Or,),
    (nodes.And,),
    (nodes.Not,),
    (nodes.Compare,),
    (nodes.Add, nodes.Sub),
    (nodes.Concat,),
    (nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
    (nodes.Pow,),
    (nodes.Neg, nodes.Pos),
    (nodes.Filter, nodes.Test),
)
_NOT, _COMPARE, _CONCAT, _UNARY, _APPLIED = (
    next(level for level, kinds in enumerate(_LEVELS) if kind in kinds)
    for kind in (nodes.Not, nodes.Compare, nodes.Concat, nodes.Neg, nodes.Filter)
)
_ATOM = len(_LEVELS)


def shorten(text: str) -> str:
    """Cut a text that is too long to be read."""
    return text if len(text) <= _CAP_CHARACTERS else f"{text[:_CAP_CHARACTERS]}…"


@singledispatch
def write_expression(node: nodes.Node) -> str:
    """Write an expression in one line, with the parentheses that it needs."""
    return type(node).__name__


def _level(node: nodes.Node) -> int:
    return next((level for level, kinds in enumerate(_LEVELS) if isinstance(node, kinds)), _ATOM)


def _part(node: nodes.Node, least: int) -> str:
    """Write a part of an expression, in parentheses where it holds together less than it must."""
    text = write_expression(node)
    return f"({text})" if _level(node) < least else text


@write_expression.register
def _name(node: nodes.Name) -> str:
    return node.name


@write_expression.register
def _const(node: nodes.Const) -> str:
    return repr(node.value)


@write_expression.register
def _tuple(node: nodes.Tuple) -> str:
    return _list(node.items) if node.ctx == "store" else f"({_list(node.items, is_tuple=True)})"


@write_expression.register
def _list_literal(node: nodes.List) -> str:
    return f"[{_list(node.items)}]"


@write_expression.register
def _dict(node: nodes.Dict) -> str:
    return f"{{{', '.join(map(write_expression, node.items))}}}"


@write_expression.register
def _pair(node: nodes.Pair) -> str:
    return f"{_part(node.key, 0)}: {_part(node.value, 0)}"


@write_expression.register
def _keyword(node: nodes.Keyword) -> str:
    return f"{node.key}={_part(node.value, 0)}"


@write_expression.register
def _getattr(node: nodes.Getattr) -> str:
    return f"{_part(node.node, _ATOM)}.{node.attr}"


@write_expression.register
def _getitem(node: nodes.Getitem) -> str:
    return f"{_part(node.node, _ATOM)}[{write_expression(node.arg)}]"


@write_expression.register
def _slice(node: nodes.Slice) -> str:
    start, stop, step = (
        "" if one is None else write_expression(one) for one in (node.start, node.stop, node.step)
    )
    return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"


@write_expression.register
def _call(node: nodes.Call) -> str:
    return f"{_part(node.node, _ATOM)}({_arguments(node)})"


@write_expression.register
def _filter(node: nodes.Filter) -> str:
    arguments = _arguments(node)
    target = "" if node.node is None else f"{_part(node.node, _UNARY)} | "
    return f"{target}{node.name}({arguments})" if arguments else f"{target}{node.name}"


@write_expression.register
def _test(node: nodes.Test, *, word: str = "is") -> str:
    arguments = _arguments(node)
    text = f"{_part(node.node, _UNARY)} {word} {node.name}"
    return f"{text}({arguments})" if arguments else text


@write_expression.register
def _compare(node: nodes.Compare) -> str:
    rest = (f" {COMPARISONS[one.op]} {_part(one.expr, _COMPARE + 1)}" for one in node.ops)
    return _part(node.expr, _COMPARE + 1) + "".join(rest)


@write_expression.register
def _conditional(node: nodes.CondExpr) -> str:
    other = "" if node.expr2 is None else f" else {_part(node.expr2, 0)}"
    return f"{_part(node.expr1, 1)} if {_part(node.test, 1)}{other}"


@write_expression.register
def _concat(node: nodes.Concat) -> str:
    return " ~ ".join(_part(one, _CONCAT + 1) for one in node.nodes)


@write_expression.register
def _not(node: nodes.Not) -> str:
    if isinstance(node.node, nodes.Test):
        return _test(node.node, word="is not")
    return f"not {_part(node.node, _NOT)}"


@write_expression.register
def _unary(node: nodes.UnaryExpr) -> str:
    return f"{node.operator}{_part(node.node, _ATOM)}"


@write_expression.register
def _binary(node: nodes.BinExpr) -> str:
    level = _level(node)
    return f"{_part(node.left, level)} {node.operator} {_part(node.right, level + 1)}"


def _arguments(node: nodes.Call | nodes.Filter | nodes.Test) -> str:
    parts = [_part(one, 0) for one in (*node.args, *node.kwargs)]
    if node.dyn_args is not None:
        parts.append(f"*{_part(node.dyn_args, 0)}")
    if node.dyn_kwargs is not None:
        parts.append(f"**{_part(node.dyn_kwargs, 0)}")
    return ", ".join(parts)


def _list(items: Sequence[nodes.Expr], *, is_tuple: bool = False) -> str:
    return ", ".join(_part(one, 0) for one in items) + ("," if is_tuple and len(items) == 1 else "")
