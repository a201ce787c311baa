"""Templates that are made to fit an older Ollama."""

from datetime import date

import pytest

from gguf2ollama import ollama_template
from gguf2ollama.errors import InvalidModelfile, UsageProblem
from gguf2ollama.ollama_template.execute import execute

_DAY = date(2031, 9, 17)
_CHAT = {
    "messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a", "thinking": "hm"},
        {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "1"},
    ]
}
_THINKS = (
    "{{ range $i, $m := .Messages }}{{ if $m.Thinking }}<t>{{ $m.Thinking }}</t>{{ end }}{{ .Content }}"
    "{{ (index $.Messages $i).ToolName }}{{ end }}"
)


def adapt(text, version="0.8.0"):
    return ollama_template.adapt(text, version=version, today=_DAY)


@pytest.mark.parametrize(
    "text, fitted",
    [
        ("{{ .Thinking }}", '{{ "" }}'),
        ("{{ if and $last $m.Thinking }}x{{ end }}", '{{ if and $last "" }}x{{ end }}'),
        ("{{ (index $.Messages 0).Thinking | printf }}", '{{ "" | printf }}'),
        ("{{ ((index $.Messages 0)).ToolName }}", '{{ "" }}'),
        ("{{ range .ToolCalls }}{{ .ID }}{{ .Function.Name }}{{ end }}", None),
        ('.Thinking {{ ".Thinking" }}{{/* .Thinking */}}', '.Thinking {{ ".Thinking" }}{{/* .Thinking */}}'),
        ("{{ len (.Thinking) }}", '{{ len ("") }}'),
        ("{{- currentDate }}", '{{- "2031-09-17" }}'),
        ("{{ yesterdayDate }}", '{{ "2031-09-16" }}'),
        ("{{ .Thinking", '{{ ""'),
    ],
)
def test_what_an_old_ollama_does_not_know_gives_way(text, fitted):
    if fitted is None:
        fitted = text.replace(".ID", '""')
    assert adapt(text).text == fitted


def test_it_tells_what_gave_way():
    fitted = adapt(_THINKS + "{{ currentDate }}")
    assert (fitted.fields, fitted.day) == ((".Thinking", ".ToolName"), _DAY)
    assert adapt("{{ .Content }}").fields == ()
    assert adapt("{{ .Content }}").day is None


@pytest.mark.parametrize("version", ["0.5.4", "0.6.5", "0.8.0"])
def test_a_template_that_would_fail_there_runs(version):
    with pytest.raises(InvalidModelfile, match="has no field Thinking"):
        execute(_THINKS, _CHAT, version=version)
    assert execute(adapt(_THINKS, version).text, _CHAT, version=version) == "qar"


@pytest.mark.parametrize(
    "version, fields",
    [
        ("0.8.0", (".Thinking", ".ToolName", ".ToolCallID")),
        ("0.9.0", (".ToolName", ".ToolCallID")),
        ("0.10.0", (".ToolCallID",)),
        ("0.13.0", ()),
        ("0.34.4", ()),
        ("0.0.0", ()),
    ],
)
def test_newer_versions_keep_what_they_know(version, fields):
    text = "{{ range .Messages }}{{ .Thinking }}{{ .ToolName }}{{ .ToolCallID }}{{ end }}"
    assert adapt(text, version).fields == fields


def test_the_date_is_left_to_an_ollama_that_tells_it():
    assert adapt("{{ currentDate }}", "0.11.4").text == "{{ currentDate }}"
    assert adapt("{{ yesterdayDate }}", "0.13.0").day == _DAY
    assert adapt("{{ yesterdayDate }}", "0.13.5").day is None


def test_what_is_not_a_version_is_refused():
    with pytest.raises(UsageProblem, match="invalid Ollama version"):
        adapt("", "newest")
