"""For what a build makes no model: only what users meet, and a plain ``ollama create`` gets right."""

import dataclasses
from types import SimpleNamespace

import pytest

from gguf2ollama import build
from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.comparison import Verdict
from gguf2ollama.errors import UsageProblem, VerificationFailed
from gguf2ollama.ollama import Client
from gguf2ollama.ollama_template.given_renderers import GIVEN_RENDERERS
from gguf2ollama.verification.prompt_check import Mismatches
from tests.builders import CHATML_TEMPLATE, tiny_llama
from tests.calling_templates import JSON_CALLS, XML_CALLS
from tests.fakes.ollama_server import Answer, FakeOllama

RENDER = "POST /api/chat"
BY_NAME = {one.name: number for number, one in enumerate(battery())}


@pytest.fixture(autouse=True)
def _nothing_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "none"))


@pytest.fixture
def server():
    with FakeOllama() as server:
        yield server


@pytest.fixture
def gguf(tmp_path):
    return tiny_llama(tmp_path / "tiny.gguf", chat_template=CHATML_TEMPLATE)


def surprise(monkeypatch, *names, everywhere=False):
    """Have the server print something else for conversations: of our model, or of whatever model."""
    render = Client.render
    contents = {battery()[BY_NAME[name]].messages[-1].content for name in names}
    first = []

    def other(self, name, messages, **more):
        prompt = render(self, name, messages, **more)
        first.append(str(name))
        is_ours = everywhere or str(name) == first[0]
        return "something else" if is_ours and messages[-1]["content"] in contents else prompt

    monkeypatch.setattr(Client, "render", other)


def test_a_usual_chat_that_create_gets_right_makes_no_model(server, gguf, monkeypatch):
    surprise(monkeypatch, "one turn")
    with pytest.raises(VerificationFailed, match=r"plain conversations .* a plain `ollama create` is right"):
        build(gguf, name="mine", host=server.url, via="pull")
    assert not server.store.models


def test_it_is_made_where_that_is_allowed(server, gguf, monkeypatch):
    surprise(monkeypatch, "one turn")
    built = build(gguf, name="mine", host=server.url, via="pull", allow_mismatch=True)
    assert len(built.differences) == 1
    assert set(server.store.models) == {"mine:latest"}


def test_a_chat_template_of_the_user_has_to_render_on_the_server(server, gguf, monkeypatch):
    surprise(monkeypatch, "one turn", everywhere=True)
    given = CHATML_TEMPLATE.replace("assistant", "helper")
    with pytest.raises(VerificationFailed, match="render differently than your template should"):
        build(gguf, name="mine", host=server.url, via="pull", chat_template=given)
    assert not server.store.models


def test_a_usual_chat_that_create_gets_wrong_as_well_is_a_warning(server, gguf, monkeypatch):
    surprise(monkeypatch, "one turn", everywhere=True)
    built = build(gguf, name="mine", host=server.url, via="pull")
    assert built.differences == ()
    (warning,) = built.warnings
    assert "plain conversations (one turn" in warning
    assert "render differently from the model's chat template on this server" in warning


@pytest.mark.parametrize("name", ["nothing but white space", "odd white space", "answer to be continued"])
def test_what_hardly_any_chat_has_is_a_warning(server, gguf, monkeypatch, name):
    conversation = battery()[BY_NAME[name]]
    render = Client.render

    def other(self, model, messages, **more):
        is_it = [one["content"] for one in messages] == [one.content for one in conversation.messages]
        return "something else" if is_it else render(self, model, messages, **more)

    monkeypatch.setattr(Client, "render", other)
    built = build(gguf, name="mine", host=server.url, via="pull")
    assert name in built.warnings[0]


def test_a_server_that_shows_no_prompts_is_accepted(server, gguf):
    server.inject(RENDER, Answer(status=500, body='{"error": "no such debug option"}'), times=1000)
    built = build(gguf, name="mine", host=server.url, via="pull")
    assert "plain conversations" in built.warnings[0]


def test_a_capability_that_create_has_must_not_be_lost(server, tmp_path, monkeypatch):
    path = tiny_llama(tmp_path / "calling.gguf", chat_template=JSON_CALLS)
    show, seen = Client.show, []

    def without(self, name, **more):
        info = show(self, name, **more)
        seen.append(str(name))
        if str(name) != seen[0]:
            return info
        kept = tuple(one for one in info.capabilities if one != "tools")
        return dataclasses.replace(info, capabilities=kept)

    monkeypatch.setattr(Client, "show", without)
    with pytest.raises(VerificationFailed, match="the model should support tools"):
        build(path, name="mine", host=server.url, via="pull")


def test_a_capability_that_nobody_gets_there_is_a_warning(server, tmp_path):
    path = tiny_llama(tmp_path / "calling.gguf", chat_template=JSON_CALLS)
    server.altered["capabilities"] = ["completion"]
    built = build(path, name="mine", host=server.url, via="pull")
    assert any("does not see that the model supports" in one for one in built.warnings)


