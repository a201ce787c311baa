"""Prompts are compared with those the authors meant: before a model is made, and on the server."""

import json

import pytest

from gguf2ollama.ggufio import open_gguf
from gguf2ollama.modelfiles import parse_modelfile
from gguf2ollama.ollama_template import takes_precedence
from tests.builders import CHATML_TEMPLATE, tiny_llama
from tests.calling_templates import TAKEN_FOR_ANOTHER, XML_CALLS
from tests.fakes.ollama_server import Answer

KEY, ORIGINAL_KEY = "tokenizer.chat_template", "gguf2ollama.chat_template"
_PRINTED = (
    "{% for message in messages %}[{{ message.role }}] {{ message.content }} ~~ {% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
# a server passes the date by this name and transformers does not, and no TEMPLATE of ours has the switch, so
# that the header has to be changed
DATED = (
    "{% if not date_string is defined %}{% set date_string = 'May' %}{% endif %}{{ date_string }}"
    "{% if '/brief' in messages[-1].content %} Be brief. {% endif %}" + _PRINTED
)
# llama.cpp begins no answer for it, and a TEMPLATE made of it does
WITHOUT_HEADER = _PRINTED.partition("{% if add")[0]
_UNRULY = "{% if messages|length == 3 %}{{ messages|tojson(indent=3) }}{% endif %}" + _PRINTED
REFUSING = "{{ raise_exception('Nobody may ask.') }}"

_OTHER_PROMPT = Answer(body=json.dumps({"_debug_info": {"rendered_template": "something else"}}))


def compared(server):
    return server.endpoints().count("POST /api/chat")


@pytest.fixture
def dated(tmp_path):
    return tiny_llama(tmp_path / "Dated-Q4_K_M.gguf", chat_template=DATED)


@pytest.fixture
def store(server, tmp_path, monkeypatch):
    """Return the folder of the server's store, which is ours to write."""
    server.store.folder = tmp_path / "models"
    (server.store.folder / "blobs").mkdir(parents=True)
    monkeypatch.setenv("OLLAMA_MODELS", str(server.store.folder))
    return server.store.folder


def weights_in(folder):
    """Read the header of the one GGUF among the blobs of a store."""
    (blob,) = (path for path in (folder / "blobs").iterdir() if path.read_bytes()[:4] == b"GGUF")
    return open_gguf(blob).metadata


def test_a_wrong_prompt_on_the_server_ends_with_6_and_leaves_nothing(call, server, gguf):
    server.inject("POST /api/chat", _OTHER_PROMPT, times=1)
    done = call("build", gguf, "--name", "mine", "--json")
    assert done.code == 6
    assert "1 plain conversations" in done.error["message"]
    assert "--allow-mismatch" in done.error["hint"]
    assert server.store.models == {}


def test_an_allowed_wrong_prompt_is_reported(call, server, gguf):
    server.inject("POST /api/chat", _OTHER_PROMPT, times=1)
    done = call("build", gguf, "--name", "mine", "--allow-mismatch")
    assert done.code == 0, done.err
    assert "1 plain conversations" in done.err
    assert "allowed by --allow-mismatch" in done.err
    assert set(server.store.models) == {"mine:latest"}


def test_without_verification_the_family_decides_and_no_prompt_is_rendered(call, server, gguf):
    done = call("build", gguf, "--no-verify", "--json")
    assert done.code == 0, done.err
    assert compared(server) == 0
    assert done.json["prompts"] is None
    assert done.json["recipe"]["template"]["origin"] == "profile"


def test_without_loading_the_skipped_prompt_check_is_reported(call, server, gguf):
    done = call("build", gguf, "--no-load")
    assert done.code == 0, done.err
    assert compared(server) == 0
    assert "Prompt check skipped (--no-load)" in done.err
    assert "prompt check skipped" not in call("build", gguf, "--no-load", "--no-verify").err


def test_a_template_of_the_user_may_render_differently_with_a_warning(call, server, gguf):
    done = call("build", gguf, "--name", "mine", "--template", "-", stdin="{{ .Prompt }}!")
    assert done.code == 0, done.err
    assert "25 of 25 plain conversations render differently from the model's chat template" in done.err
    assert compared(server) > 0
    assert call("show", "mine", "--json").json["template"] == "{{ .Prompt }}!"


def test_a_template_of_the_user_that_the_server_renders_differently_ends_with_6(call, server, gguf):
    server.inject("POST /api/chat", _OTHER_PROMPT, times=1)
    faithful = call("inspect", gguf, "--no-verify", "--json").json["recipe"]["template"]["value"]
    assert call("build", gguf, "--template", "-", stdin=faithful).code == 6


def test_an_invalid_go_template_is_refused_before_anything_is_sent(call, server, gguf):
    done = call("build", gguf, "--template", "-", stdin="{{ if }}")
    assert done.code == 4, done.err
    assert "the Go template cannot be parsed at line 1" in done.err
    assert not any(one.startswith("POST") for one in server.endpoints())


@pytest.mark.parametrize("via", ["link", "pull", "upload"])
def test_a_header_that_had_to_be_changed_reaches_the_store_with_the_authors_text(
    call, server, store, dated, via
):
    done = call("build", dated, "--name", "mine", "--via", via, "--json")
    assert done.code == 0, done.err
    assert done.json["recipe"]["template"]["origin"] == "patched"
    assert sorted(done.json["recipe"]["patched_keys"]) == [ORIGINAL_KEY, KEY]
    held = server.store.models["mine:latest"].metadata
    assert held[ORIGINAL_KEY] == DATED
    assert held[KEY] != DATED
    assert "date_string_" in held[KEY]
    assert open_gguf(dated).metadata[KEY] == DATED, "the file is as it was"
    assert ORIGINAL_KEY not in open_gguf(dated).metadata


def test_a_store_with_no_server_gets_the_changed_header_too(call, dated, tmp_path):
    done = call("build", dated, "--name", "mine", "--store", tmp_path / "store")
    assert done.code == 0, done.err
    assert weights_in(tmp_path / "store")[ORIGINAL_KEY] == DATED


def test_a_changed_header_is_compared_with_the_authors_text_when_it_is_built_again(call, dated, tmp_path):
    assert call("build", dated, "--name", "mine", "--store", tmp_path / "store").code == 0
    (again,) = (
        path for path in (tmp_path / "store/blobs").iterdir() if path.stat().st_size > dated.stat().st_size
    )
    result = call("inspect", again, "--json").json
    assert (result["prompts"]["origin"], result["recipe"]["patched_keys"]) == ("native", [])
    assert result["prompts"]["exact"] is True


def test_another_chat_template_goes_before_the_one_that_a_changed_header_keeps(call, dated, tmp_path):
    assert call("build", dated, "--name", "mine", "--store", tmp_path / "store").code == 0
    (changed,) = (path for path in (tmp_path / "store/blobs").iterdir() if path.read_bytes()[:4] == b"GGUF")
    result = call("inspect", changed, "--chat-template", "-", "--json", stdin=CHATML_TEMPLATE).json
    assert (result["detection"]["family"], result["prompts"]["exact"]) == ("chatml", True)
    assert sorted(result["recipe"]["patched_keys"]) == [ORIGINAL_KEY, KEY]
    new = tmp_path / "new.gguf"
    assert call("patch-template", changed, "-o", new, "--chat-template", "-", stdin=CHATML_TEMPLATE).code == 0
    assert ORIGINAL_KEY not in open_gguf(new).metadata


def test_variants_that_a_chat_template_of_the_user_replaces_do_not_come_back(call, tmp_path):
    variants = {"tokenizer.chat_templates": ["tool_use"], f"{KEY}.tool_use": "{{ tools }}"}
    path = tiny_llama(tmp_path / "variants.gguf", metadata=variants)
    result = call("inspect", path, "--chat-template", "-", "--json", stdin=DATED).json
    assert result["prompts"]["origin"] == "patched"
    assert sorted(result["recipe"]["patched_keys"]) == sorted([ORIGINAL_KEY, KEY, *variants])


def test_a_stop_that_would_cut_answers_is_left_out_or_refused(call, tmp_path):
    text = _PRINTED.replace(
        "] {{ message", "] {% if message.role == 'assistant' %}No ~~ [user] {% endif %}{{ message"
    )
    path = tiny_llama(tmp_path / "tiny.gguf", chat_template=text)
    done = call("inspect", path, "--json")
    assert done.json["prompts"]["cutting_stops"] == [" ~~ [user]"]
    assert "stop" not in done.json["recipe"]["parameters"]
    assert "is not used: the chat template prints it within answers" in done.err
    done = call("inspect", path, "--param", "stop=[user]")
    assert (done.code, "would cut answers" in done.err) == (2, True), done.err
    assert call("inspect", path, "--param", "stop=[user]", "--no-verify").code == 0


def test_an_ollama_that_cannot_render_gets_a_model_with_a_warning(call, tmp_path):
    path = tiny_llama(tmp_path / "tiny.gguf", chat_template=_UNRULY)
    done = call("build", path, "--store", tmp_path / "store", "--for-ollama", "0.29.0", "--dry-run", "--json")
    assert done.code == 0, done.err
    assert done.json["recipe"]["template"]["origin"] == "none"
    assert "0.29.0 cannot use the chat template in a GGUF" in done.err
    assert "nothing is known to render its chats on Ollama 0.29.0: no TEMPLATE could be generated" in done.err


def test_a_modelfile_says_that_no_server_starts_with_the_chat_template(call, tmp_path):
    text = "{% if messages|length == 4 %}{{ raise_exception('Four is too much.') }}{% endif %}" + _UNRULY
    path = tiny_llama(tmp_path / "tiny.gguf", chat_template=text)
    assert "llama-server does not start with this chat template: Four is" in call("modelfile", path).out


def test_inspect_shows_what_was_tried_and_how_well_it_matches(call, tmp_path):
    path = tiny_llama(tmp_path / "tiny.gguf", chat_template=WITHOUT_HEADER)
    result = call("inspect", path, "--json").json["prompts"]
    assert (result["ollama_version"], result["origin"], result["exact"]) == ("0.34.4", "native", False)
    assert result["scores"]["plain"] == {"exact": 25, "json_equal": 0, "compared": 25}
    assert {case["feature"] for case in result["mismatches"]} == {"prefill"}
    (synthesised,) = result["alternatives"]
    assert synthesised["scores"]["prefill"]["exact"] == 3
    assert synthesised["scores"]["irregular"]["exact"] < 10
    shown = call("inspect", path).out
    rows = [line.split() for line in shown[shown.index("PROMPTS") :].splitlines()]
    assert rows[0] == ["PROMPTS", "RENDERER", "PLAIN", "IRREGULAR", "PREFILL", "ODD"]
    assert rows[1][:3] == ["selected", "native", "25/25"]
    assert rows[2][:2] == ["synthesised", "25/25"]


def test_inspect_compares_nothing_when_it_shall_not(call, gguf):
    assert call("inspect", gguf, "--no-verify", "--json").json["prompts"] is None
    assert "PROMPTS" not in call("inspect", gguf, "--no-verify").out


def test_the_rules_of_a_chat_template_are_explained(call, gguf):
    shown = call("inspect", gguf, "--explain-template").out
    assert "user message:" in shown
    assert "<|im_start|>" in shown[shown.index("RULES") :]
    result = call("inspect", gguf, "--explain-template", "--json").json["explanation"]
    assert result["uncovered_branches"] == []
    assert "{{" in result["go_template"]
    assert "user message:" in result["rules"]


def test_branches_that_no_comparison_reaches_are_named(call, tmp_path):
    odd = CHATML_TEMPLATE + "{% if messages[0].content | length == 54321 %}?{% endif %}"
    path = tiny_llama(tmp_path / "tiny.gguf", chat_template=odd)
    (branch,) = call("inspect", path, "--explain-template", "--json").json["explanation"][
        "uncovered_branches"
    ]
    assert (branch["line"], branch["kind"]) == (1, "if")
    assert "54321" in call("inspect", path, "--explain-template").out.split("BRANCHES")[1]


def test_there_must_be_something_to_explain(call, gguf, tmp_path):
    bare = tiny_llama(tmp_path / "bare.gguf", chat_template=None)
    done = call("inspect", bare, "--explain-template")
    assert (done.code, "no chat template" in done.err) == (3, True), done.err
    assert call("inspect", gguf, "--explain-template", "--no-verify").code == 2


def test_a_modelfile_shows_the_predicted_match_and_may_go_by_the_family(call, gguf):
    assert "Predicted prompt match on Ollama 0.34.4: plain 25/25" in call("modelfile", gguf).out
    assert "Predicted" not in call("modelfile", gguf, "--no-verify").out


def test_a_modelfile_for_a_version_leaves_chats_to_the_chat_template_where_it_can(call, tmp_path):
    path = tiny_llama(tmp_path / "calling.gguf", chat_template=XML_CALLS)
    portable = parse_modelfile(call("modelfile", path).out)
    assert ".Tools" in portable.template
    new = call("modelfile", path, "--for-ollama", "0.34.4").out
    assert "# the chat template in the GGUF precedes it" in new
    companion = parse_modelfile(new)
    assert (companion.requires, ".Tools" in companion.template) == ("0.30.0", True)  # in its comment alone
    assert not takes_precedence(companion.template, XML_CALLS)
    old = parse_modelfile(call("modelfile", path, "--for-ollama", "0.24.0").out)
    assert (old.requires, ".Tools" in old.template) == (None, True)
    assert call("modelfile", path, "--for-ollama", "banana").code == 2


def test_inspect_shows_the_companion_and_why_reasoning_would_show(call, tmp_path):
    path = tiny_llama(tmp_path / "calling.gguf", chat_template=XML_CALLS)
    recipe = call("inspect", path, "--json").json["recipe"]
    assert recipe["template"]["origin"] == "native"
    assert recipe["companion_template"]["has_think_tags"] is True
    assert (recipe["template"]["value"], recipe["requires"]) == (None, "0.30.0")
    assert "the chat template in the GGUF precedes it" in call("inspect", path).out
    thinks = f"{{# <think></think> #}}{_UNRULY}"
    done = call("inspect", tiny_llama(tmp_path / "thinks.gguf", chat_template=thinks))
    assert "warning: reasoning is part of the output of /api/generate" in done.err


@pytest.mark.parametrize("verb", ["build", "inspect", "modelfile"])
def test_a_chat_template_that_takes_no_conversation_is_refused_with_its_own_words(
    call, server, tmp_path, verb
):
    path = tiny_llama(tmp_path / "tiny.gguf", chat_template=REFUSING)
    done = call(verb, path)
    assert done.code == 4, done.err
    assert "Nobody may ask." in done.err
    assert "--template" in done.err
    assert call(verb, path, "--template", "-", stdin="{{ .System }}{{ .Prompt }}").code == 0


_THINKING = (
    "{% for message in messages %}[{{ message.role }}] "
    "{% if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}"
    "{{ message.content }} ~~ {% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)


def _built_for(call, tmp_path, text, version, *options):
    path = tiny_llama(tmp_path / "tiny.gguf", chat_template=text)
    where = ("--store", tmp_path / "store", "--for-ollama", version, "--dry-run", "--json")
    done = call("build", path, *where, *options)
    assert done.code == 0, done.err
    return done


@pytest.mark.parametrize("version,thinks", [("0.5.13", False), ("0.8.0", False), ("0.9.0", True)])
def test_an_ollama_that_knows_no_thinking_gets_a_template_without(call, tmp_path, version, thinks):
    done = _built_for(call, tmp_path, _THINKING, version)
    recipe, prompts = done.json["recipe"], done.json["prompts"]
    assert (".Thinking" in recipe["template"]["value"]) == thinks
    assert (
        f"without .Thinking (not supported by Ollama {version})" in recipe["template"]["source"]
    ) != thinks
    assert prompts["scores"]["plain"]["exact"] == prompts["scores"]["plain"]["compared"] == 25
    assert ("thinking" in recipe["capabilities"]) == thinks


def test_an_ollama_without_dates_gets_the_date_of_the_build_with_a_warning(call, tmp_path):
    text = "{{ strftime_now('%Y-%m-%d') }} " + _PRINTED
    done = _built_for(call, tmp_path, text, "0.11.0")
    assert "currentDate" not in done.json["recipe"]["template"]["value"]
    assert "until you rebuild" in done.err
    done = _built_for(call, tmp_path, text, "0.24.0")
    assert "currentDate" in done.json["recipe"]["template"]["value"]
    assert "until you rebuild" not in done.err


def test_chats_that_fail_on_an_old_ollama_are_reported(call, tmp_path):
    tools = "{% if tools %}{{ tools | tojson }}{% endif %}" + _PRINTED
    done = _built_for(call, tmp_path, tools, "0.5.12")
    assert "fail to render some conversations: the Go template fails for this request" in done.err
    assert "needs Ollama 0.5.13 or later" in done.err
    assert "fail to render" not in _built_for(call, tmp_path, tools, "0.5.13").err


SILENT = (
    "{% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }} {% elif m.role == 'assistant' %}"
    "ASSISTANT: {{ m.content }}</s>{% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
REJECTING = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.mark.parametrize("template", [SILENT, REJECTING])
def test_a_system_prompt_that_the_chat_template_drops_or_rejects_is_said_with_the_first_question(
    call, tmp_path, template
):
    path = tiny_llama(tmp_path / "model.gguf", chat_template=template)
    done = call("inspect", path, "--system", "Be brief.", "--json")
    assert done.code == 0, done.err
    plain = done.json["prompts"]["scores"]["plain"]
    assert plain["exact"] == plain["compared"] > 0


@pytest.mark.parametrize(
    "template, options, is_warned",
    [(SILENT, (), True), (SILENT, ("--system", "Be brief."), False), (CHATML_TEMPLATE, (), False)],
)
def test_system_messages_that_no_prompt_shows_are_warned_of(call, tmp_path, template, options, is_warned):
    path = tiny_llama(tmp_path / "model.gguf", chat_template=template)
    done = call("inspect", path, *options)
    assert done.code == 0, done.err
    assert ("warning: system messages of clients do not reach the model" in done.err) is is_warned


SWITCHED = (
    "{% set off = '/quick' in messages[0].content %}{% for m in messages %}"
    "<{{ m.role }}>{{ m.content.replace('/quick', '').rstrip() }}</end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% if off %}<think></think>{% endif %}{% endif %}"
)


@pytest.mark.parametrize("system", ["Be brief. /quick", "/quick Be brief."])
def test_a_system_prompt_with_a_switch_that_the_chat_template_takes_out_is_said(call, tmp_path, system):
    path = tiny_llama(tmp_path / "model.gguf", chat_template=SWITCHED)
    done = call("inspect", path, "--system", system, "--json")
    assert done.code == 0, done.err
    plain = done.json["prompts"]["scores"]["plain"]
    assert plain["exact"] == plain["compared"] > 0


def test_a_system_prompt_that_no_way_prints_is_refused(call, gguf):
    done = call("inspect", gguf, "--system", "Be brief.", "--template", "-", stdin="{{ .Prompt }}")
    assert done.code == 2
    assert "error: the system prompt would never reach the model: the given TEMPLATE" in done.err
    assert call("inspect", gguf, "--template", "-", stdin="{{ .Prompt }}").code == 0


@pytest.mark.parametrize(
    "tools, is_warned",
    [
        ("{% if 'tools' in messages[0] %}{{ messages[0].tools }}{% endif %}", True),
        ("{% for t in tools or [] %}{{ t | tojson }}{% endfor %}", False),
        ("", False),
    ],
)
def test_tools_that_ollama_claims_and_the_chat_template_never_prints_are_warned_of(
    call, tmp_path, tools, is_warned
):
    path = tiny_llama(tmp_path / "model.gguf", chat_template=CHATML_TEMPLATE + tools)
    done = call("inspect", path)
    assert done.code == 0, done.err
    assert ("never prints the tools that a client offers" in done.err) is is_warned


def test_a_chat_template_that_is_changed_is_checked_as_its_authors_wrote_it(call, tmp_path):
    text = TAKEN_FOR_ANOTHER.replace("{{ m.content }}", "{{ m.content | trim }}")
    path = tiny_llama(tmp_path / "model.gguf", chat_template=text)
    done = call("inspect", path, "--exact")
    assert "would read answers as those of Qwen3-Coder" in done.out
    assert "does not trim non-ASCII whitespace" in done.out
    assert "check the chat template" not in done.err
