"""Trims that are given to a macro cut away what Python takes for white space, in llama.cpp's engine, too."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.changes.rewrites import WIDE_SPACES, with_wide_trims
from gguf2ollama.chat.llamacpp import read_native
from gguf2ollama.chat.llamacpp.jinja_engine.interpreter import Dialect, load
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference import Renderer, Request

NOW = datetime(2026, 3, 7, 12, 30, tzinfo=UTC)
_TEMPLATES = {
    "filters": (
        "{% for m in messages %}<{{ m.role }}>{{ m['content'] | trim }}\n{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    ),
    "methods": (
        "\n {%- macro turn(text, end='x '.rstrip()) %}[{{ text.rstrip() + end }}]{% endmacro -%}\n\n"
        "{%- for m in messages -%}{{ m.role }}: {{ turn((m.content ~ ' ').lstrip()) }}\n{%- endfor -%}\n"
    ),
    "answers cut apart": (
        "{% for m in messages %}"
        "{% set text = m.content.split('</think>')[-1].strip() if m.role == 'assistant' else m.content %}"
        "{% if text|trim == '' %}(nothing){% endif %}<|{{ m.role }}|>{{ text }}{% endfor %}"
    ),
}
_SIDES = {"strip": str.strip, "lstrip": str.lstrip, "rstrip": str.rstrip}
_LETTERS = st.sampled_from([*WIDE_SPACES, *" \t\n\r\v\f", "a", "à", "\u2060", "\u0460", "\u3001", "🎉"])


def test_the_white_space_is_all_that_python_knows_and_ascii_does_not():
    everything = map(chr, range(sys.maxunicode + 1))
    assert set(WIDE_SPACES) == {one for one in everything if one.isspace() and one not in " \t\n\v\f\r"}


@pytest.mark.parametrize("name", _TEMPLATES)
def test_a_changed_template_means_the_same(renderer: Renderer, name: str):
    changed = with_wide_trims(_TEMPLATES[name])
    assert changed is not None
    requests = [Request(conversation=one) for one in battery()]
    meant = renderer.load(_TEMPLATES[name]).render(requests)
    assert renderer.load(changed).render(requests) == meant


@pytest.mark.parametrize("name", _TEMPLATES)
@pytest.mark.parametrize("version", ["0.32.15", "0.34.4"])
def test_a_server_trims_as_transformers_does_then(renderer: Renderer, name: str, version: str):
    text = _TEMPLATES[name]
    changed = with_wide_trims(text)
    assert changed is not None
    (odd,) = (one for one in battery() if one.name == "odd white space")
    (meant,) = renderer.load(text).render([Request(conversation=odd)])
    assert isinstance(meant, Rendered)
    assert read_native(changed, version=version, now=NOW).render(odd) == meant
    assert read_native(text, version=version, now=NOW).render(odd) != meant


@given(text=st.text(_LETTERS, max_size=12), method=st.sampled_from(sorted(_SIDES)))
def test_any_text_is_trimmed_as_python_does(text: str, method: str):
    changed = with_wide_trims(f"{{{{ text.{method}() }}}}")
    assert changed is not None
    made = load(changed, Dialect()).render({"text": text}, now=NOW)
    assert made == _SIDES[method](text)


@pytest.mark.parametrize(
    "text, changed",
    [
        ("{{ x|trim|upper }}", "{{ trimmed_(x|trim, 1, 1)|upper }}"),
        ("{{ a - b | trim() }}", "{{ a - trimmed_(b | trim(), 1, 1) }}"),
        ("{{ 'a' ~ m.x['y'][-1].lstrip() + z }}", "{{ 'a' ~ trimmed_(m.x['y'][-1].lstrip(), 1, 0) + z }}"),
        ("{{ f(k=(a + b).rstrip()) }}", "{{ f(k=trimmed_((a + b).rstrip(), 0, 1)) }}"),
        ("{{ x|trim|trim }}", "{{ trimmed_(trimmed_(x|trim, 1, 1)|trim, 1, 1) }}"),
        ("{{ ((a|trim) + b)|trim }}", "{{ trimmed_(((trimmed_(a|trim, 1, 1)) + b)|trim, 1, 1) }}"),
        ("{%- if not (x)|trim -%}{% endif %}", "{%- if not trimmed_((x)|trim, 1, 1) -%}{% endif %}"),
    ],
)
def test_what_is_trimmed_is_found(text: str, changed: str):
    got = with_wide_trims(text)
    assert got is not None
    assert got.partition("{%- endmacro %}\n")[2] == changed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a|trim and b.strip()",
        "{{ 'x|trim' }}{# x|trim #}{% raw %}{{ x|trim }}{% endraw %}",
        "{{ x.strip('\n') }}{{ x|trim('\n') }}{{ x.strip }}",
        "{{ -x|trim }}{{ x is defined|trim }}{{ x is not none|trim }}{{ 'a' 'b'|trim }}{{ {}|trim }}",
        "{% set x | trim %}a{% endset %}{% filter trim %}a{% endfilter %}",
        "{{ x|trim ~ 'y }}",
        "{{ )|trim }}",
    ],
)
def test_what_is_no_trim_of_its_own_stays(text: str):
    assert with_wide_trims(text) is None


def test_the_macro_has_a_name_of_its_own():
    changed = with_wide_trims("{% set trimmed_ = 'a' %}{{ trimmed_.strip() }}\r\n")
    assert changed is not None
    assert changed.endswith("{% set trimmed_ = 'a' %}{{ trimmed__(trimmed_.strip(), 1, 1) }}\n")
