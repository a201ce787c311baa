"""Run a chat template as llama.cpp's Jinja engine does, where it differs from Jinja2 too.

A template is made into closures once, and run as often as needed. Nothing of it reaches Python: values are
plain data (``values``), and steps, lengths and nesting are bounded. Some of what differs from Jinja2:
``continue`` and ``break`` within an ``if`` lose what the ``if`` has printed; a variable that a loop sets is
still there in its next round; lists print their items one after the other; ``None`` prints nothing; integers
are computed as floats.

Source: ``common/jinja/runtime.cpp`` of llama.cpp b10488 and b11095.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from functools import partial, reduce
from typing import Any

from jinja2 import nodes

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.llamacpp.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.members import NOT_TOLD, attribute, item, part
from gguf2ollama.chat.llamacpp.methods import functions, method_of
from gguf2ollama.chat.llamacpp.operators import apply
from gguf2ollama.chat.llamacpp.parser import parse, parts_of
from gguf2ollama.chat.llamacpp.prefixes import only_adds_at_the_end
from gguf2ollama.chat.llamacpp.printing import (
    Assign,
    Code,
    Jump,
    Loop,
    joined,
    never,
    printed,
    to_name,
    unpacking,
)
from gguf2ollama.chat.llamacpp.scopes import Budget, Run, Scope, Watch, weight
from gguf2ollama.chat.llamacpp.value_tests import TESTS
from gguf2ollama.chat.llamacpp.values import (
    UNDEFINED,
    Function,
    Keyword,
    Value,
    are_equal,
    as_bytes_text,
    as_key,
    as_text,
    from_json,
    is_true,
    to_text,
    type_name,
)

__all__ = ["Dialect", "Template", "load"]

_ALIASES = {"count": "length", "d": "default", "e": "escape", "trim": "strip"}
_COMPARISONS = {
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "lteq": "<=",
    "gt": ">",
    "gteq": ">=",
    "in": "in",
    "notin": "not in",
}
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


@dataclass(frozen=True, slots=True)
class Template:
    """A template that is ready to be run, until all its renderings together have cost too much.

    Attributes:
        only_opens_at_the_end: Whether ``add_generation_prompt`` does no more than add to the end.
    """

    only_opens_at_the_end: bool
    _body: Sequence[Code]
    _budget: Budget = field(default_factory=Budget)

    def render(
        self, variables: Mapping[str, Any], *, now: datetime, watched: dict[int, Watch] | None = None
    ) -> str:
        """Return the text that it prints.

        Args:
            variables: JSON values by their names; see ``from_json`` for inputs that are watched.
            now: What the clock says.
            watched: Where to note what is asked of which inputs, by their ``id``; the lists and objects that
                the template makes are added.

        Raises:
            NotForeseen: What llama.cpp does here is not modelled.
            TemplateFault: llama.cpp ends with an error.
        """
        allowed = self._budget.of_one
        run = Run(now=now, watched=watched, steps=allowed)
        told = {name: value if watched is not None else from_json(value) for name, value in variables.items()}
        try:
            return as_text(printed(self._body, Scope.outermost(run, told)))
        except RecursionError as error:
            raise NotForeseen("macros or values that are nested too deeply") from error
        except (OverflowError, ValueError, MemoryError) as error:
            raise NotForeseen(f"a computation that fails in Python ({error})") from error
        except Jump as error:
            raise NotForeseen("a break or continue outside of a loop") from error
        finally:
            self._budget.left -= allowed - run.steps


def load(source: str, dialect: Dialect) -> Template:
    """Parse a template.

    Raises:
        NotForeseen: What llama.cpp makes of it is not modelled.
        TemplateFault: llama.cpp does not take it.
    """
    if "format(" in source and not dialect.formats_text:
        raise NotForeseen("formatting of strings, which this llama.cpp build lacks")
    syntax = parse(source)
    try:
        body = _Compiler(dialect, syntax.bare_filters).body(syntax.body)
        return Template(only_adds_at_the_end(syntax.body, "add_generation_prompt"), body)
    except RecursionError as error:
        raise NotForeseen("its blocks are nested too deeply") from error


class _Compiler:
    """Makes closures of the parts of a template, of those that llama.cpp knows."""

    def __init__(self, dialect: Dialect, bare_filters: Collection[nodes.Filter]) -> None:
        self._dialect = dialect
        self._bare_filters = bare_filters
        self._kinds: dict[type, Callable[[Any], Code]] = {
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
            nodes.If: self._if,
            nodes.For: self._for,
            nodes.Assign: self._assign,
            nodes.AssignBlock: self._assign_block,
            nodes.Macro: self._macro,
            nodes.CallBlock: self._call_block,
            nodes.FilterBlock: self._filter_block,
            nodes.Break: lambda _: _jump(ends=True),
            nodes.Continue: lambda _: _jump(ends=False),
        }

    def body(self, statements: Iterable[nodes.Node]) -> list[Code]:
        return [self._code(node) for node in parts_of(statements)]

    def _code(self, node: nodes.Node) -> Code:
        if type(node) not in self._kinds:
            raise TemplateFault(f"line {node.lineno}: unknown: {type(node).__name__.lower()}")
        return self._kinds[type(node)](node)

    # expressions

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
        items = [(self._code(pair.key), self._code(pair.value)) for pair in node.items]
        return lambda scope: scope.run.made({as_key(key(scope)): value(scope) for key, value in items})

    def _either(self, node: nodes.And | nodes.Or) -> Code:
        left, right, decisive = self._code(node.left), self._code(node.right), isinstance(node, nodes.Or)

        def run(scope: Scope) -> Value:
            value = left(scope)
            return value if is_true(value) is decisive else right(scope)

        return run

    def _binary(self, node: nodes.BinExpr) -> Code:
        return self._operation(node.operator, self._code(node.left), self._code(node.right))

    def _concat(self, node: nodes.Concat) -> Code:
        return reduce(partial(self._operation, "~"), self.body(node.nodes))

    def _compare(self, node: nodes.Compare) -> Code:
        code = self._code(node.expr)
        for operand in node.ops:
            code = self._operation(_COMPARISONS[operand.op], code, self._code(operand.expr))
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
        operand = self._code(node.node)
        return lambda scope: not is_true(operand(scope))

    def _conditional(self, node: nodes.CondExpr) -> Code:
        test, then = self._code(node.test), self._code(node.expr1)
        if node.expr2 is None:
            return lambda scope: then(scope) if is_true(test(scope)) else UNDEFINED
        otherwise = self._code(node.expr2)
        return lambda scope: then(scope) if is_true(test(scope)) else otherwise(scope)

    def _filter(self, node: nodes.Filter) -> Code:
        if node.node is None:
            raise NotForeseen("a filter without an operand")
        operand, filtered = self._code(node.node), self._filtered(node)
        return lambda scope: filtered(scope, operand(scope))

    def _filtered(self, node: nodes.Filter) -> Callable[[Scope, Any], Any]:
        name, arguments = _ALIASES.get(node.name, node.name), self._arguments(node)
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
        operand, arguments = self._code(node.node), self._arguments(node)
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
        operand, name = self._code(node.node), node.attr
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
        operand = self._code(node.node)
        if isinstance(node.arg, nodes.Slice):
            return self._slice(operand, node.arg)
        key = self._code(node.arg)
        return lambda scope: item(scope, operand(scope), key(scope))

    def _slice(self, operand: Code, bounds: nodes.Slice) -> Code:
        start, stop, step = (
            (lambda _: NOT_TOLD) if one is None else self._code(one)
            for one in (bounds.start, bounds.stop, bounds.step)
        )

        def run(scope: Scope) -> Value:
            value, by = operand(scope), step(scope)
            return part(scope, value, start(scope), stop(scope), by)

        return run

    def _keyword(self, node: nodes.Keyword) -> Code:
        key, value = node.key, self._code(node.value)
        return lambda scope: Keyword(key, value(scope))

    def _arguments(self, node: nodes.Call | nodes.Filter | nodes.Test) -> list[Code]:
        """Return arguments in the order in which they are written."""
        if node.dyn_kwargs is not None:
            raise TemplateFault("unexpected: **")
        spread = [] if node.dyn_args is None else [_spread]
        return [*self.body(node.args), *spread, *self.body(node.kwargs)]

    def _call(self, node: nodes.Call) -> Code:
        callee, arguments = self._code(node.node), self._arguments(node)

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

    # statements

    def _if(self, node: nodes.If) -> Code:
        code = self._block(node.else_)
        for branch in reversed([node, *node.elif_]):
            code = self._branch(self._code(branch.test), self._block(branch.body), code)
        return code

    def _branch(self, test: Code, body: Code, otherwise: Code) -> Code:
        return lambda scope: body(scope) if is_true(test(scope)) else otherwise(scope)

    def _block(self, statements: Sequence[nodes.Node]) -> Code:
        """Return what runs statements and prints them; text is put together now."""
        parts = list(parts_of(statements))
        texts = [as_bytes_text(part.data) for part in parts if isinstance(part, nodes.TemplateData)]
        if len(texts) < len(parts):
            body = self.body(parts)
            return lambda scope: printed(body, scope)
        text = joined(texts)
        cost = weight(text)

        def run(scope: Scope) -> Value:
            scope.run.step(cost)
            return text

        return run

    def _for(self, node: nodes.For) -> Code:
        if node.test is not None or node.recursive:
            raise TemplateFault("a loop with a second condition, or a recursive one")
        chosen = node.iter if isinstance(node.iter, nodes.CondExpr) and node.iter.expr2 is None else None
        return Loop(
            iterable=self._code(chosen.expr1 if chosen else node.iter),
            test=self._code(chosen.test) if chosen else None,
            assign=_variables(node.target, "Invalid loop variable(s)"),
            unpacks=isinstance(node.target, nodes.Tuple),
            body=self.body(node.body),
            otherwise=self.body(node.else_),
        )

    def _assign(self, node: nodes.Assign) -> Code:
        is_moved = isinstance(node.node, (nodes.Name, nodes.Getattr, nodes.Getitem))
        return self._assigned(node.target, self._code(node.node), is_moved=is_moved)

    def _assign_block(self, node: nodes.AssignBlock) -> Code:
        body = self.body(node.body)
        return self._assigned(node.target, lambda scope: printed(body, scope), is_moved=False)

    def _assigned(self, target: nodes.Node, value: Code, *, is_moved: bool) -> Code:
        assign = self._target(target, is_moved=is_moved)

        def run(scope: Scope) -> Value:
            assign(scope, value(scope))
            return UNDEFINED

        return run

    def _target(self, target: nodes.Node, *, is_moved: bool) -> Assign:
        if isinstance(target, nodes.Const) and (target.value is None or isinstance(target.value, bool)):
            raise NotForeseen("an assignment to a constant")  # which is a variable in llama.cpp
        if not isinstance(target, nodes.Getattr) or target.attr.isdigit():
            return _variables(target, "Invalid LHS inside assignment expression")
        operand, member = self._code(target.node), target.attr

        def run(scope: Scope, value: Value) -> None:
            owner = operand(scope)
            if not isinstance(owner, dict):
                raise TemplateFault("Cannot assign to member of non-object")
            owner[member] = value if is_moved else scope.run.made_anew(value)

        return run

    def _macro(self, node: nodes.Macro) -> Code:
        name, parameters, body = node.name, self._parameters(node), self.body(node.body)

        def called(scope: Scope, arguments: list[Any]) -> Value:
            inner = scope.within()
            parameters(scope, inner, arguments)
            return printed(body, inner)

        def run(scope: Scope) -> Value:
            scope.variables[name] = Function(name, called)
            return UNDEFINED

        return run

    def _parameters(
        self, node: nodes.Macro | nodes.CallBlock
    ) -> Callable[[Scope, Scope, Sequence[Any]], None]:
        """Return what binds arguments: by name or place; defaults only where fewer arguments are given."""
        names = [parameter.name for parameter in node.args]
        defaults: list[Code | None] = [None] * (len(names) - len(node.defaults))
        defaults += self.body(node.defaults)

        def bind(caller: Scope, inner: Scope, arguments: Sequence[Any]) -> None:
            for at, (name, default) in enumerate(zip(names, defaults, strict=True)):
                if at < len(arguments):
                    inner.variables[name] = _argument(arguments, name, at)
                elif default is None:
                    raise TemplateFault("Not enough arguments provided")
                else:
                    inner.variables[name] = default(caller)

        return bind

    def _call_block(self, node: nodes.CallBlock) -> Code:
        if not isinstance(node.call.node, nodes.Name):
            raise TemplateFault("Expected identifier")
        callee, arguments = self._code(node.call.node), self._arguments(node.call)
        parameters, body = self._parameters(node), self.body(node.body)

        def run(scope: Scope) -> Value:
            function = callee(scope)
            if not isinstance(function, Function):
                raise TemplateFault(f"Callee is not a function: got {type_name(function)}")
            kept = scope.within()

            def caller(from_scope: Scope, told: list[Any]) -> Value:
                inner = kept.within()
                parameters(from_scope, inner, told)
                return printed(body, inner)

            inner = scope.within()
            inner.variables["caller"] = Function("caller", caller)
            return function.run(inner, [argument(scope) for argument in arguments])

        return run

    def _filter_block(self, node: nodes.FilterBlock) -> Code:
        body, filtered = self.body(node.body), self._filtered(node.filter)
        return lambda scope: filtered(scope, printed(body, scope))


def _jump(*, ends: bool) -> Code:
    def run(scope: Scope) -> Value:
        scope.run.step()
        raise Jump(ends=ends)

    return run


def _spread(scope: Scope) -> Value:
    """Fail as ``*a`` in a call does, which llama.cpp parses and cannot run."""
    scope.run.step()
    raise TemplateFault("cannot exec SpreadExpression")


def _variables(target: nodes.Node, problem: str) -> Assign:
    """Return what assigns to a variable, or to several; anything else fails with a problem."""
    if isinstance(target, nodes.Name):
        return to_name(target.name)
    if isinstance(target, nodes.Tuple):
        return unpacking([part.name if isinstance(part, nodes.Name) else None for part in target.items])
    return never(problem)


def _argument(arguments: Sequence[Any], name: str, position: int) -> Value:
    for argument in arguments:
        if isinstance(argument, Keyword) and argument.key == name and argument.value is not UNDEFINED:
            return argument.value
    return UNDEFINED if isinstance(arguments[position], Keyword) else arguments[position]
