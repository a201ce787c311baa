"""Templates that take no text as a message: what they take is found by trying, and a TEMPLATE made of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gguf2ollama import ollama_template
from gguf2ollama.chat.changes.part_contents import PartForm, example_template, find_part_form
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import Authors
from gguf2ollama.gotmpl.parse import parse

_NOW = datetime(2026, 3, 7, tzinfo=UTC)
_END = "</e>\n{% endfor %}{% if add_generation_prompt %}<assistant>\n{% endif %}"
_NO_TEXT = "{% if m.content is string %}{{ raise_exception('a list is needed') }}{% endif %}"
_TURN = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>\n"
_ANSWERS = "{% if m.role == 'assistant' %}{{ m.content }}{% else %}" + _NO_TEXT
LANGUAGES = (
    "{% set names = {'de': 'German', 'fr': 'French'} %}" + _TURN + _ANSWERS + "{% set p = m.content[0] %}"
    "{% if p.source not in names or p.get('target') not in names %}{{ raise_exception('which?') }}{% endif %}"
    "{{ names[p.source] }} ({{ p.source }}) to {{ p['target'] }}: {{ p.text }}"
    "{% if p.image %}<image>{% endif %}{% endif %}" + _END
)
TWO_LANGUAGES = (
    _TURN
    + _ANSWERS
    + "{% for p in m.content if p.type == 'text' %}{% if p.source == p.target or p.source not in"
    " ['de', 'fr'] or p.target not in ['de', 'fr'] %}{{ raise_exception('which?') }}{% endif %}"
    "{{ p.source }} to {{ p.target }}: {{ p.text }}{% endfor %}{% endif %}" + _END
)
OTHER_TEXT_KEY = (
    _TURN + _NO_TEXT + "{% for p in m.content %}{% if p.type != 'input_text' %}{{ raise_exception('what?') }}"
    "{% endif %}{{ p.value }}{% endfor %}" + _END
)


@pytest.mark.parametrize(
    "text, form",
    [
        (LANGUAGES, PartForm(text_key="text", values={"source": "de", "target": "de"}, roles=("user",))),
        (
            OTHER_TEXT_KEY,
            PartForm(text_key="value", values={"type": "input_text"}, roles=("user", "assistant")),
        ),
        (
            TWO_LANGUAGES,
            PartForm(text_key="text", values={"source": "de", "target": "fr"}, roles=("user",)),
        ),
        ("{{ raise_exception('Nobody may ask.') }}", None),
        (_TURN + "{{ raise_exception(m.content[0].text) }}" + _END, None),
    ],
    ids=["languages", "another key for the text", "two languages", "nothing", "raises with the text"],
)
def test_the_parts_that_a_template_takes_are_found(renderer: Renderer, text: str, form: PartForm | None):
    assert find_part_form(renderer.load(text)) == form


def test_the_template_to_start_from_prompts_as_the_chat_template_does(renderer: Renderer):
    template = renderer.load(LANGUAGES)
    form = find_part_form(template)
    assert form is not None
    text = example_template(Authors(chat_template=LANGUAGES, bos="<s>", adds_bos=True), template, form)
    assert "\n" not in text  # it stands in a hint
    chat = [("user", "Hi {{"), ("assistant", "Hallo"), ("user", "Bye")]
    messages = [{"role": role, "content": said} for role, said in chat]
    got = ollama_template.render(
        parse(text), {"messages": messages}, version="0.34.4", now=_NOW, capabilities=frozenset()
    )
    question = "<user>\nGerman (de) to de: {}</e>\n<assistant>\n"
    assert got == question.format("Hi {{") + "Hallo</e>\n" + question.format("Bye")
