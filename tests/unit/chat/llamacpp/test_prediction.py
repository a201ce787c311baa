"""What is predicted of Ollama's native way; the live tests hold it to servers."""

import dataclasses
from datetime import UTC, datetime

import pytest

from gguf2ollama.chat.conversation import Conversation, Message, ToolCall
from gguf2ollama.chat.llamacpp import Unpredictable, read_native
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.errors import UsageProblem
from tests.live.native_templates import CHANGING_TEMPLATES, NATIVE_TEMPLATES

NOW = datetime(2026, 3, 7, 12, 30, tzinfo=UTC)
USER = Message(role="user", content="Hi <b>")
ASKED = Conversation(name="asked", messages=(USER,))
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CALL = Message(role="assistant", calls=(ToolCall(name="f", arguments={"b": "<", "a": 1.0}, id="i1"),))


def read(name, version="0.34.4", **options):
    return read_native(NATIVE_TEMPLATES.get(name, name), version=version, now=NOW, **options)


def prompt(name, *messages, version="0.34.4", tools=(), think=None, **options):
    asked = Conversation(name="x", messages=messages, tools=tuple(tools), think=think)
    outcome = read(name, version, **options).render(asked)
    assert isinstance(outcome, Rendered), outcome
    return outcome.prompt


def test_a_chat_is_rendered():
    assert prompt("turns and tools", USER) == "<|user|>Hi <b><|end|>\n<|assistant|>"


def test_tools_are_canonical_and_arguments_objects_where_they_are_looked_into():
    told = prompt("turns and tools", USER, CALL, Message(role="tool", content="r"), tools=[TOOL])
    assert '"description": "", "parameters"' in told
    assert '<call id=i1>f {"b": "<", "a": 1}</call>' in told


def test_arguments_stay_gos_text_where_a_template_joins_them_to_text():
    told = prompt("arguments as text", USER, CALL, Message(role="tool", content="r"), tools=[TOOL])
    assert 'f({"b":"\\u003c","a":1})' in told


def test_a_system_text_goes_into_the_question_where_the_template_does_not_ask_for_it():
    assert prompt("no system", Message(role="system", content="S"), USER) == "[user]S\nHi <b>[assistant]"


def test_contents_are_parts_where_a_template_takes_nothing_else():
    assert prompt("parts only", USER) == "<user>Hi <b><assistant>"


def test_thinking_of_history_is_never_told():
    answer = Message(role="assistant", content="A", thinking="hm")
    assert "hm" not in prompt("thinking of answers", USER, answer, USER)


@pytest.mark.parametrize("think, shown", [(None, "[quick]"), (False, "[quick]")])
def test_the_switch_is_off_where_no_reasoning_is_found(think, shown):
    assert prompt("a switch that Ollama does not see", USER, think=think).endswith(shown)


def test_thinking_is_on_where_ollama_sees_it_and_nobody_says():
    assert prompt("a thought is begun", USER).endswith("<think>\n")
    assert prompt("a thought is begun", USER, think=False).endswith("<|assistant|>")


def test_what_a_model_cannot_do_is_refused_by_ollama():
    plain = read("no system")
    assert plain.capabilities == frozenset()
    assert isinstance(plain.render(dataclasses.replace(ASKED, think=True)), Refused)
    assert isinstance(plain.render(dataclasses.replace(ASKED, tools=(TOOL,))), Refused)
    assert read("no system", family="gptoss").capabilities == {"thinking"}
    assert read("turns and tools").capabilities == {"tools"}


def test_an_answer_is_continued():
    last = Message(role="assistant", content=" So")
    assert prompt("turns and tools", USER, last).endswith("<|assistant|> So")
    assert prompt("a thought is begun", USER, last).endswith("<|assistant|><think>\n So")
    assert prompt("old thinking", USER, last).endswith("<|assistant|><think></think> So")
    assert prompt("Kimi K2", USER, last).endswith("<think></think> So")
    assert not prompt("turns and tools", USER, dataclasses.replace(last, content="")).endswith(
        "<|assistant|>"
    )


