"""Ours are dataclasses in all that can be seen of them, and cost nothing before they are used."""

import copy
import dataclasses
import inspect
from dataclasses import FrozenInstanceError, field
from pickle import dumps, loads

import pytest

from gguf2ollama._dataclass import dataclass as ours


def in_plain_words(made):
    @made(frozen=True, slots=True, kw_only=True)
    class Point:
        x: int
        y: int = 2
        names: list[str] = field(default_factory=list)
        seen: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

        def __post_init__(self):
            object.__setattr__(self, "y", self.y * 10)

    return Point


def with_positions(made):
    @made(frozen=True, slots=True)
    class Point:
        x: int
        y: int = 2

    return Point


def with_one_field(made):
    @made(frozen=True)
    class Point:
        x: int

    return Point


def with_base(made):
    @made(frozen=True, slots=True, kw_only=True)
    class Base:
        x: int
        y: int = 2

    @made(frozen=True, slots=True, kw_only=True)
    class Point(Base):
        z: int = 3

    return Point


def with_own_methods(made):
    @made(frozen=True, slots=True, kw_only=True)
    class Point:
        x: int

        def __eq__(self, other):
            return isinstance(other, type(self)) and abs(self.x) == abs(other.x)

        __hash__ = None

        def __repr__(self):
            return "own"

    return Point


def with_identity(made):
    @made(frozen=True, slots=True, eq=False)
    class Point:
        x: int

    return Point


def with_changes(made):
    @made(slots=True)
    class Point:
        x: int
        y: int = 2

    return Point


def with_order(made):
    @made(frozen=True, slots=True, order=True)
    class Point:
        x: int
        y: int = 2

    return Point


def with_nothing(made):
    @made(frozen=True, slots=True)
    class Point:
        pass

    return Point


KINDS = (
    in_plain_words,
    with_positions,
    with_one_field,
    with_base,
    with_own_methods,
    with_identity,
    with_changes,
    with_order,
    with_nothing,
)
CALLS = (
    ((), {"x": 1}),
    ((), {"x": 1, "y": 5}),
    ((), {"x": -1, "names": ["a"]}),
    ((), {"x": 1, "z": 7}),
    ((), {"x": 1, "seen": {}}),
    ((), {}),
    ((1,), {}),
    ((1, 2), {}),
    ((1, 2, 3), {}),
    ((1,), {"x": 1}),
)


def outcome(act):
    """Return what is done, or the kind of the error."""
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - whatever the other side does
        return type(error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("positions, names", CALLS)
def test_values_are_made_shown_and_compared_as_dataclasses_are(kind, positions, names):
    shown = [everything_of(kind(made), positions, names) for made in (ours, dataclasses.dataclass)]
    assert shown[0] == shown[1]


def everything_of(cls, positions, names):
    """Return all that is to be seen of a value; the kind of the error where it can't be made."""
    try:
        value, same = cls(*positions, **names), cls(*positions, **names)
    except TypeError:
        return TypeError
    return {
        "shown": repr(value),
        "equal": (value == same, value != same, value == 1),
        "order": outcome(lambda: (value < same, value <= same, value > same, value >= same)),
        "changed": "x" in names and outcome(lambda: setattr(value, "x", 5) or value.x),
        "hash": outcome(lambda: hash(value) == hash(same)),
        "in a set": outcome(lambda: len({value, same})),
        "as dict": dataclasses.asdict(value),
        "replaced": outcome(lambda: repr(dataclasses.replace(value, x=9))),
    }


def test_values_of_another_class_are_not_equal():
    assert with_one_field(ours)(x=1) != with_one_field(ours)(x=1)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_show_the_same_fields_and_signature(kind):
    our, their = kind(ours), kind(dataclasses.dataclass)
    assert [f.name for f in dataclasses.fields(our)] == [f.name for f in dataclasses.fields(their)]
    assert list(inspect.signature(our).parameters) == list(inspect.signature(their).parameters)
    assert our.__match_args__ == their.__match_args__
    assert hasattr(our, "__slots__") is hasattr(their, "__slots__")


def test_every_value_has_a_default_of_its_own():
    point = in_plain_words(ours)
    assert point(x=1).names is not point(x=1).names
    assert point(x=1).seen is not point(x=1).seen


@pytest.mark.parametrize("kind", [in_plain_words, with_one_field, with_base])
def test_nothing_can_be_changed(kind):
    value = kind(ours)(x=1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        value.x = 2
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'x'"):
        del value.x
    assert value.x == 1


@ours(frozen=True, slots=True, kw_only=True)
class Packed:
    """A class that a pickle can name."""

    x: int
    names: tuple[str, ...] = ()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda value: loads(dumps(value))])  # noqa: S301 - ours
def test_values_are_copied_whole(copied):
    value = Packed(x=1, names=("a",))
    assert copied(value) == value
    assert copied(value) is not value


def test_a_value_that_holds_itself_is_shown():
    names = []
    value = Packed(x=1, names=names)
    names.append(value)
    assert repr(value) == "Packed(x=1, names=[...])"


def test_an_init_is_compiled_when_it_is_first_called():
    point = in_plain_words(ours)
    before = point.__init__.__code__.co_filename
    assert before == inspect.getsourcefile(ours)
    point(x=1)
    assert point.__init__.__code__.co_filename == "<string>"
