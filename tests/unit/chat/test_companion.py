"""The TEMPLATE that is put beside a chat template, and passed over."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gguf2ollama.chat.choice.candidate import Question
from gguf2ollama.chat.choice.selection import choose_template
from gguf2ollama.chat.companion import companion
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.llamacpp import read_native
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.chat.reference_prompt import Authors
from gguf2ollama.errors import UsageProblem
from gguf2ollama.gotmpl.parse import parse
from gguf2ollama.jinja.facts import shows_thinking, shows_tools
from gguf2ollama.modelfiles import Modelfile, parse_modelfile, render_modelfile
from gguf2ollama.ollama_template import read, render, takes_precedence
from tests.calling_templates import JSON_CALLS, XML_CALLS

NOW = datetime(2026, 3, 7, 12, 30, tzinfo=UTC)
VERSION = "0.34.4"
CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpus" / "chat_templates"
TURNS = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
TOOLS_ALONE = "{% if tools %}{{ tools | tojson }}{% endif %}" + TURNS
OPENS = TOOLS_ALONE + "{% if add_generation_prompt %}<think>\n{% endif %}{# </think> #}"
SWITCHES_OFF = (
    TOOLS_ALONE
    + "{% if add_generation_prompt and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
)
LEAVES_OPEN = TOOLS_ALONE + "{# <think> </think> #}"
CLOSES = TOOLS_ALONE + "{% if add_generation_prompt %}</think>{% endif %}{# <think> #}"
THINKS_WITHOUT_TOOLS = TURNS + "{% if add_generation_prompt %}<think>\n{% endif %}{# </think> #}"
BEFORE = [Message(role="user", content="One?"), Message(role="assistant", content="Two.")]
CHATS = [
    (Message(role="user", content="Hi"),),
    (*BEFORE, Message(role="user", content="Three?")),
    (Message(role="system", content="Be kind."), *BEFORE, Message(role="user", content="Three?")),
]


def made(text, *, version=VERSION, predicted_for=None, render=None, system="", **metadata):
    if render is None:
        render = read_native(text, version=predicted_for or version, now=NOW).render
    metadata = {f"tokenizer.ggml.{key}": value for key, value in metadata.items()}
    return companion(text, metadata=metadata, version=version, render=render, system=system)


@pytest.mark.parametrize("text", [OPENS, SWITCHES_OFF])
def test_tags_are_declared_where_the_model_surely_thinks(text):
    found = made(text)
    assert found.has_tags
    assert not found.note
    reading = read(parse(found.text))
    assert reading.thinking == ("<think>", "</think>")
    assert reading.capabilities == {"thinking"}


@pytest.mark.parametrize("text", [LEAVES_OPEN, CLOSES])
def test_no_tags_are_declared_where_the_model_may_not_think(text):
    found = made(text)
    assert found.text
    assert not found.has_tags
    assert "leaves that open" in found.note
    assert read(parse(found.text)).thinking == ("", "")


def test_no_tags_where_the_models_system_message_turns_thinking_off():
    text = SWITCHES_OFF.replace("enable_thinking is false", "messages[0].content == '/no_think'")
    text += "{% if add_generation_prompt and messages[0].content != '/no_think' %}<think>\n{% endif %}"
    assert made(text).has_tags
    assert made(text, system="Be kind.").has_tags
    assert not made(text, system="/no_think").has_tags


@pytest.mark.parametrize("version", ["0.30.0", "0.31.1", "0.32.15", "0.33.3", "0.34.0", "0.34.3"])
def test_no_tags_where_an_answer_in_a_format_would_be_taken_for_the_thought(version):
    found = made(OPENS, version=version, predicted_for=VERSION)
    assert (bool(found.text), found.has_tags) == (True, False)
    assert "before 0.34.4" in found.note
    assert made(SWITCHES_OFF, version=version, predicted_for=VERSION).has_tags


@pytest.mark.parametrize("tag", ["<think>", "</think>"])
@pytest.mark.parametrize("text", [OPENS, SWITCHES_OFF])
def test_no_tags_where_the_server_does_not_print_them(text, tag):
    tokens = ["a", tag, "b"]
    found = made(text, tokens=tokens, token_type=[1, 3, 1])
    assert (bool(found.text), found.has_tags) == (True, False)
    assert "control tokens" in found.note
    for types in ([3, 1, 3], [1, 4, 1], None, [1]):
        assert made(text, tokens=tokens, token_type=types).has_tags


def test_a_chat_template_without_thinking_gets_no_tags_and_no_note():
    found = made(TOOLS_ALONE)
    assert (bool(found.text), found.has_tags, found.note) == (True, False, "")


@pytest.mark.parametrize(
    "text, says", [(TURNS, ""), (THINKS_WITHOUT_TOOLS, "only for chat templates with tools")]
)
def test_a_chat_template_without_tools_gets_none(text, says):
    found = made(text)
    assert (found.text, found.has_tags) == ("", False)
    assert says in found.note


@pytest.mark.parametrize("version", ["0.5.4", "0.24.0", "0.29.9"])
def test_there_is_none_where_every_template_is_taken(version):
    assert not made(OPENS, version=version, render=unpredicted).text


@pytest.mark.parametrize("version", ["0.40.2", "0.0.0", "1.0"])
def test_a_newer_server_is_treated_as_the_newest_that_is_known(version):
    assert made(OPENS, version=version, predicted_for=VERSION) == made(OPENS)


def test_a_version_that_is_none_is_refused():
    with pytest.raises(UsageProblem):
        made(OPENS, version="newest")


def unpredicted(_):
    return Refused("400: no")


def test_what_cannot_be_predicted_is_not_sure_and_has_turns_all_the_same():
    found = made(OPENS, render=unpredicted)
    assert not found.has_tags
    chat = Conversation(name="x", messages=CHATS[2]).for_ollama()
    assert render(parse(found.text), chat, version=VERSION, now=NOW) == (
        "Be kind.\n\nUser: One?\n\nAssistant: Two.\n\nUser: Three?\n\nAssistant:"
    )


@pytest.mark.parametrize("messages", CHATS)
@pytest.mark.parametrize("text", [OPENS, SWITCHES_OFF, LEAVES_OPEN, TOOLS_ALONE, XML_CALLS, JSON_CALLS])
def test_a_server_that_takes_it_prompts_plain_chats_as_the_chat_template_does(text, messages):
    found = made(text)
    native = read_native(text, version=VERSION, now=NOW)
    think = found.has_tags if shows_thinking(text) else None
    want = native.render(Conversation(name="x", messages=messages, think=think))
    assert isinstance(want, Rendered)
    chat = Conversation(name="x", messages=messages, think=found.has_tags or None).for_ollama()
    assert render(parse(found.text), chat, version=VERSION, now=NOW) == want.prompt


def test_such_a_server_is_given_thoughts_and_results_of_tools_too():
    messages = (
        CHATS[0][0],
        Message(role="assistant", content="Two.", thinking="Hm."),
        Message(role="tool", content="3"),
    )
    chat = Conversation(name="x", messages=messages).for_ollama()
    prompt = render(parse(made(SWITCHES_OFF).text), chat, version=VERSION, now=NOW)
    assert "<|assistant|>\n<think>\nHm.\n</think>\n\nTwo.<|end|>\n<|user|>\n3<|end|>" in prompt


def test_a_system_message_goes_before_the_first_question_where_its_form_cannot_be_seen():
    text = "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}" + TOOLS_ALONE
    chat = Conversation(name="x", messages=CHATS[2]).for_ollama()
    prompt = render(parse(made(text).text), chat, version=VERSION, now=NOW)
    assert prompt.startswith("<|user|>\nBe kind.\n\nOne?<|end|>\n<|assistant|>\nTwo.")


def test_what_is_too_long_for_a_template_is_left_out_of_it():
    text = "{% for i in range(8000) %}long {% endfor %}" + TOOLS_ALONE
    assert len(made(text).text) < 1000


HARMONY = TOOLS_ALONE.replace("<|{{ m.role }}|>\n", "<|start|>{{ m.role }}<|message|>")


@pytest.mark.parametrize("family", ["gptoss", "gpt-oss"])
def test_both_marks_of_harmony_never_stand_in_the_text_for_its_families(family):
    native = read_native(HARMONY, version=VERSION, now=NOW)
    metadata = {"general.architecture": family}
    found = companion(HARMONY, metadata=metadata, version=VERSION, render=native.render)
    assert "<|start|>" in found.text
    assert "<|end|>" not in found.text
    chat = Conversation(name="x", messages=CHATS[0]).for_ollama()
    assert "Hi<|end|>" in render(parse(found.text), chat, version=VERSION, now=NOW)
    assert "<|end|>" in made(HARMONY).text


@pytest.mark.parametrize("text", [OPENS, LEAVES_OPEN, TOOLS_ALONE, XML_CALLS])
def test_a_template_that_declares_what_the_comment_says_is_taken(text):
    comment = made(text).text.partition("*/")[0]
    own = '{{ if .Tools }}{{ end }}{{ range .Messages }}{{ .ToolCalls }}{{ if eq .Role "tool" }}{{ end }}'
    assert "name .Tools and .ToolCalls," in comment
    assert 'hold the text eq .Role followed by "tool"' in comment
    if "print .Thinking between <think> and </think> in a range over .Messages" in comment:
        own += "{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}"
    assert takes_precedence(own + "{{ .Content }}{{ end }}", text, version=VERSION)
    assert not takes_precedence(made(text).text, text, version=VERSION)


@pytest.mark.parametrize("before", ["", 'Write """docstrings""".\u00a0{{ \'{{\' }}\n'])
def test_it_survives_a_modelfile(before):
    text = made(before + SWITCHES_OFF).text
    written = render_modelfile(Modelfile(sources=("m.gguf",), template=text))
    assert parse_modelfile(written).template == text


@pytest.mark.parametrize(
    "known, has_tags",
    [
        ({}, True),
        ({"metadata": {"tokenizer.ggml.tokens": ["</think>"], "tokenizer.ggml.token_type": [3]}}, False),
        ({"system": "/no_think"}, False),
    ],
)
def test_what_is_chosen_has_tags_by_what_is_known_of_the_model(known, has_tags, renderer):
    text = OPENS.replace("<think>\n{%", "{{ '' if messages[0].content == '/no_think' else '<think>\n' }}{%")
    question = Question(
        authors=Authors(chat_template=text, bos="", eos=""), version=VERSION, has_companions=True, **known
    )
    chosen = choose_template(question, renderer=renderer).chosen
    assert chosen.origin == "native"
    assert (chosen.companion is not None, bool(chosen.generate_note)) == (has_tags, not has_tags)


@pytest.mark.corpus
@pytest.mark.parametrize("version", ["0.31.1", "0.32.15", "0.34.4"])
def test_every_chat_template_of_the_corpus_that_shows_tools_has_one_that_is_passed_over(version):
    texts = [path.read_text("utf-8") for path in sorted(CORPUS.glob("*.jinja"))]
    if not texts:
        pytest.skip(f"no chat templates at {CORPUS}")
    found = {text: made(text, version=version) for text in texts}
    assert {text for text in texts if found[text].text} == {text for text in texts if shows_tools(text)}
    for text, one in found.items():
        if one.text:
            reading = read(parse(one.text))
            assert not takes_precedence(one.text, text, version=version)
            assert reading.capabilities == ({"thinking"} if one.has_tags else frozenset())
        assert not (one.has_tags and one.note)
        assert bool(one.note) == (shows_thinking(text) and not one.has_tags)
