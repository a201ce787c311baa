"""Prompts that a server renders, compared with the reference prompts."""

import re

import pytest

from gguf2ollama import build, plan_build
from gguf2ollama.api.inspect import inspect_for
from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.comparison import Verdict
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import claims_of, read_authors
from gguf2ollama.errors import (
    Gguf2OllamaError,
    InvalidInput,
    RunnerStopped,
    ServerProblem,
    VerificationFailed,
)
from gguf2ollama.ggufio import open_gguf
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client, ServerVersion
from gguf2ollama.planning.options import ModelOptions
from gguf2ollama.planning.target import target_of
from gguf2ollama.sources.model import SourceSelection
from gguf2ollama.verification.prompt_check import (
    compare_at_same_time,
    compare_on_server,
    find_renderer,
    shows_prompts,
)
from tests.builders import CHATML_TEMPLATE, tiny_llama
from tests.calling_templates import XML_CALLS
from tests.fakes.ollama_server import Answer, Die, FakeOllama
from tests.live.native_templates import CHANGING_TEMPLATES

GO_CHATML = (
    "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
    '{{/* eq .Role "tool" */}}'
)
RENDER = "POST /api/chat"
pytestmark = pytest.mark.usefixtures("all_conversations")


@pytest.fixture(autouse=True)
def _no_digests_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "none"))


@pytest.fixture
def server():
    with FakeOllama() as server:
        yield server


@pytest.fixture
def client(server):
    with Client(server.url) as client:
        yield client


def compared(client, gguf, *, rendered_by="native", expected_system="", progress=lambda _: None):
    authors = read_authors(open_gguf(gguf).metadata)
    info = client.show("mine")
    with Renderer() as renderer:
        template = authors.load(renderer)
        return compare_on_server(
            client,
            "mine",
            info,
            authors=authors,
            template=template,
            claims=claims_of(template),
            rendered_by=rendered_by,
            expected_system=expected_system,
            progress=progress,
        )


def test_every_conversation_is_compared(server, client, gguf):
    build(gguf, name="mine", host=server.url, verify=False)
    updates = []
    parity = compared(client, gguf, progress=updates.append)
    assert parity.score("plain").is_exact
    assert len(parity.cases) > 30
    assert updates[-1].is_complete


def test_a_renderer_gets_tools_in_the_order_of_the_client(server, client, tmp_path):
    path = tiny_llama(tmp_path / "calling.gguf", chat_template=XML_CALLS)
    build(path, name="mine", host=server.url, via="pull", verify=False, load=False)
    # the fake server has no renderers: what it prints natively is in that order, too
    parity = compared(client, path, rendered_by="RENDERER")
    assert not parity.score("tools").different
    assert parity.score("tools").json_equal, "Ollama puts `required` before `properties`"


def test_the_system_prompt_of_the_model_is_part_of_the_reference(server, client, gguf):
    build(gguf, name="mine", host=server.url, verify=False, system="Be kind.")
    assert compared(client, gguf, expected_system="Be kind.").score("plain").is_exact
    assert not compared(client, gguf).score("plain").is_exact


def test_a_conversation_that_the_server_refuses_is_different(server, client, gguf):
    build(gguf, name="mine", host=server.url, verify=False)
    server.inject(RENDER, Answer(status=500, body='{"error": "it broke"}'))
    first = compared(client, gguf).cases[0]
    assert first.verdict is Verdict.different
    assert isinstance(first.got, Refused)
    assert "it broke" in first.got.reason


def answers(text):
    """Return what tells one thing after another, the last one for ever."""
    left = list(text)
    return lambda: Rendered(left.pop(0) if len(left) > 1 else left[0])


@pytest.mark.parametrize(
    "rendered, reference, is_exact",
    [
        ("1", "", True),  # an exact prompt is not rendered again
        ("2", "2", True),  # a second went by before the server was asked
        ("23", "3", True),  # and another one while it was
        ("245", "35", True),
        ("2468", "3579", False),
        ("2", "1", False),  # no time in it
        ("2345678", "9876543", False),  # it ends where all goes on and on
    ],
)
def test_a_prompt_that_prints_the_time_is_compared_with_the_reference_of_that_time(
    rendered, reference, is_exact
):
    conversation = next(iter(battery()))
    case = compare_at_same_time(
        conversation, want=Rendered("1"), ask=answers(rendered), render_reference=answers(reference or "no")
    )
    assert (case.verdict is Verdict.exact) is is_exact


