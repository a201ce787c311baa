"""Filling in the middle: what of it a build offers, and what it gives way to."""

import pytest

from gguf2ollama import inspect
from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio import TypedValue, ValueType
from gguf2ollama.ollama_template import render_suffix
from tests.builders import CHATML_TEMPLATE, CHATML_TOKENS, tiny_llama
from tests.calling_templates import JSON_CALLS, JSON_CALLS_NO_THOUGHTS

FIM = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
PROMPT = "<|fim_prefix|>A<|fim_suffix|>B<|fim_middle|>"
CODER = {"general.name": "Tiny Coder"}
KEY = "tokenizer.ggml.fim_pre_token_id"


@pytest.fixture
def coder(tmp_path):
    """Return a function that inspects a tiny model with tokens to fill in the middle."""

    def one(chat_template=CHATML_TEMPLATE, *, metadata=CODER, tokens=(*FIM, *CHATML_TOKENS), **options):
        path = tmp_path / "tiny.gguf"
        tiny_llama(path, chat_template=chat_template, special_tokens=tokens, metadata=metadata)
        return inspect(path, **options)

    return one


def test_a_template_that_prompts_as_well_fills_in_the_middle_too(coder):
    found = coder()
    assert found.recipe.capabilities == ("completion", "insert")
    assert render_suffix(found.recipe.modelfile.template, prompt="A", suffix="B") == PROMPT
    assert not found.selection.choice.chosen.different("plain")
    assert not any("suffix" in warning for warning in found.warnings)


@pytest.mark.parametrize("verify", [True, False])
def test_a_model_without_chats_continues_text_as_before(coder, verify):
    found = coder(None, metadata={}, verify=verify)
    assert found.recipe.capabilities == ("completion", "insert")
    assert render_suffix(found.recipe.modelfile.template, prompt="A", suffix="B") == PROMPT
    assert "{{ .Prompt }}" in found.recipe.modelfile.template


def test_a_model_that_only_has_the_tokens_keeps_its_chat_template(coder):
    found = coder(metadata={})
    assert (found.recipe.template_origin, found.recipe.modelfile.template) == ("native", None)
    assert not any("--fim" in warning for warning in found.warnings)
    assert "insert" in coder(metadata={}, fim=True).recipe.capabilities


def test_tools_go_first_and_an_option_turns_that_round(coder):
    found = coder(JSON_CALLS_NO_THOUGHTS)
    assert found.recipe.template_origin == "native"
    assert found.recipe.capabilities == ("completion", "tools")
    assert any("suffix" in warning and "--fim" in warning for warning in found.warnings)

    turned = coder(JSON_CALLS_NO_THOUGHTS, fim=True)
    assert turned.recipe.capabilities == ("completion", "tools", "insert")
    assert render_suffix(turned.recipe.modelfile.template, prompt="A", suffix="B") == PROMPT


def test_thinking_is_not_given_up_either(coder):
    found = coder(JSON_CALLS)
    assert {"tools", "thinking"} <= set(found.recipe.capabilities)
    assert "insert" not in found.recipe.capabilities


def test_a_template_of_the_users_own_says_itself_what_it_does(coder):
    found = coder(template="{{ if .Suffix }}<{{ .Prompt }}|{{ .Suffix }}>{{ else }}{{ .Prompt }}{{ end }}")
    assert found.recipe.capabilities == ("completion", "insert")
    plain = coder(template="{{ .Prompt }}")
    assert plain.recipe.capabilities == ("completion",)
    with pytest.raises(UsageProblem, match="exclude each other"):
        coder(template="{{ .Prompt }}", fim=True)


def test_a_model_without_the_tokens_cannot(coder):
    with pytest.raises(UsageProblem, match="no tokens to fill in the middle"):
        coder(tokens=CHATML_TOKENS, fim=True)
    with pytest.raises(UsageProblem, match="no tokens to fill in the middle"):
        coder(metadata={"llama.pooling_type": 1}, fim=True)


@pytest.mark.parametrize(
    "value,written",
    [
        (TypedValue(ValueType.UINT64, 264), 264),
        (TypedValue(ValueType.INT32, 264), 264),
        (TypedValue(ValueType.INT32, -1), None),
        ("<|fim_prefix|>", None),
        (True, None),
    ],
    ids=["uint64", "int32", "negative", "text", "bool"],
)
def test_a_key_that_llama_cpp_refuses_to_read_is_replaced_or_left_out(coder, value, written):
    found = coder(metadata={**CODER, KEY: value})
    change = found.patch.changes[KEY]
    assert (change and change.value) == written
    assert any(KEY in warning for warning in found.warnings) == (written is None)
    assert render_suffix(found.recipe.modelfile.template, prompt="A", suffix="B") == PROMPT


def test_a_number_out_of_range_is_ignored_as_llama_cpp_does_and_said(coder):
    found = coder(metadata={**CODER, KEY: 99_999})
    assert KEY not in found.patch.changes
    assert any(KEY in warning for warning in found.warnings)
    assert "insert" in found.recipe.capabilities
