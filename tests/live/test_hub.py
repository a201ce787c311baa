"""From a Hub, from ModelScope or from a URL to a chat, for real: sites of the tests, a real Ollama."""

import os
import subprocess
import sys

import pytest

from gguf2ollama.ggufio import ShardSet, split
from tests.builders import tiny_llama
from tests.fakes.hub_server import FakeHub
from tests.fakes.modelscope_server import FakeModelScope
from tests.live import parts

pytestmark = pytest.mark.live

REPOSITORY = "owner/SmolLM2-135M-Instruct-GGUF"


@pytest.fixture
def hub():
    with FakeHub() as hub:
        yield hub


@pytest.fixture
def modelscope():
    with FakeModelScope() as site:
        yield site


@pytest.fixture
def call(hub, modelscope, tmp_path):
    """Return a function that runs the program as a user would."""
    own = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "MODELSCOPE_ENDPOINT": modelscope.url,
        "MODELSCOPE_CACHE": str(tmp_path / "ms"),
        "MODELSCOPE_HOME": str(tmp_path / "ms-home"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "NO_COLOR": "1",
    }
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")} | own

    def one(*arguments, **extra):
        return subprocess.run(
            [sys.executable, "-m", "gguf2ollama", *map(str, arguments)],
            env=environment | extra,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    return one


@pytest.fixture
def host(newest_ollama):
    return newest_ollama.url


@pytest.fixture
def shards(smollm2, tmp_path):
    """The real model in two shards."""
    model = ShardSet.discover(smollm2)
    split(smollm2, tmp_path / "smollm2-135m-instruct-q4_1", max_tensors=len(model.tensors) // 2 + 1)
    found = sorted(tmp_path.glob("*.gguf"))
    assert len(found) == 2
    return found


@pytest.mark.parametrize("scheme", ["hf", "ms"])
def test_shards_of_a_repository_become_a_chat(hub, modelscope, call, host, shards, scheme):
    site = hub if scheme == "hf" else modelscope
    site.add(REPOSITORY, {path.name: path for path in shards})

    done = call(
        *("build", f"{scheme}://{REPOSITORY}", "--quant", "Q4_1", "--name", f"from-{scheme}", "--host", host),
        *("--param", "num_predict=48", "--run", "Say hello."),
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "hashing" not in done.stderr
    for path in shards:  # once, and its header before that
        assert path.stat().st_size <= site.sent[path.name] < path.stat().st_size + 4_000_000


def test_shards_at_a_url_become_a_chat(hub, call, host, shards):
    commit = hub.add(REPOSITORY, {path.name: path for path in shards}).refs["main"]
    folder = (
        f"{hub.url.replace('127.0.0.1', 'localhost')}/{REPOSITORY}/resolve/{commit}"  # no page of the Hub
    )

    done = call(
        *("build", f"{folder}/{shards[1].name}", "--name", "from-a-url", "--host", host),
        *("--param", "num_predict=48", "--run", "Say hello."),
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "hashing" not in done.stderr


@pytest.mark.parametrize("part", parts.OLLAMAS, ids=[part.version for part in parts.OLLAMAS])
def test_a_repository_is_built_from_twice_and_downloaded_once(hub, call, ollama_pool, part, tmp_path):
    server = ollama_pool(part)
    content = tiny_llama(tmp_path / "tiny.gguf").read_bytes()
    hub.add("owner/Tiny-GGUF", {"tiny-Q4_K_M.gguf": content, "tiny-Q8_0.gguf": content})

    for _ in range(2):
        done = call("build", "owner/Tiny-GGUF:q4_k_m", "--name", "tiny-hub", "--host", server.url)
        assert done.returncode == 0, done.stderr

    header_and_file = 2 * len(content)  # it is so small that its header comes with all of it
    assert hub.sent == {"tiny-Q4_K_M.gguf": header_and_file}


def test_without_a_network_the_cache_is_built_from(hub, call, host, tmp_path):
    content = tiny_llama(tmp_path / "tiny.gguf").read_bytes()
    hub.add("owner/Tiny-GGUF", {"tiny-Q4_K_M.gguf": content})
    assert call("download", "owner/Tiny-GGUF").returncode == 0

    done = call("build", "owner/Tiny-GGUF", "--name", "offline-hub", "--host", host, HF_HUB_OFFLINE="1")

    assert done.returncode == 0, done.stderr


def test_a_dry_run_against_a_server_fetches_headers_only(hub, call, host, smollm2):
    hub.add(REPOSITORY, {"smollm2-135m-instruct-Q4_1.gguf": smollm2})

    done = call("build", REPOSITORY, "--dry-run", "--host", host)

    assert done.returncode == 0, done.stderr
    assert "Would create" in done.stderr
    assert sum(hub.sent.values()) < 4_000_000


def test_a_model_is_streamed_into_a_server_and_then_there(hub, call, ollama_server, smollm2, tmp_path):
    name = "smollm2-135m-instruct-Q4_1.gguf"
    hub.add(REPOSITORY, {name: smollm2})
    arguments = ("build", REPOSITORY, "--stream", "--host", ollama_server.url)

    first = call(*arguments, "--name", "streamed", "--param", "num_predict=48", "--run", "Say hello.")
    sent = hub.sent[name]
    second = call(*arguments, "--name", "streamed-again")

    assert first.returncode == 0, first.stderr
    assert first.stdout.strip()
    assert second.returncode == 0, second.stderr
    assert "nothing fetched" in second.stderr
    assert hub.sent[name] - sent < 4_000_000
    assert not list(tmp_path.rglob("*.gguf"))


def test_a_model_of_modelscope_is_streamed_into_a_server(modelscope, call, ollama_server, smollm2, tmp_path):
    name = "smollm2-135m-instruct-Q4_1.gguf"
    modelscope.add(REPOSITORY, {name: smollm2})

    done = call(
        *("build", f"ms://{REPOSITORY}", "--stream", "--name", "ms-streamed", "--host", ollama_server.url),
        *("--param", "num_predict=48", "--run", "Say hello."),
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert not list(tmp_path.rglob("*.gguf"))


def test_a_lock_file_makes_the_same_again(hub, call, host, tmp_path):
    content = tiny_llama(tmp_path / "tiny.gguf").read_bytes()
    repository = hub.add("owner/Tiny-GGUF", {"tiny-Q4_K_M.gguf": content})
    lock = tmp_path / "model.lock"
    first = call("build", "owner/Tiny-GGUF", "--name", "locked-hub", "--host", host, "--lock", lock)
    repository.commit({"tiny-Q4_K_M.gguf": tiny_llama(tmp_path / "other.gguf", seed=3).read_bytes()})

    again = call("build", "owner/Tiny-GGUF", "--name", "locked-hub", "--host", host, "--locked", lock)
    other = call("build", "owner/Tiny-GGUF", "--host", host, "--locked", lock, "--system", "Be brief.")

    assert first.returncode == 0, first.stderr
    assert again.returncode == 0, again.stderr
    assert other.returncode == 6, other.stderr
