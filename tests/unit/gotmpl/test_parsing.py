import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama import ollama_template
from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.gotmpl import nodes
from gguf2ollama.gotmpl.parse import MAX_NESTING, MAX_TEMPLATE_CHARACTERS, parse
from gguf2ollama.ollama_template.execute import execute
from tests.unit.gotmpl import cases
from tests.unit.gotmpl.templates import make_template

_PIECES = st.sampled_from(
    [
        *("{{", "}}", "{{-", "-}}", " ", "\n", "{{/*", "*/}}", "(", ")", "|", ":=", "=", ",", "$x", "$", "."),
        *(".A", ".A.B", "if", "else", "end", "range", "with", "define", "block", "template", "break"),
        *("continue", "nil", "true", "1", "-1", "0x", "1e", "'a'", "'", '"a"', '"', "`a`", "`", "eq", "len"),
        *("printf", "é", "\x00", "text", "1i", "\\", "🙂"),
    ]
)


@pytest.mark.parametrize("template", cases.BROKEN)
def test_what_is_not_a_template_is_refused_with_place_and_reason(template):
    line, column, reason = cases.BROKEN[template]
    with pytest.raises(InvalidModelfile, match=re.escape(f"line {line}, column {column}: ")) as refused:
        parse(template)
    assert reason in refused.value.message
    assert refused.value.hint


@given(st.lists(_PIECES, max_size=40).map("".join))
def test_any_text_parses_or_is_refused(text):
    try:
        template = parse(text)
        ollama_template.read(template)
    except InvalidModelfile as error:
        assert error.hint  # noqa: PT017  # each of both outcomes is fine, nothing else is
    else:
        assert template.text == text


@given(st.text(max_size=60))
def test_any_unicode_parses_or_is_refused(text):
    with contextlib.suppress(InvalidModelfile):
        parse("{{ " + text + " }}")


@given(st.integers(min_value=0, max_value=1 << 32))
def test_sensible_templates_parse(seed):
    parse(make_template(seed, mistakes=0).replace("nil", "0"))


def test_nodes_know_their_positions():
    template = parse("a\n{{ if .A }}é{{ print $.B.C }}{{ end }}")
    text, branch = template.root.nodes
    assert isinstance(text, nodes.Text)
    assert (text.text, text.position) == ("a\n", nodes.Position(1, 1))
    assert isinstance(branch, nodes.If)
    assert branch.position == nodes.Position(2, 7)
    action = branch.body.nodes[1]
    assert isinstance(action, nodes.Action)
    function, variable = action.pipe.commands[0].args
    assert isinstance(function, nodes.Identifier)
    assert function.position == nodes.Position(2, 16)
    assert isinstance(variable, nodes.Variable)
    assert variable.names == ("$", "B", "C")


def test_blocks_and_definitions_are_templates_of_their_own():
    template = parse('{{ define "a" }}x{{ end }}{{ block "b" . }}y{{ end }}')
    assert set(template.bodies) == {b"", b"a", b"b"}


@pytest.mark.parametrize(
    "opening, closing", [("{{ if 1 }}", "{{ end }}"), ("{{ if 1 }}a{{ else if 1 }}", "")]
)
def test_deep_blocks_are_refused(opening, closing):
    with pytest.raises(InvalidModelfile, match="nested more than 100 levels"):
        parse(opening * (MAX_NESTING + 1) + closing * (MAX_NESTING + 1))


def test_deep_parentheses_are_refused():
    with pytest.raises(InvalidModelfile, match="nested more than 100 levels"):
        parse("{{ " + "(" * 100_000)


def test_what_nests_as_deep_as_is_allowed_runs():
    deep = MAX_NESTING - 1
    assert execute("{{ if 1 }}" * deep + "{{ .System }}" + "{{ end }}" * deep, {}) == ""
    chain = "{{ if 0 }}" + "{{ else if 0 }}" * (deep // 2) + "{{ else }}x{{ end }}"
    assert execute(chain + "{{ .Response }}", {}) == "x"
    assert execute("{{ " + "(" * deep + "1" + ")" * deep + " }}{{ .Response }}", {}) == "1"


def test_a_template_of_megabytes_is_refused():
    with pytest.raises(InvalidModelfile, match="too long"):
        parse("x" * (MAX_TEMPLATE_CHARACTERS + 1))


def test_half_a_surrogate_pair_becomes_a_replacement_character():
    assert parse("a\ud800b").text == "a\ufffdb"


def test_functions_can_be_named():
    parse("{{ shout . }}", functions={"shout"})
    with pytest.raises(InvalidModelfile, match="function json is not defined"):
        parse("{{ json . }}", functions=())
