"""What a model writes is found in the turns that are over, whole marks and thoughts included."""

from __future__ import annotations

import pytest

from gguf2ollama.chat.answers.model_output import Answer, answers_of
from gguf2ollama.chat.reference import Renderer
from tests.calling_templates import ACTIONS, JSON_CALLS, KEYS_AND_VALUES, XML_CALLS

# what was thought before is not shown any more once the user speaks again
_FORGETFUL = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}"
    "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}<|{{ m.role }}|>"
    "{% if m.role == 'assistant' and loop.index0 > ns.last %}<think>{{ m.reasoning_content }}</think>"
    "{% endif %}"
    "{{ m.content }}{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}</call>{% endfor %}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|><think>{% endif %}"
)


def _answers(renderer: Renderer, text: str) -> tuple[Answer, ...]:
    return answers_of(renderer.load(text, bos="<s>", eos="</s>"))


def _first(answers: tuple[Answer, ...], *, think: bool | None, calls: int, thought: bool) -> Answer:
    return next(
        one
        for one in answers
        if one.asked.think is think and len(one.calls) == calls and bool(one.thought) is thought
    )


def test_a_call_that_shares_a_letter_with_the_mark_of_a_thought_is_whole(renderer: Renderer):
    call = _first(_answers(renderer, JSON_CALLS), think=False, calls=1, thought=False)
    assert call.text.lstrip().startswith('<tool_call>\n{"name": "Zqbtoolzz"')


@pytest.mark.parametrize("text", [JSON_CALLS, XML_CALLS, KEYS_AND_VALUES])
def test_a_model_that_is_to_think_ends_its_thought_before_it_calls(renderer: Renderer, text: str):
    for answer in _answers(renderer, text):
        if answer.asked.think and answer.calls and answer.thought:
            thought, closing, call = answer.text.partition("</think>")
            assert (thought.strip(), closing) == ("Zqbthoughtz", "</think>")
            assert call.lstrip().startswith("<tool_call>")
            assert "</think>" not in call


def test_a_thought_that_turns_do_not_show_is_written_all_the_same(renderer: Renderer):
    answers = _answers(renderer, _FORGETFUL)
    plain = _first(answers, think=True, calls=0, thought=True)
    assert plain.text == "Zqbthoughtz\n</think>\n\nZqbsaidzz<|end|><|user|>"


def test_what_was_said_before_may_be_shown_in_another_way_later(renderer: Renderer):
    after_result = [one for one in _answers(renderer, _FORGETFUL) if one.asked.messages[-1].role == "tool"]
    assert after_result
    assert all("<call>" not in one.text and one.text[: one.end].endswith("Zqbsaidzz") for one in after_result)


def test_blocks_are_whole(renderer: Renderer):
    for answer in _answers(renderer, ACTIONS):
        assert not answer.text.startswith(("ACTION", "TEXT", "EXT"))


def test_what_ends_a_turn_stands_behind_the_last_text(renderer: Renderer):
    for answer in _answers(renderer, XML_CALLS):
        assert answer.text[answer.end :].lstrip("\n").startswith(("<|im_end|>", "</parameter>"))
