"""What the user gives with --system and --template reaches the prompt, or it is said that it does not."""

from __future__ import annotations

import pytest

from tests.builders import tiny_llama
from tests.unit.chat.test_default_system import IF_BLANK, PRINTED, TRIMMED


@pytest.fixture
def model(tmp_path):
    def one(chat_template):
        return tiny_llama(tmp_path / "model.gguf", chat_template=chat_template)

    return one


def test_without_a_system_prompt_the_chat_template_prints_none_of_its_own(call, model):
    found = call("inspect", model(PRINTED), "--system", "", "--json").json
    assert "tokenizer.chat_template" in found["recipe"]["patched_keys"]
    assert 'changed for --system ""' in found["recipe"]["template"]["source"]
    plain = found["prompts"]["scores"]["plain"]
    assert plain["exact"] == plain["compared"] > 0


def test_without_a_system_prompt_a_blank_one_spares_a_changed_header(call, model):
    found = call("inspect", model(TRIMMED), "--system", "", "--json").json
    assert found["recipe"]["patched_keys"] == []
    assert found["recipe"]["system"]["value"] == " "


@pytest.mark.parametrize("text, is_warned", [(IF_BLANK, True), (PRINTED, False)])
def test_a_system_prompt_that_cannot_be_kept_out_is_warned_of(call, model, text, is_warned):
    done = call("inspect", model(text), "--system", "")
    assert done.code == 0, done.err
    said = 'system prompt of its own, which --system "" cannot keep out of prompts: \'You are Tiny'
    assert (said in done.err) is is_warned
    assert said not in call("inspect", model(text)).err
