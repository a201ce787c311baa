"""Run a chat template as llama.cpp's Jinja engine does, where it differs from Jinja2 too.

A template is made into closures once, and run as often as needed. Nothing of it reaches Python: values are
plain data (``values``), and steps, lengths and nesting are bounded. Some of what differs from Jinja2:
``continue`` and ``break`` within an ``if`` lose what the ``if`` has printed; a variable that a loop sets is
still there in its next round; lists print their items one after the other; ``None`` prints nothing; integers
are computed as floats.

Source: ``common/jinja/runtime.cpp`` of llama.cpp b10488 and b11095.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any

from jinja2 import nodes

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.expressions import Dialect, Expressions
from gguf2ollama.chat.llamacpp.jinja_engine.parser import parse, parts_of
from gguf2ollama.chat.llamacpp.jinja_engine.prefixes import only_adds_at_the_end
from gguf2ollama.chat.llamacpp.jinja_engine.printing import (
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
from gguf2ollama.chat.llamacpp.jinja_engine.scopes import Budget, Run, Scope, Watch, weight
from gguf2ollama.chat.llamacpp.jinja_engine.values import (
    UNDEFINED,
    Function,
    Keyword,
    Value,
    as_bytes_text,
    as_text,
    from_json,
    is_true,
    type_name,
)

__all__ = ["Dialect", "Template", "load"]


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
        body = _Statements(dialect, syntax.bare_filters).body(syntax.body)
        return Template(only_adds_at_the_end(syntax.body, "add_generation_prompt"), body)
    except RecursionError as error:
        raise NotForeseen("its blocks are nested too deeply") from error


class _Statements(Expressions):
    """Makes closures of statements."""

    def __init__(self, dialect: Dialect, bare_filters: Collection[nodes.Filter]) -> None:
        super().__init__(dialect, bare_filters)
        self.kinds |= {
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

    def _if(self, node: nodes.If) -> Code:
        code = self._block(node.else_)
        for branch in reversed([node, *node.elif_]):
            code = self._branch(self.code(branch.test), self._block(branch.body), code)
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
            iterable=self.code(chosen.expr1 if chosen else node.iter),
            test=self.code(chosen.test) if chosen else None,
            assign=_variables(node.target, "Invalid loop variable(s)"),
            unpacks=isinstance(node.target, nodes.Tuple),
            body=self.body(node.body),
            otherwise=self.body(node.else_),
        )

    def _assign(self, node: nodes.Assign) -> Code:
        is_moved = isinstance(node.node, (nodes.Name, nodes.Getattr, nodes.Getitem))
        return self._assigned(node.target, self.code(node.node), is_moved=is_moved)

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
        operand, member = self.code(target.node), target.attr

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
        callee, arguments = self.code(node.call.node), self.arguments(node.call)
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
        body, filtered = self.body(node.body), self.filtered(node.filter)
        return lambda scope: filtered(scope, printed(body, scope))


def _jump(*, ends: bool) -> Code:
    def run(scope: Scope) -> Value:
        scope.run.step()
        raise Jump(ends=ends)

    return run


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
