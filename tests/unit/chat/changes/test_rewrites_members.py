"""What is missing and has a method's name is taken for there, as by transformers; no server refuses it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.changes.rewrites import with_missing_members
from gguf2ollama.chat.llamacpp import read_native
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.chat.reference import Renderer

NOW = datetime(2026, 3, 7, 12, 30, tzinfo=UTC)
_LIST = "list of {{ spec['items'].type if spec['items']['type'] is string else 'anything' }}"
_TEMPLATE = (
    "{% for tool in tools or [] %}{% set told = tool.function %}{{ told.name }}:"
    "{% for name, spec in told.parameters.properties.items() %}\n- {{ name }}: "
    f"{{% if spec['items'] %}}{_LIST}{{% else %}}{{{{ spec.type }}}}{{% endif %}}"
    "{% endfor %}\n{% endfor %}"
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}"
    "{% for call in m.tool_calls or [] %}{{ call.function.name }}({{ call.function.arguments | tojson }})"
    "{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
_NESTED = ("nested arguments", "empty values in arguments", "nested schema")


def test_a_changed_template_means_the_same(require_same: Callable[[str, str | None], None]) -> None:
    require_same(_TEMPLATE, with_missing_members(_TEMPLATE))


@pytest.mark.parametrize("version", ["0.32.15", "0.34.4"])
def test_a_server_refuses_no_chat_for_it_then(version: str):
    changed = with_missing_members(_TEMPLATE)
    assert changed is not None
    asked = [one for one in battery() if one.name in _NESTED]
    assert any(
        isinstance(read_native(_TEMPLATE, version=version, now=NOW).render(one), Refused) for one in asked
    )
    told = read_native(changed, version=version, now=NOW)
    assert all(isinstance(told.render(one), Rendered) for one in asked)


@pytest.mark.parametrize(
    "text, changed",
    [
        ("{{ a['items'] }}", "{{ (a['items'] if a is not mapping or 'items' in a else true) }}"),
        (
            '{{ a.b [0] ["keys"].c }}',
            '{{ (a.b [0] ["keys"] if a.b [0] is not mapping or "keys" in a.b [0] else true).c }}',
        ),
        ("{{ f(a)['items'] }}{{ a['items']() }}{{ a.items }}", None),
        ("{{ x in ['items'] }}{{ ['items'] }}{{ (a)['items'] }}{{ a['item'] }}", None),
        ("['items'] {# a['items'] #}", None),
        ("{{ a['items' }}", None),
    ],
)
def test_what_is_looked_up_is_found(text: str, changed: str | None):
    assert with_missing_members(text) == changed


def test_a_member_of_a_member_is_looked_up_as_before(renderer: Renderer):
    text = "{{ a['items']['keys'] is mapping }}{{ a['items']['keys'] is defined }}{{ a['values']['x'] }}"
    changed = with_missing_members(text)
    assert changed is not None
    for a in ({}, {"items": {}}, {"items": {"keys": {}}, "values": {"x": "y"}}, "text", None, [1]):
        variables = [{"a": a}]
        meant = renderer.load(text).render_variables(variables)
        assert renderer.load(changed).render_variables(variables) == meant
