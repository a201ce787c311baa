"""Real servers of before 0.30, which run models by themselves, with a Go TEMPLATE alone (``make live-old``).

What they do otherwise than newer ones is told here: shards are refused, the chat template in a GGUF plays no
part, there is no thinking before 0.9, and no look at a prompt before 0.11.5.
"""

import json
import shutil
import subprocess
import sys

import pytest

from gguf2ollama import build, split
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.names import TEMPORARY_NAMESPACE
from gguf2ollama.ollama import Client, ServerFeatures, ServerVersion
from tests.builders import build_shards, tiny_llama
from tests.live import parts
from tests.live.test_client_contract import send

pytestmark = [pytest.mark.live, pytest.mark.older]

VIAS = ("link", "pull", "upload")
STEADY = {"temperature": 0, "seed": 7, "num_predict": 8}
TALK = [
    {"role": "user", "content": "1 + 1?"},
    {"role": "assistant", "content": "2", "thinking": "Two."},
    {"role": "user", "content": "And 2 + 2?"},
]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"type": "string", "description": "Where.", "enum": ["Bern"]}},
        },
    },
}
CALL = {"function": {"name": "weather", "arguments": {"city": "Bern"}}}
TOOL_TALK = [
    {"role": "user", "content": "Is it warm in Bern?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "22", "tool_name": "weather"},
]
# in our own words: thinking, the date, and tools as JSON, in ChatML's form
TALKATIVE = (
    "{% if tools %}<|im_start|>tools\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.reasoning_content %}<think>\n{{ message.reasoning_content }}\n</think>\n\n{% endif %}"
    "{{ message.content }}"
    "{% for call in message.tool_calls %}<tool_call>\n{{ call.function | tojson }}\n</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DATED = "{{ strftime_now('%Y-%m-%d') }} " + TALKATIVE


@pytest.fixture(scope="module", params=parts.OLD_OLLAMAS, ids=lambda part: part.version)
def server(request, ollama_pool):
    return ollama_pool(request.param)


@pytest.fixture(autouse=True)
def _ours(monkeypatch, tmp_path, server):
    """Know of the server's own store alone, and remember no digests."""
    monkeypatch.setenv("OLLAMA_MODELS", str(server.store))
    monkeypatch.setenv("GGUF2OLLAMA_PARTS", str(parts.cache_dir()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def client(server):
    with Client(server.url) as client:
        yield client


@pytest.fixture(scope="module")
def version(client):
    return client.version()


@pytest.fixture(scope="module")
def model(smollm2, tmp_path_factory):
    """Return the real model as a file of its own, on the file system of the servers' stores."""
    path = tmp_path_factory.mktemp("model") / smollm2.name
    shutil.copy(smollm2, path)
    path.chmod(0o644)
    return path


@pytest.fixture(scope="module")
def shards(model, tmp_path_factory):
    return split(model, tmp_path_factory.mktemp("shards") / "smol", max_tensors=100)


def command(server, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "gguf2ollama", *map(str, arguments)],
        env=server.environment | {"OLLAMA_HOST": server.url, "OLLAMA_MODELS": str(server.store)},
        capture_output=True,
        text=True,
        check=False,
    )


def say(client, name, messages=TALK, **options):
    return "".join(chunk.content for chunk in client.chat(name, messages, options=STEADY, **options))


def takes(version, via):
    return via != "upload" or ServerFeatures.of(version).takes_files


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("source", ["file", "shards"])
def test_a_model_comes_by_every_way_and_answers(server, client, version, model, shards, via, source):
    if not takes(version, via):
        pytest.skip("models are made over the interface from 0.5.5 on")
    path, name = model if source == "file" else shards[1], f"smol-{source}-{via}"
    built = build(path, name=name, host=server.url, via=via, system="Be brief.", parameters=[])
    assert (built.plan.destination.transport, built.differences) == (via, ())
    shown = client.show(name)
    assert shown.system == "Be brief."
    assert shown.template == built.plan.inspection.recipe.modelfile.template
    assert "<|im_end|>" in shown.parameters["stop"]
    assert say(client, name)
    assert not any(TEMPORARY_NAMESPACE in one.name for one in client.list())
    client.unload(name)
    client.delete(name)


def test_shards_and_the_whole_file_are_the_same_model(server, client, model, shards):
    for name, path in (("whole", model), ("sharded", shards[0])):
        build(path, name=name, host=server.url, load=False)
    layers = [
        json.loads((server.store / f"manifests/registry.ollama.ai/library/{name}/latest").read_bytes())[
            "layers"
        ]
        for name in ("whole", "sharded")
    ]
    # a file that was merged says in its header that it had been split, as that of llama-gguf-split does
    (whole, *others), (merged, *same) = layers
    assert others == same
    assert whole["mediaType"] == merged["mediaType"]
    assert say(client, "sharded") == say(client, "whole") != ""
    client.unload("whole")


def test_the_commands_of_every_day_work(server, model):
    done = command(server, "build", model, "--name", "daily", "--param", "num_predict=8", "--run", "Say hi")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "daily:latest" in command(server, "list").stdout
    shown = command(server, "show", "daily", "--json")
    assert json.loads(shown.stdout)["family"] == "llama", shown.stderr
    assert command(server, "run", "daily", "Say hi").stdout.strip()
    assert "daily:latest" in command(server, "ps").stdout
    for arguments in (("stop", "daily"), ("cp", "daily", "nightly"), ("rm", "daily"), ("rm", "nightly")):
        done = command(server, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)
    assert "daily" not in command(server, "list").stdout


def test_prompts_are_proven_where_the_server_shows_them(server, version, model):
    build(model, name="proven", host=server.url, load=False)
    done = command(server, "verify", "proven", "--json")
    if version < ServerVersion.parse("0.11.5"):
        assert done.returncode == 2, done.stderr
        assert "0.11.5" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verified"] is True


@pytest.mark.parametrize("template", [TALKATIVE, DATED], ids=["talkative", "dated"])
@pytest.mark.parametrize("verify", [True, False], ids=["tried", "guessed"])
def test_no_chat_breaks_at_what_the_server_does_not_know(
    server, client, version, smollm2, tmp_path, template, verify
):
    path = tiny_llama(tmp_path / "talkative.gguf", chat_template=template)
    built = build(path, name="talkative", host=server.url, verify=verify, via="link")
    if built.plan.inspection.recipe.template_origin == "none":
        pytest.skip("no family has this chat template")
    try:
        assert isinstance(say(client, "talkative"), str)
        if version >= ServerVersion.parse("0.5.13"):
            assert isinstance(say(client, "talkative", TOOL_TALK, tools=[TOOL]), str)
        elif any("end in an error" in one for one in built.plan.inspection.recipe.warnings):
            with pytest.raises(Gguf2OllamaError, match="range can't iterate"):
                say(client, "talkative", TOOL_TALK, tools=[TOOL])
    finally:
        client.unload("talkative")
        client.delete("talkative")


def test_a_store_that_was_written_for_it_is_sound(server, model):
    build(model, name="sound", host=server.url, via="link", load=False)
    done = command(server, "doctor", "--store", server.store)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_server_itself_takes_no_shards(client, version, tmp_path):
    if not ServerFeatures.of(version).takes_files:
        pytest.skip("models are made over the interface from 0.5.5 on")
    assert not ServerFeatures.of(version).takes_shards
    files = {one.name: send(client, one.read_bytes()) for one in build_shards(tmp_path, count=3)}

    def make_and_load():
        client.create("in-shards", files=files).drain()
        client.load("in-shards")

    with pytest.raises(Gguf2OllamaError):
        make_and_load()
