"""How llama.cpp cuts and parses chat templates."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.llamacpp.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.lexer import tokenize
from gguf2ollama.chat.llamacpp.parser import parse

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


def texts(source):
    return [token.text for token in tokenize(source) if token.kind == "text"]


@pytest.mark.parametrize(
    "source, expected",
    [
        ("a\n  {% x %}\n b", ["a\n", " b"]),
        ("aa  {%- x -%}  b", ["aa", "b"]),
        ("a  {{ x }}\n b", ["a  ", "\n b"]),
        ("a {{- x -}} \n b", ["a", "b"]),
        ("ab {# c #}\nd", ["ab ", "d"]),
        ("ab {#- c -#} \n d", ["ab", "d"]),
        ("x{% a %}", []),  # a quirk: the one character before a block at the start is lost
        ("xy{% a %}", ["xy"]),
        ("a\r\nb\n", ["a\nb"]),
        ("a\n\n", ["a\n"]),
    ],
)
def test_white_space_around_blocks_is_trimmed(source, expected):
    assert texts(source) == expected


def test_signs_stand_between_operands_or_before_a_number():
    kinds = [(token.kind, token.text) for token in tokenize("{{ a -1 (-2) [+3] - x }}")]
    assert kinds[1:-1] == [
        ("name", "a"),
        ("additive", "-"),
        ("number", "1"),
        ("symbol", "("),
        ("number", "-2"),
        ("symbol", ")"),
        ("symbol", "["),
        ("number", "+3"),
        ("symbol", "]"),
        ("additive", "-"),
        ("name", "x"),
    ]


def test_braces_of_objects_do_not_end_an_expression():
    assert [token.text for token in tokenize("{{ {'a': {'b': 1}} }}")][-1] == "}}"


@pytest.mark.parametrize(
    "source",
    [
        *(
            "{{",
            "{{ x",
            "{# x",
            "{{ 'x }}",
            r"{{ '\q' }}",
            "{{ é }}",
            "{% if x %}",
            "{% for x y %}{% endfor %}",
        ),
        *("{% do x %}", "{{ - x }}", "{{ 2 ** 3 }}", "{{ a b }}", "{% else %}", "{{ 99999999999999999999 }}"),
        *(
            "{% endif %}",
            "{{ x is eq 1 }}",
            "{% raw %}x{% endraw %}",
            "{% call 1() %}{% endcall %}",
            "{{ ) }}",
        ),
    ],
)
def test_what_llama_cpp_does_not_know_is_a_fault(source):
    with pytest.raises(TemplateFault):
        parse(source)


def test_depth_beyond_measure_is_not_foreseen():
    with pytest.raises(NotForeseen):
        parse("{{ " + "(" * 100_000 + " }}")


@given(PIECES.map("".join) | st.text(max_size=40))
def test_any_text_is_parsed_or_refused(source):
    with contextlib.suppress(TemplateFault, NotForeseen):
        assert isinstance(parse(source), tuple)


@given(st.text(alphabet=st.characters(exclude_characters="{\r", codec="latin-1"), max_size=40))
def test_text_without_blocks_is_kept(source):
    assert "".join(texts(source)) == source.removesuffix("\n")
