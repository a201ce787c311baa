import pytest

from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.ollama_input import canonical
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference_prompt import Authors
from gguf2ollama.chat.synthesis import Synthesis, synthesise
from gguf2ollama.gotmpl.parse import parse
from gguf2ollama.ollama_template.execute import execute

VERSION = "0.34.4"
CHATS = [canonical(one, path="go", version=VERSION) for one in battery()]


@pytest.fixture(scope="session")
def authors():
    """Make what a GGUF tells of a chat template."""

    def make(template, *, adds_bos=False):
        return Authors(chat_template=template, bos="<bos-token>", eos="<eos-token>", adds_bos=adds_bos)

    return make


@pytest.fixture(scope="session")
def learn(renderer, authors):
    """Learn a chat template; it must be possible."""

    def learn(template, **more):
        found = synthesise(renderer, authors(template, **more))
        assert isinstance(found, Synthesis), found.reason
        return found

    return learn


@pytest.fixture(scope="session")
def differences(renderer, authors):
    """Return the chats that a TEMPLATE renders otherwise than a chat template, by name, with both prompts."""

    def differences(template, synthesis, *, features=("plain", "odd"), with_tools=True, **more):
        told = authors(template, **more)
        chats = [one for one in CHATS if one.feature in features and (with_tools or not one.tools)]
        wanted = told.meant(told.load(renderer), chats)
        go = parse(synthesis.go_template)
        assert any(isinstance(one, Rendered) for one in wanted), wanted[0]
        return {
            chat.name: (want.prompt, got)
            for chat, want in zip(chats, wanted, strict=True)
            if isinstance(want, Rendered)
            if (got := execute(go, chat.for_ollama(), version=VERSION)) != want.prompt
        }

    return differences
