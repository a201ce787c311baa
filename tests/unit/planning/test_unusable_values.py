import math

import pytest

from gguf2ollama import inspect
from gguf2ollama.ggufio import TypedValue, ValueType
from gguf2ollama.modelfiles import PARAMETERS
from tests.builders import tiny_llama

FLOAT, INT32, UINT64, TEXT = ValueType.FLOAT32, ValueType.INT32, ValueType.UINT64, ValueType.STRING
NOT_SAMPLED = {
    "not a number": ("top_k", TypedValue(FLOAT, math.nan)),
    "infinite": ("temp", TypedValue(FLOAT, math.inf)),
    "infinite integer": ("top_k", TypedValue(FLOAT, -math.inf)),
    "no integer": ("top_k", TypedValue(FLOAT, 2.5)),
    "out of range": ("top_p", TypedValue(FLOAT, 7.0)),
    "negative": ("temp", TypedValue(FLOAT, -1.0)),
    "more than 32 bits": ("penalty_last_n", TypedValue(UINT64, 2**64 - 1)),
    "more than a float": ("penalty_repeat", TypedValue(ValueType.FLOAT64, 1e300)),
    "a bool": ("temp", TypedValue(ValueType.BOOL, value=True)),
    "a text": ("min_p", TypedValue(TEXT, "0.1")),
    "an array": ("temp", TypedValue.array(FLOAT, [0.7])),
}


def recipe_of(tmp_path, **metadata):
    path = tiny_llama(tmp_path / "m.gguf", metadata=metadata)
    found = inspect(path, verify=False)
    return found.recipe, found.warnings


@pytest.mark.parametrize("key,value", NOT_SAMPLED.values(), ids=NOT_SAMPLED)
def test_a_sampling_value_that_no_server_takes_is_left_out_with_a_warning(tmp_path, key, value):
    recipe, warnings = recipe_of(tmp_path, **{f"general.sampling.{key}": value})
    assert set(recipe.parameters) <= {"num_ctx", "stop"}
    assert any(text.startswith(f"general.sampling.{key} in the GGUF is left out: ") for text in warnings)


def test_sampling_values_are_kept_in_the_type_of_the_parameter(tmp_path):
    values = {
        "general.sampling.top_k": TypedValue(FLOAT, 40.0),
        "general.sampling.temp": TypedValue(INT32, 1),
        "general.sampling.penalty_last_n": TypedValue(INT32, -1),
        "general.sampling.top_p": TypedValue(FLOAT, 0.7),
    }
    recipe, warnings = recipe_of(tmp_path, **values)
    found = {name: value.value for name, value in recipe.parameters.items()}
    assert found | {"top_k": 40, "temperature": 1.0, "repeat_last_n": -1, "top_p": 0.7} == found
    assert not any("left out" in text for text in warnings)


@pytest.mark.parametrize("key", ["general.license", "general.license.name", "general.license.link"])
@pytest.mark.parametrize("value", [TypedValue(TEXT, "caf\udce9"), TypedValue(INT32, 1)], ids=["bytes", "int"])
def test_a_licence_that_is_not_text_is_left_out_with_a_warning(tmp_path, key, value):
    recipe, warnings = recipe_of(tmp_path, **{key: value})
    assert not recipe.modelfile.licenses
    assert f"{key} in the GGUF is left out: it is not a text in UTF-8" in warnings


@pytest.mark.parametrize("value", [10**400, -(10**400)])
def test_a_number_that_no_float_holds_is_not_a_parameter(value):
    assert PARAMETERS["temperature"].fit(value) is None
    assert PARAMETERS["top_k"].fit(value) is None
