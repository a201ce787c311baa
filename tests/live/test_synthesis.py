"""Real servers honour a TEMPLATE that was learnt, and print with it what the chat template prints.

The chat templates are the small ones of our own that behave as families do; each is carried by a tiny model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.ollama_input import canonical
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import Authors, as_asked
from gguf2ollama.chat.synthesis import Synthesis, synthesise
from gguf2ollama.gotmpl.parse import parse
from gguf2ollama.ollama_template import read
from tests.builders import tiny_llama
from tests.live.servers import RunningOllama
from tests.unit.chat.synthesis.families import PLAIN, THINKING, TOOLS

pytestmark = pytest.mark.live

_BOS, _EOS = "<bos-token>", "<eos-token>"
_TEMPLATES = PLAIN | THINKING | TOOLS
_CHATS = (
    *("system, two turns", "white space around", "braces", "empty system", "prefill"),
    *("parallel calls, answer, question", "nested schema", "quotes and angle brackets in arguments"),
    *("thinking off", "thinking of two turns, on", "thinking within an answer, on"),
    "marks of thinking in the text",
)


@pytest.mark.parametrize("name", _TEMPLATES)
def test_a_real_server_honours_and_prints_it(name: str, ollama_server: RunningOllama, tmp_path: Path) -> None:
    authors = Authors(chat_template=_TEMPLATES[name], bos=_BOS, eos=_EOS)
    path = tiny_llama(
        tmp_path / "tiny.gguf", chat_template=authors.chat_template, special_tokens=(_BOS, _EOS)
    )
    model = f"learnt-{list(_TEMPLATES).index(name)}"
    with Renderer() as renderer:
        found = synthesise(renderer, authors)
        assert isinstance(found, Synthesis), found
        chats = list(_asked(found))
        wanted = authors.meant(authors.load(renderer), chats)
    with _created(ollama_server, model, path, found.go_template) as ask:
        for chat, want in zip(chats, wanted, strict=True):
            if isinstance(want, Rendered):
                assert ask(chat) == want.prompt, chat.name
    log = ollama_server.log.read_text("utf-8", errors="replace")
    lines = [line for line in log.splitlines() if "template selection" in line and f"{model}:" in line]
    assert lines
    assert all("selected=go_template" in line for line in lines), lines[-1]


def _asked(found: Synthesis) -> Iterator[Conversation]:
    """Return chats as a server takes them that calls the model what its TEMPLATE shows."""
    can = read(parse(found.go_template)).capabilities
    for chat in battery():
        takes = ("tools" in can or not chat.tools) and ("thinking" in can or not chat.think)
        if chat.name in _CHATS and takes:
            told = as_asked(chat, thinks="thinking" in can)
            yield canonical(told, path="go", version="0.34.4")


@contextlib.contextmanager
def _created(
    server: RunningOllama, name: str, gguf: Path, template: str
) -> Iterator[Callable[[Conversation], str]]:
    """Create a model with a TEMPLATE; give what renders a chat on the server; delete it at last."""
    data = gguf.read_bytes()
    digest = f"sha256:{sha256(data).hexdigest()}"
    with httpx2.Client(base_url=server.url, timeout=120, trust_env=False) as client:

        def ask(path: str, body: dict[str, Any]) -> Any:
            answer = client.post(path, json=body | {"model": name, "stream": False})
            assert answer.is_success, answer.text
            return answer.json()

        def render(chat: Conversation) -> str:
            told = chat.for_ollama() | {"_debug_render_only": True, "truncate": False}
            return str(ask("/api/chat", told)["_debug_info"]["rendered_template"])

        client.post(f"/api/blobs/{digest}", content=data).raise_for_status()
        parameters = {"stop": [_EOS]}
        ask(
            "/api/create",
            {"files": {gguf.name: digest}, "template": template, "parameters": parameters},
        )
        try:
            yield render
        finally:
            ask("/api/generate", {"keep_alive": 0})
            client.request("DELETE", "/api/delete", json={"model": name})
