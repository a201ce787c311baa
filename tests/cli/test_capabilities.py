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


LANGUAGES = (
    "{% for m in messages %}<{{ m.role }}>{% if m.content is string or not m.content[0].language %}"
    "{{ raise_exception('a list is needed') }}{% endif %}{{ m.content[0].language }}: {{ m.content[0].text }}"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def test_a_chat_template_that_takes_no_text_gets_no_model_but_a_template_to_start_from(
    call, server, tmp_path
):
    path = tiny_llama(tmp_path / "languages.gguf", chat_template=LANGUAGES)
    done = call("build", path, "--name", "mine", "--json")
    assert done.code == 4
    assert "only a list of parts with language" in done.error["message"]
    assert server.store.models == {}
    _, start = done.error["hint"].split("stands for your own value: ")
    assert '{{ "<user>en: " }}' in start
    done = call("build", path, "--name", "mine", "--template", "-", "--no-load", stdin=start)
    assert done.code == 0, done.err
    assert "no prompts can be compared" in done.err
    assert server.store.models["mine:latest"]
