"""The keys of --json, which programs rely on."""

import re

import pytest

from gguf2ollama.cli._verbs import VERBS
from gguf2ollama.cli.render.keys import ERROR, SHAPES, rows
from tests.cli.json_keys import deviations
from tests.words import refused_words


def names(shape):
    return {name for path, _, _ in rows(shape) for name in re.split(r"[.\[\]]+", path) if name}


def test_every_command_with_json_has_a_shape():
    assert {name.partition(" ")[0] for name in SHAPES} == VERBS.keys() - {"completion", "schema"}


@pytest.mark.parametrize("command", [*SHAPES, "error"])
def test_keys_are_the_fields_nouns_in_snake_case(command):
    shape = ERROR if command == "error" else SHAPES[command]
    for name in names(shape):
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\??|\*", name), name
        assert not refused_words(name.replace("_", " ")), name
    for path, kind, meaning in rows(shape):
        assert kind.endswith("or null") or meaning, path
        assert not refused_words(meaning), path
        is_size = kind.startswith("integer") and re.search(r"\bbytes\b|\bsize\b|memory in use", meaning)
        assert not is_size or re.search(r"_bytes\b|_bytes_", path), path


SHAPE = {"a": "integer: x", "b?": ("string: x", None), "c": [{"*": "boolean: x"}], "d": "any: x"}


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "c": [], "d": None},
        {"a": 1, "b": None, "c": [{"x": True}], "d": [1]},
        {"a": 1, "b": "y", "c": [{}], "d": "z"},
    ],
)
def test_a_value_of_the_shape_passes(value):
    assert deviations(value, SHAPE) == []


@pytest.mark.parametrize(
    "changes,deviation",
    [
        ({"a": "1"}, "$.a: '1' is not of type integer"),
        ({"a": None}, "$.a: None is not of type integer"),
        ({"b": 1}, "$.b: 1 is not of type string"),
        ({"c": {}}, "$.c: not an array"),
        ({"c": [1]}, "$.c[0]: not an object"),
        ({"c": [{"x": 1}]}, "$.c[0].x: 1 is not of type boolean"),
        ({"e": 1}, "$.e: not documented"),
    ],
)
def test_a_value_of_another_shape_does_not(changes, deviation):
    assert deviations({"a": 1, "c": [], "d": None, **changes}, SHAPE) == [deviation]
    assert deviations({"a": 1, "d": None}, SHAPE) == ["$.c: missing"]
