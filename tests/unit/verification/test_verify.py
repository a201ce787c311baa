"""A model on a server is verified to be prompted as its chat template says, or the differences are shown."""

import inspect
import json

import pytest
from click.testing import CliRunner

from gguf2ollama import build
from gguf2ollama.chat.comparison import Verdict
from gguf2ollama.cli._app import group
from gguf2ollama.errors import InvalidInput, NotFound, ServerProblem, UsageProblem, VerificationFailed
from gguf2ollama.modelfiles import Parameter
from gguf2ollama.names import TEMPORARY_NAMESPACE, ModelName
from gguf2ollama.verification.baseline import NotCompared, OllamaDefault
from gguf2ollama.verification.verify import verify
from tests.builders import tiny_llama
from tests.calling_templates import JSON_CALLS_NO_THOUGHTS, MISREAD, UNFORESEEN_CALLS
from tests.cli.json_keys import check_output
from tests.fakes.ollama_server import Answer, Die, FakeOllama

# of no family, so that it is rendered natively
OWN = (
    "{% for m in messages %}<|im_start|>{{ m.role }} says:\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant says:\n{% endif %}"
)
WRONG = 'W {{ .Prompt }}{{ .Response }}{{/* eq .Role "tool" */}}'


@pytest.fixture(autouse=True)
def _no_digests_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "none"))


@pytest.fixture
def gguf(tmp_path):
    return tiny_llama(tmp_path / "own.gguf", chat_template=OWN)


@pytest.fixture
def server():
    with FakeOllama() as server:
        yield server


def built(server, gguf, *, verify=False, **options):
    """Make the model whatever its prompts are, and forget what that took."""
    build(gguf, name="mine", host=server.url, verify=verify, load=False, **options)
    server.seen.clear()
    return server


def left_behind(server):
    return [name for name in server.store.models if TEMPORARY_NAMESPACE in name]


@pytest.mark.parametrize(
    "text, told",
    [
        (MISREAD["several calls"], "will not parse several tool calls in one answer"),
        (UNFORESEEN_CALLS, "will not parse tool calls that are written"),
        (JSON_CALLS_NO_THOUGHTS, None),
    ],
    ids=["several", "unforeseen", "none"],
)
def test_what_the_server_will_not_parse_of_answers_is_told(server, tmp_path, text, told):
    path = tiny_llama(tmp_path / "calls.gguf", chat_template=text)
    found = verify("mine", host=built(server, path).url, quick=True)
    assert found.rendered_by == "native"
    assert any(told in one for one in found.warnings) if told else found.warnings == ()


@pytest.mark.parametrize("quick", [False, True])
def test_a_model_that_is_prompted_by_its_chat_template_is_verified(server, gguf, quick):
    found = verify("mine", host=built(server, gguf).url, quick=quick)
    assert found.is_verified
    assert (found.name.short, found.version, found.rendered_by, found.is_quick) == (
        "mine:latest",
        "0.34.4",
        "native",
        quick,
    )
    assert found.parity.score("plain").is_exact
    assert [check.name for check in found.checks] == ([] if quick else ["loads", "answers"])
    assert not left_behind(server)
    assert not server.store.loaded


def test_quick_does_not_load_the_model(server, gguf):
    verify("mine", host=built(server, gguf).url, quick=True)
    loads = [one.content for one in server.seen if one.endpoint in {"POST /api/chat", "POST /api/generate"}]
    assert loads
    names = {ModelName.parse(content["model"]) for content in loads}
    assert {(name.namespace, name.model) for name in names} == {(TEMPORARY_NAMESPACE, "mine")}


@pytest.mark.parametrize("quick", [False, True])
def test_a_wrong_template_is_found(server, gguf, quick):
    host = built(server, gguf, template=WRONG).url
    found = verify("mine", host=host, source=gguf, quick=quick)
    assert (found.rendered_by, found.is_verified) == ("TEMPLATE", False)
    assert {case.verdict for case in found.parity.faults} == {Verdict.different}
    assert isinstance(found.ollama_default, OllamaDefault)
    assert found.ollama_default.parity.score("plain").is_exact
    assert not left_behind(server)


