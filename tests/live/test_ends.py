"""On real servers answers end where the authors' template ends a turn, and verify sees where not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from gguf2ollama import build
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.install.transport import Via
from gguf2ollama.ollama import Client
from gguf2ollama.verification.verify import verify
from tests.live.rendering import RenderingServer
from tests.live.servers import RunningOllama
from tests.scripted_llama import scripted_llama

pytestmark = pytest.mark.live

VIAS: tuple[Via, ...] = ("link", "upload")  # of a pull test_routes.py shows the same
HEADER = "{% if add_generation_prompt %}<|begin|>assistant\n{% endif %}"
MARKS = "{% for m in messages %}<|begin|>{{ m.role }}\n{{ m.content }}<|stop|>\n{% endfor %}" + HEADER
FIRST = "{% for m in messages %}<|begin|>{{ m.role }}\n{{ m.content }}{% endfor %}" + HEADER
POSTFIX = (
    "{% for m in messages %}{{ '' if loop.first else '<|stop|>\n' }}<|begin|>{{ m.role }}\n{{ m.content }}"
    "{% endfor %}{% if add_generation_prompt %}<|stop|>\n<|begin|>assistant\n{% endif %}"
)
PLAIN = (
    "{% for m in messages %}{{ '### User:' if m.role == 'user' else '### Answer:' }}\n{{ m.content }}\n\n"
    "{% endfor %}{% if add_generation_prompt %}### Answer:\n{% endif %}"
)
TOOLS = (
    "{% if tools %}{{ tools | tojson }}\n{% endif %}"
    "{% for m in messages %}<|begin|>{{ m.role }}\n{{ m.content or '' }}"
    "{% for c in m.tool_calls or [] %}<tool_call>\n"
    "{{ {'name': c.function.name, 'arguments': c.function.arguments} | tojson }}\n</tool_call>{% endfor %}"
    "{{ '<|called|>' if m.tool_calls else '<|stop|>' }}\n{% endfor %}" + HEADER
)
ON = "<|begin|>user And you?"
CALL = '<tool_call>\n{"name": "look", "arguments": {"place": "Rome"}}\n</tool_call>'
LOOK = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look",
        "parameters": {
            "type": "object",
            "required": ["place"],
            "properties": {"place": {"type": "string", "description": "Where"}},
        },
    },
}
# what the model says, and the chat template
SAID: Mapping[str, tuple[str, str]] = {
    "a mark": (f"Hello there.<|stop|>{ON}", MARKS),
    "a mark after a line's end": (f"Hello there.\n<|stop|>{ON}", MARKS.replace("<|stop|>", "\n<|stop|>")),
    "a mark before the next message only": (f"Hello there.<|stop|>{ON}", POSTFIX),
    "no mark but the next turn's": (f"Hello there.{ON}", FIRST),
}
ASKED = Conversation(name="asked", messages=(Message(role="user", content="Hi"),))


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch, ollama_server: RunningOllama, tmp_path: Path) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama_server.store))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def answer(
    server: RunningOllama, path: Path, via: Via, *, asked: Conversation = ASKED
) -> tuple[str, Sequence[object], str]:
    """Build a model, and return what it answers: content, calls, and why it ends."""
    with Client(server.url) as client, RenderingServer(server) as rendering:
        name = build(path, name="ends", host=server.url, via=via).plan.name
        try:
            told = rendering.answer(name.short, asked)
        finally:
            client.unload(name)
            client.delete(name)
    return told.content, told.calls, told.reason


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("kind", ["hidden", "whole", "text"])
@pytest.mark.parametrize("case", SAID)
def test_answers_end_where_the_template_ends_a_turn(
    ollama_server: RunningOllama, tmp_path: Path, case: str, kind: str, via: Via
) -> None:
    says, chat_template = SAID[case]
    marks = [mark for mark in ("<|begin|>", "<|stop|>") if mark in says]
    path = scripted_llama(
        tmp_path / "s.gguf",
        says,
        chat_template=chat_template,
        hidden=marks if kind == "hidden" else (),
        whole=marks if kind == "whole" else (),
    )
    content, _, reason = answer(ollama_server, path, via)
    assert (content.rstrip(), reason) == ("Hello there.", "stop")


@pytest.mark.parametrize("via", VIAS)
def test_a_template_of_plain_text_ends_with_the_next_question(
    ollama_server: RunningOllama, tmp_path: Path, via: Via
) -> None:
    says = "Hello there.\n\n### User:\nAnd you?"
    path = scripted_llama(tmp_path / "s.gguf", says, chat_template=PLAIN)
    content, _, reason = answer(ollama_server, path, via)
    assert (content.rstrip(), reason) == ("Hello there.", "stop")


@pytest.mark.parametrize("via", VIAS)
def test_text_that_looks_like_the_end_token_is_not_cut(
    ollama_server: RunningOllama, tmp_path: Path, via: Via
) -> None:
    says = "Strike <s>this</s> out."
    chat_template = MARKS.replace("<|stop|>", "{{ eos_token }}")
    path = scripted_llama(
        tmp_path / "s.gguf", says, chat_template=chat_template, special_tokens=("<s>", "</s>")
    )
    assert answer(ollama_server, path, via) == (says, [], "stop")


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("kind", ["hidden", "whole", "text"])
def test_calls_and_answers_may_end_with_marks_of_their_own(
    ollama_server: RunningOllama, tmp_path: Path, kind: str, via: Via
) -> None:
    marks = ("<|called|>", "<|stop|>")
    path = scripted_llama(
        tmp_path / "s.gguf",
        "Hello there.<|stop|>And you?",
        after={'"look"': f"{CALL}<|called|>found nothing"},
        chat_template=TOOLS,
        hidden=marks if kind == "hidden" else (),
        whole=marks if kind == "whole" else (),
    )
    content, _, reason = answer(ollama_server, path, via)
    assert (content, reason) == ("Hello there.", "stop")
    asked = Conversation(name="tool", messages=ASKED.messages, tools=(LOOK,))
    content, calls, _ = answer(ollama_server, path, via, asked=asked)
    assert (content.strip(), list(calls)) == ("", [("look", {"place": "Rome"})])


@pytest.mark.parametrize("kind", ["hidden", "whole", "text"])
def test_verify_fails_where_a_plain_create_has_no_end(
    ollama_server: RunningOllama, tmp_path: Path, kind: str
) -> None:
    marks = ("<|begin|>", "<|stop|>")
    path = scripted_llama(
        tmp_path / "s.gguf",
        "Hello there.<|stop|><|begin|>user " + " ".join(map(str, range(1000, 1600))),
        chat_template=MARKS,
        hidden=marks if kind == "hidden" else (),
        whole=marks if kind == "whole" else (),
    )
    with RenderingServer(ollama_server) as rendering, rendering.model(path.read_bytes()) as name:
        found = verify(name, host=ollama_server.url, source=path)
        (check,) = [check for check in found.checks if check.name == "answers"]
        assert (found.is_verified, check.state) == (False, "failed")
        assert "<|stop|>" in check.detail
    with Client(ollama_server.url) as client:
        name = build(path, name="ends", host=ollama_server.url, via="link").plan.name
        try:
            assert verify(name.short, host=ollama_server.url, source=path).is_verified
        finally:
            client.unload(name)
            client.delete(name)
