"""What differs between what was asked for and what a server tells."""

import dataclasses

import pytest

from gguf2ollama import Parameter
from gguf2ollama.ollama import ModelInfo
from gguf2ollama.ollama.fields import Fields
from gguf2ollama.usecases.inspect import inspect
from gguf2ollama.usecases.readback import differences
from tests.builders import tiny_llama

OWN_TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}] {{ message.content }} ~~ {% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tiny_llama(tmp_path_factory.mktemp("readback") / "tiny.gguf")
    parameters = [
        Parameter(name="temperature", value=0.7),
        Parameter(name="top_k", value=20),
        Parameter(name="use_mmap", value=True),
        Parameter(name="stop", value='a "b"'),
        Parameter(name="stop", value=" x"),
    ]
    # the family's TEMPLATE, which is what the server is to tell again
    return inspect(path, verify=False, system="Be brief.", context=512, parameters=parameters).recipe


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    path = tiny_llama(tmp_path_factory.mktemp("readback") / "own.gguf", chat_template=OWN_TEMPLATE)
    found = inspect(path).recipe
    assert found.template_origin == "native"
    return found


def told(recipe, **changes):
    """Give what a server tells that made just what was asked for, but for the changes."""
    wanted = recipe.modelfile
    fields = {
        "template": wanted.template or recipe.chat_template,
        "system": wanted.system or "",
        "parameters": "\n".join(told_lines(recipe)),
        "capabilities": list(recipe.capabilities),
    }
    return ModelInfo.parse(Fields(fields | changes, origin="a server"))


def quoted(text):
    return text.replace("\\", "\\\\").replace('"', '\\"')


def test_nothing_differs_where_all_is_as_asked_for(recipe, native):
    assert differences(told(recipe), recipe=recipe) == ()
    assert differences(told(native), recipe=native) == ()


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"template": "{{ .Prompt }} of its own"}, "its template is not the one that was given"),
        ({"template": ""}, "(empty)"),
        ({"system": "Something else."}, "its system text is 'Something else.'"),
        ({"system": ""}, "its system text is empty"),
        ({"capabilities": ["insert"]}, "it lacks completion"),
        ({"parameters": ""}, "its temperature is None, 0.7 was asked for"),
    ],
)
def test_what_differs_is_told(recipe, changes, words):
    found = differences(told(recipe, **changes), recipe=recipe)
    assert any(words in one for one in found), found


@pytest.mark.parametrize(
    "name,value,words",
    [
        ("temperature", "0.8", "its temperature is 0.8, 0.7 was asked for"),
        ("top_k", "21", "its top_k is 21, 20 was asked for"),
        ("use_mmap", "false", "its use_mmap is False, True was asked for"),
        ("num_ctx", "4096", "its num_ctx is 4096, 512 was asked for"),
    ],
)
def test_a_parameter_that_differs_is_named_with_both_values(recipe, name, value, words):
    lines = [line for line in told_lines(recipe) if not line.startswith(f"{name} ")]
    changed = "\n".join([*lines, f"{name:<30} {value}"])
    assert differences(told(recipe, parameters=changed), recipe=recipe) == (words,)


@pytest.mark.parametrize("change", ["missing", "order", "more"])
def test_stop_strings_are_compared_in_order(recipe, change):
    stops = [line for line in told_lines(recipe) if line.startswith("stop ")]
    others = [line for line in told_lines(recipe) if not line.startswith("stop ")]
    changed = {"missing": stops[:-1], "order": stops[::-1], "more": [*stops, 'stop "more"']}[change]
    (found,) = differences(told(recipe, parameters="\n".join(others + changed)), recipe=recipe)
    assert found.startswith("its stop is ")


def told_lines(recipe):
    """Give the lines of ``parameters`` as ``told`` makes them."""
    lines = []
    for name, value in recipe.modelfile.parameters_json().items():
        for one in value if isinstance(value, list) else [value]:
            shown = str(one).lower() if isinstance(one, bool) else one
            lines.append(f'{name:<30} "{quoted(one)}"' if isinstance(one, str) else f"{name:<30} {shown}")
    return lines


def test_a_number_of_32_bits_is_the_same_number(recipe):
    changed = [
        line.replace("0.7", "0.699999988079071") if line.startswith("temperature") else line
        for line in told_lines(recipe)
    ]
    assert differences(told(recipe, parameters="\n".join(changed)), recipe=recipe) == ()


def test_a_template_put_before_the_one_in_the_gguf_is_told(native):
    (found,) = differences(told(native, template="{{ .Prompt }}"), recipe=native)
    assert "a template was put before the one in the GGUF" in found


def test_what_was_not_asked_for_may_be_there(recipe):
    more = told(recipe, capabilities=[*recipe.capabilities, "insert"], license="MIT")
    assert differences(more, recipe=recipe) == ()
    lines = "\n".join([*told_lines(recipe), f"{'seed':<30} 7"])
    assert differences(told(recipe, parameters=lines), recipe=recipe) == ()


def test_each_difference_is_told(recipe):
    everything = dataclasses.replace(recipe, capabilities=("completion", "tools"))
    found = differences(told(recipe, system="x", template="y"), recipe=everything)
    assert len(found) == 3


def test_a_long_text_is_quoted_in_part(recipe):
    (found,) = differences(told(recipe, system="word " * 1000), recipe=recipe)
    assert len(found) < 150


def test_a_server_that_tells_no_capabilities_is_not_held_to_them(recipe):
    assert differences(told(recipe, capabilities=[]), recipe=recipe) == ()