@pytest.mark.parametrize("architecture", ["gemma4", "laguna", "nemotron_h", "nemotron_h_moe"])
@pytest.mark.parametrize("text", [CHATML_TEMPLATE, XML_CALLS])
def test_an_upload_of_what_ollama_has_a_renderer_for_is_made_and_names_it(
    server, tmp_path, architecture, text
):
    metadata = {"general.architecture": architecture, f"{architecture}.context_length": 2048}
    path = tiny_llama(tmp_path / "given.gguf", chat_template=text, metadata=metadata)
    built = build(path, name="mine", host=server.url, via="upload")
    replaced, compared = built.warnings
    renderer = GIVEN_RENDERERS[architecture]
    assert f"Ollama renders its chats with the built-in renderer {renderer}" in replaced
    assert "replaces the chat template in the GGUF" in built.plan.inspection.warnings[0]
    assert not [one for one in built.plan.inspection.warnings if "conversations" in one], (
        "nothing is predicted"
    )
    assert "--via link or pull keeps" in replaced
    assert f"render differently with {renderer}" in compared
    assert server.store.models["mine:latest"].template == ""
    built = build(path, name="other", host=server.url, via="pull")
    assert built.warnings == ()
    assert server.store.models["other:latest"].renderer == ""


@pytest.mark.parametrize("via", ["pull", "upload"])
@pytest.mark.parametrize(
    "architecture,renderer",
    [("gemma4", "gemma4"), ("laguna", "laguna"), ("nemotron_h_moe", "nemotron-3-nano")],
)
def test_without_a_chat_template_such_a_model_gets_that_renderer_by_any_way(
    server, tmp_path, architecture, renderer, via
):
    metadata = {"general.architecture": architecture, f"{architecture}.context_length": 2048}
    path = tiny_llama(tmp_path / "bare.gguf", chat_template=None, metadata=metadata)
    built = build(path, name="mine", host=server.url, via=via)
    made = server.store.models["mine:latest"]
    assert made.renderer == made.parser == renderer
    assert built.warnings == ()
    (warning,) = (one for one in built.plan.inspection.warnings if "chat template" in one)
    assert (
        warning == f"the file has no chat template; Ollama's built-in renderer {renderer} renders its chats"
    )


@pytest.mark.parametrize("default,warns", [("false", True), ("true", False)])
def test_thinking_that_ollama_turns_on_and_the_model_would_not_is_a_warning(server, tmp_path, default, warns):
    switch = f"{{% if enable_thinking | default({default}) %}}<think>{{% else %}}<think></think>{{% endif %}}"
    path = tiny_llama(tmp_path / "thinks.gguf", chat_template=CHATML_TEMPLATE + switch)
    built = build(path, name="mine", host=server.url)
    assert any("turns reasoning on" in one for one in built.plan.inspection.warnings) is warns


def test_others_without_a_chat_template_continue_text(server, tmp_path):
    built = build(tiny_llama(tmp_path / "base.gguf", chat_template=None), name="mine", host=server.url)
    assert server.store.models["mine:latest"].renderer == ""
    assert "looks like a base model" in built.plan.inspection.warnings[0]


def test_a_template_of_the_user_that_a_renderer_would_replace_is_refused(server, tmp_path):
    metadata = {"general.architecture": "gemma4", "gemma4.context_length": 2048}
    path = tiny_llama(tmp_path / "given.gguf", metadata=metadata)
    with pytest.raises(UsageProblem, match="built-in renderer gemma4, which replaces the TEMPLATE"):
        build(path, name="mine", host=server.url, via="upload", template="{{ .Prompt }}")
    assert not server.store.models


def test_mismatches_are_parted_by_whether_users_meet_them():
    cases = tuple(
        SimpleNamespace(conversation=one, verdict=Verdict.different)
        for one in battery()
        if one.name in {"one turn", "two tools", "thinking on", "odd white space", "answer to be continued"}
    )
    as_json = SimpleNamespace(conversation=battery()[BY_NAME["one tool"]], verdict=Verdict.json_equal)
    found = Mismatches((*cases, as_json))
    assert {case.conversation.name for case in found.usual.cases} == {"one turn", "two tools", "thinking on"}
    assert {case.conversation.feature for case in found.rare.cases} == {"odd", "prefill", "tools"}
    assert str(found.usual.without({"one turn", "thinking on"})) == "1 tools conversations (two tools)"
    assert not found.without({conversation.name for conversation in battery()})


# what a server is set up to render with, whatever is there (OLLAMA_GO_TEMPLATE)


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_a_server_that_takes_every_template_gets_none_that_is_to_be_passed_over(server, tmp_path, via):
    path = tiny_llama(tmp_path / "calling.gguf", chat_template=XML_CALLS)
    server.store.rendering = "TEMPLATE"
    notes = []
    built = build(path, name="mine", host=server.url, via=via, notify=notes.append)
    assert built.plan.inspection.recipe.companion is None
    if via == "pull":  # without a TEMPLATE such a server renders with the chat template
        assert built.plan.inspection.recipe.template_origin == "native"
        assert server.store.models["mine:latest"].template == ""
    else:
        assert built.plan.inspection.recipe.template_origin in {"profile", "synthesised"}
        assert "tools" in built.plan.inspection.recipe.capabilities
    assert any("OLLAMA_GO_TEMPLATE" in note for note in notes) or via == "pull"
    assert set(server.store.models) == {"mine:latest"}


def test_a_server_that_takes_no_template_gets_the_chat_template(server, tmp_path):
    trimmed = "{# You have access to the following functions in JSONSchema format #}" + XML_CALLS
    path = tiny_llama(tmp_path / "calling.gguf", chat_template=trimmed)
    by_capabilities = build(path, name="mine", host=server.url, via="pull")
    assert by_capabilities.plan.inspection.recipe.template.value is not None
    server.store.rendering = "chat template"
    path = tiny_llama(tmp_path / "chatml.gguf", chat_template=JSON_CALLS.replace("<tool_call>", "<call>"))
    built = build(path, name="other", host=server.url, via="pull")
    assert built.plan.inspection.recipe.template_origin in {"native", "patched"}
