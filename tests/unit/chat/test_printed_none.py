"""``None`` is printed as transformers does, in llama.cpp's engine, too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from gguf2ollama.chat.battery import battery
from gguf2ollama.chat.native import read_native
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.printed_none import with_none_printed
from gguf2ollama.chat.reference import Renderer, Request

NOW = datetime(2026, 3, 7, 12, 30, tzinfo=timezone.utc)
_TEMPLATE = (
    "{% for tool in tools or [] %}{{ tool | tojson }}\n{% endfor %}"
    "{% for m in messages %}<{{ m.role }}>{{- m['content'] -}}{% for call in m.tool_calls or [] %}"
    "{% for name, value in call.function.arguments.items() %}{{ name }}={{- value }};{% endfor %}"
    "{% endfor %}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with Renderer() as renderer:
        yield renderer


def test_a_changed_template_means_the_same(renderer: Renderer):
    changed = with_none_printed(_TEMPLATE)
    assert changed is not None
    requests = [Request(conversation=one) for one in battery()]
    assert renderer.load(changed).render(requests) == renderer.load(_TEMPLATE).render(requests)


@pytest.mark.parametrize("version", ["0.32.15", "0.34.4"])
def test_a_server_prints_it_then(version: str):
    changed = with_none_printed(_TEMPLATE)
    assert changed is not None
    (asked,) = (one for one in battery() if one.name == "numbers, bools and null in arguments")
    as_it_is, told = (
        read_native(one, version=version, now=NOW).render(asked) for one in (_TEMPLATE, changed)
    )
    assert isinstance(as_it_is, Rendered)
    assert isinstance(told, Rendered)
    assert "nothing=;" in as_it_is.prompt
    assert told.prompt == as_it_is.prompt.replace("nothing=;", "nothing=None;")


@pytest.mark.parametrize(
    "text, changed",
    [
        ("{{ x }}", "{{ x if x is not none else 'None' }}"),
        ("{{- a.b['c'][0] -}}", "{{- a.b['c'][0] if a.b['c'][0] is not none else 'None' -}}"),
        ("{{ 'x' }}{{ 1 }}{{ x|trim }}{{ f(x) }}{{ x + y }}{{ x if y }}{{ not x }}", None),
        ("{% set y = x %}{# {{ x }} #}{{ [x] }}{{ (x) }}", None),
        ("{{ x", None),
    ],
)
def test_only_values_of_variables_are_looked_at(text: str, changed: str | None):
    assert with_none_printed(text) == changed
