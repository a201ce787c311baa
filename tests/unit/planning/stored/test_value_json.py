"""Values become JSON and come back the same, and nothing else comes back."""

import json
import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama._dataclass import dataclass
from gguf2ollama.planning.stored.value_json import Form, Forms


class Colour(StrEnum):
    red = "r"
    blue = "b"


@dataclass(frozen=True, slots=True)
class Inner:
    number: float | int
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    inner: Inner | None
    others: tuple[Inner, ...]
    words: frozenset[str]
    named: Mapping[str, str | bool]
    kind: Literal["a", "b", 1]
    colour: Colour
    day: date | None
    path: Path
    pattern: re.Pattern[str] | None
    flag: bool


INNERS = st.builds(Inner, st.integers() | st.floats(allow_nan=False), st.text())
OUTERS = st.builds(
    Outer,
    inner=st.none() | INNERS,
    others=st.lists(INNERS, max_size=3).map(tuple),
    words=st.frozensets(st.text(), max_size=3),
    named=st.dictionaries(st.text(), st.text() | st.booleans(), max_size=3).map(MappingProxyType),
    kind=st.sampled_from(["a", "b", 1]),
    colour=st.sampled_from(Colour),
    day=st.none() | st.dates(),
    path=st.sampled_from([Path("/a/b"), Path("c")]),
    pattern=st.none() | st.sampled_from([re.compile("a"), re.compile("b+", re.DOTALL | re.IGNORECASE)]),
    flag=st.booleans(),
)
FORM = Forms().of(Outer)
VALUE = Outer(
    inner=Inner(1),
    others=(Inner(1.5, "x"),),
    words=frozenset({"w"}),
    named=MappingProxyType({"n": True}),
    kind="a",
    colour=Colour.red,
    day=date(2031, 9, 17),
    path=Path("p"),
    pattern=re.compile("a"),
    flag=True,
)


def types(value):
    """Return the types of all numbers, which compare equal to others."""
    return [type(value.flag), type(value.kind), *(type(item.number) for item in value.others)]


@given(OUTERS)
def test_values_come_back_the_same(value):
    found = FORM.read(json.loads(json.dumps(FORM.write(value))))
    assert found == value
    assert types(found) == types(value)


@pytest.mark.parametrize("text", ["\ud800", "\x00", "ü 🌍"])
def test_every_text_comes_back(text):
    form = Forms().of(str)
    assert form.read(json.loads(json.dumps(form.write(text)))) == text


@pytest.mark.parametrize(
    "position, stored",
    [
        (0, [1, 2]),
        (0, [7, None]),
        (0, [0, [[0, 1.5]]]),
        (0, None),
        (1, {}),
        (2, [1]),
        (2, "w"),
        (3, []),
        (3, {"n": [0, True]}),
        (4, True),
        (4, "c"),
        (5, "green"),
        (6, [0, "yesterday"]),
        (6, [0, 20310917]),
        (7, 1),
        (8, [0, ["(", 0]]),
        (8, [0, ["a", True]]),
        (9, 1),
    ],
)
def test_other_json_is_refused(position, stored):
    content = FORM.write(VALUE)
    content[position] = stored
    with pytest.raises((TypeError, ValueError, re.error)):
        FORM.read(content)


@pytest.mark.parametrize("content", [None, {}, [], FORM.write(VALUE)[:-1], [*FORM.write(VALUE), 1]])
def test_other_numbers_of_fields_are_refused(content):
    with pytest.raises(TypeError):
        FORM.read(content)


@pytest.mark.parametrize(
    "change", [{"flag": 1}, {"others": [Inner(1)]}, {"inner": "x"}, {"kind": "c"}, {"day": "2031-09-17"}]
)
def test_values_of_other_types_are_not_written(change):
    names = ("inner", "others", "words", "named", "kind", "colour", "day", "path", "pattern", "flag")
    with pytest.raises(TypeError):
        FORM.write(Outer(**{name: getattr(VALUE, name) for name in names} | change))


@pytest.mark.parametrize("kind", [object, dict[str, int], tuple[int, str], Mapping[int, str]])
def test_there_is_no_form_for_other_types(kind):
    with pytest.raises(TypeError, match="no form"):
        Forms().of(kind)


def test_a_class_may_have_a_form_of_its_own():
    forms = Forms({Inner: Form(lambda inner: inner.text, lambda text: Inner(0, text))})
    form = forms.of(tuple[Inner, ...])
    assert form.write((Inner(0, "x"),)) == ["x"]
    assert form.read(["x"]) == (Inner(0, "x"),)
