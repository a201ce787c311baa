"""Each mechanism of the table can be switched off, and a chat template that needs it loses by that."""

from dataclasses import replace
from unittest import mock

import pytest

from benchmarks.leave_one_out import Outcome, choose, mechanisms, zoo_subjects
from benchmarks.parity_subjects import Subject
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.synthesis import facts

MECHANISMS = {mechanism.name: mechanism for mechanism in mechanisms()}
TEXT = (
    "{% if messages[0].role != 'system' %}<system>Be kind.</>{% endif %}"
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
SUBJECT = Subject(name="last", text=TEXT, bos="", eos="")


@pytest.fixture(scope="module")
def renderer():
    with Renderer() as renderer:
        yield renderer


@pytest.mark.parametrize("name", MECHANISMS)
def test_each_can_be_switched_off_and_has_lines(name):
    assert MECHANISMS[name].lines > 0
    with MECHANISMS[name].off():
        pass


def test_every_fact_is_in_the_table():
    assert {f"synthesis: the fact '{fact}'" for fact in facts.FACTS} <= MECHANISMS.keys()


def test_a_template_that_needs_a_mechanism_loses_by_its_absence(renderer):
    usual = choose(SUBJECT, "0.24.0", renderer=renderer)
    assert usual.origin == "synthesised"
    assert "one turn" in usual.usual
    assert any(mechanism.is_used(usual, TEXT) for mechanism in MECHANISMS.values())
    with mock.patch("gguf2ollama.chat.synthesis.learning.FACTS", ()):
        assert usual.usual - choose(SUBJECT, "0.24.0", renderer=renderer).usual


def test_nothing_is_used_where_nothing_was_chosen():
    assert not any(mechanism.is_used(replace(Outcome()), TEXT) for mechanism in MECHANISMS.values())


def test_the_zoo_has_chat_templates_of_its_own_once_each():
    texts = [subject.text for subject in zoo_subjects()]
    assert len(texts) == len(set(texts)) > 40
    assert {subject.name.partition("-")[0] for subject in zoo_subjects()} == {"zoo"}
