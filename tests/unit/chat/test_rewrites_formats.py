"""Texts are filled in as transformers fills them in, in llama.cpp's engine, too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from gguf2ollama.chat.llamacpp import read_native
from gguf2ollama.chat.ollama_input import canonical
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference import Renderer, Request
from gguf2ollama.chat.rewrites import with_formats_joined
from gguf2ollama.chat.test_conversations import battery
from tests.calling_templates import FORMATTED_ARGUMENTS

NOW = datetime(2026, 3, 7, 12, 30, tzinfo=UTC)


def test_a_changed_template_means_the_same(require_same: Callable[[str, str | None], None]) -> None:
    require_same(FORMATTED_ARGUMENTS, with_formats_joined(FORMATTED_ARGUMENTS))


@pytest.mark.parametrize("version", ["0.32.15", "0.34.4"])
def test_a_server_fills_them_in_then(version: str, renderer: Renderer):
    changed = with_formats_joined(FORMATTED_ARGUMENTS)
    assert changed is not None
    (asked,) = (one for one in battery() if one.name == "numbers, bools and null in arguments")
    asked = canonical(asked, path="native", version=version)
    as_it_is, told = (
        read_native(one, version=version, now=NOW).render(asked) for one in (FORMATTED_ARGUMENTS, changed)
    )
    assert [told] == renderer.load(FORMATTED_ARGUMENTS).render([Request(conversation=asked)])
    assert isinstance(as_it_is, Rendered)
    assert '%s="%s"' in as_it_is.prompt


@pytest.mark.parametrize(
    "text",
    [
        "{{ '%s' | format(x) }}",
        '{{ "a%sb%%c%s" | format(x, y) | upper }}{{ "%s" }}',
        "{{ 'no' ~ '%s' | format(x) ~ 'more' }}",
        "{{ '%s, %s' | format((x, [y, 1]) | length, '(%s)' | format(y)) }}",
        "{{ '100 %%' | format() }}{{ '%s' | format(y,) }}",
        "{{ '\\'%s\\n' | format(x if y else none) }}",
    ],
)
def test_what_is_joined_reads_as_what_was_filled_in(text: str, renderer: Renderer):
    changed = with_formats_joined(text)
    assert changed is not None
    for given in ({"x": "X", "y": 2.5}, {"x": None}, {"x": [1, {"a": "b"}], "y": True}):
        (meant,) = renderer.load(text).render_variables([given])
        assert renderer.load(changed).render_variables([given]) == [meant]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "no template",
            "{{ '%s' }}",
            "{{ x | format(y) }}",
            "{{ '%s' | format(x",
            "{{ '%d' | format(x) }}",
        ),
        *("{{ '%s' | format }}", "{{ '%s' | format(x, y) }}", "{{ '%(a)s' | format(a=x) }}"),
        *("{{ '%s' | format(*x) }}", "{{ '%s' | format(**x) }}", "{{ 'a' '%s' | format(x) }}"),
        *("{{ '%5s' | format(x) }}", "{{ '%' | format(x) }}", "{{ '%s'.format(x) }}"),
    ],
)
def test_what_cannot_be_joined_stays_as_it_is(text: str):
    assert with_formats_joined(text) is None
