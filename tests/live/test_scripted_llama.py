"""On real servers the scripted llama says exactly what it was told to, however it is sampled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gguf2ollama.chat.conversation import Conversation, Message
from tests.live.rendering import RenderingServer
from tests.live.servers import RunningOllama
from tests.scripted_llama import scripted_llama

pytestmark = pytest.mark.live

SAYS = 'Grüße! <tool_call>\n{"a": [1, 1, 1]}\n</tool_call> the the the end, 東京 and <think> "quoted".\n'


@pytest.fixture
def server(ollama_server: RunningOllama) -> Iterator[RenderingServer]:
    """Return a server."""
    with RenderingServer(ollama_server) as server:
        yield server


def _asked(*contents: str) -> Conversation:
    messages = [
        Message(role="assistant" if number % 2 else "user", content=content)
        for number, content in enumerate(contents)
    ]
    return Conversation(name="asked", messages=tuple(messages))


def test_it_says_what_it_is_told_to(server: RenderingServer, tmp_path: Path) -> None:
    gguf = scripted_llama(
        tmp_path / "s.gguf", SAYS, after={"22 degrees": "It is 22 degrees.", "snow": "It snows."}
    ).read_bytes()
    with server.model(gguf) as name:
        for asked, said in (
            (_asked("Hi"), SAYS),
            (_asked("Hi", SAYS, "Again!"), SAYS),
            (_asked("word " * 400 + "22 degrees" + " word" * 400), "It is 22 degrees."),
            (_asked("22 degrees, and snow", "", "22 degrees"), "It snows."),
        ):
            told = server.answer(name, asked)
            assert (told.content, told.reason) == (said, "stop")


@pytest.mark.parametrize("temperature", [0, 0.8, 1.5])
def test_no_way_of_sampling_changes_a_word(
    server: RenderingServer, tmp_path: Path, temperature: float
) -> None:
    gguf = scripted_llama(tmp_path / "s.gguf", SAYS).read_bytes()
    options = {"temperature": temperature, "repeat_penalty": 1.3, "top_k": 0, "top_p": 1.0}
    with server.model(gguf) as name:
        for _ in range(3):
            assert server.answer(name, _asked("Hi"), options=options).content == SAYS


def test_a_hidden_mark_is_not_shown_unless_the_server_asks_for_it(
    server: RenderingServer, tmp_path: Path
) -> None:
    gguf = scripted_llama(
        tmp_path / "s.gguf", "One [MARK] two <tool_call>three", hidden=["[MARK]", "<tool_call>"]
    ).read_bytes()
    with server.model(gguf) as name:
        assert server.answer(name, _asked("Hi")).content == "One  two three"
    template = "{{ range .Messages }}{{ .Role }}: {{ .Content }}\n{{ end }}"
    with server.model(gguf, go_template=template, parser="qwen3-coder") as name:
        assert server.answer(name, _asked("Hi")).content.startswith("One  two")
