"""What real servers make of chats: each template rides on a tiny model, written straight into the store.

No ``create`` and so no template detection: without a TEMPLATE of its own a model stays native, and is
rendered by ``llama-server`` with its Jinja text. Prompts are looked at without generating anything
(``_debug_render_only``); answers come of models that say what they are told to.
"""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx2

from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.outcome import Outcome, Refused, Rendered
from gguf2ollama.names import ModelName
from gguf2ollama.oci import Descriptor, Digest, Manifest, MediaType, ModelConfig, go_json
from gguf2ollama.ollama.store import LocalStore
from tests.builders import Architecture, tiny_llama
from tests.live.servers import RunningOllama

if TYPE_CHECKING:
    from typing import Self  # typing's own is there from 3.11 on

BOS, EOS = "<bos-token>", "<eos-token>"  # of every tiny model: words that no template writes of itself
_CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "chat_templates"
_SECONDS = 120  # for one answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a server says of a model before anything is asked: ``capabilities`` of ``/api/show``."""

    capabilities: frozenset[str]


@dataclass(slots=True)
class Told:
    """What a server tells of a whole answer; each call is a name and its arguments."""

    content: str = ""
    thinking: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    reason: str = ""


@dataclass(slots=True)
class RenderingServer:
    """A running server that is asked how it renders chats. A context manager; not for several threads.

    Args:
        ollama: The server; its store is written to.
    """

    ollama: RunningOllama
    _client: httpx2.Client = field(init=False, repr=False)
    _loaded: str | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._client = httpx2.Client(base_url=self.ollama.url, timeout=_SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def render(
        self,
        template_text: str | None,
        conversations: Iterable[Conversation],
        *,
        go_template: str | None = None,
        stops: Sequence[str] = (),
        adds_bos: bool = False,
        family: str = "llama",
        model_name: str = "",
        renderer: str = "",
        parser: str = "",
    ) -> list[Outcome]:
        """Return what the server renders for each conversation; what it answers with an error is ``Refused``.

        Where the model cannot even be loaded, that holds of every conversation.

        Args:
            template_text: The Jinja text in the GGUF; ``None`` leaves it out.
            conversations: What it is asked.
            go_template: A TEMPLATE layer; ``None`` leaves it out, and the model native.
            stops: The ``stop`` parameters of a params layer.
            adds_bos: ``tokenizer.ggml.add_bos_token``.
            family: ``model_family`` in the config, which decides on a few of Ollama's special treatments;
                for ``qwen3`` the GGUF is of that architecture, too, for others a llama.
            model_name: The model part of its name; ``""`` for any.
            renderer: The built-in renderer; ``""`` for none.
            parser: The built-in parser of answers; ``""`` for none.
        """
        architecture: Architecture = "qwen3" if family == "qwen3" else "llama"
        gguf = _tiny_gguf(template_text, adds_bos=adds_bos, architecture=architecture)
        with self.model(
            gguf,
            go_template=go_template,
            stops=stops,
            family=family,
            model_name=model_name,
            renderer=renderer,
            parser=parser,
        ) as name:
            return [self._ask(name, one) for one in conversations]

    def show(
        self,
        template_text: str | None,
        *,
        go_template: str | None = None,
        stops: Sequence[str] = (),
        family: str = "llama",
        parser: str = "",
    ) -> Shown:
        """Return what ``/api/show`` tells of a model that carries these templates."""
        gguf = _tiny_gguf(template_text, adds_bos=False)
        with self.model(gguf, go_template=go_template, stops=stops, family=family, parser=parser) as name:
            answer = self._client.post("/api/show", json={"model": name})
        answer.raise_for_status()
        return Shown(capabilities=frozenset(answer.json()["capabilities"]))

    def _ask(self, name: str, conversation: Conversation) -> Outcome:
        body = conversation.for_ollama() | {
            "model": name,
            "stream": False,
            "truncate": False,
            "_debug_render_only": True,
            "keep_alive": "5m",
        }
        answer = self._client.post("/api/chat", json=body)
        if not answer.is_success:
            return Refused(_reason(answer), "failed")
        return Rendered(answer.json()["_debug_info"]["rendered_template"])

    def answer(
        self, name: str, conversation: Conversation, *, options: Mapping[str, Any] | None = None
    ) -> Told:
        """Return what the server tells of a model's answer, said bit by bit.

        Raises:
            AssertionError: The server refuses, or ends the answer with an error.
        """
        told = Told()
        body = conversation.for_ollama() | {"model": name, "options": dict(options or {"temperature": 0})}
        with self._client.stream("POST", "/api/chat", json=body) as answer:
            lines = [json.loads(line) for line in answer.iter_lines()]
        for line in lines:
            assert "error" not in line, line["error"]
            message = line["message"]
            told.content += message.get("content", "")
            told.thinking += message.get("thinking", "")
            told.calls += [
                (call["function"]["name"], call["function"]["arguments"])
                for call in message.get("tool_calls", ())
            ]
            told.reason = line.get("done_reason", "")
        return told

    @contextlib.contextmanager
    def model(
        self,
        gguf: bytes,
        *,
        go_template: str | None = None,
        stops: Sequence[str] = (),
        family: str = "llama",
        model_name: str = "",
        renderer: str = "",
        parser: str = "",
    ) -> Iterator[str]:
        """Return name of a model that is in the store for as long as the block runs; see :meth:`render`."""
        store = LocalStore(self.ollama.store)
        layers = [(MediaType.MODEL, gguf)]
        if go_template is not None:
            layers.append((MediaType.TEMPLATE, go_template.encode()))
        if stops:
            layers.append((MediaType.PARAMS, go_json({"stop": list(stops)})))
        config = ModelConfig(
            family=family,
            families=(family,),
            parameter_size="50K",
            file_type="F32",
            renderer=renderer,
            parser=parser,
        )
        manifest = Manifest(
            config=_keep(store, MediaType.CONFIG, config.to_bytes()),
            layers=tuple(_keep(store, kind, content) for kind, content in layers),
        )
        name = f"rendering-{Digest.of(manifest.to_bytes()).hex[:24]}/{model_name or 'model'}"
        store.write_manifest(ModelName.parse(name), manifest)
        try:
            yield name
        finally:
            # the next model could not be loaded beside it, and would wait
            self._client.post("/api/generate", json={"model": name, "keep_alive": 0})
            self._client.request("DELETE", "/api/delete", json={"model": name})


def corpus_templates() -> dict[str, str]:
    """Return the chat templates of the corpus beside the checkout by their names; none where it is absent."""
    return {path.stem: path.read_text("utf-8") for path in sorted(_CORPUS.glob("*.jinja"))}


def _keep(store: LocalStore, kind: MediaType, content: bytes) -> Descriptor:
    return Descriptor(media_type=kind.value, digest=store.add_bytes(content), size=len(content))


@functools.lru_cache(maxsize=2)
def _tiny_gguf(jinja: str | None, *, adds_bos: bool, architecture: Architecture = "llama") -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = tiny_llama(
            Path(folder) / "tiny.gguf",
            architecture=architecture,
            chat_template=jinja,
            metadata={"tokenizer.ggml.add_bos_token": adds_bos},
            special_tokens=(BOS, EOS),
            blocks=1,
        )
        return path.read_bytes()


def _reason(answer: httpx2.Response) -> str:
    """Return the error that a server tells; llama-server's own comes as JSON within it."""
    text: Any = answer.text
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = answer.json()["error"]
        text = json.loads(text)["error"]["message"]
    return f"{answer.status_code}: {text}"
