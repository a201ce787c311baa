"""Chat templates that behave as the families do are learnt whole, from the battery's point of view."""

import pytest

from gguf2ollama.ollama_template import takes_precedence
from tests.unit.chat.synthesis.families import PLAIN, THINKING, THINKING_WITH_TOOLS, TOOLS


@pytest.mark.parametrize("name", PLAIN)
def test_plain_chats_come_out_the_same(name, learn, differences):
    found = learn(PLAIN[name])
    assert len(found.lacking) == (name == "no system text")
    assert differences(PLAIN[name], found) == {}


@pytest.mark.parametrize("name", THINKING)
def test_chats_with_thinking_come_out_the_same(name, learn, differences):
    found = learn(THINKING[name])
    assert "thinking" in found.features
    assert differences(THINKING[name], found, features=("plain", "thinking"), with_tools=False) == {}
    assert takes_precedence(found.go_template, THINKING[name])


@pytest.mark.parametrize("name", TOOLS)
def test_chats_with_tools_come_out_the_same(name, learn, differences):
    found = learn(TOOLS[name])
    assert "tools" in found.features
    assert differences(TOOLS[name], found, features=("plain", "tools")) == {}
    assert takes_precedence(found.go_template, TOOLS[name])


def test_what_depends_on_tools_and_on_thinking_comes_out_the_same(learn, differences):
    found = learn(THINKING_WITH_TOOLS)
    assert found.features == {"plain", "thinking", "tools"}
    assert found.lacking == ()
    assert differences(THINKING_WITH_TOOLS, found, features=("plain", "thinking", "tools")) == {}
