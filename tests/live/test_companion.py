"""A companion template on real servers: passed over in chats, and yet thoughts are taken out of answers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gguf2ollama import build
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.gotmpl.parse import parse
from gguf2ollama.gotmpl.versions import is_since
from gguf2ollama.install.transport import Via
from gguf2ollama.jinja.facts import shows_thinking, shows_tools
from gguf2ollama.ollama_template import render
from tests.calling_templates import KEYS_AND_VALUES, XML_CALLS
from tests.live import parts
from tests.live.companions import (
    ANSWER,
    AT_ONCE,
    CHATS,
    CONVERSATIONS,
    FALLBACK,
    FORMATS,
    QUESTION,
    SHORT_ANSWER,
    THOUGHT,
    WAYS,
    CompanionServer,
    Way,
    broken_promises,
    companion_of,
    own_body,
    scripted_body,
)
from tests.live.conftest import missing
from tests.live.rendering import corpus_templates
from tests.live.servers import RunningOllama, find_program, running_ollama
from tests.scripted_llama import scripted_llama
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
WITH_COMPANION: tuple[Way, ...] = ("link", "upload")


@pytest.fixture
def server(ollama_server: RunningOllama) -> Iterator[CompanionServer]:
    with CompanionServer(ollama_server) as server:
        yield server


def worse(server: CompanionServer, text: str) -> list[str]:
    """Say what ``/api/generate`` does worse with a companion than after a plain ``create``."""
    body = scripted_body(text, version=server.ollama.version)
    answers = {}
    for way in WAYS:
        with server.made(body, way) as name:
            answers[way] = server.generate_all(name)
    plain = answers.pop("plain")
    return [
        f"{way}: {one}"
        for way, ours in answers.items()
        for one in broken_promises(body.made, plain=plain, ours=ours)
    ]


@pytest.mark.parametrize("name", CHATTING)
def test_chats_are_those_of_the_same_file_without_a_template(name: str, server: CompanionServer) -> None:
    body = scripted_body(CHATTING[name], version=server.ollama.version)
    assert body.made.text
    found = server.compare_chats(body, ways=WITH_COMPANION, conversations=CONVERSATIONS[::3])
    assert found == {way: [] for way in WITH_COMPANION}


@pytest.mark.parametrize("name", THINKING)
def test_generate_is_never_worse_than_after_a_plain_create(name: str, server: CompanionServer) -> None:
    assert not worse(server, THINKING[name])


@pytest.mark.parametrize("way", WITH_COMPANION)
def test_the_client_shows_the_thought_apart_and_the_answer_clean(way: Way, server: CompanionServer) -> None:
    with server.made(scripted_body(SWITCHES_OFF, version=server.ollama.version), way) as name:
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


@pytest.mark.parametrize("via", ["link", "pull", "upload"])
def test_a_qwen3_that_was_built_shows_its_thought_apart(
    via: Via, server: CompanionServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama = server.ollama
    texts = [
        text
        for name, text in corpus_templates().items()
        if name.startswith("Qwen3-") and shows_thinking(text)
    ]
    gguf = scripted_llama(
        tmp_path / "qwen3.gguf",
        f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}",
        chat_template=texts[0] if texts else SWITCHES_OFF,
        whole=("<think>", "</think>"),
        architecture="qwen3",
    )
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama.store))
    build(gguf, name="qwen3", via=via, host=ollama.url)
    assert server.show("qwen3")["details"]["family"] == "qwen3"
    assert _run(server, "qwen3", QUESTION) == f"Thinking...\n{THOUGHT}\n...done thinking.\n\n{ANSWER}\n\n"


TAGGED = companion_of(OPENS, version="0.34.4").text


def test_tags_that_the_server_does_not_print_would_make_an_answer_empty(server: CompanionServer) -> None:
    body = scripted_body(OPENS, version=server.ollama.version, hides_tags=True)
    with server.made(body, "native") as name:
        assert server.generate(name, QUESTION).response.endswith(ANSWER)
    with server.made(body, "link", template=TAGGED) as name:
        assert not server.generate(name, QUESTION).response


def test_tags_where_thinking_is_left_open_would_lose_the_format_from_0344_on(server: CompanionServer) -> None:
    version = server.ollama.version
    expected = SHORT_ANSWER if is_since(version, "0.34.4") else FALLBACK
    with server.made(scripted_body(LEAVES_OPEN, version=version), "link", template=TAGGED) as name:
        for form in ("json", "schema"):
            assert server.generate(name, AT_ONCE, form=FORMATS[form]).response == expected


def test_tags_where_the_prompt_opens_a_thought_would_lose_the_answer_before_0344(
    server: CompanionServer,
) -> None:
    version = server.ollama.version
    expected = FALLBACK if is_since(version, "0.34.4") else ""
    with server.made(scripted_body(OPENS, version=version), "link", template=TAGGED) as name:
        for form in ("json", "schema"):
            assert server.generate(name, QUESTION, form=FORMATS[form]).response == expected


@pytest.mark.parametrize("text", [TOOLS_ALONE, OPENS], ids=["tools", "thoughts"])
def test_text_is_inserted_neither_with_it_nor_after_a_plain_create(
    text: str, server: CompanionServer
) -> None:
    body = scripted_body(text, version=server.ollama.version)
    answers = []
    for way in ("plain", "upload"):
        with server.made(body, way) as name:
            answers.append(server.generate(name, QUESTION, suffix="B"))
    assert answers[0].error.startswith("400")
    assert answers[0] == answers[1]


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
        body = scripted_body(SWITCHES_OFF, version=ollama.version)
        plain, tools = CHATS[0], CHATS[2]
        with server.made(body, "native") as name:
            native = server.see(name, [plain, tools], chats=())
        with server.made(body, "link") as name:
            seen = server.see(name, [plain, tools], chats=CHATS[:1])
            assert server.show(name)["template"] == body.made.text
            generated = server.generate(name, QUESTION)
    assert native.capabilities == {"completion", "tools", "thinking"}
    assert seen.capabilities == {"completion", "thinking"}
    asked = plain.for_ollama() | {"think": True}
    assert seen.prompts[0] == Rendered(render(parse(body.made.text), asked, version=ollama.version))
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
    version, found = server.ollama.version, {}
    for name, text in texts.items():
        own = own_body(name, text, version=version)
        found[name] = server.compare_chats(own, ways=WITH_COMPANION) if own is not None else {}
        if not found[name]:  # llama.cpp does not know its architecture
            body = scripted_body(text, version=version)
            found[name] = server.compare_chats(body, ways=WITH_COMPANION)
    assert all(found.values())
    assert not {name: ways for name, ways in found.items() if any(ways.values())}


@pytest.mark.corpus
@pytest.mark.timeout(1800)
def test_generate_is_never_worse_for_the_corpus(server: CompanionServer) -> None:
    texts = corpus_templates()
    if not texts:
        pytest.skip("the corpus is not beside the checkout: 38 templates are not tried")
    thinking = {name: text for name, text in texts.items() if shows_tools(text) and shows_thinking(text)}
    found = {name: worse(server, text) for name, text in thinking.items()}
    assert not {name: one for name, one in found.items() if one}