def test_what_was_in_memory_stays_there(server, gguf):
    built(server, gguf).store.loaded["mine:latest"] = 4096
    verify("mine", host=server.url)
    assert "mine:latest" in server.store.loaded


def test_the_reference_is_the_chat_template_of_the_source(server, gguf, tmp_path):
    other = tiny_llama(tmp_path / "other.gguf", chat_template="{{ messages[0].content }}")
    found = verify("mine", host=built(server, gguf).url, source=other, quick=True)
    assert (found.rendered_by, found.is_verified) == ("native", False)
    assert found.authors.chat_template == "{{ messages[0].content }}"


def test_a_changed_header_is_compared_with_the_template_that_it_keeps(server, tmp_path):
    metadata = {"gguf2ollama.chat_template": OWN}
    path = tiny_llama(tmp_path / "changed.gguf", chat_template=OWN + "{# more #}", metadata=metadata)
    embedded = set()

    def look(update):
        if "ollama create" in update.task:
            embedded.update(
                server.store.models[name].metadata["tokenizer.chat_template"] for name in left_behind(server)
            )

    found = verify("mine", host=built(server, path).url, progress=look)
    assert found.is_verified
    assert found.authors.chat_template == OWN
    assert embedded == {OWN}
    uploaded = [one.content for one in server.seen if one.endpoint == "POST /api/create"]
    assert [one["info"] for one in uploaded] == [{"model_family": "llama"}]


@pytest.mark.parametrize("quick", [False, True])
def test_a_missing_model_is_an_error(server, quick):
    with pytest.raises(NotFound, match="mine"):
        verify("mine", host=server.url, quick=quick)


def test_without_a_chat_template_anywhere_a_source_is_asked_for(server, gguf):
    with pytest.raises(NotFound, match="no chat template found for mine:latest") as caught:
        verify("mine", host=built(server, gguf, template=WRONG).url)
    assert "--source" in caught.value.hint


def test_a_model_without_a_chat_template_is_an_error(server, tmp_path):
    path = tiny_llama(tmp_path / "base.gguf", chat_template=None)
    for source in (None, path):
        with pytest.raises(NotFound, match="no chat template"):
            verify("mine", host=built(server, path).url, source=source)


def checks_of(found):
    return {check.name: (check.state, check.detail) for check in found.checks}


@pytest.fixture
def embeds(tmp_path):
    header = {"llama.pooling_type": 1, "llama.context_length": 4096}
    return tiny_llama(tmp_path / "embeds.gguf", metadata=header)


def test_an_embedding_model_is_tried_alone(server, embeds):
    found = verify("mine", host=built(server, embeds).url)
    assert found.is_verified
    assert (found.rendered_by, found.authors, found.capabilities) == (None, None, ("embedding",))
    assert checks_of(found) == {
        "embeds": ("passed", "Vectors of 32 numbers."),
        "unit length": ("passed", "Each vector has length 1."),
        "distinguishes texts": ("passed", "Two texts have different vectors."),
        "embeds long texts": ("passed", "The end of a text of 2,401 tokens changes its vector."),
    }
    assert not server.store.loaded


@pytest.mark.parametrize("batch,cut", [(512, 512), (3000, 3000)])
def test_texts_that_are_cut_fail(server, embeds, batch, cut):
    parameters = [Parameter(name="num_batch", value=batch)]
    found = verify("mine", host=built(server, embeds, parameters=parameters).url)
    assert not found.is_verified
    state, detail = checks_of(found)["embeds long texts"]
    assert state == "failed"
    assert f"is cut to {cut:,}" in detail
    assert "set num_batch to num_ctx (4,096)" in detail


