"""Run a Go template: its tree is compiled to closures once, which then run as often as needed.

A closure of an expression takes run, frame and dot and returns a value; that of a node prints, and returns
``break`` or ``continue`` if it ends with one. The semantics are those of ``text/template/exec.go``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from gguf2ollama.gotmpl.errors import EvaluationError
from gguf2ollama.gotmpl.eval import Expressions
from gguf2ollama.gotmpl.fmt import printed
from gguf2ollama.gotmpl.funcs import GO_FUNCTIONS, Function
from gguf2ollama.gotmpl.nodes import (
    Action,
    Body,
    Branch,
    Break,
    If,
    Invocation,
    Node,
    Pipe,
    Position,
    Range,
    Text,
)
from gguf2ollama.gotmpl.state import MAX_INVOCATIONS, UNSET, Budget, Evaluate, Execute, Frame, Run
from gguf2ollama.gotmpl.values import NOTHING, Pairs, Value, entries_of, is_true, items_of, type_name

__all__ = ["Observe", "Program"]

Observe: TypeAlias = Callable[[Action, Value], None]
_TURN_STEPS = 4
_START = Position(line=1, column=1)
_BREAK, _CONTINUE = "break", "continue"
_Code: TypeAlias = tuple[
    Execute, int, int
]  # the closure, the number of its variables besides $, and its size in nodes


class Program:
    """A compiled template.

    Args:
        bodies: The templates by name; the main one is ``b""``.
        functions: The functions in addition to Go's own.
        missing: The value of a missing key of a map: ``None`` with Go's option ``missingkey=zero``,
            else :data:`~gguf2ollama.gotmpl.values.NOTHING`.
        over_integers: Whether ``range`` accepts an integer, as since Go 1.24.
        observe: Called with each action that prints and its value, before it is printed.
    """

    def __init__(
        self,
        bodies: Mapping[bytes, Body],
        *,
        functions: Mapping[str, Function],
        missing: Value = None,
        over_integers: bool = True,
        observe: Observe | None = None,
    ) -> None:
        self._compiled: dict[bytes, _Code] = {}
        known = {**GO_FUNCTIONS, **functions}
        for name, body in bodies.items():
            compiler = _Compiler(
                self._compiled,
                Expressions(known, missing=missing),
                over_integers=over_integers,
                observe=observe,
            )
            self._compiled[name] = compiler.compile(body)

    def run(self, data: Value, budget: Budget) -> bytes:
        """Run the template on data and return its output.

        Args:
            data: The value of ``$``.
            budget: What this and all other runs of the template may take.

        Raises:
            EvaluationError: It fails, or exceeds a limit.
        """
        execute, size, cost = self._compiled[b""]
        run = Run(budget)
        try:
            run.spend(cost, _START)
            execute(run, [data] + [UNSET] * size, data)
        except RecursionError:
            raise EvaluationError("templates and blocks are nested too deeply") from None
        finally:
            run.end()
        return b"".join(run.out)


class _Compiler:
    """A compiler of the nodes of one body."""

    def __init__(
        self,
        compiled: Mapping[bytes, _Code],
        expressions: Expressions,
        *,
        over_integers: bool,
        observe: Observe | None,
    ) -> None:
        self._compiled = compiled
        self._over_integers = over_integers
        self._observe = observe
        self._expressions = expressions
        self._visible = expressions.scope.visible

    def compile(self, body: Body) -> _Code:
        """Return the code of a body."""
        return self._body(body), self._expressions.scope.size, _size(body)

    def _body(self, body: Body) -> Execute:
        nodes = tuple(map(self._node, body.nodes))
        if len(nodes) == 1:
            return nodes[0]

        def execute(run: Run, frame: Frame, dot: Value) -> str | None:
            for node in nodes:
                jump = node(run, frame, dot)
                if jump is not None:
                    return jump
            return None

        return execute

    def _inner_body(self, body: Body) -> Execute:
        """Compile a body that is the scope of its variables."""
        before = len(self._visible)
        execute = self._body(body)
        del self._visible[before:]
        return execute

    def _node(self, node: Node) -> Execute:
        if isinstance(node, Text):
            return _text(node.text.encode())
        if isinstance(node, Action):
            return self._action(node)
        if isinstance(node, Range):
            return self._range(node)
        if isinstance(node, Branch):
            return self._choice(node)
        if isinstance(node, Invocation):
            return self._invocation(node)
        jump = _BREAK if isinstance(node, Break) else _CONTINUE
        return lambda _run, _frame, _dot: jump

    def _action(self, node: Action) -> Execute:
        evaluate = self._expressions.pipe(node.pipe, is_concrete=False)
        position = node.position
        if node.pipe.declared:

            def declare(run: Run, frame: Frame, dot: Value) -> None:
                evaluate(run, frame, dot)

            return declare

        def write(run: Run, frame: Frame, dot: Value) -> None:
            value = evaluate(run, frame, dot)
            try:
                run.write(value if type(value) is bytes else printed(value))
            except EvaluationError as error:
                error.position = error.position or position
                raise

        if (observe := self._observe) is None:
            return write

        def show_and_write(run: Run, frame: Frame, dot: Value) -> None:
            observe(node, evaluate(run, frame, dot))
            write(run, frame, dot)

        return show_and_write

    def _choice(self, node: Branch) -> Execute:
        before = len(self._visible)
        is_if = isinstance(node, If)
        evaluate = self._expressions.pipe(node.pipe, is_concrete=not is_if)
        body = self._inner_body(node.body)
        otherwise = self._inner_body(node.otherwise) if node.otherwise is not None else None
        del self._visible[before:]

        def choose(run: Run, frame: Frame, dot: Value) -> str | None:
            value = evaluate(run, frame, dot)
            if value if type(value) is bool else is_true(value):
                return body(run, frame, dot)
            return otherwise(run, frame, dot) if otherwise is not None else None

        def choose_with(run: Run, frame: Frame, dot: Value) -> str | None:
            value = evaluate(run, frame, dot)
            if is_true(value):
                return body(run, frame, value)
            return otherwise(run, frame, dot) if otherwise is not None else None

        return choose if is_if else choose_with

    def _range(self, node: Range) -> Execute:
        before = len(self._visible)
        evaluate = self._expressions.pipe(node.pipe)
        store = self._store_turn(node.pipe)
        body = self._inner_body(node.body)
        otherwise = self._inner_body(node.otherwise) if node.otherwise is not None else None
        del self._visible[before:]
        position, has_two, cost = node.position, len(node.pipe.declared) > 1, _size(node.body)
        over_integers = self._over_integers

        def loop(run: Run, frame: Frame, dot: Value) -> str | None:
            is_empty = True
            walked = evaluate(run, frame, dot)
            for key, value in _turns(walked, position, has_two=has_two, over_integers=over_integers):
                is_empty = False
                run.spend(cost, position)
                if store is not None:
                    store(frame, key, value)
                if body(run, frame, value) is _BREAK:
                    return None
            if is_empty and otherwise is not None:
                jump = otherwise(run, frame, dot)
                return None if jump is _BREAK else jump  # as in Go, this range ends
            return None

        return loop

    def _store_turn(self, pipe: Pipe) -> Callable[[Frame, Value, Value], None] | None:
        """Return a function that stores key and value of an iteration in the variables of a ``range``."""
        if not pipe.declared:
            return None
        slots = [self._expressions.slot_to_set(variable) for variable in pipe.declared]
        if len(slots) == 1:
            only = slots[0]

            def store_value(frame: Frame, _key: Value, value: Value) -> None:
                frame[only(frame)] = value

            return store_value
        first, second = slots

        def store_both(frame: Frame, key: Value, value: Value) -> None:
            frame[first(frame)] = key
            frame[second(frame)] = value

        return store_both

    def _invocation(self, node: Invocation) -> Execute:
        evaluate: Evaluate = lambda _run, _frame, _dot: NOTHING  # noqa: E731  # the same type either way
        if node.pipe is not None:
            evaluate = self._expressions.pipe(node.pipe)
        name, position, compiled = node.name, node.position, self._compiled

        def invoke(run: Run, frame: Frame, dot: Value) -> None:
            target = compiled.get(name)
            if target is None:
                shown = name.decode(errors="replace")
                raise EvaluationError(
                    f"template {shown!r} is not defined", position=position, hint="add a {{ define }} for it"
                )
            if run.depth >= MAX_INVOCATIONS:
                raise EvaluationError(
                    f"template calls are nested more than {MAX_INVOCATIONS} deep", position=position
                )
            value = evaluate(run, frame, dot)
            execute, size, cost = target
            run.spend(cost, position)
            run.depth += 1
            execute(run, [value] + [UNSET] * size, value)
            run.depth -= 1

        return invoke


def _text(text: bytes) -> Execute:
    def write(run: Run, _frame: Frame, _dot: Value) -> None:
        run.write(text)

    return write


def _size(body: Body | None) -> int:
    """Return the number of nodes of a body: the steps of one run, each loop in it counted once."""
    if body is None:
        return 0
    inner = (
        inner_body
        for node in body.nodes
        if isinstance(node, Branch)
        for inner_body in (node.body, node.otherwise)
    )
    return _TURN_STEPS + len(body.nodes) + sum(map(_size, inner))


def _turns(
    value: Value, position: Position, *, has_two: bool, over_integers: bool = True
) -> Iterable[tuple[Value, Value]]:
    """Return the pairs of key and value that a ``range`` iterates over.

    Args:
        value: The value to iterate over.
        position: Its position in the template.
        has_two: Whether the ``range`` has two variables.
        over_integers: Whether it accepts an integer.

    Raises:
        EvaluationError: The value is not iterable.
    """
    items = items_of(value)
    if items is not None:
        return enumerate(items)
    if isinstance(value, int) and not isinstance(value, bool):
        if not over_integers:
            raise EvaluationError(
                "range over an integer needs Ollama 0.5.13 or later",
                position=position,
                hint="update Ollama (0.5.13 is built with Go 1.24)",
            )
        if has_two:
            raise EvaluationError("range over an integer takes one variable only", position=position)
        kind = type(value)
        return ((None, kind(number)) for number in range(value))
    entries = entries_of(value)
    if entries is not None:
        return sorted(entries.items())
    if isinstance(value, Pairs):  # with fewer than two variables, the values are the keys
        return value.entries.items() if has_two else ((None, key) for key in value.entries)
    if value is NOTHING:
        return ()
    raise EvaluationError(
        f"range cannot iterate over {type_name(value)}",
        position=position,
        hint="for the bytes of a string use {{ range $i := len $text }}",
    )
