"""Run a Go template: its tree is turned into closures once, and they run as often as wanted.

A closure of an expression takes run, frame and cursor and gives a value; one of a node prints, and gives
what jumps out of it, if anything does. The semantics are those of ``text/template/exec.go``.
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
    Place,
    Range,
    Text,
)
from gguf2ollama.gotmpl.state import MAX_INVOCATIONS, UNSET, Evaluate, Execute, Frame, Run
from gguf2ollama.gotmpl.values import NOTHING, Pairs, Value, entries_of, is_true, items_of, type_name

__all__ = ["Program"]


_TURN_STEPS = 4
_BREAK, _CONTINUE = "break", "continue"
_Code: TypeAlias = tuple[Execute, int, int]  # what runs, its variables beside $, and its size in nodes


class Program:
    """A template that is ready to run.

    Args:
        bodies: The templates, by name; the one that runs is ``b""``.
        functions: The functions beside Go's own.
        missing: What a key that a map does not have gives: ``None`` with Go's option ``missingkey=zero``,
            :data:`~gguf2ollama.gotmpl.values.NOTHING` without.
        over_integers: Whether a ``range`` may walk over a number, as from Go 1.24 on.
    """

    def __init__(
        self,
        bodies: Mapping[bytes, Body],
        *,
        functions: Mapping[str, Function],
        missing: Value = None,
        over_integers: bool = True,
    ) -> None:
        self._compiled: dict[bytes, _Code] = {}
        known = {**GO_FUNCTIONS, **functions}
        for name, body in bodies.items():
            compiler = _Compiler(
                self._compiled, Expressions(known, missing=missing), over_integers=over_integers
            )
            self._compiled[name] = compiler.compile(body)

    def run(self, data: Value) -> bytes:
        """Run it on data.

        Raises:
            EvaluationError: It fails, or does not end in good time.
        """
        execute, size, _ = self._compiled[b""]
        run = Run()
        try:
            execute(run, [data] + [UNSET] * size, data)
        except RecursionError:
            raise EvaluationError("templates and blocks are nested too deeply") from None
        return b"".join(run.out)


class _Compiler:
    """Turns the nodes of one body into code."""

    def __init__(
        self, compiled: Mapping[bytes, _Code], expressions: Expressions, *, over_integers: bool
    ) -> None:
        self._compiled = compiled
        self._over_integers = over_integers
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
        """Compile a body whose variables end with it."""
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
        place = node.place
        if node.pipe.declared:

            def declare(run: Run, frame: Frame, dot: Value) -> None:
                evaluate(run, frame, dot)

            return declare

        def write(run: Run, frame: Frame, dot: Value) -> None:
            value = evaluate(run, frame, dot)
            try:
                run.write(value if type(value) is bytes else printed(value))
            except EvaluationError as error:
                error.place = error.place or place
                raise

        return write

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
        place, has_two, cost = node.place, len(node.pipe.declared) > 1, _size(node.body)
        over_integers = self._over_integers

        def loop(run: Run, frame: Frame, dot: Value) -> str | None:
            is_empty = True
            walked = evaluate(run, frame, dot)
            for key, value in _turns(walked, place, has_two=has_two, over_integers=over_integers):
                is_empty = False
                run.spend(cost, place)
                if store is not None:
                    store(frame, key, value)
                if body(run, frame, value) is _BREAK:
                    return None
            if is_empty and otherwise is not None:
                jump = otherwise(run, frame, dot)
                return None if jump is _BREAK else jump  # in Go, too, it is this range that ends
            return None

        return loop

    def _store_turn(self, pipe: Pipe) -> Callable[[Frame, Value, Value], None] | None:
        """Make what stores key and value of a turn in the variables of a ``range``."""
        if not pipe.declared:
            return None
        slots = [self._expressions.slot_to_set(one) for one in pipe.declared]
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
        name, place, compiled = node.name, node.place, self._compiled

        def invoke(run: Run, frame: Frame, dot: Value) -> None:
            target = compiled.get(name)
            if target is None:
                shown = name.decode(errors="replace")
                raise EvaluationError(
                    f"template {shown!r} is not defined", place=place, hint="add a {{ define }} for it"
                )
            if run.depth >= MAX_INVOCATIONS:
                raise EvaluationError(
                    f"template calls are nested more than {MAX_INVOCATIONS} deep", place=place
                )
            value = evaluate(run, frame, dot)
            execute, size, cost = target
            run.spend(cost, place)
            run.depth += 1
            execute(run, [value] + [UNSET] * size, value)
            run.depth -= 1

        return invoke


def _text(text: bytes) -> Execute:
    def write(run: Run, _frame: Frame, _dot: Value) -> None:
        run.write(text)

    return write


def _size(body: Body | None) -> int:
    """Count the nodes of a body: what one run of it costs at most, without the turns of loops in it."""
    if body is None:
        return 0
    inner = (one for node in body.nodes if isinstance(node, Branch) for one in (node.body, node.otherwise))
    return _TURN_STEPS + len(body.nodes) + sum(map(_size, inner))


def _turns(
    value: Value, place: Place, *, has_two: bool, over_integers: bool = True
) -> Iterable[tuple[Value, Value]]:
    """Return the pairs of key and value that a ``range`` walks over.

    Args:
        value: What it walks over.
        place: Where it stands.
        has_two: Whether it has two variables.
        over_integers: Whether it may walk over a number.

    Raises:
        EvaluationError: It cannot walk over that.
    """
    items = items_of(value)
    if items is not None:
        return enumerate(items)
    if isinstance(value, int) and not isinstance(value, bool):
        if not over_integers:
            raise EvaluationError(
                "range over an integer needs Ollama 0.5.13 or later",
                place=place,
                hint="update Ollama (0.5.13 is built with Go 1.24)",
            )
        if has_two:
            raise EvaluationError("range over an integer takes one variable only", place=place)
        kind = type(value)
        return ((None, kind(one)) for one in range(value))
    entries = entries_of(value)
    if entries is not None:
        return sorted(entries.items())
    if isinstance(value, Pairs):  # with one variable, or none, it gets the keys
        return value.entries.items() if has_two else ((None, key) for key in value.entries)
    if value is NOTHING:
        return ()
    raise EvaluationError(
        f"range cannot iterate over {type_name(value)}",
        place=place,
        hint="for the bytes of a string use {{ range $i := len $text }}",
    )