@pytest.mark.parametrize("messages", [(USER, CALL), (USER, CALL, CALL)])
def test_what_cannot_be_continued_is_refused(messages):
    outcome = read("turns and tools").render(dataclasses.replace(ASKED, messages=messages))
    assert isinstance(outcome, Refused)
    assert outcome.cause == "failed"


def test_tokens_that_the_tokenizer_adds_are_cut():
    assert prompt("BOS and EOS", USER, bos="<s>", eos="</s>").startswith("<s><|user|>")
    cut = prompt("BOS and EOS", USER, bos="<s>", eos="</s>", adds_bos=True, adds_eos=True)
    assert cut == "<|user|>Hi <b><|end|>\n<|assistant|>"


@pytest.mark.parametrize(
    "name", ["refuses every chat", "is no Jinja", "a call that is no JSON", "system refused"]
)
def test_what_keeps_llama_server_from_starting_is_told(name):
    native = read(name)
    starts = name == "system refused"  # it is merged into the question, as the template doesn't ask for it
    assert (native.refusal is None) == starts
    assert isinstance(native.render(ASKED), Rendered if starts else Refused)


def test_preserved_thinking_came_with_0_34_1():
    assert prompt("levels", USER, version="0.34.0", think="high").startswith("high/high///\n")
    assert prompt("levels", USER, version="0.34.1", think="high").startswith("high/high/True/False/False\n")


def test_versions_whose_build_is_either_of_two_are_told_where_both_agree():
    assert prompt("turns and tools", USER, version="0.34.3") == prompt("turns and tools", USER)
    either = "{{ 1 if none in [none] else 2 }}{% for m in messages %}{{ m.content }}{% endfor %}"
    assert isinstance(read(either, "0.34.3").render(ASKED), Unpredictable)
    assert isinstance(read(either, "0.34.4").render(ASKED), Rendered)
    assert isinstance(read(either, "0.34.0").render(ASKED), Refused)


def test_the_engine_of_0_30_is_not_modelled():
    native = read("turns and tools", "0.30.1")
    assert isinstance(native.render(ASKED), Unpredictable)
    assert native.refusal is None


def test_an_unstamped_build_is_the_newest():
    assert prompt("levels", USER, version="0.0.0") == prompt("levels", USER)


def test_what_is_no_version_is_refused():
    with pytest.raises(UsageProblem):
        read("turns and tools", "newest")


@pytest.mark.parametrize("text", ["", " \n", "x" * 200_000, "{{ range(99999999) }}", "\ud800"])
def test_what_cannot_be_told_is_never_said_to_be_known(text):
    native = read_native(text, version="0.34.4")
    assert isinstance(native.render(ASKED), Unpredictable)
    assert native.refusal is None


def test_chats_with_tools_are_rendered_with_the_template_for_tools():
    named = "{{ tools | length }} tools: {{ messages[-1].content }}"
    with_tools = dataclasses.replace(ASKED, tools=(TOOL,))
    native = read("turns and tools", tool_use=named)
    assert native.render(with_tools) == Rendered(f"1 tools: {ASKED.messages[-1].content}")
    assert native.render(ASKED) == read("turns and tools").render(ASKED)
    # whether it thinks is a question for the template with which the server starts
    thinks = read("turns and tools", tool_use="{{ enable_thinking }}").render(with_tools)
    assert thinks == Rendered("False")


def test_a_template_for_tools_is_ignored_where_llama_cpp_cannot_read_it():
    with_tools = dataclasses.replace(ASKED, tools=(TOOL,))
    ignored = read("turns and tools", tool_use="{% for %}").render(with_tools)
    assert ignored == read("turns and tools").render(with_tools)


def test_a_template_for_tools_that_raises_fails_those_chats_only():
    native = read("turns and tools", tool_use="{{ raise_exception('no tools') }}")
    assert native.refusal is None
    assert isinstance(native.render(ASKED), Rendered)
    assert isinstance(native.render(dataclasses.replace(ASKED, tools=(TOOL,))), Refused)


