"""The system prompt of a chat template's own is found by trying, and kept out of prompts."""

from __future__ import annotations

import pytest

from gguf2ollama.chat.changes.default_system import DefaultSystem, silence_default_system
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import Authors
from tests.builders import CHATML_TEMPLATE

_TURNS = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</e>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
_DEFAULT = "You are Tiny, a helpful model."
_IF_NONE = "{% if messages[0].role != 'system' %}<system>" + _DEFAULT + "</e>{% endif %}"
PRINTED = _IF_NONE + _TURNS
TRIMMED = PRINTED.replace("m.content", "m.content | trim")
IF_EMPTY = (
    "{% set first = messages[0].content if messages[0].role == 'system' else '' %}"
    "<system>{{ first or '"
    + _DEFAULT
    + "' }}</e>"
    + _TURNS.replace("in messages", "in messages if m.role != 'system'")
)
IF_BLANK = IF_EMPTY.replace("first or", "first | trim or")


def _silence(text: str, renderer: Renderer) -> DefaultSystem | None:
    return silence_default_system(Authors(chat_template=text), renderer)


@pytest.mark.parametrize(
    "text",
    [
        CHATML_TEMPLATE,
        _TURNS.replace("<{{ m.role }}>", "{% if m.role != 'system' %}[{{ m.role }}]{% endif %}"),
        "{% if messages[0].role == 'system' %}{{ raise_exception('none') }}{% endif %}" + _TURNS,
        "Always printed before the chat. " + _TURNS,
    ],
    ids=["no system prompt", "no mark", "rejects", "the same with one"],
)
def test_a_template_without_a_system_prompt_of_its_own_has_none(renderer: Renderer, text: str):
    assert _silence(text, renderer) is None


def test_where_contents_are_trimmed_a_blank_is_the_system_prompt(renderer: Renderer):
    assert _silence(TRIMMED, renderer) == DefaultSystem(text=_DEFAULT, system=" ")


@pytest.mark.parametrize("text, printed", [(PRINTED, ""), (IF_EMPTY, " ")], ids=["always", "if empty"])
def test_else_the_chat_template_is_changed(renderer: Renderer, text: str, printed: str):
    found = _silence(text, renderer)
    assert found is not None
    assert (found.text, found.system) == (_DEFAULT, "")
    changed, original = renderer.load(found.chat_template), renderer.load(text)
    asked = [{"role": "user", "content": "Hi"}]
    system = [{"role": "system", "content": "Be brief."}]
    variables = {"add_generation_prompt": True}
    prompt = changed.render_raw(asked, variables=variables)
    assert prompt == renderer.load(PRINTED).render_raw(
        [{"role": "system", "content": printed}, *asked], variables=variables
    )
    assert changed.render_raw(system + asked) == original.render_raw(system + asked)


def test_one_that_stays_is_found_and_not_silenced(renderer: Renderer):
    assert _silence(IF_BLANK, renderer) == DefaultSystem(text=_DEFAULT)
