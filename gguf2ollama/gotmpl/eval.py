"""Compile the expressions of a template: pipelines, commands, operands and variables.

Go looks variables up by name while a template runs. Since they end with the block that declares them, their
slots are known at compile time, with the exception described in :class:`Scope`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from gguf2ollama.gotmpl.errors import EvaluationError
from gguf2ollama.gotmpl.funcs import Function, equal, frequent
from gguf2ollama.gotmpl.nodes import (
    Boolean,
    Chain,
    Command,
    Dot,
    Expression,
    Field,
    Identifier,
    Nil,
    Number,
    Pipe,
    Position,
    String,
    Variable,
)
from gguf2ollama.gotmpl.state import UNSET, Evaluate, Frame, Run
from gguf2ollama.gotmpl.values import NOTHING, Map, Pointer, Slice, Struct, Value, is_true, type_name

__all__ = ["Expressions"]


_MAX_INT = 2**63 - 1
_NO_FUNCTION = "in the last message of a template without .Messages, Ollama has only Go's own functions"


class Local:
    """A variable: its slot in the frame, and the variable of the same name that it hides."""

    __slots__ = ("hidden", "is_conditional", "name", "slot")

    def __init__(self, name: str, slot: int, hidden: Local | None, *, is_conditional: bool) -> None:
        self.name = name
        self.slot = slot
        self.hidden = hidden
        self.is_conditional = is_conditional


class Scope:
    """The variables visible at a point of a template, the newest last.

    A variable declared in an argument of ``and`` or ``or`` may never be set; then its name refers to the
    variable that it would hide.
    """

    def __init__(self) -> None:
        self.visible = [Local("$", 0, None, is_conditional=False)]
        self.size = 0
        self.conditions = 0

    def find(self, name: str) -> Local | None:
        """Return the variable with a name, or ``None``."""
        return next((local for local in reversed(self.visible) if local.name == name), None)

    def declare(self, name: str) -> Local:
        """Add a variable."""
        self.size += 1
        local = Local(name, self.size, self.find(name), is_conditional=self.conditions > 0)
        self.visible.append(local)
        return local


def _failing(reason: str, position: Position, *, hint: str | None = None) -> Evaluate:
    """Return code that fails, for errors that Go reports at run time only."""

    def fail(_run: Run, _frame: Frame, _dot: Value) -> NoReturn:
        raise EvaluationError(reason, position=position, hint=hint)

    return fail


def _constant(value: Value) -> Evaluate:
    return lambda _run, _frame, _dot: value


def _dot(_run: Run, _frame: Frame, dot: Value) -> Value:
    return dot


def _concrete(evaluate: Evaluate) -> Evaluate:
    """Return the value in an interface, as a pipeline does: for a nil interface, no value."""

    def concrete(run: Run, frame: Frame, dot: Value) -> Value:
        value = evaluate(run, frame, dot)
        return NOTHING if value is None else value

    return concrete


class Expressions:
    """A compiler of expressions.

    Args:
        functions: The functions, including Go's own.
        missing: The value of a missing key of a ``map[string]any``.
    """

    def __init__(self, functions: Mapping[str, Function], *, missing: Value) -> None:
        self._functions = functions
        self._missing = missing
        self.scope = Scope()

    def pipe(self, pipe: Pipe, *, is_concrete: bool = True) -> Evaluate:
        """Compile a pipeline.

        Args:
            pipe: The pipeline.
            is_concrete: Whether a nil interface must become no value; it need not where the value is only
                tested, printed or passed to a function.
        """
        evaluate = self._command(pipe.commands[0], None)
        for command in pipe.commands[1:]:
            evaluate = self._command(command, evaluate)
        last = pipe.commands[-1].args[0]
        gives_none = (
            last.name in _MAY_GIVE_NONE if isinstance(last, Identifier) else not isinstance(last, Pipe)
        )
        if (is_concrete or pipe.declared) and gives_none:
            evaluate = _concrete(evaluate)
        if not pipe.declared:
            return evaluate
        return self._stored(pipe, evaluate)

    def _stored(self, pipe: Pipe, evaluate: Evaluate) -> Evaluate:
        if not pipe.assigns:
            declared = [self.scope.declare(variable.names[0]).slot for variable in pipe.declared]
            return _store(evaluate, declared[0]) if len(declared) == 1 else _store_both(evaluate, *declared)
        positions = [self.slot_to_set(variable) for variable in pipe.declared]

        def assign(run: Run, frame: Frame, dot: Value) -> Value:
            value = evaluate(run, frame, dot)
            for slot in positions:
                frame[slot(frame)] = value
            return value

        local = self.scope.find(pipe.declared[0].names[0])
        if len(positions) == 1 and local is not None and not local.is_conditional:
            return _store(evaluate, local.slot)
        return assign

    def slot_to_set(self, variable: Variable) -> Callable[[Frame], int]:
        """Return a function from a frame to the slot of a variable."""
        name = variable.names[0]
        local = self.scope.find(name)
        if local is not None and not local.is_conditional:
            slot = local.slot
            return lambda _frame: slot

        def find(frame: Frame) -> int:
            current = local
            while current is not None and frame[current.slot] is UNSET:
                current = current.hidden
            if current is None:
                raise EvaluationError(f"undefined variable {name}", position=variable.position)
            return current.slot

        return find

    def _command(self, command: Command, last: Evaluate | None) -> Evaluate:
        first, has_arguments = command.args[0], len(command.args) > 1 or last is not None
        if isinstance(first, Identifier):
            return self._call(first, command, last)
        if isinstance(first, Nil):
            return _failing("nil is not a command", first.position)
        if isinstance(first, Field | Chain) or (isinstance(first, Variable) and len(first.names) > 1):
            evaluate = self._operand(first, has_arguments=has_arguments)
        elif has_arguments:
            evaluate = _failing(
                f"cannot give an argument to {_shown(first)}",
                first.position,
                hint="only functions take arguments",
            )
        else:
            evaluate = self._operand(first, is_concrete=True)
        return evaluate if last is None else _after(last, evaluate)

    def _operand(  # noqa: PLR0911  # one for each kind of node
        self, node: Expression, *, has_arguments: bool = False, is_concrete: bool = False
    ) -> Evaluate:
        if isinstance(node, Field):
            return self._chain(_dot, node.names, node.position, has_arguments=has_arguments)
        if isinstance(node, Variable):
            read = self._read(node)
            return self._chain(read, node.names[1:], node.position, has_arguments=has_arguments)
        if isinstance(node, Chain):
            if isinstance(node.node, Nil):
                return _failing("nil has no fields", node.position)
            inner = self._operand(node.node, is_concrete=True)
            return self._chain(inner, node.names, node.position, has_arguments=has_arguments)
        if isinstance(node, Pipe):
            return self.pipe(node, is_concrete=is_concrete)
        if isinstance(node, Identifier):
            return self._call(node, Command(position=node.position, args=(node,)), None)
        if isinstance(node, Dot):
            return _dot
        if isinstance(node, Nil):
            return _constant(NOTHING)
        if isinstance(node, Number) and isinstance(node.value, int) and node.value > _MAX_INT:
            return _failing(f"integer overflow: {node.source} does not fit in an int", node.position)
        return _constant(node.value)

    def _read(self, node: Variable) -> Evaluate:
        local = self.scope.find(node.names[0])
        if local is not None and not local.is_conditional:
            slot = local.slot
            return lambda _run, frame, _dot: frame[slot]
        find = self.slot_to_set(node)
        return lambda _run, frame, _dot: frame[find(frame)]

    def _chain(
        self, receiver: Evaluate, names: tuple[str, ...], position: Position, *, has_arguments: bool
    ) -> Evaluate:
        for number, name in enumerate(names, 1):
            is_last = number == len(names)
            receiver = _field(
                receiver, name, position, self._missing, has_arguments=has_arguments and is_last
            )
        return receiver

    def _call(self, node: Identifier, command: Command, last: Evaluate | None) -> Evaluate:
        name, position, operands = node.name, command.position, command.args[1:]
        count = len(operands) + (last is not None)
        if name in {"and", "or"} and count:
            return self._short_circuit(name, operands, last)
        function = self._functions.get(name, _SHORT_CIRCUIT.get(name))
        if function is None:
            fails = _failing(f"function {name} is not defined here", position, hint=_NO_FUNCTION)
            return fails if last is None else _after(last, fails)
        if count < function.least or (function.most is not None and count > function.most):
            wanted = str(function.least) if function.most is not None else f"at least {function.least}"
            fails = _failing(
                f"wrong number of arguments for {name}: expected {wanted}, got {count}", position
            )
            return fails if last is None else _after(last, fails)
        arguments = [self._argument(node, number, function) for number, node in enumerate(operands)]
        if last is not None:
            return _call_after(function, name, last, arguments, position)
        if name == "eq" and (constants := _constants_of(operands[1:])):
            return equal(arguments[0], constants, position)
        return frequent(name, arguments, position) or _call(function, name, arguments, position)

    def _argument(self, node: Expression, number: int, function: Function) -> Evaluate:
        wants_text = function.texts < 0 or number < function.texts
        if wants_text and isinstance(node, Boolean | Number | Nil):
            return _failing("expected a string", node.position)
        return self._operand(node)

    def _short_circuit(self, name: str, operands: tuple[Expression, ...], last: Evaluate | None) -> Evaluate:
        before = self.scope.size
        self.scope.conditions += 1
        arguments = tuple(map(self._operand, operands))
        self.scope.conditions -= 1
        declared = tuple(range(before + 1, self.scope.size + 1))
        return _short_circuit(name, arguments, last, declared=declared)


_MAY_GIVE_NONE = frozenset({"and", "or", "index"})
_SHORT_CIRCUIT = {name: Function(call=lambda _values: None, least=1, most=None) for name in ("and", "or")}


def _constants_of(nodes: Sequence[Expression]) -> list[bytes] | list[int]:
    """Return the values of constants, if all are strings or all are integers; else an empty list."""
    texts = [node.value for node in nodes if isinstance(node, String)]
    if len(texts) == len(nodes):
        return texts
    numbers = [node.value for node in nodes if isinstance(node, Number)]
    integers = [number for number in numbers if isinstance(number, int) and number <= _MAX_INT]
    return integers if len(integers) == len(nodes) else []


def _shown(node: Expression) -> str:
    if isinstance(node, Variable):
        return node.names[0]
    return "a parenthesized pipeline" if isinstance(node, Pipe) else "a constant"


def _store(evaluate: Evaluate, slot: int) -> Evaluate:
    def store(run: Run, frame: Frame, dot: Value) -> Value:
        value = frame[slot] = evaluate(run, frame, dot)
        return value

    return store


def _store_both(evaluate: Evaluate, first: int, second: int) -> Evaluate:
    def store(run: Run, frame: Frame, dot: Value) -> Value:
        value = frame[first] = frame[second] = evaluate(run, frame, dot)
        return value

    return store


def _after(first: Evaluate, second: Evaluate) -> Evaluate:
    """Evaluate one expression for its errors only, then return the value of the other."""

    def both(run: Run, frame: Frame, dot: Value) -> Value:
        first(run, frame, dot)
        return second(run, frame, dot)

    return both


def _field(
    receiver: Evaluate, name: str, position: Position, missing: Value, *, has_arguments: bool
) -> Evaluate:
    """Return a field of a value; any field of no value is no value."""
    key = name.encode()

    def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
        value = receiver(run, frame, dot)
        if value is NOTHING:
            return NOTHING
        try:
            found = _field_of(value, name, key, missing)
        except EvaluationError as error:
            error.position = error.position or position
            raise
        if has_arguments:
            raise EvaluationError(f"field {name} takes no arguments", position=position)
        return found

    return evaluate


def _call(function: Function, name: str, arguments: list[Evaluate], position: Position) -> Evaluate:
    """Call a function."""
    run_function, checks, bytes_per_step = function.call, function.texts != 0, function.bytes_per_step

    def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
        values = [argument(run, frame, dot) for argument in arguments]
        if checks:
            _check_texts(function, name, values, position)
        return run.call(run_function, values, position, bytes_per_step=bytes_per_step)

    return evaluate


def _call_after(
    function: Function, name: str, last: Evaluate, arguments: list[Evaluate], position: Position
) -> Evaluate:
    """Call a function with the value of the previous command as its last argument."""
    run_function, bytes_per_step = function.call, function.bytes_per_step

    def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
        value = last(run, frame, dot)
        values = [argument(run, frame, dot) for argument in arguments]
        values.append(value)
        _check_texts(function, name, values, position)
        return run.call(run_function, values, position, bytes_per_step=bytes_per_step)

    return evaluate


def _check_texts(function: Function, name: str, values: list[Value], position: Position) -> None:
    checked = values if function.texts < 0 else values[: function.texts]
    for value in checked:
        if type(value) is not bytes:
            raise EvaluationError(f"{name} takes a string, got {type_name(value)}", position=position)


def _short_circuit(
    name: str, arguments: tuple[Evaluate, ...], last: Evaluate | None, *, declared: tuple[int, ...]
) -> Evaluate:
    """Evaluate ``and`` or ``or``, which stop at the first argument that decides.

    ``declared`` are the slots of the variables that the arguments declare: unset until that happens.
    """
    stops_at = name == "or"

    def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
        value: Value = None
        for argument in arguments:
            value = argument(run, frame, dot)
            if (value if type(value) is bool else is_true(value)) is stops_at:
                return value
        return value

    def evaluate_after(run: Run, frame: Frame, dot: Value) -> Value:
        final = last(run, frame, dot) if last is not None else None
        for slot in declared:
            frame[slot] = UNSET
        value = evaluate(run, frame, dot)
        is_decided = bool(arguments) and is_true(value) is stops_at
        return value if is_decided or last is None else final

    return evaluate if last is None and not declared else evaluate_after


def _field_of(value: Value, name: str, key: bytes, missing: Value) -> Value:
    """Return a field, or the result of a method without arguments.

    Args:
        value: The value with the field.
        name: Its name.
        key: Its name as bytes, as keys of maps are.
        missing: The value of a missing key of a ``map[string]any``.

    Raises:
        EvaluationError: There is no such field.
    """
    if type(value) is dict:
        return value.get(key, missing)
    target = value.target if type(value) is Pointer else value
    if target is None and type(value) is Pointer and (method := value.type.methods.get(name)) is not None:
        return method(None)
    if type(target) is Struct and name in target.fields:
        return target.fields[name]
    if isinstance(target, Struct | Slice | Map):
        method = _method(target, name)
        if method is not None:
            return method(target)
    if type(target) is Map:
        absent = target.type.zero() if missing is None else missing
        return (target.entries or {}).get(key, absent)
    if target is None:
        raise EvaluationError(
            f"cannot take the field {name} of a missing value", hint="test for it first with `if` or `with`"
        )
    raise EvaluationError(f"{type_name(value)} has no field {name}", hint=_field_hint(target))


def _method(value: Struct | Slice | Map, name: str) -> Callable[[Value], Value] | None:
    if name == "String":
        return value.type.text or value.type.text_of_pointer
    return value.type.methods.get(name)


def _field_hint(value: Value) -> str | None:
    if type(value) is Struct:
        return f"its fields are {', '.join(value.fields)}"
    return None
