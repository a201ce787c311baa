import pytest

from gguf2ollama import ollama_template
from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.gotmpl.parse import parse


def _read(template: str) -> ollama_template.Reading:
    return ollama_template.read(parse(template))


@pytest.mark.parametrize(
    "template, variables",
    [
        ("{{ .Messages }}{{ .System }}", {"messages", "system"}),
        ("{{ range $i, $m := .Messages }}{{ $m.Role }}{{ end }}", {"messages", "$m", "role"}),
        ("{{ if and .Messages (eq .Tools 1) }}{{ end }}", {"messages", "tools"}),
        ("{{ (index .Messages 0).Role }}", {"response"}),  # what stands behind parentheses is not seen
        ("{{ .Prompt }}", {"prompt", "response"}),  # a response is added
        ('{{ define "a" }}{{ .Tools }}{{ end }}{{ .Response }}', {"tools", "response"}),
    ],
)
def test_variables(template, variables):
    assert _read(template).variables == variables


def test_an_invoked_template_without_a_value_is_refused():
    with pytest.raises(InvalidModelfile, match=r"line 1, column 14: the .* call passes no value"):
        _read('{{  template "a" }}{{ define "a" }}{{ end }}')


@pytest.mark.parametrize(
    "template, tags",
    [
        ("{{ range .Messages }}<a> {{ .Thinking }}\n</a>{{ end }}", ("<a>", "</a>")),
        ("{{ range .Messages }}{{ if .Thinking }}<a>{{ .Thinking }}</a>{{ end }}{{ end }}", ("<a>", "</a>")),
        ("{{ range $i, $m := .Messages }}<a>{{ .Thinking }}</a>{{ end }}", ("<a>", "</a>")),
        ("{{ range .Messages }}<a>{{ $.Thinking }}</a>{{ end }}", ("", "")),
        ("{{ range $.Messages }}<a>{{ .Thinking }}</a>{{ end }}", ("", "")),
        ("{{ with .Messages }}<a>{{ .Thinking }}</a>{{ end }}", ("", "")),
        ("{{ range .Messages }}{{ range .ToolCalls }}<a>{{ .Thinking }}</a>{{ end }}{{ end }}", ("", "")),
        ("{{ range .Messages }}<a>{{ .Thinking }}{{ end }}", ("<a>", "")),
        ("{{ range .Messages }}<a>{{ .Thinking }}</a>{{ .Content }}{{ end }}", ("<a>", "")),
    ],
)
def test_thinking_tags(template, tags):
    assert _read(template).thinking == tags


@pytest.mark.parametrize(
    "template, tag",
    [
        ("{{ .Messages }}", "{"),
        ("{{ if .ToolCalls }} \n<call>\n{{ end }}", "<call>"),
        ("{{ if .ToolCalls }}<call>{ {{ end }}", "<call>"),
        ("{{ if .ToolCalls }}{{ .Content }}<call>{{ end }}", "{"),
        ("{{ if .ToolCalls }}{{ range .ToolCalls }}[X]{{ end }}<call>{{ end }}", "[X]"),
        ("{{ if .ToolCalls }}{{ range .ToolCalls }}{{ . }}{{ end }}<call>{{ end }}", "{"),
        (
            "{{ range .A }}{{ if .B }}{{ else }}{{ if and .C .ToolCalls }}<c>{{ end }}{{ end }}{{ end }}",
            "<c>",
        ),
        ("{{ if (len .ToolCalls) }}<call>{{ end }}", "{"),
        ("{{ if $.ToolCalls }}<call>{{ end }}", "{"),
    ],
)
def test_the_opening_tag_of_calls(template, tag):
    assert _read(template).tool_tag == tag


_THINKS = "{{ range .Messages }}<t>{{ .Thinking }}</t>{{ end }}"
_CALLS = "{{ .Tools }}{{ range .Messages }}{{ if .ToolCalls }}x{{ end }}{{ end }}"
_JINJA_TOOLS = "{{ tools }}"
_JINJA_RESULTS = "{{ tools }}{{ m.tool_calls }}{% if message.role == 'tool' %}"
_JINJA_THINKS = "<think></think>"


def test_capabilities():
    assert _read("{{ .Tools }}{{ .Suffix }}" + _THINKS).capabilities == {"tools", "insert", "thinking"}
    assert _read("{{ .Prompt }}").capabilities == set()


@pytest.mark.parametrize(
    "go, jinja, version, has_precedence",
    [
        ("{{ .Prompt }}", "{{ x }}", "0.34.4", True),
        ("{{ .Prompt }}", "", "0.34.4", True),
        ("{{ .Prompt }}", _JINJA_TOOLS, "0.34.4", False),
        ("{{ .Prompt }}", _JINJA_TOOLS, "0.24.0", True),
        ("{{ .Suffix }}", _JINJA_TOOLS, "0.34.4", True),  # as many capabilities, if others
        ("{{ .Tools }}", _JINJA_TOOLS, "0.34.4", True),
        ("{{ .Tools }}", _JINJA_TOOLS + _JINJA_THINKS, "0.34.4", False),
        (_THINKS, _JINJA_THINKS, "0.34.4", True),
        (_CALLS, _JINJA_RESULTS, "0.34.4", False),
        (_CALLS, _JINJA_RESULTS, "0.30.0", True),
        (_CALLS + '{{/* eq .Role "tool" */}}', _JINJA_RESULTS, "0.34.4", True),
        (_CALLS + '{{/* eq .Role "tool" */}}', _JINJA_TOOLS + _JINJA_THINKS, "0.34.4", True),
        (_CALLS + '{{/* eq .Role "tool" */}}', _JINJA_RESULTS + _JINJA_THINKS, "0.34.4", False),
    ],
)
def test_whether_a_template_takes_precedence(go, jinja, version, has_precedence):
    verdict = ollama_template.takes_precedence(go, jinja, version=version)
    assert verdict.has_precedence is has_precedence
    assert bool(verdict) is has_precedence
    assert verdict.reason


def test_a_broken_template_is_never_used():
    with pytest.raises(InvalidModelfile):
        ollama_template.takes_precedence("{{", "")
    with pytest.raises(InvalidModelfile, match="function yesterdayDate is not defined"):
        ollama_template.takes_precedence("{{ yesterdayDate }}", "", version="0.12.0")
