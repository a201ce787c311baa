"""How llama.cpp parses chat templates."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.interpreter import Dialect, load
from gguf2ollama.chat.llamacpp.jinja_engine.parser import Syntax, parse

PIECES = st.lists(
    st.sampled_from(
        [
            *("{%", "%}", "{{", "}}", "{#", "#}", "{%-", "-%}", "{{-", "-}}", "-#}", "{", "}", "(", ")", "["),
            *(
                "]",
                ",",
                ".",
                ":",
                "|",
                "=",
                "==",
                "+",
                "-",
                "~",
                "*",
                "/",
                "%",
                "<",
                ">=",
                "'",
                '"',
                "\\",
                "\n",
            ),
            *(" ", "\t", "\r\n", "if", "else", "elif", "endif", "for", "in", "endfor", "set", "endset"),
            *("macro", "endmacro", "call", "endcall", "filter", "endfilter", "is", "not", "and", "or", "a"),
            *("break", "continue", "generation", "1", "2.5", "x", "é", "messages", "loop", "true", "none"),
        ]
    ),
    max_size=30,
)


def rendered(source, **variables):
    return load(source, Dialect()).render(variables, now=datetime(2026, 3, 7, tzinfo=UTC))


@pytest.mark.parametrize(
    "source, expected",
    [
        ("a\n  {% set x = 1 %}\n b", "a\n b"),
        ("aa  {%- set x = 1 -%}  b", "aab"),
        ("a  {{ x }}\n b", "a  \n b"),
        ("a {{- x -}} \n b", "ab"),
        ("ab {# c #}\nd", "ab d"),
        ("ab\n  {# c #}\nd", "ab\nd"),
        ("ab {#- c -#} \n d", "abd"),
        ("{{ 1 }}\n  {% if 1 %}\n  x\n  {% endif %}\n  y\n", "1\n  x\n  y"),
        ("{% if 1 %}  {% endif %}x", "  x"),
        ("x{% set a = 1 %}", ""),  # a quirk: the one character before a block at the start is lost
        ("x  {% set a = 1 %}y", "y"),
        ("\n{# c #}y", "y"),
        ("é{% set a = 1 %}", "é"),  # two bytes
        ("xy{% set a = 1 %}", "xy"),
        ("x{{ 1 }}", "x1"),
        ("a\r\nb\n", "a\nb"),
        ("a\r{% if 1 %}\r\nb{% endif %}c\r", "a\nbc\n"),
        ("a\n\n", "a\n"),
    ],
)
def test_white_space_around_blocks_is_trimmed(source, expected):
    assert rendered(source) == expected


@pytest.mark.parametrize("source", ["\u00a0{%- set x = 1 %}", "{{ 1 -}}\u3000", "a\n \v {% set x = 1 %}"])
def test_other_white_space_beside_blocks_is_not_foreseen(source):
    with pytest.raises(NotForeseen):
        parse(source)


@pytest.mark.parametrize(
    "source, expected",
    [
        ("{{ a -1 }}|{{ (-2) }}|{{ [+3] }}|{{ a - a }}|{{ 2 - -1 }}", "4|-2|3|0|3"),
        ("{{-5 }}|{{- -5 }}|{{--5 }}|{{+5 }}", "5|-5|5|5"),
        ("{{ {'a': {'b': 1}} | tojson }}", '{"a": {"b": 1}}'),
        ("{{ {'a': {'b': 1}}.a.b }}", "1"),
        ("{{ 7 - 2 ~ 'x' }}", "5x"),  # jinja2 puts 2 and x together first, and fails
        ("{{ 'a' ~ 1 + 2 }}", "a12"),
        (r"{{ 'a\n\'\"\\' }}", "a\n'\"\\"),
        ("{{ 'a' 'b' }}{{ 'é' }}", "abé"),
        ("{{ 1 is eq(1) is true }}", "True"),
        ("{{ 'y' if a is defined }}{{ 'n' if a is not defined }}", "y"),
        ("{{ 1 < 2 == true }}", "True"),
        ("{{ 5 | trim }}", "5"),
        ("{% for x in ([1, 2, 3] if x > 1) %}{{ x }}{% endfor %}", "23"),
        ("{% for x in [1] if true else [3] %}{{ x }}{% endfor %}", "1"),
        ("{% if 1 if 0 else 2 %}x{% endif %}", "x"),
        ("{% set x = 1, 2 %}{{ x }}", "12"),
        ("{% set m.a = 4 %}{{ m.a }}", "4"),
        ("{{ [{'b': 2}].0.b }}", "2"),
        ("{% generation %}g{% endgeneration %}{% endgeneration %}", "g"),
        ("{% if 0 %}a{% elif 0 %}b{% elif 1 %}c{% else %}d{% endif %}", "c"),
    ],
)
def test_what_llama_cpp_reads_otherwise_than_jinja2_is_read_so(source, expected):
    assert rendered(source, a=5, m={}) == expected


@pytest.mark.parametrize(
    "source",
    [
        *("{{", "{{ x", "{# x", "x{#", "{{ 'x }}", r"{{ '\q' }}", r"{{ '\x41' }}", "{{ é }}", "{{\u00a0x }}"),
        *("{% if x %}", "{% for x y %}{% endfor %}", "{% do x %}", "{{ - x }}", "{{ -x }}", "{{ not -1 }}"),
        *("{{ 2 ** 3 }}", "{{ 2 // 3 }}", "{{ 1; 2 }}", "{{ a b }}", "{% else %}", "{% endif %}", "{{ ) }}"),
        *("{{ 99999999999999999999 }}", "{{ " + "9" * 5000 + " }}", "{{ 0x10 }}", "{{ 1_0 }}", "{{ 1e3 }}"),
        *("{{ x is eq 1 }}", "{{ x is defined | upper }}", "{{ x | first.y }}", "{{ 'a' if 1 if 2 }}"),
        *("{{ [(1,)] }}", "{{ (1,) }}", "{{ () }}", "{{ 1, 2 }}", "{% set x = 1, %}", "{{ {{'a': 1}: 2} }}"),
        *(
            "{% raw %}x{% endraw %}",
            "{% print 1 %}",
            "{% with a = 1 %}{% endwith %}",
            "{% if 1: %}{% endif %}",
        ),
        *("{%+ if 1 %}{% endif %}", "{% if 1 +%}{% endif %}", "{% for x in y recursive %}{% endfor %}"),
        *("{% filter upper | trim %}x{% endfilter %}", "{% call 1() %}{% endcall %}", "{{ f(**x) }}"),
        *("{% call x.y() %}{% endcall %}", "{% block a %}{% endblock %}", "{% include 'x' %}"),
    ],
)
def test_what_llama_cpp_does_not_know_is_a_fault(source):
    with pytest.raises(TemplateFault):
        load(source, Dialect())


@pytest.mark.parametrize(
    "source",
    [
        *(
            "{{ [1 2] }}",
            "{{ f(a b) }}",
            "{{ f(a=1, b) }}",
            "{{ x[] }}",
            "{{ {'a': 1 'b': 2} }}",
            "{{ [1e3] }}",
        ),
        *("{% macro f(a=1, b) %}{% endmacro %}", "{{ x.1.5 }}", "{{ x.'y' }}", "{{ x | 'y' }}", "{{ 007 }}"),
        *("{{ x | trim()[0] }}", "{% set none = 1 %}", "{% for 1 in x %}{% endfor %}", "{#-#}", "{#+ c #}"),
    ],
)
def test_what_only_llama_cpp_reads_is_not_foreseen(source):
    with pytest.raises(NotForeseen):
        load(source, Dialect())


def test_depth_beyond_measure_is_not_foreseen():
    with pytest.raises(NotForeseen):
        parse("{{ " + "(" * 100_000 + " }}")


@given(PIECES.map("".join) | st.text(max_size=40))
def test_any_text_is_parsed_or_refused(source):
    with contextlib.suppress(TemplateFault, NotForeseen):
        assert isinstance(parse(source), Syntax)


@given(st.text(alphabet=st.characters(exclude_characters="{\r", codec="utf-8"), max_size=40))
def test_text_without_blocks_is_kept(source):
    assert rendered(source) == source.removesuffix("\n")
