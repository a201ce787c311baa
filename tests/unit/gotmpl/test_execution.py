import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.gotmpl import state
from gguf2ollama.ollama_template.execute import execute
from gguf2ollama.ollama_template.go_json import marshal
from tests.examples import examples
from tests.unit.gotmpl import cases
from tests.unit.gotmpl.templates import BODIES, make_template


@pytest.mark.parametrize("what", cases.PRINTED)
def test_prints_what_go_prints(what):
    template, printed = cases.PRINTED[what]
    assert execute(cases.HEAD + template, cases.BODY) == printed


@pytest.mark.parametrize("arguments", cases.FORMATTED)
def test_formats_as_go_formats(arguments):
    template = f"{cases.HEAD}{{{{ printf {arguments} }}}}"
    assert execute(template, cases.BODY) == cases.FORMATTED[arguments]


@pytest.mark.parametrize("template", cases.FAILING)
def test_failures_name_place_and_reason(template):
    line, column, reason = cases.FAILING[template]
    with pytest.raises(InvalidModelfile, match=re.escape(f"line {line}, column {column}: ")) as failed:
        execute(template + cases.HEAD, cases.BODY)
    assert reason in failed.value.message
    assert failed.value.hint


@settings(max_examples=examples(1.5))
@given(st.integers(min_value=0, max_value=1 << 32), st.sampled_from(BODIES))
def test_made_up_templates_print_or_fail_clearly(seed, body):
    try:
        prompt = execute(make_template(seed), body)
    except InvalidModelfile as error:
        assert error.hint  # noqa: PT017  # both outcomes are fine, nothing else is
    else:
        prompt.encode()  # it holds no half of a surrogate pair


@given(st.text() | st.binary())
def test_slicing_every_byte_out_gives_the_text_again(content):
    text = content if isinstance(content, str) else content.decode("latin-1")
    byte = "{{ slice (slice $s $i) 0 1 }}"
    walk = f"{{{{ $s := (index .Messages 0).Content }}}}{{{{ range $i := len $s }}}}{byte}{{{{ end }}}}"
    body = {"messages": [{"role": "user", "content": text}]}
    assert execute(cases.HEAD + walk, body) == text.encode("utf-16-le", "surrogatepass").decode(
        "utf-16-le", "replace"
    )


@given(
    st.recursive(st.none() | st.booleans() | st.text() | st.binary(), lambda one: st.lists(one, max_size=3))
)
def test_json_is_ascii_safe_for_html(value):
    written = marshal(_as_go(value))
    assert not set(b"<>&") & set(written)


def _as_go(value):
    if isinstance(value, str):
        return value.encode(errors="replace")
    return [_as_go(one) for one in value] if isinstance(value, list) else value


# Templates that would not end, or would not fit.


@pytest.mark.parametrize(
    "template",
    [
        "{{ range 1000000000000 }}{{ end }}",
        "{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}",
        '{{ define "b" }}{{ range 100000000 }}{{ end }}{{ end }}{{ range 10 }}{{ template "b" . }}{{ end }}',
        '{{ $s := "0123456789" }}{{ range 22 }}{{ $s = print $s $s }}{{ end }}',
        '{{ $s := printf "%1000000d" 1 }}{{ range 1000000 }}{{ $s = slice $s 0 }}{{ end }}',
        '{{ $s := printf "%1000000d" 1 }}{{ range 1000000 }}{{ if eq $s (print $s) }}{{ end }}{{ end }}',
        '{{ range 100 }}{{ printf "%1000000d" 1 }}{{ end }}',
        '{{ range 1000000 }}{{ $s := printf "%1000000d" 1 }}{{ end }}',
        '{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}',
        '{{ define "a" }}{{ template "a" . }}{{ template "a" . }}{{ end }}{{ template "a" . }}',
        '{{ define "a" }}'
        + "{{ if 1 }}" * 60
        + '{{ template "a" . }}'
        + "{{ end }}" * 61
        + '{{ template "a" . }}',
    ],
)
def test_what_does_not_end_is_ended(template, monkeypatch):
    monkeypatch.setattr(state, "MAX_STEPS", 200_000)  # the same, sooner
    with pytest.raises(InvalidModelfile, match=r"steps|MiB|deep"):
        execute(template + "{{ .Messages }}", cases.BODY)


@pytest.mark.parametrize("version", ["0.14.0", "0.34.4"])
@pytest.mark.parametrize("name", cases.NESTED)
def test_properties_of_properties(name, version):
    template, printed = cases.NESTED[name]
    assert execute(cases.HEAD + template, cases.NESTED_BODY, version=version) == printed


@pytest.mark.parametrize("template", cases.NESTED_FAILING, ids=cases.NESTED_FAILING.values())
def test_what_cannot_be_done_with_the_walk_over_properties(template):
    with pytest.raises(InvalidModelfile, match=cases.NESTED_FAILING[template]):
        execute(cases.HEAD + template, cases.NESTED_BODY)


@pytest.mark.parametrize("template", cases.NESTED_REFUSED)
def test_the_walk_over_properties_is_not_printed(template):
    with pytest.raises(InvalidModelfile, match="memory address"):
        execute(cases.HEAD + template, cases.NESTED_BODY)


def test_before_0_14_properties_of_properties_are_a_map_without_order():
    template, _ = cases.NESTED["in the order of the request"]
    with pytest.raises(InvalidModelfile, match="cannot iterate over"):
        execute(cases.HEAD + template, cases.NESTED_BODY, version="0.13.5")


@pytest.mark.parametrize("template", cases.REFUSED, ids=cases.REFUSED.values())
def test_what_we_do_otherwise_than_go_is_an_error(template):
    with pytest.raises(InvalidModelfile, match=cases.REFUSED[template]) as refused:
        execute(cases.HEAD + template, cases.BODY)
    assert refused.value.hint
