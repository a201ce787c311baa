"""The parameters as show prints them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.ollama.parameters import parse_parameters
from tests.fakes.ollama_store import go_value

NAMES = st.sampled_from(["num_ctx", "temperature", "use_mmap", "a_name_that_is_longer_than_thirty_columns"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = (
    TEXTS | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
)


@pytest.mark.parametrize(
    "line, value",
    [
        ("temperature                    0.7", {"temperature": 0.7}),
        ("num_ctx                        4096", {"num_ctx": 4096}),
        ("min_p                          1e-07", {"min_p": 1e-07}),
        ("use_mmap                       false", {"use_mmap": False}),
        ('stop                           "<|im_end|>"', {"stop": ("<|im_end|>",)}),
        (r'stop "a\"b\\\n\t\x00\u200b\U000e0001é"', {"stop": ('a"b\\\n\t\x00\u200b\U000e0001é',)}),
        (r'stop "\xff\xfe"', {"stop": ("��",)}),
        (r'stop "\Uffffffff"', {"stop": ("�",)}),
        ('stop "a"\nstop "b"', {"stop": ("a", "b")}),
        ("seed 1\nseed 2", {"seed": (1, 2)}),
        ("odd <nil>", {"odd": "<nil>"}),
        ("", {}),
        ("novalue\n  \n!!! 3", {}),
    ],
)
def test_what_go_prints_is_read_back(line, value):
    assert parse_parameters(line) == value


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.lists(TEXTS, min_size=1, max_size=3))
def test_every_value_comes_back(parameters, stops):
    lines = [f"{name:<30} {go_value(value)}" for name, value in parameters.items()]
    lines += [f"{'stop':<30} {go_value(stop)}" for stop in stops]
    assert parse_parameters("\n".join(lines)) == parameters | {"stop": tuple(stops)}


@given(st.text())
def test_any_text_is_read_without_an_error(text):
    assert isinstance(parse_parameters(text), dict)
