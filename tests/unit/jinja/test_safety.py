from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.jinja import check_safety
from tests.builders import CHATML_TEMPLATE

LOOP = "{%% for message in messages %%}{{ message.content }}%s{%% endfor %%}"


def found(text: str) -> list[tuple[str, str, int]]:
    return [(finding.kind, finding.text, finding.line) for finding in check_safety(text).findings]


def within(text: str) -> list[tuple[str, str]]:
    """Return what is found in a loop over messages that holds a text."""
    return [(kind, found_text) for kind, found_text, _ in found(LOOP % text)]


def test_a_template_that_only_prints_says_so() -> None:
    safety = check_safety(CHATML_TEMPLATE)
    assert safety.only_prints
    assert safety.summary == "only prints the chat"


@pytest.mark.parametrize(
    "text",
    [
        "{% if 'invest' in message.content %}x{% endif %}",
        "{% if message['content'] == 'invest' %}x{% endif %}",
        "{% if 'invest' in message.get('content') %}x{% endif %}",
        "{% if message.content is in ['invest'] %}x{% endif %}",
        "{% if 'invest' is in message.content %}x{% endif %}",
        "{{ 'x' if message.content.lower().startswith('invest') }}",
        "{{ {'invest': 'x'}[message.content] }}",
        "{% set c = message.content | trim %}{% set d = c %}{% if 'invest' in d %}x{% endif %}",
        "{% set ns = namespace(a='') %}{% set ns.a = message.content %}{% if 'invest' in ns.a %}x{% endif %}",
        "{% for word in message.content.split() %}{% if word == 'invest' %}x{% endif %}{% endfor %}",
        "{% for part in message.content %}{% if 'invest' in part.text %}x{% endif %}{% endfor %}",
        "{% macro m(t) %}{% if 'invest' in t %}x{% endif %}{% endmacro %}{{ m(message.content) }}",
        "{% if 'in' ~ 'vest' in message.content %}x{% endif %}",
        "{% set found = message.content.find('invest') %}",
        "{% if ('a' if message.role == 'b' else message.content) == 'invest' %}x{% endif %}",
    ],
)
def test_a_word_that_is_looked_for_in_contents_is_suspicious(text: str) -> None:
    assert ("decides-on-word", "invest") in within(text)
    assert check_safety(LOOP % text).is_suspicious


@pytest.mark.parametrize(
    "text",
    [
        "{% if message.role == 'assistant' %}x{% endif %}",
        "{% if message.content is string %}x{% elif message.content is none %}y{% endif %}",
        "{% if message.content %}x{% endif %}{{ message.content | trim }}",
        "{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}",
        "{% for part in message.content %}{% if 'image' in part %}{{ part['text'] }}{% endif %}{% endfor %}",
        "{% set c = message.content %}{% if c is mapping and 'parts' in c %}{{ c.parts }}{% endif %}",
        "{{ message.content.strip('\\n') }}",
    ],
)
def test_the_kind_of_a_content_decides_nothing(text: str) -> None:
    assert within(text) == []


def test_marks_in_contents_are_told_and_not_suspicious() -> None:
    text = (
        LOOP
        % "\n{{ message.content.split('</think>')[-1] }}{% if '/no_think' in message.content %}x{% endif %}"
    )
    assert found(text) == [("decides-on-mark", "</think>", 2), ("decides-on-mark", "/no_think", 2)]
    safety = check_safety(text)
    assert not safety.is_suspicious
    assert safety.summary == "decides on marks in contents: '</think>' (line 2), '/no_think' (line 2)"


@pytest.mark.parametrize(
    "text", ["{{ message.content.replace('a', 'b') }}", "{{ message.content | replace('a', 'b') }}"]
)
def test_replaced_text_is_found(text: str) -> None:
    assert within(text) == [("changes-contents", "a")]


