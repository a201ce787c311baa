"""Templates that llama.cpp takes for another model family by their text, and whose turns are others."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gguf2ollama.chat.changes.rewrites import with_text_split
from gguf2ollama.chat.choice.candidate import Question, TemplateChoice
from gguf2ollama.chat.choice.selection import choose_template
from gguf2ollama.chat.llamacpp import read_native
from gguf2ollama.chat.llamacpp.special_templates import family_of
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import Authors
from tests.calling_templates import TAKEN_FOR_ANOTHER

_VERSION, _NOW = "0.34.4", datetime(2026, 11, 5, tzinfo=UTC)
_CHATML = TAKEN_FOR_ANOTHER.replace("<|turn_", "<|im_")


@pytest.mark.parametrize("version", [_VERSION, "0.32.15"])
@pytest.mark.parametrize("text, is_read", [(TAKEN_FOR_ANOTHER, False), (_CHATML, True)])
def test_answers_are_read_behind_the_turns_of_the_family_alone(version: str, text: str, *, is_read: bool):
    assert read_native(text, version=version, now=_NOW).reads_answers is is_read


@pytest.mark.parametrize(
    "family, opening, is_read",
    [
        ("[SYSTEM_PROMPT][TOOL_CALLS][ARGS]", "", True),
        ("[SYSTEM_PROMPT][TOOL_CALLS][ARGS]", "<|bot|>", False),
        ("<|channel|>", "<|start|>assistant", True),
        ("<|channel|>", "<|bot|>", False),
        ("'<|tool_call>call:'", "<|turn>model\n", True),
        ("'<|tool_call>call:'", "<|bot|>", False),
        ("]<]minimax[>[<tool_call><invoke name=", "<|bot|>", True),
        (">>>all >>>${recipient}", "<|start_header_id|>assistant<|end_header_id|>\n\n>>>", True),
    ],
)
def test_each_family_has_its_own_beginning(family: str, opening: str, *, is_read: bool):
    found = family_of(family)
    assert found is not None
    assert found.reads_behind(opening, family) is is_read


def test_the_marks_are_taken_apart_in_the_header(renderer: Renderer):
    question = Question(
        authors=Authors(chat_template=TAKEN_FOR_ANOTHER), version=_VERSION, may_template=False
    )
    choice = choose_template(question, renderer=renderer)
    assert isinstance(choice, TemplateChoice)
    chosen = choice.chosen
    assert (chosen.origin, chosen.misses_calls, choice.misread) == ("patched", False, ())
    assert chosen.different("plain", "tools") == 0
    assert "the server would read answers as those of Qwen3-Coder" in chosen.why


def test_answers_that_fail_are_told_where_the_header_stays(renderer: Renderer):
    question = Question(
        authors=Authors(chat_template=TAKEN_FOR_ANOTHER),
        version=_VERSION,
        may_patch=False,
        may_template=False,
    )
    choice = choose_template(question, renderer=renderer)
    assert isinstance(choice, TemplateChoice)
    assert (choice.chosen.misses_calls, choice.misread) == (True, ("contents",))


@pytest.mark.parametrize(
    "text",
    [
        "a <f=x> {{ '<f=' + m }} {{ ('\\n<f=' ~ \"<f=\") | trim }} {# <f= #}",
        "{% set x = {'<f=': '<f=<f='} %}{{ x['<f='] }}{% if '<f=' in m %}y{% endif %}",
    ],
)
def test_what_is_printed_stays_where_marks_are_taken_apart(renderer: Renderer, text: str):
    changed = with_text_split(text, ["<f="])
    assert changed is not None
    assert "<f=" not in changed
    for m in ("<f=1>", "2"):
        prompts = [renderer.load(one).render_raw([], variables={"m": m}) for one in (text, changed)]
        assert prompts[0] == prompts[1]


def test_a_template_without_the_marks_stays():
    assert with_text_split("{{ 'x' }}", ["<f="]) is None
