"""Differences between a plan and what a server reports."""

import dataclasses

import pytest

from gguf2ollama import Parameter, inspect
from gguf2ollama.install.readback import differences, missing_capabilities, renders_with
from gguf2ollama.ollama import ModelInfo
from gguf2ollama.ollama.fields import Fields
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
    # the family's TEMPLATE, which the server has to report
    return inspect(path, verify=False, system="Be brief.", context=512, parameters=parameters).recipe


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    path = tiny_llama(tmp_path_factory.mktemp("readback") / "own.gguf", chat_template=OWN_TEMPLATE)
    found = inspect(path).recipe
    assert found.template_origin == "native"
    return found


def reported(recipe, **changes):
    """Return what a server reports of a model made as planned, but for the changes."""
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
    assert differences(reported(recipe), recipe=recipe) == ()
    assert differences(reported(native), recipe=native) == ()


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"system": "Something else."}, "its system prompt is 'Something else.', expected 'Be brief.'"),
        ({"system": ""}, "its system prompt is empty, expected 'Be brief.'"),
        ({"capabilities": ["insert"]}, "it lacks completion"),
        ({"parameters": ""}, "its temperature is None, expected 0.7"),
    ],
)
def test_each_difference_has_a_phrase(recipe, changes, words):
    found = differences(reported(recipe, **changes), recipe=recipe)
    assert any(words in phrase for phrase in found), found


@pytest.mark.parametrize(
    "name,value,words",
    [
        ("temperature", "0.8", "its temperature is 0.8, expected 0.7"),
        ("top_k", "21", "its top_k is 21, expected 20"),
        ("use_mmap", "false", "its use_mmap is False, expected True"),
        ("num_ctx", "4096", "its num_ctx is 4096, expected 512"),
    ],
)
def test_a_parameter_that_differs_is_named_with_both_values(recipe, name, value, words):
    lines = [line for line in told_lines(recipe) if not line.startswith(f"{name} ")]
    changed = "\n".join([*lines, f"{name:<30} {value}"])
    assert differences(reported(recipe, parameters=changed), recipe=recipe) == (words,)


@pytest.mark.parametrize("change", ["missing", "order", "more"])
def test_stop_strings_are_compared_in_order(recipe, change):
    stops = [line for line in told_lines(recipe) if line.startswith("stop ")]
    others = [line for line in told_lines(recipe) if not line.startswith("stop ")]
    changed = {"missing": stops[:-1], "order": stops[::-1], "more": [*stops, 'stop "more"']}[change]
    (found,) = differences(reported(recipe, parameters="\n".join(others + changed)), recipe=recipe)
    assert found.startswith("its stop is ")


def told_lines(recipe):
    """Return the lines of ``parameters`` as ``reported`` makes them."""
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
    assert differences(reported(recipe, parameters="\n".join(changed)), recipe=recipe) == ()


@pytest.mark.parametrize(
    "planned,changes,renders",
    [
        ("recipe", {}, "as planned"),
        ("recipe", {"template": OWN_TEMPLATE}, "chat template"),
        ("native", {}, "as planned"),
        ("native", {"template": "{{ .Prompt }}"}, "TEMPLATE"),
        ("native", {"renderer": "gemma4"}, "renderer"),
    ],
)
def test_what_renders_is_known_from_what_the_server_reports(request, planned, changes, renders):
    wanted = request.getfixturevalue(planned)
    info = reported(wanted, **changes)
    assert renders_with(info, recipe=wanted) == renders
    # what renders is compared by its prompts: only a template that the user gave is asked for as such
    assert differences(info, recipe=wanted) == ()


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"template": OWN_TEMPLATE}, "the chat template in the GGUF is used instead of your template"),
        ({"renderer": "gemma4"}, "the built-in renderer gemma4 is used instead of your template"),
    ],
)
def test_a_template_of_the_user_has_to_be_used(recipe, changes, words):
    given = dataclasses.replace(recipe, template_origin="user")
    assert differences(reported(given), recipe=given) == ()
    assert differences(reported(given, **changes), recipe=given) == (words,)


def test_a_companion_that_is_passed_over_is_as_planned(native):
    modelfile = dataclasses.replace(native.modelfile, template="{{ .Prompt }}")
    beside = dataclasses.replace(native, modelfile=modelfile, companion="{{ .Prompt }}")
    assert renders_with(reported(beside, template=native.chat_template), recipe=beside) == "as planned"
    assert renders_with(reported(beside), recipe=beside) == "TEMPLATE"


def test_what_the_template_should_let_the_model_do_and_does_not_is_named(recipe):
    wanted = dataclasses.replace(recipe, capabilities=("completion", "tools", "thinking"))
    info = reported(wanted, capabilities=["completion", "thinking"])
    assert missing_capabilities(info, recipe=wanted) == {"tools"}
    assert missing_capabilities(reported(wanted, capabilities=[]), recipe=wanted) == set()


def test_what_was_not_asked_for_may_be_there(recipe):
    more = reported(recipe, capabilities=[*recipe.capabilities, "insert"], license="MIT")
    assert differences(more, recipe=recipe) == ()
    lines = "\n".join([*told_lines(recipe), f"{'seed':<30} 7"])
    assert differences(reported(recipe, parameters=lines), recipe=recipe) == ()


def test_all_differences_are_reported(recipe):
    everything = dataclasses.replace(recipe, capabilities=("completion", "vision"))
    found = differences(reported(recipe, system="x", parameters=""), recipe=everything)
    assert len(found) == 2 + len(recipe.modelfile.parameters_json())


def test_a_long_text_is_quoted_in_part(recipe):
    (found,) = differences(reported(recipe, system="word " * 1000), recipe=recipe)
    assert len(found) < 150


def test_a_server_that_reports_no_capabilities_is_not_held_to_them(recipe):
    assert differences(reported(recipe, capabilities=[]), recipe=recipe) == ()
