"""Real servers: ``verify`` proves what is right, finds what is wrong, and leaves things as they were."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from gguf2ollama import build
from gguf2ollama.chat.changes.patches import keep_out_detection
from gguf2ollama.chat.comparison import Verdict
from gguf2ollama.errors import InvalidInput, NotFound, ServerProblem
from gguf2ollama.names import TEMPORARY_NAMESPACE
from gguf2ollama.ollama import Client
from gguf2ollama.verification.baseline import OllamaDefault
from gguf2ollama.verification.verify import verify
from tests.builders import tiny_llama
from tests.live import parts
from tests.live.servers import find_program, running_ollama
from tests.live.test_build import NEAR_ZEPHYR
from tests.live.test_patched_template import TEMPLATE

pytestmark = pytest.mark.live

MESSAGES = [{"role": "user", "content": "Hi"}]
WRONG = 'W {{ .Prompt }}{{ .Response }}{{/* eq .Role "tool" */}}'


@pytest.fixture(autouse=True)
def _no_store(monkeypatch, tmp_path):
    """Know of no store but what a test names, and remember no digests."""
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "none"))
    monkeypatch.setenv("GGUF2OLLAMA_PARTS", str(parts.cache_dir()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def client(ollama_server):
    with Client(ollama_server.url) as client:
        for running in client.ps():
            with contextlib.suppress(NotFound):  # deleted while it was in memory
                client.unload(running.name)
        yield client


@pytest.fixture
def make(ollama_server, client):
    """Return a function that makes a model without a look at its prompts."""
    made = []

    def one(path, name="verified", **options):
        build(
            path, name=name, host=ollama_server.url, load=False, verify=False, allow_mismatch=True, **options
        )
        made.append(name)
        return name

    yield one
    for name in made:
        client.unload(name)
        client.delete(name)


@pytest.fixture(params=["store", "interface"])
def read_from(request, ollama_server, monkeypatch):
    """Let the chat template be found in the server's store, or only be reported by the server."""
    if request.param == "store":
        monkeypatch.setenv("OLLAMA_MODELS", str(ollama_server.store))
    return request.param


def is_clean(client):
    """Whether nothing is left on the server, nor in its memory, where what ends may stay for a moment."""
    end = time.monotonic() + 10
    while client.ps() and time.monotonic() < end:
        time.sleep(0.05)
    return not client.ps() and not any(TEMPORARY_NAMESPACE in model.name for model in client.list())


def test_the_real_model_is_verified_and_ollama_create_is_wrong(ollama_server, client, smollm2, read_from):
    build(smollm2, name="smol", host=ollama_server.url, via="pull", load=False)
    found = verify("smol", host=ollama_server.url)
    assert found.is_verified, [case.conversation.name for case in found.parity.faults]
    assert (found.rendered_by, found.version) == ("native", ollama_server.version)
    assert {check.name: check.state for check in found.checks} == {"loads": "passed", "answers": "passed"}
    assert isinstance(found.ollama_default, OllamaDefault)
    assert found.ollama_default.rendered_by == "TEMPLATE"
    alone = found.ollama_default.parity.score("plain")
    assert 0 < alone.exact < alone.compared, "detection loses the default system prompt, and that alone"
    assert is_clean(client)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("via", ["pull", "upload"])
def test_a_native_model_is_verified_on_every_transport(ollama_server, client, make, tmp_path, via, quick):
    path = tiny_llama(tmp_path / "own.gguf", chat_template=TEMPLATE)
    found = verify(make(path, via=via), host=ollama_server.url, quick=quick)
    assert (found.rendered_by, found.parity.score("plain").is_exact) == ("native", True)
    assert isinstance(found.ollama_default, OllamaDefault)
    assert found.ollama_default.rendered_by == "native"
    assert found.ollama_default.parity.scores == found.parity.scores
    assert is_clean(client)


def test_the_probe_comes_through_the_store_too(ollama_server, client, make, tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama_server.store))
    path = tiny_llama(tmp_path / "zephyr.gguf", chat_template=NEAR_ZEPHYR)
    name = make(path, via="link")
    blobs = set((ollama_server.store / "blobs").iterdir())
    found = verify(name, host=ollama_server.url, quick=True)
    assert (found.rendered_by, found.parity.score("plain").is_exact) == ("native", True)
    assert isinstance(found.ollama_default, OllamaDefault)
    assert found.ollama_default.rendered_by == "TEMPLATE", "that is what detection does"
    assert is_clean(client)
    left = set((ollama_server.store / "blobs").iterdir()) - blobs
    rewrites = ollama_server.features.rewrites_gguf
    assert len(left) == rewrites, "which keeps what it rewrote until it starts again"


@pytest.mark.parametrize("quick", [False, True])
def test_a_wrong_template_is_distinguished_from_the_right_one_of_the_same_weights(
    ollama_server, client, make, tmp_path, quick
):
    path = tiny_llama(tmp_path / "own.gguf", chat_template=TEMPLATE)
    right, wrong = make(path, "right"), make(path, "wrong", template=WRONG)
    for first, second in ((right, wrong), (wrong, right)):
        client.load(first)  # the runner of the other one
        found = {
            name: verify(name, host=ollama_server.url, source=path, quick=quick) for name in (second, first)
        }
        assert (found[right].rendered_by, found[right].parity.score("plain").is_exact) == ("native", True)
        assert (found[wrong].rendered_by, found[wrong].parity.score("plain").exact) == ("TEMPLATE", 0)
        assert {case.verdict for case in found[wrong].parity.faults} == {Verdict.different}
        client.unload(first)


