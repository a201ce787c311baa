"""Answers whose texts name marks of thinking: what stands before them may be less, and is learnt by rule."""

from itertools import product

import pytest

from gguf2ollama.chat.conversation import Conversation, Message, ToolCall
from gguf2ollama.chat.ollama_input import canonical
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.synthesis.describe import describe
from gguf2ollama.gotmpl.parse import parse
from gguf2ollama.ollama_template.execute import execute
from tests.unit.chat.synthesis.conftest import VERSION
from tests.unit.chat.synthesis.families import LONE_MARKS_AND_CALLS, PLAIN, THINKING

EMPTY_THOUGHT = THINKING["an empty thought before answers that name no marks of thinking"]
CLOSED_THOUGHT = THINKING["a closed thought before answers that close none"]
TEXTS = {
    "none": "Nothing of that kind.",
    "opens": "It begins with <think> and goes on.",
    "opens first": "<think>It goes on.",
    "closes": "It ends with </think> and goes on.",
    "closes last": "It ends. </think>",
    "opens and closes": "<think>\nSo it is.\n</think>\n\nSaid.",
    "closes and opens": "</think> is the end of <think>, they say.",
    "opens twice": "<think> or <think>?",
    "white space": "\n  <think> it \n",
    "no mark": "<thinking> and </ think>",
}
USER = Message(role="user", content="And?")
CALL = ToolCall(name="look", arguments={"at": "it"}, id="1")
TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look.",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    },
}
RESULT = Message(role="tool", content="Seen.", tool_name="look", tool_call_id="1")


def answer(text, *calls, thinking=None):
    return Message(role="assistant", content=text, calls=calls, thinking=thinking)


def plain_chats():
    """Return chats with such texts in an earlier answer, in two, and in the last, an unfinished one."""
    for name, text in TEXTS.items():
        for thinking in (None, "So be it."):
            said = answer(text, thinking=thinking)
            yield Conversation(name=f"{name}, earlier", messages=(USER, said, USER))
            yield Conversation(name=f"{name}, between", messages=(USER, answer("Yes."), USER, said, USER))
            if thinking is None:
                yield Conversation(name=f"{name}, open", messages=(USER, answer("Yes."), USER, said))
    for (one, text), (other, more) in product(TEXTS.items(), TEXTS.items()):
        messages = (USER, answer(text), USER, answer(more), USER)
        yield Conversation(name=f"{one}, {other}", messages=messages)


def calling_chats():
    """Return chats with such texts beside calls, after the last question and before it."""
    system = Message(role="system", content="Be kind.")
    for name, text in TEXTS.items():
        loop = (system, USER, answer(text, CALL), RESULT)
        yield Conversation(name=f"{name}, calls", messages=loop, tools=(TOOL,))
        yield Conversation(name=f"{name}, earlier", messages=(*loop, answer("Ah."), USER), tools=(TOOL,))
        yield Conversation(name=f"{name}, behind", messages=(*loop, answer(text), USER), tools=(TOOL,))


@pytest.fixture
def differing(renderer, authors):
    """Return the names of chats that a TEMPLATE or its rules render otherwise than the chat template."""

    def differing(template, found, chats):
        told = authors(template)
        chats = [canonical(one, path="go", version=VERSION) for one in chats]
        wanted = told.meant(told.load(renderer), chats)
        assert all(isinstance(one, Rendered) for one in wanted)
        go = parse(found.go_template)
        return [
            chat.name
            for chat, want in zip(chats, wanted, strict=True)
            if not want.prompt == found.rules.render(chat) == execute(go, chat.for_ollama(), version=VERSION)
        ]

    return differing


@pytest.mark.parametrize("template", [EMPTY_THOUGHT, CLOSED_THOUGHT], ids=["empty", "closed"])
def test_texts_with_marks_of_any_kind_come_out_the_same(template, learn, differing):
    found = learn(template)
    assert found.lacking == ()
    assert differing(template, found, plain_chats()) == []


def test_texts_with_marks_beside_calls_come_out_the_same(learn, differing):
    found = learn(LONE_MARKS_AND_CALLS)
    assert "tools" in found.features
    assert found.lacking == ()
    assert differing(LONE_MARKS_AND_CALLS, found, calling_chats()) == []


def test_only_the_marks_that_matter_are_looked_for(learn):
    assert learn(EMPTY_THOUGHT).rules.marks == {"<think>", "</think>"}
    assert learn(CLOSED_THOUGHT).rules.marks == {"</think>"}


UNCHANGED = [name for name, template in THINKING.items() if template not in {EMPTY_THOUGHT, CLOSED_THOUGHT}]


@pytest.mark.parametrize("name", UNCHANGED)
def test_a_template_that_marks_change_nothing_for_looks_for_none(name, learn):
    found = learn(THINKING[name])
    assert found.rules.marks == frozenset()
    assert "$isMarked" not in found.go_template


def test_what_marks_change_is_told(learn):
    lines = describe(learn(CLOSED_THOUGHT).rules)
    assert "'marks' is whether an answer's text names </think> and is not cut" in lines
    assert any("where 'marks' is yes" in line and "(nothing)</think>" in line for line in lines)


def test_texts_that_are_cut_at_a_lone_mark_beside_calls_are_lacking(learn):
    template = LONE_MARKS_AND_CALLS.replace(
        "{{ '<|im_start|>assistant\\n' + text",
        "{% if m.tool_calls and '</think>' not in text %}{% set text = text.split('<think>')[0] %}{% endif %}"
        "{{ '<|im_start|>assistant\\n' + text",
    )
    assert template != LONE_MARKS_AND_CALLS
    assert [(one.feature, one.reason) for one in learn(template).lacking] == [
        ("tools", "some answers with tool calls are cut at an unpaired think tag")
    ]


def test_marks_that_change_what_stands_behind_a_text_are_lacking(learn, differences):
    behind = "{{ '</think>' if '<think>' in m.content and '</think>' not in m.content }}"
    template = PLAIN["turns"].replace(
        "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}",
        (
            "{{ '<|im_start|>' + m.role + '\\n' + m.content }}"
            "{% if m.role == 'assistant' %}" + behind + "{% endif %}{{ '<|im_end|>\\n' }}"
        ),
    )
    found = learn(template)
    assert found.rules.marks == frozenset()
    assert [one.feature for one in found.lacking] == ["plain"]
    assert "unpaired think tag" in found.lacking[0].reason
    assert list(differences(template, found)) == ["marks of thinking in the text"]
