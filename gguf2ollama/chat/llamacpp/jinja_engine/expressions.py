"""Expressions of a chat template as llama.cpp computes them.

Nodes of the syntax become closures; those that llama.cpp does not know are faults.

Source: ``common/jinja/runtime.cpp`` of llama.cpp b10488 and b11095.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from functools import partial, reduce
from typing import Any

from jinja2 import nodes

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.members import NOT_TOLD, attribute, item, part
from gguf2ollama.chat.llamacpp.jinja_engine.methods import functions, method_of
from gguf2ollama.chat.llamacpp.jinja_engine.operators import apply
from gguf2ollama.chat.llamacpp.jinja_engine.parser import parts_of
from gguf2ollama.chat.llamacpp.jinja_engine.printing import (
    Code,
)
from gguf2ollama.chat.llamacpp.jinja_engine.scopes import Scope, weight
from gguf2ollama.chat.llamacpp.jinja_engine.value_tests import TESTS
from gguf2ollama.chat.llamacpp.jinja_engine.values import (
    UNDEFINED,
    Function,
    Keyword,
    Value,
    are_equal,
    as_bytes_text,
    as_key,
    is_true,
    to_text,
    type_name,
)
from gguf2ollama.jinja.syntax import COMPARISONS

__all__ = ["Dialect", "Expressions"]

_ALIASES = {"count": "length", "d": "default", "e": "escape", "trim": "strip"}
_INT64 = 1 << 63
_TEXT_FILTERS = {"capitalize", "lower", "replace", "strip", "title", "upper", "wordcount"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What differs between the builds of llama.cpp.

    Attributes:
        looks_up_none: Whether ``none in x`` is answered; else it is an error.
        marks_tests: Whether ``x is string`` counts as asking for ``x`` when a template is probed.
        takes_numbered_members: Whether ``x.0`` is the first item of ``x``; else it is an error.
        formats_text: Whether texts have ``format``.
    """

    looks_up_none: bool = True
    marks_tests: bool = True
    takes_numbered_members: bool = True
    formats_text: bool = True


