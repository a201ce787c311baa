"""How llama-server finds and reads calls; the live tests hold it to servers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.answers.model_output import Answer, answers_of
from gguf2ollama.chat.answers.output_checks import misread_natively, misses_calls_natively
from gguf2ollama.chat.changes.rewrites import with_arguments_as_json
from gguf2ollama.chat.choice.candidate import Question, TemplateChoice
from gguf2ollama.chat.choice.selection import choose_template
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.llamacpp import read_native
from gguf2ollama.chat.llamacpp.call_form import CallForm
from gguf2ollama.chat.llamacpp.server import AnswerReader
from gguf2ollama.chat.ollama_input import canonical
from gguf2ollama.chat.outcome import Heard
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import Authors
from tests.calling_templates import (
    JSON_CALLS,
    JSON_CALLS_NO_THOUGHTS,
    KEYS_AND_VALUES,
    MISREAD,
    SILENT_CALLS,
    TEXT_ARGUMENTS,
    UNFORESEEN_CALLS,
    UNSEEN_THOUGHTS,
    XML_CALLS_NO_THOUGHTS,
)

_VERSION = "0.34.4"
_NOW = datetime(2026, 3, 7, tzinfo=UTC)
_TURN = (
    "{% for t in tools or [] %}{{ t | tojson }}\n{% endfor %}{% for m in messages %}<|{{ m.role }}|>"
    "{{ m.content or '' }}{% for c in m.tool_calls or [] %}CALL{% endfor %}AFTER<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_TOOL_AND_JSON = _TURN.replace("AFTER", "").replace(
    "CALL", "<|call|>{{ c.function.name }}\n{{ c.function.arguments | tojson }}"
)
_NAME_IS_KEY = _TURN.replace("AFTER", "{{ ']</calls>' if m.tool_calls }}").replace(
    "CALL",
    "{{ '<calls>[' if loop.first else ', ' }}"
    "{{ '{' }}{{ c.function.name | tojson }}: {{ c.function.arguments | tojson }}}",
)
_CALLING = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": '{"a" : "\\u003c"}'}}],
}
READ = {
    "JSON": JSON_CALLS,
    "JSON, no thoughts": JSON_CALLS_NO_THOUGHTS,
    "keys and values": KEYS_AND_VALUES,
    "a name and JSON": _TOOL_AND_JSON,
    "a name that is a key": _NAME_IS_KEY,
}


def _reader(text: str) -> AnswerReader:
    (reader,) = read_native(text, version=_VERSION, now=_NOW).answer_readers()
    return reader


def _answers(text: str, renderer: Renderer, *, thinks: bool) -> list[Answer]:
    return [one for one in answers_of(renderer.load(text)) if (one.asked.think is None) != thinks]


@pytest.mark.parametrize("text", READ.values(), ids=READ)
def test_calls_are_read_as_they_are_written(renderer: Renderer, text: str):
    reader, thinks = _reader(text), "<think>" in text
    found = 0
    for answer in _answers(text, renderer, thinks=thinks):
        asked = canonical(answer.asked, path="native", version=_VERSION)
        expected = [(call.name, dict(call.arguments)) for call in answer.calls]
        cuts = range(answer.end, len(answer.text) + 1)  # wherever the end of the turn stands
        if expected:
            heard = [reader.read(answer.text[:cut], asked=asked) for cut in cuts]
            assert expected in [one.calls for one in heard if one is not None], answer.text
            found += 1
    assert found >= 3


def test_calls_in_a_form_that_is_not_seen_are_missed(renderer: Renderer):
    readers = [_reader(UNFORESEEN_CALLS)]
    answers = _answers(UNFORESEEN_CALLS, renderer, thinks=False)
    assert misses_calls_natively(readers, answers, thinks=False, version=_VERSION)
    readers = [_reader(_TOOL_AND_JSON)]
    answers = _answers(_TOOL_AND_JSON, renderer, thinks=False)
    assert not misses_calls_natively(readers, answers, thinks=False, version=_VERSION)


def test_arguments_that_have_to_be_text_are_printed_as_json_in_the_header(renderer: Renderer):
    changed = with_arguments_as_json(TEXT_ARGUMENTS)
    assert changed is not None
    told = [{"role": "user", "content": "Hi"}, _CALLING]
    assert renderer.load(changed).render_raw(told) == renderer.load(TEXT_ARGUMENTS).render_raw(told)
    answers = _answers(TEXT_ARGUMENTS, renderer, thinks=False)
    misses = [
        misses_calls_natively([_reader(text)], answers, thinks=False, version=_VERSION)
        for text in (TEXT_ARGUMENTS, changed)
    ]
    assert misses == [True, False]
    question = Question(authors=Authors(chat_template=TEXT_ARGUMENTS), version=_VERSION, may_template=False)
    choice = choose_template(question, renderer=renderer)
    assert isinstance(choice, TemplateChoice)
    assert (choice.chosen.origin, choice.chosen.misses_calls) == ("patched", False)
    assert choice.chosen.different("tools") == 0


@pytest.mark.parametrize(
    "text",
    [
        JSON_CALLS,
        "{% for k, v in c.function.arguments.items() %}{{ k }}{% endfor %}",
        "{% set a = c['function']['arguments'] %}{{ 'x' + a.arguments.b }}",
        "{{ 'arguments' + arguments }}",
    ],
)
def test_arguments_that_are_not_put_between_texts_stay(text: str):
    assert with_arguments_as_json(text) is None


def test_a_template_that_llama_cpp_knows_or_that_shows_no_calls_misses_none(renderer: Renderer):
    assert read_native(XML_CALLS_NO_THOUGHTS, version=_VERSION, now=_NOW).answer_readers() == []
    silent = "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{{ messages[-1].content }}"
    assert _reader(silent).form is None
    answers = _answers(silent, renderer, thinks=False)
    assert not misses_calls_natively([_reader(silent)], answers, thinks=False, version=_VERSION)


def test_the_form_of_calls_is_found():
    form = _reader(JSON_CALLS_NO_THOUGHTS).form
    assert form == CallForm(mode="JSON", call=("<tool_call>\n", "</tool_call>"), order=("name", "arguments"))
    tags = _reader(KEYS_AND_VALUES).form
    assert tags is not None
    assert (tags.mode, tags.call, tags.argument, tags.value) == (
        "tags",
        ("<tool_call>", "</tool_call>"),
        ("<arg_key>", "</arg_key>"),
        ("<arg_value>", "</arg_value>"),
    )


_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
_ASKED = Conversation(name="asked", messages=(Message(role="user", content="Hi"),), tools=(_TOOL,))


@pytest.mark.parametrize("kind", MISREAD)
def test_what_is_taken_for_something_else_is_told(renderer: Renderer, kind: str):
    native = read_native(MISREAD[kind], version=_VERSION, now=_NOW)
    thinks = "thinking" in native.capabilities
    answers = answers_of(renderer.load(MISREAD[kind]))
    assert misread_natively(native, answers, thinks=thinks, version=_VERSION) == (kind,)
    question = Question(
        authors=Authors(chat_template=MISREAD[kind]), version=_VERSION, may_template=False, may_patch=False
    )
    choice = choose_template(question, renderer=renderer)
    assert isinstance(choice, TemplateChoice)
    assert choice.misread == (kind,)


def test_thoughts_that_the_model_begins_by_itself_are_asked_for(renderer: Renderer):
    native = read_native(UNSEEN_THOUGHTS, version=_VERSION, now=_NOW)
    answers = answers_of(renderer.load(UNSEEN_THOUGHTS))
    assert misread_natively(native, answers, thinks=True, version=_VERSION) == ("thoughts",)


@pytest.mark.parametrize("text", READ.values(), ids=READ)
def test_nothing_else_is_misread(renderer: Renderer, text: str):
    native, thinks = read_native(text, version=_VERSION, now=_NOW), "<think>" in text
    answers = answers_of(renderer.load(text))
    assert misread_natively(native, answers, thinks=thinks, version=_VERSION) == ()


def test_thoughts_that_nobody_writes_are_not_asked_for(renderer: Renderer):
    # the prompt closes the thought that the turn that is over shows: no model goes on with one
    text = MISREAD["thoughts"].replace(
        "{{ '<think>' if enable_thinking else '<think></think>' }}", "<think></think>"
    )
    answers = answers_of(renderer.load(text))
    assert [one.goes_on for one in answers if one.thought and not one.calls] == [False] * 2
    native = read_native(text, version=_VERSION, now=_NOW)
    assert misread_natively(native, answers, thinks=True, version=_VERSION) == ()


def test_with_tools_nothing_is_told_of_answers_where_a_template_shows_no_call(renderer: Renderer):
    reader = _reader(SILENT_CALLS)
    assert (reader.shows_calls, reader.form) == (True, None)
    assert reader.read("There.", asked=canonical(_ASKED, path="native", version=_VERSION)) == Heard()
    native = read_native(SILENT_CALLS, version=_VERSION, now=_NOW)
    answers = answers_of(renderer.load(SILENT_CALLS))
    assert misread_natively(native, answers, thinks=False, version=_VERSION) == ("contents",)


_SAID = Conversation(name="asked", messages=(Message(role="user", content="Hi"),), think=True)


@pytest.mark.parametrize(
    "text, heard",
    [
        ("Hm.\n</think>\n\nThere.", Heard(said="There.", thought="Hm.\n")),
        ("Hm. There.", Heard(thought="Hm. There.")),  # a thought without end
        ("", Heard()),
    ],
)
def test_thoughts_and_contents_are_read(text: str, heard: Heard):
    assert _reader(JSON_CALLS).read(text, asked=canonical(_SAID, path="native", version=_VERSION)) == heard


@pytest.mark.parametrize(
    "text, heard",
    [
        ("<say>There.</say>", Heard(said="There.")),
        ("<say>There.", Heard(said="There.")),  # what is missing at the end is passed over
        ("There.", Heard(said="There.")),
        ("<say>There.</say> And more.", None),
    ],
)
def test_contents_between_marks_are_read(text: str, heard: Heard | None):
    asked = canonical(_SAID, path="native", version=_VERSION)
    assert _reader(MISREAD["contents"]).read(text, asked=asked) == heard


_READERS: dict[str, AnswerReader] = {}
_PIECES = st.sampled_from(
    [
        "<tool_call>",
        "</tool_call>",
        '{"name": "f", "arguments": {}}',
        "\n",
        " ",
        "f",
        "<arg_key>",
        "{",
        "é",
        "</",
    ]
)


@given(text=st.lists(_PIECES, max_size=12).map("".join), name=st.sampled_from(sorted(READ)))
def test_whatever_a_model_writes_is_read_or_not(text: str, name: str):
    reader = _READERS.setdefault(name, _reader(READ[name]))
    asked = canonical(_ASKED, path="native", version=_VERSION)
    found = reader.read(text, asked=asked)
    calls = [] if found is None else found.calls
    assert all(name == "f" and isinstance(arguments, dict) for name, arguments in calls)


@pytest.mark.parametrize("marks", ["{{ '<' * 60000 }}", "{{ '<>' * 60000 }}", "{{ '[<' * 9000 }}"])
def test_very_many_marks_are_not_searched(marks: str):
    text = _TURN.replace("AFTER", "").replace("CALL", marks + "{{ c.function.name }}")
    assert read_native(text, version=_VERSION, now=_NOW).answer_readers() == []