def test_a_build_is_compared_by_its_own_template_beside_a_model_of_the_same_weights(
    ollama_server, client, make, tmp_path
):
    path = tiny_llama(tmp_path / "own.gguf", chat_template=TEMPLATE)
    client.load(make(path, "wrong", template=WRONG))
    assert build(path, name="beside", host=ollama_server.url).differences == ()
    assert client.render("beside", MESSAGES) == "(1) USER wrote: Hi <|im_end|>(2) ASSISTANT wrote: "
    client.unload("beside")
    client.delete("beside")


def test_a_changed_header_is_compared_with_the_template_that_it_keeps(
    ollama_server, client, make, tmp_path, read_from
):
    # a template that no server shows again but in the header of the GGUF
    path = tiny_llama(
        tmp_path / "changed.gguf",
        chat_template=keep_out_detection(NEAR_ZEPHYR).text,
        metadata={"gguf2ollama.chat_template": NEAR_ZEPHYR},
    )
    found = verify(make(path, via="upload"), host=ollama_server.url, quick=True)
    assert (found.rendered_by, found.authors.chat_template) == ("native", NEAR_ZEPHYR)
    assert found.parity.score("plain").is_exact
    assert isinstance(found.ollama_default, OllamaDefault)
    assert found.ollama_default.rendered_by == "TEMPLATE", "without the change"
    assert is_clean(client)


def test_the_messages_and_the_system_prompt_of_a_model_are_part_of_the_reference(
    ollama_server, client, make, tmp_path
):
    path = tiny_llama(tmp_path / "own.gguf", chat_template=TEMPLATE)
    base = make(path, "base", system="Be kind.")
    messages = [{"role": "user", "content": "Once"}, {"role": "assistant", "content": "Then"}]
    client.create("talks", from_=base, messages=messages).drain()
    assert client.render("talks", MESSAGES) == (
        "(1) SYSTEM wrote: Be kind. <|im_end|>(2) USER wrote: Once <|im_end|>"
        "(3) ASSISTANT wrote: Then <|im_end|>(4) USER wrote: Hi <|im_end|>(5) ASSISTANT wrote: "
    )
    for quick in (False, True):
        found = verify("talks", host=ollama_server.url, quick=quick)
        assert found.parity.score("plain").is_exact
    client.unload("talks")
    client.delete("talks")


def test_a_model_in_memory_is_there_afterwards(ollama_server, client, make, tmp_path):
    path = tiny_llama(tmp_path / "own.gguf", chat_template=TEMPLATE)
    name = make(path)
    client.load(name)
    verify(name, host=ollama_server.url)
    assert [running.name for running in client.ps()] == [f"{name}:latest"]


def test_what_cannot_be_verified_is_an_error(ollama_server, make, tmp_path):
    with pytest.raises(NotFound, match="no model nobody"):
        verify("nobody", host=ollama_server.url)
    bare = tiny_llama(tmp_path / "bare.gguf", chat_template=None)
    with pytest.raises(NotFound, match="no chat template"):
        verify(make(bare, "bare"), host=ollama_server.url)
    broken = tiny_llama(tmp_path / "broken.gguf", chat_template="{% for %}")
    with pytest.raises(InvalidInput):
        verify("bare", host=ollama_server.url, source=broken)
    wrong = tiny_llama(tmp_path / "wrong.gguf", chat_template=TEMPLATE)
    with pytest.raises(NotFound, match="no chat template found") as caught:
        verify(make(wrong, "wrong", template=WRONG), host=ollama_server.url)
    assert "--source" in caught.value.hint


def test_the_command_writes_a_page_and_ends_with_6(ollama_server, make, tmp_path):
    path = tiny_llama(tmp_path / "own.gguf", chat_template=TEMPLATE)
    arguments = ["verify", make(path, template=WRONG), "--source", path, "--report", tmp_path / "page.html"]
    done = subprocess.run(
        [sys.executable, "-m", "gguf2ollama", *map(str, arguments), "--json"],
        env=ollama_server.environment | {"OLLAMA_HOST": ollama_server.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6, done.stderr
    result = json.loads(done.stdout)
    assert (result["verified"], result["ollama_version"]) == (False, ollama_server.version)
    assert result["ollama_create"]["rendered_by"] == "native"
    assert result["conversations"][0]["actual"].startswith("W ")
    assert "<del>(1) USER" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("part", parts.OLLAMAS, ids=lambda part: part.version)
def test_a_server_that_dies_while_prompts_are_compared_makes_no_model(part, tmp_path):
    program = find_program(part)
    if program is None:
        from tests.live.conftest import missing  # noqa: PLC0415

        missing(f"Ollama {part.version}")
    path = tiny_llama(tmp_path / "own.gguf", chat_template=TEMPLATE)
    with running_ollama(part, program, tmp_path) as server:

        def kill(update):
            if update.task == "comparing prompts" and update.done == 5:
                os.kill(server.pid, signal.SIGKILL)

        with pytest.raises(ServerProblem) as caught:
            build(path, name="own", host=server.url, progress=kill)
        assert caught.value.hint
    with running_ollama(part, program, tmp_path) as server, Client(server.url) as client:
        assert "own:latest" not in {model.name for model in client.list()}
        assert build(path, name="own", host=server.url)
