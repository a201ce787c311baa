"""A rendering that is not to be answered is left out only where it is the start of the other."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.llamacpp import read_native
from gguf2ollama.chat.llamacpp.jinja_engine.errors import TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.interpreter import Dialect, load
from gguf2ollama.chat.outcome import Refused

NOW = datetime(2026, 3, 7, 12, 30, tzinfo=UTC)
_LOOP = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
_RAISE = "{{ raise_exception('no') }}"


@pytest.mark.parametrize(
    "source",
    [
        _LOOP,
        _LOOP + "{% if add_generation_prompt %}<assistant>{% endif %}\n",
        _LOOP
        + "{%- if add_generation_prompt and messages -%}{% set x = 1 %}<assistant>{% else %}.{%- endif %}",
        _LOOP + "{{ '<assistant>' if add_generation_prompt }}",
        _LOOP + "{{ '<assistant>' if add_generation_prompt else '' }}{# the end #}",
    ],
)
def test_what_adds_at_the_end_is_seen(source: str):
    assert load(source, Dialect()).only_opens_at_the_end


@pytest.mark.parametrize(
    "source",
    [
        _LOOP + "{% if not add_generation_prompt %}<end>{% endif %}",
        _LOOP + "{% if add_generation_prompt %}<assistant>{% else %}{{ eos_token }}{% endif %}",
        _LOOP + "{% if add_generation_prompt or x %}<assistant>{% endif %}",
        _LOOP + "{% if add_generation_prompt %}<assistant>{% endif %}{{ eos_token }}",
        "{% if add_generation_prompt %}{% set x = 1 %}{% endif %}" + _LOOP,
        "{% set end = add_generation_prompt %}" + _LOOP + "{% if end %}<assistant>{% endif %}",
        "{% for m in messages %}{{ m }}{% if loop.last and add_generation_prompt %}:{% endif %}{% endfor %}",
        _LOOP + "{% if f(add_generation_prompt) %}<assistant>{% endif %}",
    ],
)
def test_what_may_do_more_is_seen(source: str):
    assert not load(source, Dialect()).only_opens_at_the_end


def test_a_chat_that_fails_without_an_answer_fails_still():
    source = _LOOP + "{% if add_generation_prompt %}:{% else %}" + _RAISE + "{% endif %}"
    asked = Conversation(name="x", messages=(Message(role="user", content="Hi"),))
    told = read_native(source, version="0.34.4", now=NOW)
    assert told.refusal is not None or isinstance(told.render(asked), Refused)


_BITS = st.sampled_from(
    [
        *("a", "\n", _LOOP, "{% set x = 1 %}", "{{ x }}", "{{ y + 'a' }}", _RAISE),
        *("{% if add_generation_prompt %}b{% endif %}", "{% if x and add_generation_prompt %}c{% endif %}"),
        *(
            "{{ 'd' if add_generation_prompt else 'e' }}",
            "{% if add_generation_prompt %}{{ z.z.z + 1 }}{% endif %}",
        ),
        *("{% if not add_generation_prompt %}f{% endif %}", "{% set add_generation_prompt = false %}"),
    ]
)


@given(st.lists(_BITS, max_size=6).map("".join))
def test_what_is_left_out_begins_what_is_not(source: str):
    template = load(source, Dialect())
    if not template.only_opens_at_the_end:
        return
    variables = {"messages": [{"role": "user", "content": "Hi"}]}
    try:
        opened = template.render(variables | {"add_generation_prompt": True}, now=NOW)
    except TemplateFault:
        return
    assert opened is not None
    template.render(variables, now=NOW)  # it fails in nothing that the other does not fail in