def test_a_model_that_prints_the_time_to_the_second_is_built(server, tmp_path):
    text = CHATML_TEMPLATE.replace("{%", "{{ strftime_now('%H:%M:%S') }}{%", 1)
    path = tiny_llama(tmp_path / "clock.gguf", chat_template=text)
    assert build(path, name="mine", host=server.url).differences == ()


def test_a_lost_server_is_not_a_difference(server, client, gguf):
    build(gguf, name="mine", host=server.url, verify=False)
    server.inject(RENDER, Die(), times=20)
    with pytest.raises(ServerProblem):
        compared(client, gguf)


@pytest.mark.parametrize(
    "version,wanted", [("0.11.4", False), ("0.11.5", True), ("0.34.4", True), ("0.0.0", True)]
)
def test_old_servers_show_no_prompts(version, wanted):
    assert shows_prompts(ServerVersion.parse(version)) is wanted


@pytest.mark.parametrize(
    "altered,wanted",
    [
        ({"template": CHATML_TEMPLATE}, "native"),
        ({"template": CHATML_TEMPLATE + "{# changed #}"}, "native"),
        ({"template": "{{ messages[0].content }}"}, "native"),
        ({"template": GO_CHATML}, "TEMPLATE"),
        ({"template": "{{ .Prompt }}"}, "TEMPLATE"),
        ({"template": ""}, "TEMPLATE"),
        ({"template": GO_CHATML, "renderer": "qwen3-coder"}, "RENDERER"),
    ],
)
def test_the_template_shows_what_renders(server, client, gguf, altered, wanted):
    build(gguf, name="mine", host=server.url, verify=False, load=False)
    server.altered = altered
    info = client.show("mine")
    assert find_renderer(info, {"tokenizer.chat_template": CHATML_TEMPLATE}) == wanted
    assert find_renderer(info, {}) == wanted


# while a model is built


def test_a_build_with_the_right_prompts_has_no_mismatch(server, gguf):
    built = build(gguf, name="mine", host=server.url)
    assert built.differences == ()
    assert RENDER in server.endpoints()
    assert not server.store.loaded


@pytest.mark.parametrize("options", [{"verify": False}, {"load": False}])
def test_without_loading_or_verifying_no_prompt_is_compared(server, gguf, options):
    assert build(gguf, name="mine", host=server.url, **options)
    assert RENDER not in server.endpoints()


def test_a_wrong_plain_prompt_creates_no_model(server, gguf):
    server.inject(RENDER, Answer(status=500, body='{"error": "it broke"}'), times=4)
    with pytest.raises(VerificationFailed, match=r"4 plain conversations \(.*, …\)") as caught:
        build(gguf, name="mine", host=server.url)
    assert "--allow-mismatch" in caught.value.hint
    assert not server.store.models
    assert not server.store.loaded


def test_an_allowed_mismatch_is_reported(server, gguf):
    server.inject(RENDER, Answer(status=500, body='{"error": "it broke"}'))
    built = build(gguf, name="mine", host=server.url, allow_mismatch=True)
    assert any("1 plain conversations" in one for one in built.differences)
    assert list(server.store.models) == ["mine:latest"]


def test_a_server_that_is_gone_while_prompts_are_compared_makes_no_model(server, gguf):
    server.inject(RENDER, Die(), times=20)
    with pytest.raises(ServerProblem):
        build(gguf, name="mine", host=server.url)
    assert not server.store.models


RUNNER_GONE = Answer(
    status=500,
    body='{"error": "llama-server apply-template error: Post \\"http://127.0.0.1:1/apply-template\\": EOF"}',
)


def test_a_prompt_during_which_the_model_is_unloaded_is_asked_for_again(server, gguf):
    server.inject(RENDER, RUNNER_GONE)
    assert build(gguf, name="mine", host=server.url, via="pull").differences == ()


def test_a_runner_that_ends_each_time_is_no_prompt_that_differs(server, gguf):
    server.inject(RENDER, RUNNER_GONE, times=100)
    with pytest.raises(RunnerStopped, match="EOF"):
        build(gguf, name="mine", host=server.url, via="pull")
    assert not server.store.models


