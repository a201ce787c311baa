"""Images on real servers, with a tiny projector: they become tokens of the prompt, and are checked."""

import pytest

from gguf2ollama import build
from gguf2ollama.errors import ServerRefused, UsageProblem
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.verification.smoke_tests import run_smoke_tests
from gguf2ollama.verification.verify import verify
from tests.builders import tiny_llama
from tests.zoo.projectors import IMAGE_TOKENS, SOUND_TOKENS, make_projector, make_sound_projector

pytestmark = pytest.mark.live


@pytest.fixture
def client(ollama_server):
    with Client(ollama_server.url) as client:
        yield client


def test_a_picture_is_tokens_of_the_prompt(ollama_server, client, tmp_path):
    tiny_llama(tmp_path / "sees.gguf")
    make_projector(tmp_path / "mmproj.gguf", width=32)
    build(tmp_path, name="sees", host=ollama_server.url)
    assert "vision" in client.show("sees").capabilities
    *_, check = run_smoke_tests(client, "sees", capabilities=["vision"], turn_marks=[])
    assert (check.name, check.state) == ("sees images", "passed"), check.detail
    assert f"has {IMAGE_TOKENS} tokens more" in check.detail
    message = {"role": "user", "content": "Hi", "images": ["bm8gcGljdHVyZQ=="]}
    with pytest.raises(UsageProblem, match="cannot read the image"):
        list(client.chat("sees", [message]))


def test_a_sound_is_tokens_of_the_prompt(ollama_server, client, tmp_path):
    tiny_llama(tmp_path / "hears.gguf")
    make_sound_projector(tmp_path / "mmproj.gguf", width=32)
    build(tmp_path, name="hears", host=ollama_server.url)
    assert "audio" in client.show("hears").capabilities
    checks = {check.name: check for check in verify("hears", host=ollama_server.url).checks}
    assert "sees images" not in checks  # though the server lists that
    check = checks["hears audio"]
    assert check.state == "passed", check.detail
    (tokens,) = [int(word) for word in check.detail.split() if word.isdigit()]
    assert SOUND_TOKENS <= tokens < 2 * SOUND_TOKENS  # with marks around it


def test_ollama_loads_no_model_with_a_projector_of_another_width(client, tmp_path):
    blobs = {}
    for path in (tiny_llama(tmp_path / "m.gguf"), make_projector(tmp_path / "p.gguf", width=64)):
        digest = Digest.of(path.read_bytes())
        client.upload_blob(path, digest=digest, size=path.stat().st_size)
        blobs[path.name] = digest
    client.create("too-wide", files=blobs).drain()
    with pytest.raises(ServerRefused, match="mismatch between text model"):
        client.load("too-wide", tokens=1)


def test_what_does_not_see_fails_the_check(client, tmp_path):
    path = tiny_llama(tmp_path / "blind.gguf")
    digest = Digest.of(path.read_bytes())
    client.upload_blob(path, digest=digest, size=path.stat().st_size)
    client.create("blind", files={"m.gguf": digest}).drain()
    *_, check = run_smoke_tests(client, "blind", capabilities=["vision"], turn_marks=[])
    assert check.state == "failed"
