"""A companion template on real servers: passed over in chats, and yet thoughts are taken out of answers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gguf2ollama.chat.battery import battery
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.detect.chat_template import shows_thinking, shows_tools
from gguf2ollama.gotmpl import parse, render
from tests.calling_templates import KEYS_AND_VALUES, XML_CALLS
from tests.live import parts
from tests.live.companions import (
    ANSWER,
    AT_ONCE,
    FALLBACK,
    FORMATS,
    QUESTION,
    SHORT_ANSWER,
    THOUGHT,
    CompanionServer,
    Transport,
    broken_promises,
    companion_of,
    thinker,
    unlike,
)
from tests.live.conftest import missing
from tests.live.rendering import corpus_templates
from tests.live.servers import RunningOllama, find_program, running_ollama
from tests.unit.chat.test_companion import LEAVES_OPEN, OPENS, SWITCHES_OFF, TOOLS_ALONE

pytestmark = pytest.mark.live

THINKING = {
    "opens a thought": OPENS,
    "switches thoughts off": SWITCHES_OFF,
    "leaves thoughts open": LEAVES_OPEN,
}
CHATTING = {
    "opens a thought": OPENS,
    "tools alone": TOOLS_ALONE,
    "XML calls": XML_CALLS,
    "keys and values": KEYS_AND_VALUES,
}
TOOL = {"type": "function", "function": {"name": "count", "parameters": {"type": "object", "properties": {}}}}
ASKED = (Message(role="user", content=QUESTION),)
CONVERSATIONS = battery()
CHATS = (
    Conversation(name="asked", messages=ASKED),
    Conversation(name="not to think", messages=ASKED, think=False),
    Conversation(name="tools", messages=ASKED, tools=(TOOL,)),
)


@pytest.fixture
def server(ollama_server: RunningOllama) -> Iterator[CompanionServer]:
    with CompanionServer(ollama_server) as server:
        yield server


def differences(
    server: CompanionServer, text: str, *, conversations: Sequence[Conversation] = CONVERSATIONS
) -> list[str]:
    """Say what a model with a companion does in another way than the same file without, in chats."""
    version = server.ollama.version
    made, gguf = companion_of(text, version=version), thinker(text, version=version)
    assert made.text
    with server.made(gguf, transport="link") as name:
        native = server.see(name, conversations, chats=CHATS)
    found = []
    for transport in ("link", "upload"):
        with server.made(gguf, transport=transport, template=made.text) as name:
            found += [
                f"{transport}: {one}" for one in unlike(server.see(name, conversations, chats=CHATS), native)
            ]
    return found


def worse(server: CompanionServer, text: str) -> list[str]:
    """Say what ``/api/generate`` does worse with a companion than after a plain ``create``."""
    version = server.ollama.version
    made, gguf = companion_of(text, version=version), thinker(text, version=version)
    with server.made(gguf, transport="upload") as name:
        plain = server.generate_all(name)
    found = []
    for transport in ("link", "upload"):
        with server.made(gguf, transport=transport, template=made.text) as name:
            broken = broken_promises(made, plain=plain, ours=server.generate_all(name))
            found += [f"{transport}: {one}" for one in broken]
    return found


@pytest.mark.parametrize("name", CHATTING)
def test_chats_are_those_of_the_same_file_without_a_template(name: str, server: CompanionServer) -> None:
    assert not differences(server, CHATTING[name], conversations=CONVERSATIONS[::3])


@pytest.mark.parametrize("name", THINKING)
def test_generate_is_never_worse_than_after_a_plain_create(name: str, server: CompanionServer) -> None:
    assert not worse(server, THINKING[name])


@pytest.mark.parametrize("transport", ["link", "upload"])
def test_the_client_shows_the_thought_apart_and_the_answer_clean(
    transport: Transport, server: CompanionServer
) -> None:
    version = server.ollama.version
    template = companion_of(SWITCHES_OFF, version=version).text
    with server.made(thinker(SWITCHES_OFF, version=version), transport=transport, template=template) as name:
        assert _run(server, name, QUESTION) == f"Thinking...\n{THOUGHT}\n...done thinking.\n\n{ANSWER}\n\n"
        assert _run(server, name, QUESTION, "--hidethinking") == f"{ANSWER}\n\n"
        assert _run(server, name, AT_ONCE) == f"{SHORT_ANSWER}\n\n"
        assert _run(server, name, QUESTION, "--think=false", "--format=json") == f"{FALLBACK}\n\n"


def _run(server: CompanionServer, name: str, prompt: str, *options: str) -> str:
    """Return what ``ollama run`` prints."""
    ollama = server.ollama
    command = [ollama.program, "run", name, prompt, *options]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        env=ollama.environment,
        timeout=60,
    ).stdout.decode()


def test_tags_that_the_server_does_not_print_would_make_an_answer_empty(server: CompanionServer) -> None:
    version = server.ollama.version
    tagged = companion_of(OPENS, version="0.34.4").text
    gguf = thinker(OPENS, version=version, hides_tags=True)
    with server.made(gguf, transport="link") as name:
        assert server.generate(name, QUESTION).response.endswith(ANSWER)
    with server.made(gguf, transport="link", template=tagged) as name:
        assert not server.generate(name, QUESTION).response


def test_tags_where_thinking_is_left_open_would_lose_the_format_from_0344_on(server: CompanionServer) -> None:
    version = server.ollama.version
    tagged = companion_of(SWITCHES_OFF, version="0.34.4").text
    with server.made(thinker(LEAVES_OPEN, version=version), transport="link", template=tagged) as name:
        answers = [server.generate(name, AT_ONCE, form=FORMATS[form]) for form in ("json", "schema")]
    expected = SHORT_ANSWER if version == "0.34.4" else FALLBACK
    assert [one.response for one in answers] == [expected, expected]


def test_tags_where_the_prompt_opens_a_thought_would_lose_the_answer_before_0344(
    server: CompanionServer,
) -> None:
    version = server.ollama.version
    tagged = companion_of(OPENS, version="0.34.4").text
    with server.made(thinker(OPENS, version=version), transport="link", template=tagged) as name:
        answers = [server.generate(name, QUESTION, form=FORMATS[form]) for form in ("json", "schema")]
    expected = FALLBACK if version == "0.34.4" else ""
    assert [one.response for one in answers] == [expected, expected]


@pytest.mark.parametrize("text", [TOOLS_ALONE, OPENS], ids=["tools", "thoughts"])
def test_text_is_inserted_neither_with_it_nor_after_a_plain_create(
    text: str, server: CompanionServer
) -> None:
    version = server.ollama.version
    template = companion_of(text, version=version).text
    gguf = thinker(text, version=version)
    with server.made(gguf, transport="upload") as name:
        plain = server.generate(name, QUESTION, suffix="B")
    assert plain.error.startswith("400")
    with server.made(gguf, transport="upload", template=template) as name:
        assert server.generate(name, QUESTION, suffix="B") == plain


@pytest.mark.parametrize("part", parts.OLLAMAS, ids=[part.version for part in parts.OLLAMAS])
def test_a_server_told_to_take_every_template_prompts_sanely_and_shows_no_tools(
    part: parts.Ollama, tmp_path: Path
) -> None:
    program = find_program(part)
    if program is None:
        missing(f"Ollama {part.version}")
    settings = {"OLLAMA_GO_TEMPLATE": "1"}
    with (
        running_ollama(part, program, tmp_path, settings=settings) as ollama,
        CompanionServer(ollama) as server,
    ):
        gguf = thinker(SWITCHES_OFF, version=ollama.version)
        made = companion_of(SWITCHES_OFF, version=ollama.version)
        plain, tools = CHATS[0], CHATS[2]
        with server.made(gguf, transport="link") as name:
            native = server.see(name, [plain, tools], chats=())
        with server.made(gguf, transport="link", template=made.text) as name:
            seen = server.see(name, [plain, tools], chats=CHATS[:1])
            assert server.show(name)["template"] == made.text
            generated = server.generate(name, QUESTION)
    assert native.capabilities == {"completion", "tools", "thinking"}
    assert seen.capabilities == {"completion", "thinking"}
    asked = plain.for_ollama() | {"think": True}
    assert seen.prompts[0] == Rendered(render(parse(made.text), asked, version=ollama.version))
    assert seen.prompts[0] == native.prompts[0]
    assert "does not support tools" in repr(seen.prompts[1])
    assert [(one.thinking.strip(), one.content) for one in seen.answers] == [(THOUGHT, ANSWER)]
    assert (generated.thinking.strip(), generated.response) == (THOUGHT, ANSWER)


@pytest.mark.corpus
@pytest.mark.timeout(1800)
def test_the_chats_of_the_corpus_are_those_without_a_template(server: CompanionServer) -> None:
    texts = {name: text for name, text in corpus_templates().items() if shows_tools(text)}
    if not texts:
        pytest.skip("the corpus is not beside the checkout: 102 templates are not tried")
    found = {name: differences(server, text) for name, text in texts.items()}
    assert not {name: one for name, one in found.items() if one}


@pytest.mark.corpus
@pytest.mark.timeout(1800)
def test_generate_is_never_worse_for_the_corpus(server: CompanionServer) -> None:
    texts = corpus_templates()
    if not texts:
        pytest.skip("the corpus is not beside the checkout: 38 templates are not tried")
    thinking = {name: text for name, text in texts.items() if shows_tools(text) and shows_thinking(text)}
    found = {name: worse(server, text) for name, text in thinking.items()}
    assert not {name: one for name, one in found.items() if one}