@pytest.mark.parametrize(
    "vectors,failed,detail",
    [
        ([[0.0] * 32, [0.0] * 32], {"unit length", "distinguishes texts"}, "All numbers are 0"),
        ([[2.0, *[0.0] * 31], [0.0, 3.0, *[0.0] * 30]], {"unit length"}, "lengths 2, 3"),
        ([[1.0, 0.0], [0.0, 1.0]], {"embeds"}, "Vectors of 2 numbers, and the model has 32"),
        ([[1.0, *[0.0] * 31]], {"embeds"}, "no vectors of one length"),
    ],
)
def test_vectors_that_cannot_be_used_fail(server, embeds, vectors, failed, detail):
    built(server, embeds)
    server.inject("POST /api/embed", Answer(status=200, body=json.dumps({"embeddings": vectors})))
    found = checks_of(verify("mine", host=server.url))
    assert {name for name, (state, _) in found.items() if state == "failed"} >= failed
    assert any(detail in text for _, text in found.values())


def test_a_server_that_cannot_embed_fails_with_its_words(server, embeds):
    built(server, embeds)
    server.inject("POST /api/embed", Answer(status=500, body='{"error": "no pooling"}'), times=9)
    assert checks_of(verify("mine", host=server.url))["embeds"][0] == "failed"


def test_the_command_shows_an_embedding_model_and_writes_its_page(server, embeds, tmp_path):
    built(server, embeds)
    page = tmp_path / "page.html"
    result = CliRunner().invoke(group, ["verify", "mine", "--host", server.url, "--report", str(page)])
    assert result.exit_code == 0
    assert "Verified mine:latest" in result.output
    assert "4 of 4 checks passed" in page.read_text()
    assert "Each conversation" not in page.read_text()
    quick = CliRunner().invoke(group, ["verify", "mine", "--host", server.url, "--quick"])
    assert isinstance(quick.exception, UsageProblem)


FIM = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")


@pytest.mark.parametrize("chat_template", [OWN, None])
def test_filling_in_the_middle_is_tried_where_it_is_claimed(server, tmp_path, chat_template):
    tokens = (*FIM, "<|im_start|>", "<|im_end|>")
    path = tiny_llama(tmp_path / "coder.gguf", chat_template=chat_template, special_tokens=tokens)
    found = verify("mine", host=built(server, path, fim=True, verify=True).url)
    assert found.is_verified
    assert checks_of(found)["fills in the middle"][0] == "passed"


@pytest.mark.parametrize(
    "template,state,detail",
    [
        ("{{ .Prompt }}{{ if .Suffix }}{{ end }}", "failed", "lacks the text around the gap"),
        ("{{ .Prompt }}|{{ .Suffix }}", "inconclusive", "expected '<|fim_prefix|>def add"),
    ],
)
def test_a_prompt_without_the_suffix_fails_and_one_without_the_tokens_is_said(
    server, tmp_path, template, state, detail
):
    tokens = (*FIM, "<|im_start|>", "<|im_end|>")
    path = tiny_llama(tmp_path / "coder.gguf", chat_template=None, special_tokens=tokens)
    found = checks_of(verify("mine", host=built(server, path, template=template).url))
    assert found["fills in the middle"][0] == state
    assert detail in found["fills in the middle"][1]


def test_a_broken_template_of_the_source_is_an_error(server, gguf, tmp_path):
    path = tiny_llama(tmp_path / "broken.gguf", chat_template="{% for %}")
    with pytest.raises(InvalidInput):
        verify("mine", host=built(server, gguf).url, source=path)


def test_a_template_that_rejects_every_conversation_verifies_nothing(server, gguf, tmp_path):
    path = tiny_llama(tmp_path / "never.gguf", chat_template="{{ raise_exception('never') }}")
    assert not verify("mine", host=built(server, gguf).url, source=path, quick=True).is_verified


def test_a_server_that_shows_no_prompts_is_too_old(gguf):
    with (
        FakeOllama(version="0.11.4") as server,
        pytest.raises(UsageProblem, match=r"0\.11\.4 at http://127.* is too old"),
    ):
        verify("mine", host=built(server, gguf).url)


def test_a_model_that_does_not_run_is_an_error(server, gguf):
    built(server, gguf)
    server.inject("POST /api/generate", Answer(status=500, body='{"error": "cannot run"}'), times=9)
    with pytest.raises(ServerProblem, match="cannot run"):
        verify("mine", host=server.url)


