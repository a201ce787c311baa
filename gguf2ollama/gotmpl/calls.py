"""Code for calls of functions; the frequent ones have code of their own, since templates walk bytes."""

from __future__ import annotations

import operator
from collections.abc import Callable

from gguf2ollama.gotmpl.errors import EvaluationError
from gguf2ollama.gotmpl.fields import field_of
from gguf2ollama.gotmpl.funcs import GO_FUNCTIONS, Call, Function, index, is_equal, length, slice_
from gguf2ollama.gotmpl.nodes import Place
from gguf2ollama.gotmpl.running import UNSET, Evaluate, Frame, Run
from gguf2ollama.gotmpl.values import BYTES, NOTHING, Byte, Value, is_true, type_name

__all__ = ["after", "call", "call_after", "equal", "field", "frequent", "short_circuit"]


def after(first: Evaluate, second: Evaluate) -> Evaluate:
    """Evaluate one for nothing but its failure, then the other."""

    def both(run: Run, frame: Frame, dot: Value) -> Value:
        first(run, frame, dot)
        return second(run, frame, dot)

    return both


def field(receiver: Evaluate, name: str, place: Place, missing: Value, *, has_arguments: bool) -> Evaluate:
    """Take a field of a value; of no value at all it gives none, whatever it is asked."""
    key = name.encode()

    def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
        value = receiver(run, frame, dot)
        if value is NOTHING:
            return NOTHING
        try:
            found = field_of(value, name, key, missing)
        except EvaluationError as error:
            error.place = error.place or place
            raise
        if has_arguments:
            raise EvaluationError(f"the field {name} takes no argument", place=place)
        return found

    return evaluate


def call(function: Function, name: str, arguments: list[Evaluate], place: Place) -> Evaluate:
    """Call a function."""
    run_function, checks = function.call, function.texts != 0

    def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
        values = [argument(run, frame, dot) for argument in arguments]
        if checks:
            _check_texts(function, name, values, place)
        return _called(run, run_function, values, place)

    return evaluate


def call_after(
    function: Function, name: str, last: Evaluate, arguments: list[Evaluate], place: Place
) -> Evaluate:
    """Call a function with the value of the command before as its last argument."""
    run_function = function.call

    def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
        value = last(run, frame, dot)
        values = [argument(run, frame, dot) for argument in arguments]
        values.append(value)
        _check_texts(function, name, values, place)
        return _called(run, run_function, values, place)

    return evaluate


def _called(run: Run, run_function: Call, values: list[Value], place: Place) -> Value:
    try:
        result = run_function(values)
    except EvaluationError as error:
        error.place = error.place or place
        raise
    for value in (*values, result):
        if type(value) is bytes:
            run.spend_on(value, place)
    return result


def _check_texts(function: Function, name: str, values: list[Value], place: Place) -> None:
    checked = values if function.texts < 0 else values[: function.texts]
    for value in checked:
        if type(value) is not bytes:
            raise EvaluationError(f"{name} wants a string, and this is a {type_name(value)}", place=place)


def frequent(name: str, arguments: list[Evaluate], place: Place) -> Evaluate | None:
    """Return the code of its own that a call has, if it has one."""
    made = _FREQUENT.get((name, len(arguments)))
    return made(*arguments, place) if made is not None else None


def equal(left: Evaluate, constants: list[bytes] | list[int], place: Place) -> Evaluate:
    """Compare with constants: strings, or integers."""
    kinds = (bytes,) if isinstance(constants[0], bytes) else (int, Byte)
    known = frozenset[bytes | int](constants)

    def evaluate(run: Run, frame: Frame, dot: Value) -> bool:
        value = left(run, frame, dot)
        if type(value) in kinds:
            return value in known
        try:
            return is_equal(value, list(constants))
        except EvaluationError as error:
            error.place = error.place or place
            raise

    return evaluate


def _equal(left: Evaluate, right: Evaluate, place: Place) -> Evaluate:
    def evaluate(run: Run, frame: Frame, dot: Value) -> bool:
        first = left(run, frame, dot)
        second = right(run, frame, dot)
        if type(first) is bytes and type(second) is bytes:
            run.spend_on(first, place)
            return first == second
        try:
            return is_equal(first, [second])
        except EvaluationError as error:
            error.place = error.place or place
            raise

    return evaluate


def _compare(name: str) -> Callable[[Evaluate, Evaluate, Place], Evaluate]:
    holds, compare = _OF_NUMBERS[name], GO_FUNCTIONS[name].call

    def made(left: Evaluate, right: Evaluate, place: Place) -> Evaluate:
        def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
            first = left(run, frame, dot)
            second = right(run, frame, dot)
            if type(first) in _INTEGERS and type(second) in _INTEGERS:
                return holds(first, second)
            return _called(run, compare, [first, second], place)

        return evaluate

    return made


_INTEGERS = frozenset({int, Byte})
_OF_NUMBERS = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}


def _not(argument: Evaluate, _place: Place) -> Evaluate:
    def evaluate(run: Run, frame: Frame, dot: Value) -> bool:
        value = argument(run, frame, dot)
        return not (value if type(value) is bool else is_true(value))

    return evaluate


def _length(argument: Evaluate, place: Place) -> Evaluate:
    def evaluate(run: Run, frame: Frame, dot: Value) -> int:
        value = argument(run, frame, dot)
        if type(value) is bytes:
            return len(value)
        try:
            return length(value)
        except EvaluationError as error:
            error.place = error.place or place
            raise

    return evaluate


def _index(item: Evaluate, key: Evaluate, place: Place) -> Evaluate:
    def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
        value = item(run, frame, dot)
        at = key(run, frame, dot)
        if type(value) is bytes and type(at) is int and 0 <= at < len(value):
            return BYTES[value[at]]
        try:
            return index(value, [at])
        except EvaluationError as error:
            error.place = error.place or place
            raise

    return evaluate


def _slice_from(item: Evaluate, start: Evaluate, place: Place) -> Evaluate:
    def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
        value = item(run, frame, dot)
        at = start(run, frame, dot)
        if type(value) is bytes and type(at) is int and 0 <= at <= len(value):
            run.spend_on(value, place)
            return value[at:]
        try:
            return slice_(value, [at])
        except EvaluationError as error:
            error.place = error.place or place
            raise

    return evaluate


def _slice_between(item: Evaluate, start: Evaluate, end: Evaluate, place: Place) -> Evaluate:
    def evaluate(run: Run, frame: Frame, dot: Value) -> Value:
        value = item(run, frame, dot)
        first = start(run, frame, dot)
        last = end(run, frame, dot)
        if type(value) is bytes and type(first) is type(last) is int and 0 <= first <= last <= len(value):
            run.spend_on(value, place)
            return value[first:last]
        try:
            return slice_(value, [first, last])
        except EvaluationError as error:
            error.place = error.place or place
            raise

    return evaluate


_FREQUENT: dict[tuple[str, int], Value] = {
    ("eq", 2): _equal,
    ("not", 1): _not,
    ("len", 1): _length,
    ("index", 2): _index,
    ("slice", 2): _slice_from,
    ("slice", 3): _slice_between,
    **{(name, 2): _compare(name) for name in _OF_NUMBERS},
}


def short_circuit(
    name: str, arguments: tuple[Evaluate, ...], last: Evaluate | None, *, declared: tuple[int, ...]
) -> Evaluate:
    """Call ``and`` or ``or``, which stop at the first argument that decides.

    ``declared`` are the variables that the arguments declare: they are not there until that happens.
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
