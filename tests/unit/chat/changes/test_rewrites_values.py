"""Values are printed as transformers prints them, in llama.cpp's engine, too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.changes.rewrites import with_values_printed
from gguf2ollama.chat.llamacpp import read_native
from gguf2ollama.chat.ollama_input import canonical
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference import Renderer, Request
from tests.calling_templates import PRINTED_ARGUMENTS

NOW = datetime(2026, 3, 7, 12, 30, tzinfo=UTC)


def test_a_changed_template_means_the_same(require_same: Callable[[str, str | None], None]) -> None:
    require_same(PRINTED_ARGUMENTS, with_values_printed(PRINTED_ARGUMENTS))


@pytest.mark.parametrize("version", ["0.32.15", "0.34.4"])
@pytest.mark.parametrize(
    "asked, before, after",
    [
        ("numbers, bools and null in arguments", "nothing=;", "nothing=None;"),
        ("nested arguments", "object=;", "object={'deep': {'deeper': [True, 'x']}};"),
        ("nested arguments", "list=123;", "list=[1, [2, [3]], {'a': {'b': 'c'}}];"),
        ("empty values in arguments", "list=;object=;text=;", "list=[];object={};text=;"),
    ],
)
def test_a_server_prints_them_then(
    version: str, asked: str, before: str, after: str, renderer: Renderer
) -> None:
    changed = with_values_printed(PRINTED_ARGUMENTS)
    assert changed is not None
    (conversation,) = (one for one in battery() if one.name == asked)
    conversation = canonical(conversation, path="native", version=version)
    as_it_is, told = (
        read_native(one, version=version, now=NOW).render(conversation)
        for one in (PRINTED_ARGUMENTS, changed)
    )
    assert isinstance(as_it_is, Rendered)
    assert before in as_it_is.prompt
    assert isinstance(told, Rendered)
    assert after in told.prompt
    assert [told] == renderer.load(PRINTED_ARGUMENTS).render([Request(conversation=conversation)])


@pytest.mark.parametrize(
    "text, changed",
    [
        ("{{ x }}", "{{ x | string }}"),
        ("{{- a.b['c'][0] -}}", "{{- a.b['c'][0] | string -}}"),
        ("{{ 'x' }}{{ 1 }}{{ x|trim }}{{ f(x) }}{{ x + y }}{{ x if y }}{{ not x }}", None),
        ("{% set y = x %}{# {{ x }} #}{{ [x] }}{{ (x) }}", None),
        ("{{ x", None),
    ],
)
def test_only_values_of_variables_are_looked_at(text: str, changed: str | None):
    assert with_values_printed(text) == changed
