"""Run a chat template as llama.cpp's Jinja engine does, where it differs from Jinja2 too.

A template is made into closures once, and run as often as needed. Nothing of it reaches Python: values are
plain data (``values``), and steps, lengths and nesting are bounded. Some of what differs from Jinja2:
``continue`` and ``break`` within an ``if`` lose what the ``if`` has printed; a variable that a loop sets is
still there in its next round; lists print their items one after the other; ``None`` prints nothing; integers
are computed as floats.

Source: ``common/jinja/runtime.cpp`` of llama.cpp b10488 and b11095.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.llamacpp import nodes
from gguf2ollama.chat.llamacpp.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.members import NOT_TOLD, attribute, item, part
from gguf2ollama.chat.llamacpp.methods import functions, method_of
from gguf2ollama.chat.llamacpp.operators import apply
from gguf2ollama.chat.llamacpp.parser import parse
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
    body = parse(as_bytes_text(source))
    try:
        return Template(only_adds_at_the_end(body, "add_generation_prompt"), _Compiler(dialect).body(body))
    except RecursionError as error:
        raise NotForeseen("its blocks are nested too deeply") from error


class _Compiler:
    """Makes closures of the parts of a template."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._kinds: dict[type, Callable[[Any], Code]] = {
            nodes.Literal: self._literal,
            nodes.Name: self._name,
            nodes.ArrayLiteral: self._array,
            nodes.TupleLiteral: self._tuple,
            nodes.ObjectLiteral: self._object,
            nodes.Binary: self._binary,
            nodes.Not: self._not,
            nodes.Conditional: self._conditional,
            nodes.Select: self._select,
            nodes.Filter: self._filter,
            nodes.Test: self._test,
            nodes.Member: self._member,
            nodes.KeywordArgument: self._keyword,
            nodes.Spread: self._spread,
            nodes.Call: self._call,
            nodes.If: self._if,
            nodes.For: self._for,
            nodes.Set: self._set,
            nodes.Macro: self._macro,
            nodes.CallBlock: self._call_block,
            nodes.FilterBlock: self._filter_block,
            nodes.Jump: self._jump,
            nodes.Nothing: lambda _: lambda _: UNDEFINED,
        }

    def body(self, statements: Sequence[nodes.Statement]) -> list[Code]:
        return [self._code(one) for one in statements]

    def _code(self, node: nodes.Statement) -> Code:
        return self._kinds[type(node)](node)

    # expressions

    def _literal(self, node: nodes.Literal) -> Code:
        value = node.value
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

    def _array(self, node: nodes.ArrayLiteral) -> Code:
        items = self.body(node.items)
        return lambda scope: scope.run.made([item(scope) for item in items])

    def _tuple(self, node: nodes.TupleLiteral) -> Code:
        items = self.body(node.items)
        return lambda scope: tuple(item(scope) for item in items)

    def _object(self, node: nodes.ObjectLiteral) -> Code:
        items = [(self._code(key), self._code(value)) for key, value in node.items]
        return lambda scope: scope.run.made({as_key(key(scope)): value(scope) for key, value in items})

    def _binary(self, node: nodes.Binary) -> Code:
        how, left, right = node.operator, self._code(node.left), self._code(node.right)
        looks_up_none = self._dialect.looks_up_none

        def either(scope: Scope) -> Value:
            value = left(scope)
            return value if is_true(value) is (how == "or") else right(scope)

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

        if how in {"and", "or"}:
            return either
        return equal if how in {"==", "!="} else run

    def _not(self, node: nodes.Not) -> Code:
        operand = self._code(node.operand)
        return lambda scope: not is_true(operand(scope))

    def _conditional(self, node: nodes.Conditional) -> Code:
        test, then, otherwise = self._code(node.test), self._code(node.then), self._code(node.otherwise)
        return lambda scope: then(scope) if is_true(test(scope)) else otherwise(scope)

    def _select(self, node: nodes.Select) -> Code:
        operand, test = self._code(node.operand), self._code(node.test)
        return lambda scope: operand(scope) if is_true(test(scope)) else UNDEFINED

    def _filter(self, node: nodes.Filter) -> Code:
        if node.operand is None:
            raise NotForeseen("a filter without an operand")
        operand, filtered = self._code(node.operand), self._filtered(node)
        return lambda scope: filtered(scope, operand(scope))

    def _filtered(self, node: nodes.Filter) -> Callable[[Scope, Any], Any]:
        name = _ALIASES.get(node.name or "", node.name)
        arguments = self.body(node.arguments or ())
        coerces = node.arguments is None and name in _TEXT_FILTERS

        def run(scope: Scope, value: Value) -> Value:
            if name is None:
                raise TemplateFault("Filter callee must be an identifier")
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
        operand, arguments = self._code(node.operand), self.body(node.arguments)
        name, negated, marks = node.name, node.negated, self._dialect.marks_tests

        def run(scope: Scope) -> Value:
            value = operand(scope)
            if name is None:
                raise TemplateFault("Test callee must be an identifier")
            told = [argument(scope) for argument in arguments]
            if name not in TESTS:
                raise TemplateFault(f"Unknown test '{name}'")
            if marks and scope.run.watched:
                scope.run.mark(value, f"test_is_{name}")
            scope.run.step(sum(map(weight, told)) if told else 0)
            return TESTS[name]([value, *told]) is not negated

        return run

    def _member(self, node: nodes.Member) -> Code:
        operand, member = self._code(node.operand), node.member
        if isinstance(member, nodes.Slice):
            return self._slice(operand, member)
        if node.computed:
            key = self._code(member)
            return lambda scope: item(scope, operand(scope), key(scope))
        if isinstance(member, nodes.Name):
            name = member.name
            return lambda scope: attribute(scope, operand(scope), name)
        return self._numbered(operand, member)

    def _numbered(self, operand: Code, member: nodes.Expression) -> Code:
        is_number = isinstance(member, nodes.Literal) and type(member.value) is int

        def run(scope: Scope) -> Value:
            value = operand(scope)
            if is_number and self._dialect.takes_numbered_members and isinstance(member, nodes.Literal):
                return item(scope, value, member.value)
            raise TemplateFault("Static member property must be an identifier")

        return run

    def _slice(self, operand: Code, member: nodes.Slice) -> Code:
        start, stop, step = (
            (lambda _: NOT_TOLD) if one is None else self._code(one)
            for one in (member.start, member.stop, member.step)
        )

        def run(scope: Scope) -> Value:
            value, by = operand(scope), step(scope)
            return part(scope, value, start(scope), stop(scope), by)

        return run

    def _keyword(self, node: nodes.KeywordArgument) -> Code:
        key, value = node.key, self._code(node.value)
        return lambda scope: Keyword(key, value(scope))

    def _spread(self, node: nodes.Spread) -> Code:
        def run(scope: Scope) -> Value:
            scope.run.step()
            raise TemplateFault(f"cannot exec SpreadExpression ({type(node.operand).__name__})")

        return run

    def _call(self, node: nodes.Call) -> Code:
        callee, arguments = self._code(node.callee), self.body(node.arguments)

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
        test, body, otherwise = self._code(node.test), self._block(node.body), self._block(node.otherwise)
        return lambda scope: body(scope) if is_true(test(scope)) else otherwise(scope)

    def _block(self, statements: Sequence[nodes.Statement]) -> Code:
        """Return what runs statements and prints them; of nothing but text that is done now."""
        body = self.body(statements)
        if not all(isinstance(one, (nodes.Literal, nodes.Nothing)) for one in statements):
            return lambda scope: printed(body, scope)
        texts = [to_text(one.value) for one in statements if isinstance(one, nodes.Literal)]
        text = joined([one for one in texts if one])
        cost = weight(text)

        def run(scope: Scope) -> Value:
            scope.run.step(cost)
            return text

        return run

    def _for(self, node: nodes.For) -> Code:
        chosen = node.iterable
        return Loop(
            iterable=self._code(chosen.operand if isinstance(chosen, nodes.Select) else chosen),
            test=self._code(chosen.test) if isinstance(chosen, nodes.Select) else None,
            assign=_loop_target(node.target),
            unpacks=isinstance(node.target, nodes.TupleLiteral),
            body=self.body(node.body),
            otherwise=self.body(node.otherwise),
        )

    def _set(self, node: nodes.Set) -> Code:
        value = None if node.value is None else self._code(node.value)
        body, assign = self.body(node.body), self._set_target(node)

        def run(scope: Scope) -> Value:
            assign(scope, printed(body, scope) if value is None else value(scope))
            return UNDEFINED

        return run

    def _set_target(self, node: nodes.Set) -> Assign:
        target, is_moved = node.target, isinstance(node.value, (nodes.Name, nodes.Member))
        if isinstance(target, nodes.Name):
            return to_name(target.name)
        if isinstance(target, nodes.TupleLiteral):
            return unpacking(_names(target))
        if isinstance(target, nodes.Member) and not target.computed and isinstance(target.member, nodes.Name):
            operand, member = self._code(target.operand), target.member.name

            def run(scope: Scope, value: Value) -> None:
                owner = operand(scope)
                if not isinstance(owner, dict):
                    raise TemplateFault("Cannot assign to member of non-object")
                owner[member] = value if is_moved else scope.run.made_anew(value)

            return run
        return never("Invalid LHS inside assignment expression")

    def _macro(self, node: nodes.Macro) -> Code:
        parameters, body = self._parameters(node.parameters), self.body(node.body)

        def called(scope: Scope, arguments: list[Any]) -> Value:
            inner = scope.within()
            parameters(scope, inner, arguments)
            return printed(body, inner)

        def run(scope: Scope) -> Value:
            if not isinstance(node.name, nodes.Name):
                raise TemplateFault("Macro name must be an identifier")
            scope.variables[node.name.name] = Function(node.name.name, called)
            return UNDEFINED

        return run

    def _parameters(
        self, parameters: Sequence[nodes.Expression]
    ) -> Callable[[Scope, Scope, Sequence[Any]], None]:
        """Return what binds arguments: by name or place; defaults only where fewer arguments are given."""
        known = [_parameter(one) for one in parameters]
        defaults = [
            self._code(one.value) if isinstance(one, nodes.KeywordArgument) else None for one in parameters
        ]

        def bind(caller: Scope, inner: Scope, arguments: Sequence[Any]) -> None:
            for at, (name, default) in enumerate(zip(known, defaults, strict=True)):
                if name is None:
                    raise TemplateFault("Invalid parameter type")
                if at < len(arguments):
                    inner.variables[name] = _argument(arguments, name, at)
                elif default is None:
                    raise TemplateFault("Not enough arguments provided")
                else:
                    inner.variables[name] = default(caller)

        return bind

    def _call_block(self, node: nodes.CallBlock) -> Code:
        callee, arguments = self._code(node.call.callee), self.body(node.call.arguments)
        parameters, body = self._parameters(node.parameters), self.body(node.body)

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

    def _jump(self, node: nodes.Jump) -> Code:
        ends = node.ends

        def run(scope: Scope) -> Value:
            scope.run.step()
            raise Jump(ends=ends)

        return run


def _loop_target(target: nodes.Expression) -> Assign:
    if isinstance(target, nodes.Name):
        return to_name(target.name)
    if isinstance(target, nodes.TupleLiteral):
        return unpacking(_names(target))
    return never("Invalid loop variable(s)")


def _names(target: nodes.TupleLiteral) -> list[str | None]:
    return [one.name if isinstance(one, nodes.Name) else None for one in target.items]


def _parameter(node: nodes.Expression) -> str | None:
    if isinstance(node, nodes.Name):
        return node.name
    return node.key if isinstance(node, nodes.KeywordArgument) else None


def _argument(arguments: Sequence[Any], name: str, position: int) -> Value:
    for argument in arguments:
        if isinstance(argument, Keyword) and argument.key == name and argument.value is not UNDEFINED:
            return argument.value
    return UNDEFINED if isinstance(arguments[position], Keyword) else arguments[position]
