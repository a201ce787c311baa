"""Drafts on real servers: their logs show whether tokens are predicted and checked."""

import pytest

from gguf2ollama import build
from gguf2ollama.errors import ServerRefused
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from tests.builders import tiny_llama
from tests.zoo import mtp

pytestmark = pytest.mark.live

PREDICTING = "adding speculative implementation 'draft-mtp'"


@pytest.fixture
def client(ollama_server):
    with Client(ollama_server.url) as client:
        yield client


@pytest.fixture
def log(ollama_server):
    """What the server has logged since the test began."""
    start = ollama_server.log.stat().st_size
    return lambda: ollama_server.log.read_bytes()[start:].decode(errors="replace")


@pytest.mark.parametrize("via", ["link", "pull", "upload"])
def test_a_draft_beside_a_model_predicts_on_every_transport(
    ollama_server, client, log, tmp_path, monkeypatch, via
):
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama_server.store))
    mtp.make_model(tmp_path / "Zoo-35-F32.gguf")
    mtp.make_draft(tmp_path / "mtp-Zoo-35-F32.gguf")
    build(tmp_path, name=f"drafted-{via}", host=ollama_server.url, via=via)
    assert "\nDRAFT " in client.show(f"drafted-{via}").modelfile
    assert PREDICTING in log()


def test_mtp_layers_in_a_model_predict_unless_they_are_not_to(ollama_server, client, log, tmp_path):
    model = mtp.make_model_with_mtp(tmp_path / "m.gguf")
    build(model, name="without-draft", host=ollama_server.url, no_draft=True)
    assert PREDICTING not in log()
    build(model, name="with-mtp", host=ollama_server.url)
    assert client.show("with-mtp").parameters["draft_num_predict"] == 4
    assert PREDICTING in log()


def test_ollama_loads_no_model_with_an_ordinary_draft(client, tmp_path):
    blobs = {}
    for path in (mtp.make_model(tmp_path / "m.gguf"), tiny_llama(tmp_path / "d.gguf")):
        digest = Digest.of(path.read_bytes())
        client.upload_blob(path, digest=digest, size=path.stat().st_size)
        blobs[path.name] = digest
    draft = {"d.gguf": blobs.pop("d.gguf")}
    client.create("ordinary-draft", files=blobs, draft_files=draft).drain()
    with pytest.raises(ServerRefused, match="MTP"):
        client.load("ordinary-draft", tokens=1)