class Expressions:
    """Makes closures of expressions, of those that llama.cpp knows.

    Attributes:
        kinds: What makes them, by the type of node.
    """

    def __init__(self, dialect: Dialect, bare_filters: Collection[nodes.Filter]) -> None:
        self._dialect = dialect
        self._bare_filters = bare_filters
        self.kinds: dict[type, Callable[[Any], Code]] = {
            nodes.TemplateData: self._text,
            nodes.Const: self._constant,
            nodes.Name: self._name,
            nodes.List: self._list,
            nodes.Tuple: self._tuple,
            nodes.Dict: self._dict,
            nodes.And: self._either,
            nodes.Or: self._either,
            nodes.Not: self._not,
            nodes.Compare: self._compare,
            **dict.fromkeys((nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.Mod), self._binary),
            nodes.Concat: self._concat,
            nodes.CondExpr: self._conditional,
            nodes.Filter: self._filter,
            nodes.Test: self._test,
            nodes.Getattr: self._attribute,
            nodes.Getitem: self._item,
            nodes.Keyword: self._keyword,
            nodes.Call: self._call,
        }

    def body(self, statements: Iterable[nodes.Node]) -> list[Code]:
        """Return what runs statements, or computes expressions, one after the other."""
        return [self.code(node) for node in parts_of(statements)]

    def code(self, node: nodes.Node) -> Code:
        """Return what runs a statement or computes an expression.

        Raises:
            NotForeseen: What llama.cpp makes of it is not modelled.
            TemplateFault: llama.cpp does not know it.
        """
        if type(node) not in self.kinds:
            raise TemplateFault(f"line {node.lineno}: unknown: {type(node).__name__.lower()}")
        return self.kinds[type(node)](node)

    def _text(self, node: nodes.TemplateData) -> Code:
        text = as_bytes_text(node.data)
        return lambda _: text

    def _constant(self, node: nodes.Const) -> Code:
        value = as_bytes_text(node.value) if isinstance(node.value, str) else node.value
        is_too_large = isinstance(value, int) and not -_INT64 <= value < _INT64
        if is_too_large or value in {math.inf, -math.inf}:
            raise TemplateFault(f"line {node.lineno}: a number that is too large")
        return lambda _: value

    def _name(self, node: nodes.Name) -> Code:
        name = node.name
        builtin = functions(name)

        def run(scope: Scope) -> Value:
            value = scope.variables.get(name, UNDEFINED)
            if value is UNDEFINED:
                return UNDEFINED if builtin is None else builtin
            if scope.run.watched:
                scope.run.mark(value)
            return value

        return run

    def _list(self, node: nodes.List) -> Code:
        items = self.body(node.items)
        return lambda scope: scope.run.made([item(scope) for item in items])

    def _tuple(self, node: nodes.Tuple) -> Code:
        items = self.body(node.items)
        return lambda scope: tuple(item(scope) for item in items)

    def _dict(self, node: nodes.Dict) -> Code:
        items = [(self.code(pair.key), self.code(pair.value)) for pair in node.items]
        return lambda scope: scope.run.made({as_key(key(scope)): value(scope) for key, value in items})

    def _either(self, node: nodes.And | nodes.Or) -> Code:
        left, right, decisive = self.code(node.left), self.code(node.right), isinstance(node, nodes.Or)

        def run(scope: Scope) -> Value:
            value = left(scope)
            return value if is_true(value) is decisive else right(scope)

        return run

    def _binary(self, node: nodes.BinExpr) -> Code:
        return self._operation(node.operator, self.code(node.left), self.code(node.right))

    def _concat(self, node: nodes.Concat) -> Code:
        return reduce(partial(self._operation, "~"), self.body(node.nodes))

    def _compare(self, node: nodes.Compare) -> Code:
        code = self.code(node.expr)
        for operand in node.ops:
            code = self._operation(COMPARISONS[operand.op], code, self.code(operand.expr))
        return code

    def _operation(self, how: str, left: Code, right: Code) -> Code:
        looks_up_none = self._dialect.looks_up_none

        def equal(scope: Scope) -> Value:
            one, other = left(scope), right(scope)
            result = are_equal(one, other)
            scope.run.step(weight(one) + weight(other))
            return result is (how == "==")

        def run(scope: Scope) -> Value:
            one, other = left(scope), right(scope)
            result = apply(how, one, other, looks_up_none=looks_up_none)
            scope.run.step(weight(one) + weight(other) + weight(result))
            return result

        return equal if how in {"==", "!="} else run

    def _not(self, node: nodes.Not) -> Code:
        operand = self.code(node.node)
        return lambda scope: not is_true(operand(scope))

    def _conditional(self, node: nodes.CondExpr) -> Code:
        test, then = self.code(node.test), self.code(node.expr1)
        if node.expr2 is None:
            return lambda scope: then(scope) if is_true(test(scope)) else UNDEFINED
        otherwise = self.code(node.expr2)
        return lambda scope: then(scope) if is_true(test(scope)) else otherwise(scope)

    def _filter(self, node: nodes.Filter) -> Code:
        if node.node is None:
            raise NotForeseen("a filter without an operand")
        operand, filtered = self.code(node.node), self.filtered(node)
        return lambda scope: filtered(scope, operand(scope))

    def filtered(self, node: nodes.Filter) -> Callable[[Scope, Any], Any]:
        """Return what applies a filter to a value."""
        name, arguments = _ALIASES.get(node.name, node.name), self.arguments(node)
        coerces = node in self._bare_filters and name in _TEXT_FILTERS

        def run(scope: Scope, value: Value) -> Value:
            given = value
            if coerces and value is not UNDEFINED and not isinstance(value, str):
                given = to_text(value)
            told = [argument(scope) for argument in arguments]
            if scope.run.watched:
                scope.run.mark(given, name)
            method = method_of(given, name)
            if method is None:
                raise TemplateFault(f"Unknown (built-in) filter '{name}' for type {type_name(given)}")
            result = method(scope.run, [given, *told])
            scope.run.step(weight(given) + weight(result))
            return result

        return run

    def _test(self, node: nodes.Test) -> Code:
        operand, arguments = self.code(node.node), self.arguments(node)
        name, marks = node.name, self._dialect.marks_tests

        def run(scope: Scope) -> Value:
            value = operand(scope)
            told = [argument(scope) for argument in arguments]
            if name not in TESTS:
                raise TemplateFault(f"Unknown test '{name}'")
            if marks and scope.run.watched:
                scope.run.mark(value, f"test_is_{name}")
            scope.run.step(sum(map(weight, told)) if told else 0)
            return TESTS[name]([value, *told])

        return run

    def _attribute(self, node: nodes.Getattr) -> Code:
        operand, name = self.code(node.node), node.attr
        if not name.isdigit():
            return lambda scope: attribute(scope, operand(scope), name)
        number, is_known = int(name), self._dialect.takes_numbered_members

        def run(scope: Scope) -> Value:
            value = operand(scope)
            if not is_known:
                raise TemplateFault("Static member property must be an identifier")
            return item(scope, value, number)

        return run

    def _item(self, node: nodes.Getitem) -> Code:
        operand = self.code(node.node)
        if isinstance(node.arg, nodes.Slice):
            return self._slice(operand, node.arg)
        key = self.code(node.arg)
        return lambda scope: item(scope, operand(scope), key(scope))

    def _slice(self, operand: Code, bounds: nodes.Slice) -> Code:
        start, stop, step = (
            (lambda _: NOT_TOLD) if one is None else self.code(one)
            for one in (bounds.start, bounds.stop, bounds.step)
        )

        def run(scope: Scope) -> Value:
            value, by = operand(scope), step(scope)
            return part(scope, value, start(scope), stop(scope), by)

        return run

    def _keyword(self, node: nodes.Keyword) -> Code:
        key, value = node.key, self.code(node.value)
        return lambda scope: Keyword(key, value(scope))

    def arguments(self, node: nodes.Call | nodes.Filter | nodes.Test) -> list[Code]:
        """Return arguments in the order in which they are written."""
        if node.dyn_kwargs is not None:
            raise TemplateFault("unexpected: **")
        spread = [] if node.dyn_args is None else [_spread]
        return [*self.body(node.args), *spread, *self.body(node.kwargs)]

    def _call(self, node: nodes.Call) -> Code:
        callee, arguments = self.code(node.node), self.arguments(node)

        def run(scope: Scope) -> Value:
            told = [argument(scope) for argument in arguments]
            function = callee(scope)
            scope.run.step()
            if not isinstance(function, Function):
                raise TemplateFault(f"Callee is not a function: got {type_name(function)}")
            result = function.run(scope, told)
            scope.run.step(weight(result))
            return result

        return run


def _spread(scope: Scope) -> Value:
    """Fail as ``*a`` in a call does, which llama.cpp parses and cannot run."""
    scope.run.step()
    raise TemplateFault("cannot exec SpreadExpression")
