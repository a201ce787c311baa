"""Capabilities that are listed are capabilities that the model has."""

from __future__ import annotations

import pytest

from tests.builders import CHATML_TEMPLATE, tiny_llama
from tests.calling_templates import JSON_CALLS, JSON_CALLS_NO_THOUGHTS, MISREAD, UNFORESEEN_CALLS

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


_REASONING = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}{# <think></think> #}"
)
_SWITCH = "{{ '<think>' if enable_thinking | default(true) else '<think></think>' }}"


@pytest.mark.parametrize("switch, is_warned", [("<think>", True), (_SWITCH, False)])
def test_a_think_false_without_effect_is_warned_of(call, tmp_path, switch, is_warned):
    path = tiny_llama(tmp_path / "thinks.gguf", chat_template=_REASONING + switch)
    done = call("inspect", path)
    assert done.code == 0, done.err
    assert ('"think": false does not change the prompt' in done.err) is is_warned
    assert '"think": "low"' not in done.err  # the chat template knows no levels


def test_a_switch_that_the_template_for_tools_alone_has_is_one(call, tmp_path):
    path = tiny_llama(
        tmp_path / "named.gguf", chat_template=CHATML_TEMPLATE, metadata={f"{KEY}.tool_use": JSON_CALLS}
    )
    done = call("inspect", path)
    assert "tool_use" in done.out
    assert '"think": false does not' not in done.err


def test_levels_of_thinking_that_do_not_reach_the_chat_template_are_warned_of(call, tmp_path):
    text = _REASONING + _SWITCH + "{{ reasoning_effort if reasoning_effort is defined }}"
    levels = '"think": "low", "medium" and "high" do not reach'
    path = tiny_llama(tmp_path / "levels.gguf", chat_template=text)
    assert levels not in call("inspect", path).err
    # a TEMPLATE of the user that says whether to think, and not how hard
    own = (
        "{{ range .Messages }}{{ .Role }}: {{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}"
        "{{ .Content }}{{ end }}{{ if .Think }}<think>{{ end }}"
    )
    done = call("inspect", path, "--template", "-", stdin=own)
    assert levels in done.err
    assert '"think": false does not' not in done.err


def test_calls_that_ollama_would_not_read_are_warned_of(call, tmp_path):
    for number, (text, is_warned) in enumerate([(UNFORESEEN_CALLS, True), (JSON_CALLS_NO_THOUGHTS, False)]):
        path = tiny_llama(tmp_path / f"{number}.gguf", chat_template=text)
        done = call("inspect", path)
        assert done.code == 0, done.err
        assert ("Ollama will not parse tool calls" in done.err) is is_warned


_WARNED = {
    "thoughts": "will not parse reasoning",
    "braces": "takes a { in an answer for",
    "several calls": "will not parse several tool calls",
}


@pytest.mark.parametrize("kind", _WARNED)
def test_what_ollama_would_misread_of_answers_is_warned_of(call, tmp_path, kind):
    path = tiny_llama(tmp_path / "model.gguf", chat_template=MISREAD[kind])
    done = call("inspect", path)
    assert done.code == 0
    assert [one for one in _WARNED if _WARNED[one] in done.err] == [kind], done.err


def test_a_template_whose_plain_answers_ollama_would_not_parse_gives_way_to_a_go_template(call, tmp_path):
    path = tiny_llama(tmp_path / "model.gguf", chat_template=MISREAD["contents"])
    done = call("inspect", path, "--json")
    assert (done.code, done.json["prompts"]["origin"]) == (0, "synthesised")
    assert "will not parse" not in done.err


@pytest.mark.parametrize(
    "tools, is_warned", [("{{ if .Tools }}You have tools.{{ end }}", True), ("{{ json .Tools }}", False)]
)
def test_tools_that_a_template_of_the_user_never_prints_are_warned_of(call, tmp_path, tools, is_warned):
    path = tiny_llama(tmp_path / "model.gguf", chat_template=CHATML_TEMPLATE)
    own = tools + "{{ range .Messages }}{{ .Role }}: {{ .Content }}{{ end }}"
    done = call("inspect", path, "--template", "-", stdin=own)
    assert done.code == 0, done.err
    assert ("never prints the names of the tools" in done.err) is is_warned


def test_a_named_template_is_used_where_there_is_no_default(call, tmp_path):
    names = ["rag", "tool_use"]
    path = tiny_llama(
        tmp_path / "named.gguf",
        chat_template=None,
        metadata={
            "tokenizer.chat_templates": names,
            f"{KEY}.rag": CHATML_TEMPLATE,
            f"{KEY}.tool_use": JSON_CALLS_NO_THOUGHTS,
        },
    )
    found = call("inspect", path, "--json").json
    assert KEY in found["recipe"]["patched_keys"]
    assert "tools" in found["recipe"]["capabilities"]
    plain = found["prompts"]["scores"]["plain"]
    assert plain["exact"] == plain["compared"] > 0