def test_a_probe_that_is_prompted_differently_is_an_error(server, gguf):
    def meddle(note):
        if "probe model" in note:
            server.altered = {"template": "{{ .Prompt }}"}

    with pytest.raises(VerificationFailed, match="probe model") as caught:
        verify("mine", host=built(server, gguf).url, quick=True, notify=meddle)
    assert caught.value.hint == "run it without --quick"
    assert not left_behind(server)


# compared with ollama create


def test_a_family_with_a_renderer_of_ollama_is_not_compared(server, tmp_path, gguf):
    path = tiny_llama(tmp_path / "gemma.gguf", metadata={"general.architecture": "gemma4"})
    result = verify("mine", host=built(server, gguf).url, source=path, quick=True).ollama_default
    assert isinstance(result, NotCompared)
    assert "gemma4" in result.reason


def test_a_server_that_cannot_create_the_probe_is_not_compared(server, gguf):
    built(server, gguf)
    server.inject("POST /api/create", Answer(status=500, body='{"error": "unknown kind"}'))
    found = verify("mine", host=server.url)
    assert isinstance(found.ollama_default, NotCompared)
    assert "unknown kind" in found.ollama_default.reason
    assert found.is_verified


def test_a_server_that_is_gone_by_then_is_an_error(server, gguf):
    def meddle(note):
        if "ollama create" in note:
            server.inject("", Die(), times=50)

    with pytest.raises(ServerProblem):
        verify("mine", host=built(server, gguf).url, quick=True, notify=meddle)


# the command


def run(*arguments):
    # click 8.1 mixes both streams unless it is result not to, and 8.2 never does
    is_mixing = "mix_stderr" in inspect.signature(CliRunner).parameters
    runner = CliRunner(mix_stderr=False) if is_mixing else CliRunner()
    return runner.invoke(group, ["verify", *map(str, arguments)])


def test_the_command_shows_both(server, gguf):
    done = run("mine", "--host", built(server, gguf).url)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["PROMPTS", "RENDERER", "PLAIN"]
    assert lines[1].split()[:2] == ["mine:latest", "native"]
    assert lines[2].startswith("ollama create  native")
    assert "Answers and stops" in done.stdout
    assert "all prompts match the model's chat template exactly" in done.stderr


@pytest.mark.usefixtures("all_conversations")
def test_the_command_ends_with_6_and_a_readable_difference(server, gguf):
    done = run("mine", "--host", built(server, gguf, template=WRONG).url, "--source", gguf, "--quick")
    assert isinstance(done.exception, VerificationFailed)
    assert done.exception.exit_code == 6
    assert "different: plain, one turn\n  -<|im_start|>user says:⏎\n" in done.stdout
    assert "  +W Hello" in done.stdout
    assert "more: show them with --verbose" in done.stdout
    assert (
        run("mine", "--host", server.url, "--source", gguf, "--quick", "--verbose").stdout.count("different:")
        > 30
    )


def test_the_command_writes_the_report_also_of_a_failure(server, gguf, tmp_path):
    page = tmp_path / "page.html"
    options = ("--host", built(server, gguf, template=WRONG).url, "--source", gguf, "--quick")
    done = run("mine", *options, "--report", page)
    assert isinstance(done.exception, VerificationFailed)
    assert "<title>Verification of mine:latest</title>" in page.read_text(encoding="utf-8")


@pytest.mark.usefixtures("all_conversations")
def test_json_has_every_conversation(server, gguf):
    done = run("mine", "--host", built(server, gguf).url, "--json", "--quick")
    result = json.loads(done.stdout)
    check_output(("verify",), result)
    assert (result["verified"], result["rendered_by"], result["quick"]) == (True, "native", True)
    assert result["scores"]["plain"]["exact"] == result["scores"]["plain"]["compared"] > 20
    assert result["ollama_create"]["rendered_by"] == "native"
    assert {case["verdict"] for case in result["conversations"]} == {"exact"}
    assert all(case["expected"] == case["actual"] for case in result["conversations"])
