"""A model gets its name only if it matches the plan."""

import pytest

from gguf2ollama import build
from gguf2ollama.errors import NotFound, ServerProblem
from gguf2ollama.install.temporary_models import copy_made
from gguf2ollama.names import TEMPORARY_NAMESPACE, ModelName
from gguf2ollama.ollama import Client, manifest_server
from tests.fakes.ollama_server import Answer, FakeOllama


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    with FakeOllama() as server:
        yield server


def asked_for(server):
    """Return the names under which models were made, loaded and prompted."""
    wanted = {f"POST /api/{verb}" for verb in ("generate", "chat", "create", "copy")}
    contents = [request.content for request in server.seen if request.endpoint in wanted]
    return {ModelName.parse(content.get("model") or content["destination"]) for content in contents}


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_every_temporary_model_has_the_model_part_of_the_final_name(server, gguf, via):
    for _ in range(2):  # the second time there is an old model to keep
        build(gguf, name="me/DeepSeek-R1:7b", host=server.url, via=via)
    asked = {name for name in asked_for(server) if not name.host.startswith("127.0.0.1")}
    assert {name.model for name in asked} == {"DeepSeek-R1"}
    assert {name.namespace for name in asked} == {"me", TEMPORARY_NAMESPACE}
    assert set(server.store.models) == {"me/DeepSeek-R1:7b"}


@pytest.fixture
def no_port(monkeypatch):
    """Leave no address of this machine for a server to pull from."""
    monkeypatch.setattr(manifest_server, "_ADDRESS", "192.0.2.1")  # of nobody: RFC 5737


def test_where_no_port_can_be_had_the_way_is_closed_and_another_is_taken(server, gguf, no_port):
    notes = []
    built = build(gguf, name="mine", host=server.url, notify=notes.append)
    assert built.plan.destination.transport == "upload"
    assert any("cannot open a port" in note for note in notes)


def test_where_no_port_can_be_had_and_no_other_way_is_wanted_that_is_said(server, gguf, no_port):
    with pytest.raises(ServerProblem, match="cannot open a port") as caught:
        build(gguf, name="mine", host=server.url, via="pull")
    assert "--via upload" in caught.value.hint
    assert server.store.models == {}


def test_an_old_model_that_does_not_even_run_can_be_replaced(server, gguf):
    build(gguf, name="mine", host=server.url, load=False)
    server.inject("POST /api/generate", Answer(status=500, body='{"error": "blob is missing"}'))
    assert build(gguf, name="mine", host=server.url, load=False, system="new")
    assert server.store.models["mine:latest"].system == "new"


MISSING = Answer(status=404, body='{"error": "model \'mine\' not found"}')


@pytest.mark.parametrize("via,times", [("pull", 1), ("upload", 2)])  # that of an older model comes first
def test_a_copy_that_another_build_disturbed_is_made_again(server, gguf, via, times):
    server.inject("POST /api/copy", MISSING, times=times)
    build(gguf, name="mine", host=server.url, via=via, load=False)
    assert set(server.store.models) == {"mine:latest"}


def test_a_model_that_a_server_misses_twice_is_copied_all_the_same(server, gguf):
    build(gguf, name="mine", host=server.url, via="upload", load=False)
    for endpoint in ("POST /api/copy", "POST /api/show"):
        server.inject(endpoint, MISSING)
    with Client(server.url) as client:
        copy_made(client, ModelName.parse("mine"), to=ModelName.parse("other"))
    assert set(server.store.models) == {"mine:latest", "other:latest"}


def test_a_model_that_is_gone_is_not_copied_for_ever(server, gguf):
    with Client(server.url) as client, pytest.raises(NotFound):
        copy_made(client, ModelName.parse("nope"), to=ModelName.parse("mine"))
    assert server.endpoints().count("POST /api/copy") == 1


def test_a_model_that_a_server_does_not_find_for_a_moment_is_asked_for_again(server, gguf):
    for endpoint in ("POST /api/show", "POST /api/chat", "POST /api/generate"):
        server.inject(endpoint, Answer(status=400, body='{"error": "model is required"}'))
    built = build(gguf, name="mine", host=server.url, via="pull")
    assert not built.differences
    assert set(server.store.models) == {"mine:latest"}


def test_a_backup_that_the_server_cannot_read_is_removed_all_the_same(server, gguf):
    build(gguf, name="mine", host=server.url, via="upload", load=False)
    broken = Answer(status=500, body='{"error": "unexpected end of JSON input"}')
    server.inject("DELETE /api/delete", broken)
    build(gguf, name="mine", host=server.url, via="upload", load=False, system="new")
    assert set(server.store.models) == {"mine:latest"}
