"""Capabilities that are listed are capabilities that the model has."""

from __future__ import annotations

from tests.builders import CHATML_TEMPLATE, tiny_llama
from tests.calling_templates import JSON_CALLS_NO_THOUGHTS

KEY = "tokenizer.chat_template"


def test_a_named_template_for_tools_is_used_though_the_default_shows_none(call, tmp_path):
    path = tiny_llama(
        tmp_path / "named.gguf",
        chat_template=CHATML_TEMPLATE,
        metadata={"tokenizer.chat_templates": ["tool_use"], f"{KEY}.tool_use": JSON_CALLS_NO_THOUGHTS},
    )
    done = call("inspect", path, "--json")
    assert done.code == 0, done.err
    recipe = done.json["recipe"]
    assert "tools" in recipe["capabilities"]
    assert recipe["template"]["origin"] == "patched"
    assert "tool_use" in recipe["template"]["source"]