def test_the_template_for_tools_is_of_no_use_where_the_default_hides_tools():
    native = read_native("{{ messages[-1].content }}", version="0.34.4", tool_use="{{ tools }}", now=NOW)
    assert native.capabilities == frozenset()
    assert isinstance(native.render(dataclasses.replace(ASKED, tools=(TOOL,))), Refused)


def test_what_is_continued_is_not_trimmed_where_the_rest_is():
    last = Message(role="assistant", content=" So ")
    told = prompt("trimmed where the tools say JSONSchema", Message(role="user", content=" Hi "), last)
    assert told.endswith("<|user|>Hi<|end|>\n<|assistant|> So ")


def test_thinking_in_answers_is_cut_for_qwen3():
    answer = Message(role="assistant", content="<think>\nhm\n</think>\n\nA")
    assert "hm" not in prompt("no system", USER, answer, USER, family="qwen3")
    assert "hm" in prompt("no system", USER, answer, USER)


def test_results_are_told_in_the_order_of_the_calls_to_deepseek_v4():
    calls = tuple(ToolCall(name="f", arguments={}, id=name) for name in ("one", "two"))
    results = [Message(role="tool", content=f"of {name}", tool_call_id=name) for name in ("two", "one")]
    asked = (USER, Message(role="assistant", calls=calls), *results)
    v4, v3 = (prompt(f"DeepSeek {name}", *asked, tools=[TOOL]) for name in ("V4", "V3.2"))
    assert v4.index("of one") < v4.index("of two")
    assert v3.index("of one") > v3.index("of two")


@pytest.mark.parametrize(
    "name, missing",
    [
        ("calls are dropped", "messages.1.tool_calls.1.function"),
        ("calls are dropped by a variable", "messages.1.tool_calls.1.function"),
        ("calls are none", "messages.1.tool_calls.1.function"),
        ("one call of several stays", "messages.1.tool_calls.1.function"),
        ("arguments become text", "messages.1.tool_calls.0.function.arguments.arg"),
        ("the last message is taken off", "messages.0.content"),
        ("tools are emptied", "tools.0.function.name"),
    ],
)
def test_a_template_that_takes_away_what_llama_cpp_looks_at_keeps_it_from_starting(name, missing):
    native = read(CHANGING_TEMPLATES[name])
    assert native.refusal.startswith("llama-server does not start")
    assert missing in native.refusal
    assert isinstance(native.render(ASKED), Refused)


@pytest.mark.parametrize("name", ["arguments become an object", "contents are trimmed", "tools are renamed"])
def test_what_was_asked_of_a_value_of_the_templates_own_is_not_known(name):
    native = read(CHANGING_TEMPLATES[name])
    assert native.refusal is None
    assert isinstance(native.render(ASKED), Unpredictable)


def test_what_a_template_changes_is_changed_for_all_that_follows():
    calls = (CALL, Message(role="tool", content="told"), USER)
    assert "<call id=i1>" in prompt(CHANGING_TEMPLATES["every message gets calls"], USER, *calls)
    doubled = prompt(CHANGING_TEMPLATES["calls are listed anew"], USER, *calls)
    assert doubled.count("<call id=i1>") == 2
    assert "<|tool|>result<|end|>" in prompt(CHANGING_TEMPLATES["contents of results are set"], USER, *calls)
    assert "[1]" in prompt(CHANGING_TEMPLATES["a loop"], USER)


@pytest.mark.parametrize("text", CHANGING_TEMPLATES.values(), ids=CHANGING_TEMPLATES)
@pytest.mark.parametrize("version", ["0.31.0", "0.32.15", "0.34.4"])
def test_no_template_that_changes_what_it_is_given_is_a_fault_of_ours(text, version):
    told = read(text, version).render(ASKED)
    assert isinstance(told, (Rendered, Refused, Unpredictable))
