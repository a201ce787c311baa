"""What the user gives with --system and --template reaches the prompt, or it is said that it does not."""

from __future__ import annotations

import pytest

from tests.builders import CHATML_TEMPLATE, tiny_llama
from tests.calling_templates import JSON_CALLS, JSON_CALLS_NO_THOUGHTS
from tests.unit.chat.changes.test_default_system import IF_BLANK, PRINTED, TRIMMED


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


KEY, ORIGINAL_KEY = "tokenizer.chat_template", "gguf2ollama.chat_template"
PLAIN = "{{ range .Messages }}{{ .Role }}: {{ .Content }}\n{{ end }}"
TOOLS = (
    "{{ if .Tools }}{{ json .Tools }}{{ end }}{{ range .Messages }}{{ .Role }}: {{ .Content }}"
    "{{ if .ToolCalls }}<tool_call>{{ json .ToolCalls }}</tool_call>{{ end }}\n{{ end }}"
)
NO_RESULTS = TOOLS.replace("{{ .Content }}", '{{ if ne .Role "tool" }}{{ .Content }}{{ end }}')


@pytest.mark.parametrize(
    "chat_template, template, is_taken_out, is_declared",
    [
        (CHATML_TEMPLATE, PLAIN, False, False),
        (JSON_CALLS, PLAIN, True, False),
        (JSON_CALLS, TOOLS, True, False),
        (JSON_CALLS_NO_THOUGHTS, PLAIN, True, False),
        (JSON_CALLS_NO_THOUGHTS, TOOLS, False, True),
        (JSON_CALLS_NO_THOUGHTS, NO_RESULTS, True, False),
    ],
)
def test_a_template_that_ollama_would_pass_over_is_made_to_count(
    call, model, chat_template, template, is_taken_out, is_declared
):
    done = call("inspect", model(chat_template), "--template", "-", "--json", stdin=template)
    assert done.code == 0, done.err
    recipe = done.json["recipe"]
    assert recipe["template"]["origin"] == "user"
    assert recipe["patched_keys"] == ([KEY, ORIGINAL_KEY] if is_taken_out else [])
    assert ("it is taken out of the header" in done.err) is is_taken_out
    text = recipe["template"]["value"]
    assert text.endswith(template)
    assert ('{{/* Ollama sees by this that tool results are rendered: eq .Role "tool" */}}' in text) is (
        is_declared
    )
    # it is compared with what it replaces
    assert done.json["prompts"]["scores"]["plain"]["compared"] > 0


def test_a_template_that_cannot_count_is_refused_before_anything_moves(call, server, model):
    path = model(JSON_CALLS)
    done = call("build", path, "--name", "mine", "--template", "-", "--stream", stdin=PLAIN)
    assert done.code == 2, done.err
    assert "Ollama would ignore the TEMPLATE of --template" in done.err
    assert "without --stream" in done.err
    assert "POST /api/create" not in server.endpoints()
    done = call("modelfile", path, "--template", "-", stdin=PLAIN)  # it may be for a server that takes it
    assert done.code == 0
    assert "NOTE: Ollama would ignore" in done.out


def test_an_upload_that_gets_a_renderer_takes_no_template(call, server, tmp_path):
    path = tiny_llama(
        tmp_path / "model.gguf", chat_template=CHATML_TEMPLATE, metadata={"general.architecture": "laguna"}
    )
    done = call("build", path, "--name", "mine", "--template", "-", "--via", "upload", stdin=PLAIN)
    assert done.code == 2, done.err
    assert "built-in renderer laguna, which replaces the TEMPLATE" in done.err


@pytest.mark.parametrize("text", [CHATML_TEMPLATE, "{% for m in messages %}Hello{% endfor %}"])
def test_jinja_is_not_taken_for_a_go_template(call, model, text):
    done = call("inspect", model(CHATML_TEMPLATE), "--template", "-", stdin=text)
    assert done.code == 2
    assert "not a Go template but Jinja" in done.err
    assert "--chat-template" in done.err


def test_a_go_template_that_prints_a_percent_sign_in_braces_is_one(call, model):
    assert call("inspect", model(CHATML_TEMPLATE), "--template", "-", stdin=f"{{% {PLAIN}").code == 0


def test_two_templates_are_one_too_many(call, model, tmp_path):
    jinja = tmp_path / "template.jinja"
    jinja.write_text(CHATML_TEMPLATE)
    path = model(CHATML_TEMPLATE)
    done = call("inspect", path, "--template", "-", "--chat-template", jinja, stdin=PLAIN)
    assert done.code == 2
    assert "--template and --chat-template exclude each other" in done.err
    modelfile = tmp_path / "Modelfile"
    modelfile.write_text(f"FROM {path}\nTEMPLATE {PLAIN!r}\n")
    assert call("inspect", modelfile, "--chat-template", jinja).code == 0


@pytest.mark.slow
def test_a_system_prompt_of_a_million_characters_is_no_fault_of_the_chat_template(call, model, tmp_path):
    text = tmp_path / "system.txt"
    text.write_text("Obey. " * 170_000)
    done = call("inspect", model(CHATML_TEMPLATE), "--system-file", text, "--json")
    assert done.code == 0, done.err
    plain = done.json["prompts"]["scores"]["plain"]
    assert plain["exact"] == plain["compared"] > 0
    assert "too small for the system prompt" in done.err
