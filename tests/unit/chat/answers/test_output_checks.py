"""A parser is taken only where it takes all answers apart, and a TEMPLATE alone where that is enough."""

from __future__ import annotations

import pytest

from gguf2ollama.chat.answers.model_output import Answer, answers_of
from gguf2ollama.chat.answers.ollama_parsers import AnswerParser, known_parsers
from gguf2ollama.chat.answers.output_checks import are_calls_read, continues_answers, first_that_reads
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.errors import UsageProblem
from tests.calling_templates import (
    ACTIONS,
    JSON_CALLS,
    KEYS_AND_VALUES,
    UNREADABLE,
    XML_CALLS,
    XML_CALLS_NO_THOUGHTS,
)


def _answers(renderer: Renderer, text: str) -> tuple[Answer, ...]:
    return answers_of(renderer.load(text, bos="<s>", eos="</s>"))


@pytest.mark.parametrize(
    "text, thinks, name",
    [
        (XML_CALLS, True, "qwen3.5"),
        (XML_CALLS_NO_THOUGHTS, False, "qwen3-coder"),
        (KEYS_AND_VALUES, True, "glm-4.7"),
        (ACTIONS, True, "cohere"),
        (JSON_CALLS, True, None),
        (UNREADABLE, True, None),
    ],
)
def test_the_parser_that_reads_everything_is_found(
    renderer: Renderer, *, text: str, thinks: bool, name: str | None
):
    found = first_that_reads(known_parsers("0.34.4"), _answers(renderer, text), thinks=thinks)
    assert (found.name if found else None) == name


def test_a_parser_that_waits_for_thoughts_is_not_for_a_model_without(renderer: Renderer):
    thinking = [one for one in known_parsers("0.34.4") if one.thinks]
    answers = _answers(renderer, XML_CALLS_NO_THOUGHTS)
    assert first_that_reads(thinking, answers, thinks=False) is None


def test_a_parser_that_leaves_thoughts_in_what_is_said_is_not_for_a_model_with(renderer: Renderer):
    (coder,) = (one for one in known_parsers("0.34.4") if one.name == "qwen3-coder")
    answers = _answers(renderer, XML_CALLS)
    assert first_that_reads([coder], answers, thinks=True) is None


def test_it_is_known_who_takes_a_continued_answer_for_a_thought():
    found = {one.name: continues_answers(one) for one in known_parsers("0.34.4")}
    assert found == {"qwen3-coder": True, "qwen3.5": True, "glm-4.7": False, "cohere": True}


def test_calls_in_json_are_read_behind_a_thought(renderer: Renderer):
    answers = _answers(renderer, JSON_CALLS)
    assert are_calls_read(answers, tag="<tool_call>", closing="</think>")
    assert are_calls_read(answers, tag="{", closing="</think>") is False, "a tag stands before the brace"
    assert not are_calls_read(_answers(renderer, XML_CALLS), tag="<tool_call>", closing="</think>")


def test_a_server_that_lacks_a_parser_is_not_offered_it():
    assert known_parsers("0.32.14") == ()
    for version in ("0.32.15", "0.34.4", "0.0.0"):
        assert all(isinstance(one, AnswerParser) for one in known_parsers(version))
        assert known_parsers(version)
    with pytest.raises(UsageProblem):
        known_parsers("new")
