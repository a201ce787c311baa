"""A real model in llama.cpp in process, and the same on a real Ollama."""

import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import psutil
import pytest

import gguf2ollama
from gguf2ollama.engines import process
from gguf2ollama.engines.fit import estimate_need
from gguf2ollama.engines.prompts import render_prompt
from gguf2ollama.engines.settings import EngineSettings
from gguf2ollama.errors import Gguf2OllamaError, InvalidInput
from gguf2ollama.ggufio import ShardSet, split
from gguf2ollama.ollama import Client
from tests.builders import tiny_llama
from tests.live.servers import LLAMA_SERVER

pytestmark = pytest.mark.live

GREEDY = {"temperature": 0, "num_predict": 8}
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
CHATS = [
    QUESTION,
    [{"role": "system", "content": "Answer in ünïcode."}, *QUESTION],
    [*QUESTION, {"role": "assistant", "content": "Paris."}, {"role": "user", "content": "And of Italy?"}],
]


@pytest.fixture(scope="module")
def loaded(smollm2):
    with gguf2ollama.load(smollm2, context=512, threads=1) as model:
        yield model


def said(model):
    return "".join(chunk.content for chunk in model.chat(QUESTION, options=GREEDY))


def test_whole_and_in_shards_a_model_says_the_same(loaded, smollm2, tmp_path):
    shards = split(smollm2, tmp_path / "shards", max_bytes=40_000_000)
    assert len(shards) > 1
    with gguf2ollama.load(shards[-1], context=512, threads=1) as sharded:
        assert said(sharded) == said(loaded)
    assert said(loaded)


def test_llama_cpp_ollama_and_the_chat_template_make_the_same_prompt(loaded, smollm2, newest_ollama):
    result = gguf2ollama.build(smollm2, name="same-prompt", host=newest_ollama.url, verify=False, load=False)
    with Client(newest_ollama.url) as client:
        for messages in CHATS:
            prompt = loaded.prompt(messages)
            assert prompt == render_prompt(loaded._authors, messages, think=None)
            assert prompt == client.render(result.name, messages)


def test_an_answer_has_its_figures_and_ends_where_its_reader_does(loaded):
    *pieces, last = loaded.chat(QUESTION, options=GREEDY)
    assert last.done
    assert last.metrics.eval_count == 8
    assert last.metrics.prompt_eval_count > 8
    assert "".join(piece.content for piece in pieces)
    story = loaded.generate("Once upon a time", options={"num_predict": 400})
    assert next(story).content
    story.close()
    assert said(loaded)


def test_nobody_else_can_ask_llama_cpp(loaded):
    (listener,) = [
        connection
        for connection in psutil.Process(loaded._process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listener.laddr.ip == "127.0.0.1"
    for path in ("completion", "v1/chat/completions", "apply-template"):
        request = urllib.request.Request(
            f"http://127.0.0.1:{listener.laddr.port}/{path}", data=b'{"prompt": "x", "messages": []}'
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)  # noqa: S310 - of our own engine
        with caught.value as refused:
            assert refused.code == 401


def test_memory_grows_by_what_was_loaded(loaded):
    before, after = loaded.report.before, loaded.report.after
    assert after.resident - before.resident > 90_000_000
    assert loaded.memory().resident > before.resident


def test_an_architecture_that_llama_cpp_does_not_know_is_named(tmp_path):
    strange = tiny_llama(tmp_path / "strange.gguf")
    content = strange.read_bytes()
    strange.write_bytes(content.replace(b"llama", b"llamo"))
    with pytest.raises(InvalidInput, match="unknown model architecture: 'llamo'"):
        gguf2ollama.load(strange)


@pytest.mark.skipif(sys.platform == "win32", reason="it has no signals")
def test_an_engine_that_is_killed_while_loading_is_reported(smollm2, monkeypatch):
    started = process.EngineProcess._send

    def send(self, message):  # stopped before it can read, it is killed in the middle of its work
        os.kill(self.pid, signal.SIGSTOP)
        started(self, message)
        threading.Thread(target=os.kill, args=(self.pid, signal.SIGKILL)).start()

    monkeypatch.setattr(process.EngineProcess, "_send", send)
    with pytest.raises(Gguf2OllamaError, match=r"signal 9 \(SIGKILL\) while loading"):
        gguf2ollama.load(smollm2)


def test_the_program_answers_without_any_server(smollm2):
    command = [sys.executable, "-m", "gguf2ollama", "run", "--engine", "llama.cpp", smollm2, "--ctx", "512"]
    done = subprocess.run(
        [*map(str, command), "--param", "temperature=0", "--param", "num_predict=8", QUESTION[0]["content"]],
        env=os.environ | LLAMA_SERVER | {"OLLAMA_HOST": "127.0.0.1:1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_measurement_stands_beside_the_estimate(smollm2, newest_ollama):
    found = list(
        gguf2ollama.measure(
            smollm2,
            engines=["llama.cpp", "ollama"],
            gpu_layers=[0],
            contexts=[2048],
            tokens=4,
            threads=1,
            host=newest_ollama.url,
        )
    )
    assert [measurement.engine for measurement in found] == ["llama.cpp", "ollama"]
    assert found[0].reported is None
    assert found[1].reported == pytest.approx(found[1].need.total, rel=0.1)
    for measurement in found:
        assert measurement.problem is None
        # what the estimate does not count: code of the library, tokens, threads
        assert 0 < measurement.ram_growth - measurement.need.ram < 80_000_000
        assert measurement.answer_tokens == 4
        assert measurement.answer_rate > 0
        assert measurement.first_seconds > 0
    assert gguf2ollama.ps(host=newest_ollama.url) == ()
    with Client(newest_ollama.url) as client:
        assert not [model for model in client.list() if "engine" in model.name]


def test_llama_cpp_quantizes_and_the_model_still_answers(smollm2, llama_tool, tmp_path):
    target, warnings = tmp_path / "q8_0.gguf", []
    gguf2ollama.quantize(smollm2, target, "Q8_0", program=llama_tool("llama-quantize"), warn=warnings.append)
    assert "is quantized already" in warnings[0]
    with gguf2ollama.load(target, context=512, threads=1) as model:
        assert said(model)


@pytest.mark.parametrize("layers, gpu, ram", [(0, 0, 92.10), (8, 43.49, None), (31, 92.10, 28.69)])
def test_the_weights_of_layers_are_those_that_llama_cpp_put_on_a_device(smollm2, layers, gpu, ram):
    """MiB that llama.cpp v0.5.0 logged for this file on Mesa's lavapipe; with 8 layers it maps all of it."""
    model = ShardSet.discover(smollm2)
    need = estimate_need(
        model, engine="llama.cpp", settings=EngineSettings(), layers=layers, hardware=None
    ).estimate.by_device
    assert sum(memory.weights for name, memory in need.items() if name != "cpu") / 2**20 == pytest.approx(
        gpu, abs=0.01
    )
    assert ram is None or need["cpu"].weights / 2**20 == pytest.approx(ram, abs=0.01)