def test_a_predicted_mismatch_is_accepted(server, tmp_path):
    # no TEMPLATE and no Ollama sends the thinking of earlier turns natively
    thinks = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
        "{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    )
    path = tiny_llama(tmp_path / "thinks.gguf", chat_template=thinks)
    built = build(path, name="mine", host=server.url, via="pull")
    assert built.differences == ()


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_replies_that_ollama_cuts_for_qwen3_are_accepted(server, tmp_path, via):
    path = tiny_llama(tmp_path / "qwen3.gguf", architecture="qwen3")
    template = GO_CHATML if via == "upload" else None
    assert build(path, name="mine", host=server.url, via=via, template=template).differences == ()


def test_the_name_that_a_model_will_have_is_known_where_its_prompts_are_predicted(gguf, tmp_path):
    def spoiled(name):
        plan = plan_build(gguf, name=name, store=tmp_path / "store")
        return [case.conversation.name for case in plan.inspection.selection.choice.chosen.parity.faults]

    assert "nothing but white space" in spoiled("me/deepseek-r1:7b")
    assert "nothing but white space" not in spoiled("me/deepseek-r1-7b")
    assert "nothing but white space" not in spoiled("deepseek-r1/me")


def test_a_template_with_which_the_model_cannot_be_loaded_is_refused_before_anything_is_made(
    server, tmp_path
):
    path = tiny_llama(tmp_path / "drops.gguf", chat_template=CHANGING_TEMPLATES["calls are dropped"])
    with pytest.raises(VerificationFailed, match="cannot load mine:latest: llama-server does not start"):
        build(path, name="mine", host=server.url, via="pull")
    with pytest.raises(VerificationFailed, match="cannot load"):
        build(path, name="mine", store=tmp_path / "store")
    assert str(Digest.of(path.read_bytes())) not in server.store.blobs
    assert not (tmp_path / "store").exists()
    assert build(path, name="mine", store=tmp_path / "store", allow_mismatch=True)


def test_an_upload_of_such_a_template_is_refused_when_the_server_fails(server, tmp_path):
    path = tiny_llama(tmp_path / "drops.gguf", chat_template=CHANGING_TEMPLATES["calls are dropped"])
    died = Answer(status=500, body='{"error": "llama-server has terminated"}')
    server.inject("POST /api/generate", died, times=2)  # to be unloaded, and loaded
    with pytest.raises(VerificationFailed, match="cannot load mine:latest: llama-server does not start"):
        build(path, name="mine", host=server.url, via="upload")
    assert not server.store.models


@pytest.mark.parametrize(
    "text,why",
    [
        (CHANGING_TEMPLATES["messages are marked"], "cannot assign attribute on non-namespace object"),
        ("{{ additional_special_tokens[0] }}" + CHATML_TEMPLATE, "'additional_special_tokens' is undefined"),
    ],
)
def test_a_template_that_llama_cpp_alone_renders_makes_a_model_and_nothing_is_compared(
    server, tmp_path, text, why
):
    path = tiny_llama(tmp_path / "alone.gguf", chat_template=text)
    built = build(path, name="mine", host=server.url)
    (warning,) = (
        one for one in built.plan.inspection.warnings if one.startswith("no prompts can be compared")
    )
    assert "transformers does not render its chat template" in warning
    assert why in warning
    with pytest.raises(InvalidInput, match=re.escape(why)):  # and older ones have nothing to render it with
        inspect_for(
            path,
            selection=SourceSelection(),
            options=ModelOptions(),
            target=target_of(ServerVersion.parse("0.24.0")),
        )


@pytest.mark.usefixtures("own_worker")
def test_without_a_second_process_the_hint_names_no_verify(server, gguf, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", str(tmp_path / "none"))
    with pytest.raises(Gguf2OllamaError, match="failed to start") as caught:
        build(gguf, name="mine", host=server.url)
    assert "--no-verify" in caught.value.hint
    assert not server.store.models
    assert build(gguf, name="mine", host=server.url, verify=False)


def test_no_prompts_are_requested_from_an_old_server(gguf):
    with FakeOllama(version="0.11.4") as server:
        assert build(gguf, name="mine", host=server.url)
        assert RENDER not in server.endpoints()
