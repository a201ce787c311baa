"""What single chat templates of the corpus are to do for a user, in tiny models built with defaults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gguf2ollama import build
from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.battery.tool_conversations import system, user
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import Authors, as_asked
from gguf2ollama.install import destination
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Digest, MediaType
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore
from tests.builders import tiny_llama
from tests.live import parts
from tests.live.rendering import BOS, EOS, corpus_templates
from tests.live.servers import RunningOllama

pytestmark = pytest.mark.live

_NAME = "corpus-model"


@pytest.fixture(autouse=True)
def _a_home_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remember no digests and no plans; real parts are found all the same."""
    monkeypatch.setenv("GGUF2OLLAMA_PARTS", str(parts.cache_dir()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def client(ollama_server: RunningOllama) -> Iterator[Client]:
    """Return a server on which the model is removed after the test."""
    with Client(ollama_server.url) as client:
        yield client
        client.delete(_NAME)


def _template(start: str) -> str:
    found = [text for name, text in corpus_templates().items() if name.startswith(start)]
    if not found:
        pytest.skip(f"the corpus is not beside the checkout, or has no {start}")
    return found[0]


def _model(folder: Path, text: str) -> Path:
    return tiny_llama(folder / "model.gguf", chat_template=text, special_tokens=(BOS, EOS))


def _meant(text: str, conversations: list[Conversation]) -> list[str]:
    """Return the prompts of chats as the authors mean them, with a model that thinks."""
    authors = Authors(chat_template=text, bos=BOS, eos=EOS)
    with Renderer() as renderer:
        asked = [as_asked(one, thinks=True) for one in conversations]
        outcomes = authors.meant(authors.load(renderer), asked)
    prompts = [outcome.prompt for outcome in outcomes if isinstance(outcome, Rendered)]
    assert len(prompts) == len(conversations)
    return prompts


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_no_think_in_the_system_text_of_smollm3_has_its_effect(
    via: str, ollama_server: RunningOllama, client: Client, tmp_path: Path
) -> None:
    text = _template("SmolLM3-")
    chats = [
        Conversation(name=words, messages=(system(words), user("Hello there!")))
        for words in ("Be brief. /no_think", "Be brief.")
    ]
    build(_model(tmp_path, text), name=_NAME, host=ollama_server.url, via=via)  # type: ignore[arg-type]  # a Via
    off, on = (client.render(_NAME, chat.for_ollama()["messages"]) for chat in chats)
    assert [off, on] == _meant(text, chats)
    assert off.endswith("<think>\n\n</think>\n")
    assert not on.endswith("</think>\n")


def test_a_store_that_shares_no_bytes_takes_glm_4_6_without_a_copy_of_the_weights(
    ollama_server: RunningOllama, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destination, "shares_bytes", lambda _: False)  # as on ext4, wherever this runs
    text = _template("GLM-4.6-")
    path, said = _model(tmp_path, text), list[str]()
    build(path, name=_NAME, store=ollama_server.store, for_ollama=ollama_server.version, notify=said.append)
    (line,) = [line for line in said if line.startswith(f"{path.name}: ")]
    assert line.endswith("(0 bytes copied)")
    manifest = LocalStore(ollama_server.store).read_manifest(ModelName.parse(_NAME))
    assert manifest is not None
    weights = [layer.digest for layer in manifest.layers if layer.media_type == MediaType.MODEL]
    assert weights == [Digest.of(path.read_bytes())]
    usual = [one for one in battery() if one.feature == "plain"]
    assert [client.render(_NAME, one.for_ollama()["messages"]) for one in usual] == _meant(text, usual)
