"""Text of Go templates: quoting, what can be printed, and rendering ours."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import InvalidProfile
from gguf2ollama.gotmpl.write import go_print, go_quote, printable_text, render_go_template


def test_quoting_escapes_what_a_modelfile_would_lose():
    assert go_quote('a "b" \\ {{ c\n\t\u00a0\u200d🎉') == r'"a \"b\" \\ {{ c\n\t\U000000a0\U0000200d🎉"'


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_a_quoted_text_is_printed_as_it_was(text):
    assert printable_text(f"{{{{ {go_quote(text)} }}}}") == text
    assert go_quote(text).isprintable()


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Z"))))
def test_plain_texts_are_quoted_as_in_json(text):
    assert json.loads(go_quote(text)) == text


def test_printing_nothing_takes_no_action():
    assert go_print("") == ""
    assert go_print("<s>") == '{{- "<s>" }}'


def test_conditions_and_names_of_templates_are_not_printed():
    text = '{{- /* "no" */ -}}\n a {{ if eq .Role "tool" }}b{{ else if eq .Role "x" }}{{ "c" }}{{ end }}'
    assert printable_text(text + '{{ template "json" . }}{{ $x := "d" }}{{ print `e "f"` }}') == 'a bcde "f"'


def test_whitespace_goes_where_go_trims_it():
    assert printable_text("a \n {{- .B -}} \n c {{ .D }} e") == "ac  e"


def test_a_file_is_rendered_with_its_variables(tmp_path):
    (tmp_path / "a.gotmpl.j2").write_text(
        "[# no #]\n[% if on %]\n{{ .A }}[[ text | go_string ]]\n[% endif %]\nb\n"
    )
    rendered = render_go_template("a.gotmpl.j2", folder=tmp_path, variables={"on": True, "text": 'x"'})
    assert rendered == '{{ .A }}"x\\""\nb'


@pytest.mark.parametrize(
    "content, problem",
    [
        ("[[ missing ]]", "'missing' is undefined"),
        ("a\nb\n[% if %]", ":3:"),
        (None, "a.gotmpl.j2"),
    ],
)
def test_a_file_that_cannot_be_rendered_is_named(tmp_path, content, problem):
    if content is not None:
        (tmp_path / "a.gotmpl.j2").write_text(content)
    with pytest.raises(InvalidProfile, match="cannot render") as caught:
        render_go_template("a.gotmpl.j2", folder=tmp_path, variables={})
    assert problem in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.hint