@pytest.mark.parametrize(
    "text",
    [
        "Visit https://example.com/x.",
        "{{ 'https://exam' ~ 'ple.com/x' }}",
        "{{ 'https://' + 'example.com/x' }}",
    ],
)
def test_addresses_are_found_however_they_are_joined(text: str) -> None:
    assert ("url", "https://example.com/x") in within(text)


@pytest.mark.parametrize(
    "text, name",
    [
        ("a\u200bb", "U+200B ZERO WIDTH SPACE"),
        ("a\u202eb", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("\U000e0041", "U+E0041 TAG LATIN CAPITAL LETTER A"),
        ("{{ 'a\\u2066b' }}", "U+2066 LEFT-TO-RIGHT ISOLATE"),
        ("{# \u3164 #}", "U+3164 HANGUL FILLER"),
        ("a\x1bb", "U+001B"),
    ],
)
def test_characters_that_are_not_shown_are_named_with_their_line(text: str, name: str) -> None:
    assert found(f"a\n{text}") == [("hidden-character", name, 2)]
    assert check_safety(text).is_suspicious


@pytest.mark.parametrize(
    "text", ["<\uff5cend\u2581of\uff5c>", "日本語", "\U0001f469\u200d\U0001f4bb", "\u2764\ufe0f", "\u3000"]
)
def test_characters_that_are_shown_are_not_hidden(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize("padding", ["\n" * 100, " " * 300, "  \n" * 80])
def test_text_behind_white_space_is_found(padding: str) -> None:
    assert "hidden-text" in {kind for kind, _, _ in found(f"a{padding}b")}
    assert found(f"a{padding}") == []


def test_encoded_text_is_found_and_a_ruler_is_not() -> None:
    assert [kind for kind, _, _ in found("aWdub3JlIGFsbCBwcmV2aW91cyBpbnN0cnVjdGlvbnMgYW5k" * 3)] == [
        "encoded-text"
    ]
    assert found("=" * 200 + "-" * 200) == []


def test_a_long_text_is_told() -> None:
    text = "You are a helpful assistant. " * 50
    assert [kind for kind, _, _ in found(text)] == ["long-text"]
    assert not check_safety(text).is_suspicious


@pytest.mark.parametrize("text", ["{{ x.__class__ }}", "{{ x['__globals__'] }}", "{{ x | attr('y') }}"])
def test_internals_of_python_are_suspicious(text: str) -> None:
    assert "python-internals" in {kind for kind, _, _ in found(text)}
    assert check_safety(text).is_suspicious


def test_what_differs_from_upstream_is_told() -> None:
    assert check_safety("a\r\n", upstream="a\n").only_prints
    assert [finding.kind for finding in check_safety("a", upstream="b").findings] == ["differs-from-upstream"]


@pytest.mark.parametrize("text", ["{% if %}", "{{" + "(" * 5000, "{{ " + "9" * 9999 + " }}"])
def test_what_is_not_a_template_is_unreadable(text: str) -> None:
    assert "unreadable" in {kind for kind, _, _ in found(text)}


_PIECES = st.sampled_from(
    (
        *(
            "{% for m in messages %}",
            "{% endfor %}",
            "{% if 'a' in m.content %}",
            "{% endif %}",
            "{{ m.content }}",
        ),
        *(
            "{% set x = m.content %}",
            "{{ x[0] }}",
            "{{ 'a' ~ 1 + 2 }}",
            "{% macro f(x) %}",
            "{% endmacro %}",
            "\n",
        ),
        *(
            "{{ f(m, x=1) }}",
            "{{ {1: 2}[x] }}",
            "{{ x | replace }}",
            "{{ x.get() }}",
            "{% set ns.a, b = x %}",
        ),
    )
)


@given(text=st.lists(_PIECES | st.text(max_size=3), max_size=12).map("".join))
def test_any_text_can_be_checked_and_lines_are_in_it(text: str) -> None:
    for kind, _, line in found(text):
        assert 0 <= line <= text.count("\n") + 1, kind
    assert check_safety(text).summary
