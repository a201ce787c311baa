"""Items of lists are asked for in a way that every llama.cpp takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from gguf2ollama.chat.llamacpp import read_native
from gguf2ollama.chat.ollama_input import canonical
from gguf2ollama.chat.outcome import Refused
from gguf2ollama.chat.reference import Renderer, Request
from gguf2ollama.chat.rewrites import with_brackets
from gguf2ollama.chat.test_conversations import battery
from tests.calling_templates import NUMBERED_ITEMS

_NOW = datetime(2026, 3, 7, 12, 30, tzinfo=UTC)


def test_a_changed_template_means_the_same(require_same: Callable[[str, str | None], None]) -> None:
    require_same(NUMBERED_ITEMS, with_brackets(NUMBERED_ITEMS))


def test_an_older_server_takes_calls_then(renderer: Renderer) -> None:
    changed = with_brackets(NUMBERED_ITEMS)
    assert changed is not None
    (asked,) = (one for one in battery() if one.name == "call and result")
    asked = canonical(asked, path="native", version="0.32.15")
    before = read_native(NUMBERED_ITEMS, version="0.32.15", now=_NOW).render(asked)
    after = read_native(changed, version="0.32.15", now=_NOW).render(asked)
    assert isinstance(before, Refused)
    assert [after] == renderer.load(NUMBERED_ITEMS).render([Request(conversation=asked)])


@pytest.mark.parametrize(
    "text, changed",
    [
        ("{{ x.0 }}", "{{ x[0] }}"),
        ("{% if a.b . 12 .c.0 == 1.0 %}", "{% if a.b [12] .c[0] == 1.0 %}"),
        ("{{ x[0].a }}{{ 1.5 }}{{ 'x.0' }} x.0 {# x.0 #}", None),
        ("{{ x.0 'y }}", None),
    ],
)
def test_only_numbers_behind_dots_are_changed(text: str, changed: str | None) -> None:
    assert with_brackets(text) == changed
