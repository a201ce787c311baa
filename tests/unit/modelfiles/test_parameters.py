from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import InvalidModelfile, UsageProblem
from gguf2ollama.modelfiles import (
    PARAMETERS,
    Message,
    Modelfile,
    Parameter,
    Value,
    parse_message,
    parse_parameter,
)
from tests.unit.modelfiles.strategies import NUMBERS


@pytest.mark.parametrize(
    "name, given_value, value",
    [
        ("num_ctx", "4096", 4096),
        ("num_ctx", "+1", 1),
        ("num_ctx", "1.5", "1.5"),
        ("num_ctx", "1_000", "1_000"),
        ("num_ctx", "9223372036854775808", "9223372036854775808"),
        ("num_ctx", "9" * 5000, "9" * 5000),
        ("num_ctx", True, "true"),
        ("temperature", "0.70", 0.7),
        ("temperature", 1, 1.0),
        ("temperature", 0.699999988079071, 0.7),
        ("temperature", 0.123456789, 0.12345679),
        ("temperature", "1_0.5", 10.5),
        ("temperature", "1e39", "1e39"),
        ("temperature", "1e999", "1e999"),
        ("temperature", 3.4025000000000003e38, 3.4025e38),
        ("temperature", float("nan"), "nan"),
        ("temperature", float("inf"), "inf"),
        ("temperature", "hot", "hot"),
        ("use_mmap", "T", True),
        ("use_mmap", "0", False),
        ("use_mmap", "tRue", "tRue"),
        ("stop", "1", "1"),
        ("stop", 1, "1"),
        ("nonsense", 1, "1"),
        ("nonsense", False, "false"),
    ],
)
def test_a_value_takes_the_type_of_its_parameter(name: str, given_value: Value, value: Value) -> None:
    parameter = Parameter(name=name, value=given_value)
    assert parameter.value == value
    assert type(parameter.value) is type(value)


@given(
    name=st.sampled_from([*PARAMETERS, "nonsense"]),
    value=st.sampled_from(NUMBERS) | st.integers() | st.floats() | st.booleans() | st.text(max_size=5),
)
def test_a_value_that_was_written_is_read_as_the_same(name: str, value: Value) -> None:
    parameter = Parameter(name=name, value=value)
    assert Parameter(name=name, value=parameter.text) == parameter


def test_parameters_are_given_as_the_server_takes_them() -> None:
    modelfile = Modelfile(
        parameters=(
            Parameter(name="stop", value="a"),
            Parameter(name="num_ctx", value="4096"),
            Parameter(name="num_ctx", value="8192"),
            Parameter(name="temperature", value="1"),
            Parameter(name="use_mmap", value="f"),
            Parameter(name="mirostat", value="whatever"),
            Parameter(name="stop", value="b"),
        )
    )
    given_json = {"stop": ["a", "b"], "num_ctx": 8192, "temperature": 1.0, "use_mmap": False}
    assert modelfile.parameters_json() == given_json
    assert json.loads(json.dumps(modelfile.parameters_json())) == given_json
    assert Modelfile().parameters_json() == {}


@pytest.mark.parametrize("name, value", [("nonsense", 1), ("typical_p", 0.9), ("tfs_z", 1), ("top_k", "x")])
def test_parameters_that_the_server_would_refuse_are_refused(name: str, value: Value) -> None:
    with pytest.raises(InvalidModelfile, match=name):
        Modelfile(parameters=(Parameter(name=name, value=value),)).parameters_json()


@pytest.mark.parametrize(
    "text, parameter",
    [
        ("temperature=0.7", Parameter(name="temperature", value=0.7)),
        (" num_ctx = 4096 ", Parameter(name="num_ctx", value=4096)),
        ("stop= a=b ", Parameter(name="stop", value=" a=b ")),
        ("use_mmap=true", Parameter(name="use_mmap", value=True)),
    ],
)
def test_an_option_is_read(text: str, parameter: Parameter) -> None:
    assert parse_parameter(text) == parameter


@pytest.mark.parametrize(
    "text, message, hint",
    [
        ("temperature", "no value given", "temperature=0.7"),
        ("", "no value given", ""),
        ("temprature=1", "unknown parameter 'temprature'", "did you mean temperature"),
        ("x=1", "unknown parameter", "num_ctx"),
        ("num_ctx=many", "invalid value 'many' for parameter num_ctx: it takes an integer", ""),
        ("use_mmap=", "use_mmap: it takes true or false", ""),
        ("x" * 9000 + "=1", "unknown parameter", ""),
    ],
)
def test_an_option_that_says_nothing_is_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageProblem, match=message) as caught:
        parse_parameter(text)
    assert hint in (caught.value.hint or "")
    assert len(str(caught.value)) < 200


@given(text=st.text(max_size=30) | st.sampled_from(NUMBERS).map("num_ctx={}".format))
def test_any_option_is_a_parameter_or_a_usage_problem(text: str) -> None:
    with contextlib.suppress(UsageProblem):
        assert parse_parameter(text).name in PARAMETERS


def test_a_message_has_a_role_that_ollama_knows() -> None:
    with pytest.raises(InvalidModelfile, match="tool"):
        Message(role="tool", content="x")  # type: ignore[arg-type]


def test_a_message_of_the_command_line_is_read():
    assert parse_message("user=a = b\n") == Message(role="user", content="a = b\n")


@pytest.mark.parametrize(
    "text, words", [("user", "no text given"), ("User=x", "no such role"), ("=x", "role")]
)
def test_an_invalid_message_is_refused(text, words):
    with pytest.raises(UsageProblem, match=words):
        parse_message(text)
