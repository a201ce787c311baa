"""What Ollama does by family and name; live tests hold it to servers and to Ollama's own parser."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.choice.candidate import Question, TemplateChoice
from gguf2ollama.chat.choice.selection import choose_template
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.llamacpp import read_native
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference_prompt import Authors
from gguf2ollama.chat.special_cases import filter_think_tags, thinks_by_family, uses_harmony
from tests.live.native_templates import NATIVE_TEMPLATES

ANSWERS = {  # what is left of each
    "": "",
    " \n": "",
    "\u2003\x85\u3000": "",
    "\x1f": "\x1f",  # Python strips it, Go doesn't
    "\u200b": "\u200b",
    "<": "",
    "  <th": "",
    "<think>": "",
    "<think> \n": "",
    "<thinks": "<thinks",
    "think>": "think>",
    " Yes": " Yes",
    "Yes <think>hm</think> no": "Yes <think>hm</think> no",
    "</think>Yes": "</think>Yes",
    "<think>hm</think>Yes": "Yes",
    "\n <think>\nhm\n</think>\n\n Yes \n": "Yes \n",
    "<think></think>Yes": "Yes",
    "<think>hm": "",
    "<think>hm</thin": "",
    "<think>hm</think>": "",
    "<think>a<think>b</think>c</think>d": "c</think>d",
    "<think>a</think> <think>b</think> c": "<think>b</think> c",
    "<THINK>a</THINK>b": "<THINK>a</THINK>b",
}
_PIECES = ("<think>", "</think>", "<th", " ", "\n", "\xa0", "a", "</", ">")


def chat(*contents):
    """A chat that begins with a question."""
    roles = ("user", "assistant")
    messages = tuple(Message(role=roles[at % 2], content=text) for at, text in enumerate(contents))
    return Conversation(name="chat", messages=messages)


def left_of(answer, *, family="qwen3", model_name="", version="0.34.4"):
    told = filter_think_tags(
        chat("Why?", answer, "And?"), family=family, model_name=model_name, version=version
    )
    return told.messages[1].content


@pytest.mark.parametrize("answer, left", ANSWERS.items())
def test_a_thought_before_an_answer_is_cut(answer, left):
    assert left_of(answer) == left


@pytest.mark.parametrize(
    "family, model_name, is_cut",
    [
        ("qwen3", "", True),
        ("llama", "deepseek-r1", True),
        ("llama", "", False),
        ("llama", "DeepSeek-R1", False),
        ("llama", "deepseek-r1-distill", False),
        ("llama", "qwen3", False),
        ("qwen3moe", "", False),
        ("qwen3vl", "", False),
        ("qwen35", "", False),
        ("deepseek-r1", "", False),
    ],
)
def test_one_family_and_one_name_are_treated_so(family, model_name, is_cut):
    assert (left_of("<think>hm</think>Yes", family=family, model_name=model_name) == "Yes") is is_cut


def test_answers_after_the_last_question_stay_and_so_does_what_others_say():
    thought = "<think>hm</think>Yes"
    told = (
        Message(role="system", content=thought),
        Message(role="user", content=thought),
        Message(role="assistant", content=thought, thinking="kept"),
        Message(role="tool", content=thought),
        Message(role="user", content=thought),
        Message(role="assistant", content=thought),
    )
    asked = Conversation(name="all", messages=told)
    cut = dataclasses.replace(told[2], content="Yes")
    left = filter_think_tags(asked, family="qwen3", model_name="", version="0.34.4")
    assert left.messages == (*told[:2], cut, *told[3:])
    no_question = dataclasses.replace(asked, messages=told[2:4])
    assert filter_think_tags(no_question, family="qwen3", model_name="", version="0.34.4") == no_question


@pytest.mark.parametrize(
    "version, answer, left",
    [
        ("0.5.7", "<think>hm</think>Yes", "<think>hm</think>Yes"),
        ("0.6.6", "<think>hm</think>Yes", "<think>hm</think>Yes"),
        ("0.6.7", " <think>hm</think>\n\n Yes <think>\n</think>.", "  Yes ."),
        ("0.8.0", "<think>hm", "<think>hm"),
        ("0.8.0", " \n", " \n"),
        ("0.9.0", " <think>hm</think>\n\n Yes <think>\n</think>.", "Yes <think>\n</think>."),
        ("0.24.0", " \n", ""),
        ("0.0.0", " \n", ""),
    ],
)
def test_older_versions_cut_otherwise_or_nothing(version, answer, left):
    assert left_of(answer, version=version) == left


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<th", " ", "\n", "\xa0", "a", "</", ">"]), max_size=8)
)
def test_what_is_left_is_an_end_of_the_answer(pieces):
    answer = "".join(pieces)
    left = left_of(answer)
    assert answer.endswith(left)
    assert left == answer or left == left.lstrip()
    if "<think>" not in answer and answer.strip("<th \n\xa0"):
        assert left == answer


_CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_GO = "{{ range .Messages }}<|{{ .Role }}|>{{ .Content }}<|end|>{{ end }}<|assistant|>"
_ASKED = chat("Why?", " \n", "And?")
_CUT = "<|user|>Why?<|end|><|assistant|><|end|><|user|>And?<|end|><|assistant|>"


@pytest.mark.parametrize("known", [{"family": "qwen3"}, {"model_name": "deepseek-r1"}])
def test_the_native_prompt_is_predicted_of_what_is_left(known):
    assert read_native(_CHAT, version="0.34.4", **known).render(_ASKED) == Rendered(_CUT)
    assert read_native(_CHAT, version="0.34.4", family="llama").render(_ASKED) != Rendered(_CUT)


@pytest.mark.parametrize("known", [{"architecture": "qwen3"}, {"model_name": "deepseek-r1"}])
@pytest.mark.parametrize("user", [_GO, None])
def test_a_choice_knows_which_conversations_that_spoils(known, user, renderer):
    question = Question(authors=Authors(chat_template=_CHAT), version="0.34.4", user=user, may_patch=False)
    changed = {
        one.name
        for one in battery()
        if filter_think_tags(one, family="qwen3", model_name="", version="0.34.4") != one
    }
    assert {"nothing but white space", "thinking within an answer, on"} <= changed
    spoiled = []
    for asked in (question, dataclasses.replace(question, **known)):
        choice = choose_template(asked, renderer=renderer)
        assert isinstance(choice, TemplateChoice)
        spoiled.append({case.conversation.name for case in choice.chosen.parity.faults})
    assert spoiled[1] - spoiled[0] == {"nothing but white space"}  # the template shows no thinking


@pytest.mark.parametrize(
    "family, version, thinks",
    [
        ("gpt-oss", "0.34.4", True),
        ("gptoss", "0.24.0", True),
        ("gptoss", "0.11.4", True),
        ("gpt-oss", "0.11.4", False),
        ("gptoss", "0.11.0", False),
        ("qwen3", "0.34.4", False),
        ("", "0.34.4", False),
    ],
)
def test_a_family_thinks_whatever_its_templates_show(family, version, thinks):
    assert thinks_by_family(family, version=version) is thinks
    assert uses_harmony(family, "{{/* <|start|> <|end|> */}}", version=version) is thinks
    assert not uses_harmony(family, "<|start|>", version=version)


_HARMONY = "{{ .IsThinkSet }} {{ .Think }} {{ .ThinkLevel }}{{ range .Messages }}<|start|>{{ end }}"


@pytest.mark.parametrize("end, reads", [("<|end|>", True), ("", False)])
def test_the_harmony_parser_reads_the_calls_of_gpt_oss(end, reads, renderer):
    question = Question(
        authors=Authors(chat_template=NATIVE_TEMPLATES["a call that is no JSON"]),
        version="0.34.4",
        architecture="gpt-oss",
        user=_HARMONY + end,
    )
    choice = choose_template(question, renderer=renderer)
    assert choice.chosen.misses_calls is not reads
    assert choice.chosen.capabilities == {"thinking"}
    plain = [case.got for case in choice.chosen.parity.cases if case.conversation.feature == "plain"]
    assert all(one.prompt.startswith("true true medium") for one in plain)
