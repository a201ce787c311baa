"""`ollama:NAME`: models that a server has are made right by the blobs that it has."""

import re

import pytest

from gguf2ollama import Parameter, build, inspect, modelfile, split
from gguf2ollama.errors import NotFound, UsageProblem
from gguf2ollama.names import TEMPORARY_NAMESPACE, ModelName
from gguf2ollama.oci import Digest, MediaType
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore
from tests.builders import CHATML_TEMPLATE, build_gguf, tiny_llama
from tests.calling_templates import JSON_CALLS
from tests.zoo import mtp

pytestmark = pytest.mark.live

# shows all that the chat template shows, so that it is taken instead
TAKEN = (
    "{{ .Tools }}{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}"
    '{{ if .ToolCalls }}{{ .ToolCalls }}{{ end }}{{ if eq .Role "tool" }}.{{ end }}{{ end }}'
)
_WEIGHTS = (MediaType.MODEL, MediaType.PROJECTOR, MediaType.DRAFT)


@pytest.fixture(autouse=True)
def environment(ollama_server, monkeypatch):
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama_server.store))
    monkeypatch.setenv("OLLAMA_HOST", ollama_server.url)


@pytest.fixture
def client(ollama_server):
    with Client(ollama_server.url) as client:
        yield client


def create_plainly(client, path, name, **settings):
    digest = Digest.of(path.read_bytes())
    client.upload_blob(path, digest=digest, size=path.stat().st_size)
    client.create(name, files={path.name: digest}, **settings).drain()


def weights(store, name):
    manifest = LocalStore(store).read_manifest(ModelName.parse(name))
    return [(layer.media_type, layer.digest) for layer in manifest.layers if layer.media_type in _WEIGHTS]


def large_blobs(store):
    return {path.name for path in (store / "blobs").iterdir() if path.stat().st_size > 20_000}


@pytest.mark.parametrize("via", ["link", "pull"])
def test_a_model_made_by_plain_create_is_made_right_with_no_byte_moved(ollama_server, client, tmp_path, via):
    name = f"plain-{via}"
    model = tiny_llama(tmp_path / "m.gguf", metadata={"tokenizer.chat_template": CHATML_TEMPLATE})
    create_plainly(
        client,
        model,
        name,
        parameters={"temperature": 0.25},
        licenses=["One", "Two"],
        messages=[{"role": "user", "content": "Hi"}],
        system="Be brief.",
    )
    assert client.show(name).template != CHATML_TEMPLATE  # one of the server's own
    before, blobs = weights(ollama_server.store, name), large_blobs(ollama_server.store)
    said = []
    result = build(
        f"ollama:{name}", via=via, notify=said.append, parameters=[Parameter(name="top_k", value=7)]
    )
    info = client.show(name)
    assert info.template == CHATML_TEMPLATE
    assert result.plan.inspection.selection.choice.chosen.parity.score("plain").is_exact
    assert (info.parameters["temperature"], info.parameters["top_k"]) == (0.25, 7)
    assert (info.system, info.messages) == ("Be brief.", (("user", "Hi"),))
    assert info.license.split("\n")[:2] == ["One", "Two"]
    assert weights(ollama_server.store, name) == before
    assert large_blobs(ollama_server.store) == blobs
    assert any(line.startswith(f"Kept of {name}:latest: PARAMETER temperature, SYSTEM") for line in said)
    build(f"ollama:{name}", name="again", via=via)  # what is ours stays as it is
    assert client.show("again").license.count("One") == 1
    assert inspect(f"ollama:{name}").recipe.parameters["temperature"].source == f"as in {name}:latest"
    assert "PARAMETER temperature 0.25" in modelfile(f"ollama:{name}")


def test_shards_projector_and_draft_stay_layers(ollama_server, client, tmp_path):
    whole = mtp.make_model(tmp_path / "whole.gguf")
    (tmp_path / "in").mkdir()
    split(whole, tmp_path / "in" / "part", max_tensors=20)  # one layer where Ollama keeps no shards
    projector = build_gguf(
        tmp_path / "mmproj.gguf",
        architecture="clip",
        metadata={"general.type": "mmproj", "clip.has_vision_encoder": True, "clip.vision.block_count": 1},
    )
    draft = mtp.make_draft(tmp_path / "draft.gguf")
    build(tmp_path / "in", name="parts", draft=draft, projectors=[projector], load=False)
    build("ollama:parts", name="parts-again", load=False)
    found = weights(ollama_server.store, "parts-again")
    assert found == weights(ollama_server.store, "parts")
    assert [kind for kind, _ in found][-2:] == [MediaType.PROJECTOR, MediaType.DRAFT]
    build("ollama:parts", name="fewer", load=False, no_draft=True, no_projector=True)
    assert weights(ollama_server.store, "fewer") == found[:-2]


def test_a_modelfile_may_be_made_from_a_model_of_the_server(client, tmp_path):
    create_plainly(client, tiny_llama(tmp_path / "m.gguf"), "base")
    (tmp_path / "Modelfile").write_text("FROM base\nSYSTEM Be kind.\n")
    build(tmp_path / "Modelfile", name="kind")
    assert client.show("kind").system == "Be kind."


def test_what_cannot_be_a_source_is_refused(client, tmp_path):
    with pytest.raises(NotFound, match="never-made"):
        build("ollama:never-made")
    plain = tiny_llama(tmp_path / "m.gguf", metadata={"tokenizer.chat_template": None})
    create_plainly(client, plain, "rendered", renderer="qwen3-coder", parser="qwen3-coder")
    with pytest.raises(UsageProblem, match="built-in renderer qwen3-coder"):
        build("ollama:rendered")


class TestElsewhere:
    """Only the server can read its files: a variant is made over its API."""

    @pytest.fixture(autouse=True)
    def _unreadable(self, monkeypatch):
        monkeypatch.setattr("gguf2ollama.install.server_model._BLOB", re.compile("nothing"))

    def test_a_model_with_tools_is_made_right_by_create_from(self, ollama_server, client, tmp_path):
        model = tiny_llama(tmp_path / "m.gguf", metadata={"tokenizer.chat_template": JSON_CALLS})
        create_plainly(client, model, "tools", parameters={"temperature": 0.25}, licenses=["One"])
        client.create("detected", from_="tools", template=TAKEN).drain()
        assert client.show("detected").template != JSON_CALLS
        blobs = large_blobs(ollama_server.store)
        for name in ("tools", "detected"):
            result = build(f"ollama:{name}", name=f"{name}-again")
            assert result.plan.inspection.selection.choice.chosen.parity.score("plain").is_exact
            assert not any("differently" in warning for warning in result.warnings)
            info = client.show(f"{name}-again")
            assert info.template != TAKEN
            assert info.parameters["temperature"] == 0.25
            assert info.license == "One"
        assert large_blobs(ollama_server.store) == blobs
        assert not any(TEMPORARY_NAMESPACE in model.name for model in client.list())

    def test_what_is_not_enough_is_said(self, client, tmp_path):
        model = tiny_llama(tmp_path / "m.gguf", metadata={"tokenizer.chat_template": CHATML_TEMPLATE})
        create_plainly(client, model, "hidden")
        with pytest.raises(UsageProblem, match="shows its TEMPLATE instead"):
            build("ollama:hidden")
        with pytest.raises(UsageProblem, match="cannot change the header"):
            build("ollama:hidden", chat_template=CHATML_TEMPLATE)
        with pytest.raises(UsageProblem, match="keeps its projector and its draft"):
            build("ollama:hidden", no_projector=True)
