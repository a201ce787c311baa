from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.modelfiles import Finding, Modelfile, Parameter, Weights, lint, parse_modelfile
from tests.unit.modelfiles.strategies import go_templates, modelfile_texts, modelfiles

CHATML = """\
{{- if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 -}}
{{- if eq .Role "user" }}<|im_start|>user
{{ .Content }}<|im_end|>
{{ else if eq .Role "assistant" }}<|im_start|>assistant
{{ if .Thinking }}<think>
{{ .Thinking }}
</think>

{{ end }}{{ .Content }}{{ if .ToolCalls }}
{{- range .ToolCalls }}
<tool_call>
{"name": "{{ .Function.Name }}", "arguments": {{ json .Function.Arguments }}}
</tool_call>
{{- end }}{{ end }}{{ if not $last }}<|im_end|>
{{ end }}
{{- else if eq .Role "tool" }}<|im_start|>user
<tool_response>
{{ .Content }}
</tool_response><|im_end|>
{{ end }}
{{- if and (ne .Role "assistant") $last }}<|im_start|>assistant
{{ end }}
{{- end }}"""

MISTRAL = """\
{{- range .Messages }}
{{- if eq .Role "user" }}[INST] {{ .Content }}[/INST]
{{- else if .Content }} {{ .Content }}</s>
{{- else if .ToolCalls }}[TOOL_CALLS] [
{{- range .ToolCalls }}{"name": "{{ .Function.Name }}", "arguments": {{ json .Function.Arguments }}}
{{- end }}]</s>
{{- end }}
{{- end }}"""

LLAMA = """\
{{- range $i, $_ := .Messages }}
{{- if .ToolCalls }}<|start_header_id|>assistant<|end_header_id|>

<|python_tag|>{{ range .ToolCalls }}{{ json .Function }}{{ end }}<|eom_id|>
{{- else }}<|start_header_id|>{{ .Role }}<|end_header_id|>

{{ .Content }}<|eot_id|>
{{- end }}
{{- end }}<|start_header_id|>assistant<|end_header_id|>

"""

QWEN_JINJA = """\
{%- for message in messages %}
{%- if message.role == "user" or (message.role == "assistant" and not message.tool_calls) %}
{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
{%- elif message.role == "assistant" %}
{{- '<|im_start|>' + message.role }}
{%- for tool_call in message.tool_calls %}
{{- '\n<tool_call>\n{"name": "' }}{{- tool_call.name }}{{- '"}\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"""

R1_JINJA = """\
{%- for message in messages %}
{%- if message['tool_calls'] is defined %}
{%- generation %}
{{- '<|Assistant|><|calls|>' ~ message['tool_calls'] ~ '<|/calls|><|end|>' + eos_token }}
{%- endgeneration %}
{%- else %}{{- '<|User|>' + message['content'] | trim }}{{- message['content'].split('</think>')[-1] }}
{%- endif %}
{%- endfor %}
{{- '<|Assistant|><think>\n' if add_generation_prompt else '' }}"""


EACH = "{{ range .Messages }}{{ .Content }}{{ end }}"


ORDINARY = (
    *("assistant", "User", "the end", "```", "```python", "---", "###", "##", ".", "1.", "</p>", "<br>"),
    *("def ", "return", "https://"),
)


def found(text: str, *, chat_template: str | None = None) -> list[tuple[str, str, int | None]]:
    findings = lint(parse_modelfile(text), weights=Weights(chat_template=chat_template or ""))
    return [(finding.level, finding.code, finding.line) for finding in findings]


def cut(stops: tuple[str, ...], *, template: str | None = None, chat_template: str | None = None) -> set[str]:
    """Return the stop strings that the linter calls wrong."""
    parameters = tuple(Parameter(name="stop", value=stop, line=number) for number, stop in enumerate(stops))
    modelfile = Modelfile(sources=("x",), template=template, parameters=parameters)
    findings = lint(modelfile, weights=Weights(chat_template=chat_template or ""))
    cutting = [finding for finding in findings if finding.code == "stop-in-answer"]
    assert {finding.level for finding in cutting} <= {"warning"}
    return {stops[finding.line or 0] for finding in cutting}


def test_a_good_modelfile_has_no_findings() -> None:
    modelfile = Modelfile(
        sources=("x",),
        template=CHATML,
        system="hi",
        requires="0.34.1",
        parameters=(
            Parameter(name="num_ctx", value=4096),
            Parameter(name="temperature", value=0.7),
            Parameter(name="stop", value="<|im_end|>"),
        ),
    )
    assert lint(modelfile, weights=Weights(chat_template=QWEN_JINJA)) == ()


@pytest.mark.parametrize(
    "line, level, code",
    [
        ("PARAMETER temprature 1", "error", "unknown-parameter"),
        ("PARAMETER mirostat 1", "warning", "deprecated-parameter"),
        ("PARAMETER typical_p 0.9", "error", "refused-parameter"),
        ("PARAMETER tfs_z 1", "error", "refused-parameter"),
        ("PARAMETER num_ctx 4k", "error", "ill-typed-parameter"),
        ("PARAMETER top_k 0.5", "error", "ill-typed-parameter"),
        ("PARAMETER use_mmap maybe", "error", "ill-typed-parameter"),
        ("PARAMETER top_p 1.5", "warning", "out-of-range-parameter"),
        ("PARAMETER num_ctx 0", "warning", "out-of-range-parameter"),
        ('PARAMETER stop ""', "warning", "empty-stop"),
        ("ADAPTER lora.gguf", "error", "adapter"),
        ("REQUIRES soon", "error", "invalid-requires"),
        ("TEMPLATE {{ .Prompt }}{{ if .System }}", "error", "invalid-template"),
        ("TEMPLATE {{ .Prompt }}{{ end }}", "error", "invalid-template"),
        ("TEMPLATE {{ .Prompt", "error", "invalid-template"),
        ("TEMPLATE {{ .Prompt | upper }}", "error", "invalid-template"),
        ('TEMPLATE {{ .Prompt }}{{ template "x" }}', "error", "invalid-template"),
        ("TEMPLATE {{ .Prompt }}{{ $x }}", "error", "invalid-template"),
        ("TEMPLATE {{ .Prompt }}{{ 1i }}", "warning", "unchecked-template"),
        ("TEMPLATE {{ .System }}{{ .Response }}", "warning", "template-without-prompt"),
        ("TEMPLATE {{ .Prompt }}{{ .Tools }}", "warning", "unprinted-tools"),
        ("TEMPLATE {{ .Prompt }}{{ json .System }}", "warning", "failing-template"),
        (f"TEMPLATE {EACH}{{{{ range .Tools }}}}tool{{{{ end }}}}", "warning", "unprinted-tools"),
        ('TEMPLATE {{ template "x" . }}{{ .Prompt }}', "warning", "failing-template"),
        ("TEMPLATE {{ .Prompt }}{{ if .Sytem }}x{{ end }}", "warning", "unknown-variable"),
        ("TEMPLATE {{ with index .Messages 3 }}{{ .Content }}{{ end }}", "warning", "failing-template"),
        (
            'TEMPLATE {{ range .Messages }}{{ if eq .Role "user" }}{{ .Content }}{{ end }}{{ end }}',
            "warning",
            "unprinted-history",
        ),
        ("TEMPLATE {% if x %}{{ .Prompt }}", "warning", "jinja-template"),
        ("TEMPLATE {{ .Prompt }}\\n{{ .Response }}", "warning", "escape"),
        ('TEMPLATE ""', "warning", "empty-value"),
        ('SYSTEM a"""b', "warning", "not-carried"),
        ("SYSTEM 'Be brief.'", "warning", "kept-quotes"),
        ("SYSTEM Be brief.\\nBe kind.", "warning", "escape"),
        ("SYSTEM Be\u00a0brief.", "warning", "dropped-character"),
        ("SYSTEM Be brief. # tone", "note", "trailing-comment"),
        ("PARAMETER stop <|end|> # the end", "warning", "trailing-comment"),
        ("PARAMETER stop \\nUser:", "warning", "escape"),
        ('PARAMETER stop "<a>", "<b>"', "warning", "stop-list"),
        ('PARAMETER stop ["<a>"]', "warning", "stop-list"),
        ('SYSTEM "Say \\"hi\\"."', "warning", "escape"),
        (f"TEMPLATE {EACH}{{{{ .System }}}}", "warning", "doubled-text"),
        ("TEMPLATE {{ .Prompt }}{{ .Prompt }}{{ .Response }}", "warning", "doubled-text"),
        *((f"PARAMETER stop {stop}", "warning", "ordinary-stop") for stop in ORDINARY),
    ],
)
def test_a_fault_is_found_where_it_stands(line: str, level: str, code: str) -> None:
    assert found(f"FROM x\n\n{line}\n") == [(level, code, 3)]


@pytest.mark.parametrize(
    "first, second, finding",
    [
        ("SYSTEM a", "SYSTEM b", ("warning", "repeated-instruction", 3)),
        ("PARAMETER seed 1", "PARAMETER seed 1", ("warning", "repeated-parameter", 3)),
        ("PARAMETER stop a:", "PARAMETER stop a:", ("note", "duplicate-stop", 3)),
    ],
)
def test_what_stands_twice_is_found(first: str, second: str, finding: tuple[str, str, int]) -> None:
    assert found(f"FROM x\n{first}\n{second}\n") == [finding]


def test_a_missing_from_is_found() -> None:
    assert [finding.code for finding in lint(Modelfile())] == ["missing-from"]


def test_what_no_modelfile_can_carry_is_found_before_it_is_rendered() -> None:
    modelfile = Modelfile(sources=("x",), system="a\u200db", licenses=('"""',))
    findings = lint(modelfile)
    assert [(finding.level, finding.code) for finding in findings] == [("error", "not-carried")] * 2
    assert "U+200D" in findings[0].message
    assert all("gguf2ollama build" in (finding.hint or "") for finding in findings)


@pytest.mark.parametrize(
    "written, meant",
    [
        ("temperature 0,7", "temperature 0.7"),
        ("num_ctx 8k", "num_ctx 8192"),
        ("num_ctx 8,192", "num_ctx 8192"),
        ("use_mmap yes", "use_mmap true"),
        ("temperature 0.7 # warm", "temperature 0.7, and the comment on a line of its own"),
        ("num_ctx 8k # big", "num_ctx 8192, and the comment on a line of its own"),
    ],
)
def test_a_value_of_the_wrong_type_is_guessed(written: str, meant: str) -> None:
    (finding,) = lint(parse_modelfile(f"FROM x\nPARAMETER {written}"))
    assert finding.hint == f"write PARAMETER {meant}"


@pytest.mark.parametrize("action", ["print .Function", 'printf "%v" .Function', ".Function | println"])
def test_a_go_value_is_found_behind_a_function_that_prints(action: str) -> None:
    (finding,) = lint(
        parse_modelfile(f"FROM x\nTEMPLATE {EACH}{{{{ range .Tools }}}}{{{{ {action} }}}}{{{{ end }}}}")
    )
    assert finding.code == "go-value"


def test_a_mistyped_parameter_is_guessed() -> None:
    (finding,) = lint(parse_modelfile("FROM x\nPARAMETER temprature 1"))
    assert finding.hint == "did you mean temperature?"


@pytest.mark.parametrize(
    "tools",
    [
        "{{ .Tools }}",
        "{{ json .Tools }}",
        "{{ range .Tools }}{{ json . }}{{ end }}",
        "{{ range $tool := $.Tools }}{{ if true }}{{ json $tool }}{{ end }}{{ end }}",
        "{{ range .Tools }}{{ if true }}{{ json . }}{{ end }}{{ end }}",
        "{{ with .Tools }}{{ . }}{{ end }}",
        "{{ $tools := .Tools }}{{ $tools }}",
        '{{ if .Tools }}{{ template "list" .Tools }}{{ end }}{{ define "list" }}{{ json . }}{{ end }}',
    ],
)
def test_tools_that_are_printed_are_no_dead_declaration(tools: str) -> None:
    assert found(f"FROM x\nTEMPLATE {EACH}{tools}") == []


@pytest.mark.parametrize(
    "template",
    [
        '{{ .Prompt }}{{ "}}" }}{{/* {{ if */}}{{- /* a */ -}}{{ `{{ end }}` }}',
        "{{ if .Prompt -}}{{ .Prompt }}{{- else if .System }}b{{ else }}d{{ end }}{{ .Response }}",
        '{{ define "x" }}{{ range .Messages }}{{ .Content }}{{ end }}{{ end }}{{ template "x" . }}',
    ],
)
def test_a_right_template_has_no_findings(template: str) -> None:
    assert lint(Modelfile(sources=("x",), template=template)) == ()


def test_an_invalid_template_is_reported_by_its_own_line_and_that_of_the_file() -> None:
    (finding,) = lint(parse_modelfile('FROM x\nTEMPLATE """{{ .Prompt }}\n\n{{ if .System }}"""\n'))
    assert "line 3" in finding.message
    assert finding.line == 4


@pytest.mark.parametrize(
    "stop", ["<tool_call>", "</tool_call>", '{"name"', "<think>", "</think>", "<think>\n"]
)
def test_a_stop_inside_of_tool_calls_and_thoughts_is_wrong(stop: str) -> None:
    assert cut((stop,), template=CHATML) == {stop}


@pytest.mark.parametrize(
    "stop", ["<|im_end|>", "<|im_start|>", "<|im_start|>assistant", "<|endoftext|>", "User:"]
)
def test_a_stop_at_the_end_of_a_turn_or_in_its_header_is_right(stop: str) -> None:
    assert cut((stop,), template=CHATML, chat_template=QWEN_JINJA) == set()


def test_a_marker_behind_the_last_value_of_a_tool_call_ends_the_turn() -> None:
    assert cut(("[TOOL_CALLS]", "</s>", "[INST]", "[/INST]"), template=MISTRAL) == {"[TOOL_CALLS]"}


def test_the_header_of_a_turn_is_no_part_of_the_answer() -> None:
    stops = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>")
    assert cut(stops, template=LLAMA) == {"<|python_tag|>"}


def test_the_chat_template_of_the_gguf_shows_wrong_stops_too() -> None:
    stops = ("<tool_call>", "</tool_call>", "<|im_end|>", "<|im_start|>")
    assert cut(stops, chat_template=QWEN_JINJA) == {"<tool_call>", "</tool_call>"}


def test_a_thought_that_the_generation_prompt_opens_is_no_stop() -> None:
    stops = ("<think>", "</think>", "<|calls|>", "<|end|>", "<|Assistant|>")
    assert cut(stops, chat_template=R1_JINJA) == {"<think>", "</think>", "<|calls|>"}


@pytest.mark.parametrize(
    "stop",
    ["<|im_end|>", "</s>", "[INST]", "User:", "### Response:", "<end_of_turn>", "<|", "@@ Instruction"],
)
def test_a_mark_is_a_good_stop(stop: str) -> None:
    assert found(f"FROM x\nPARAMETER stop {stop}\n") == []


def test_a_stop_that_is_nearly_a_token_is_guessed() -> None:
    weights = Weights(ends=("<|im_end|>", "<|endoftext|>"))
    (finding,) = lint(parse_modelfile("FROM x\nPARAMETER stop <|im_end>\n"), weights=weights)
    assert (finding.code, finding.hint) == ("mistyped-stop", "did you mean <|im_end|>?")
    assert lint(parse_modelfile("FROM x\nPARAMETER stop <|im_start|>\n"), weights=weights) == ()


@pytest.mark.parametrize(
    "template",
    [
        "{{ if .ToolCalls }}<turn>{{ json .ToolCalls }}{{ end }}{{ .Prompt }}<turn>{{ .Response }}<end>",
        "{{ range .Messages }}{{ if or .Content .ToolCalls }}<turn>{{ .Content }}{{ end }}<end>{{ end }}",
        "{{ range .Messages }}{{ if not .ToolCalls }}<turn>{{ .Content }}{{ end }}<end>{{ end }}",
        "{{ range .Messages }}{{ if .ToolCalls }}{{ . }}{{ else }}<turn>{{ .Role }}{{ end }}<end>{{ end }}",
        "{{ range .Messages }}{{ if .Thinking }}<turn>{{ .Thinking }}{{ end }}</turn>{{ end }}<turn>M</turn>",
    ],
)
def test_text_around_a_plain_answer_is_no_part_of_it(template: str) -> None:
    assert cut(("<turn>", "</turn>", "<end>"), template=template) == set()


@pytest.mark.parametrize(
    "condition",
    ["not message.tool_calls", "message.tool_calls is none", "message.content or message.tool_calls"],
)
def test_a_branch_for_plain_answers_is_no_tool_call(condition: str) -> None:
    source = f"{{% if {condition} %}}<turn>{{{{ message.content }}}}<end>{{% endif %}}"
    assert cut(("<turn>", "<end>"), chat_template=source) == set()


def test_a_template_before_the_answer_alone_condemns_no_stop() -> None:
    template = "{{ if .Prompt }}### User:\n{{ .Prompt }}\n{{ end }}### Response:\n{{ .Response }}"
    assert cut(("### User:", "### Response:"), template=template) == set()


@pytest.mark.parametrize(
    "source",
    [
        "{% if %}",
        "{{",
        "(" * 5000,
        "{{ " + "(" * 3000 + " }}",
        "{{ " + "1+" * 5_000 + "1 }}",
        "{{ " + "9" * 9999 + " }}",
    ],
)
def test_a_broken_chat_template_is_passed_over(source: str) -> None:
    assert cut(("<tool_call>",), chat_template=source) == set()


@given(modelfile=modelfiles, chat_template=st.none() | st.text(max_size=50))
def test_any_modelfile_can_be_examined(modelfile: Modelfile, chat_template: str | None) -> None:
    assert all(
        isinstance(finding, Finding)
        for finding in lint(modelfile, weights=Weights(chat_template=chat_template or ""))
    )


@given(template=go_templates)
def test_any_template_can_be_examined(template: str) -> None:
    lint(Modelfile(sources=("x",), template=template, parameters=(Parameter(name="stop", value="a"),)))


@given(text=modelfile_texts.map(lambda text: f"FROM x\n{text}"))
def test_a_line_that_a_finding_names_is_in_the_file(text: str) -> None:
    try:
        modelfile = parse_modelfile(text)
    except InvalidModelfile:
        return
    lines = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    assert all(finding.line is None or 1 <= finding.line <= lines for finding in lint(modelfile))


@pytest.mark.parametrize(
    "text, code, hint",
    [
        ("RENDERER qwen3coder", "unknown-renderer", "did you mean qwen3-coder?"),
        ("PARSER qwen35\nTEMPLATE {{ .Prompt }}", "unknown-parser", "did you mean qwen3.5?"),
        ("PARSER x\nTEMPLATE {{ .Prompt }}", "unknown-parser", None),
        ("PARSER qwen3.5", "parser-alone", "add the TEMPLATE or the RENDERER that goes with it"),
    ],
)
def test_what_is_built_in_is_known(text: str, code: str, hint: str | None) -> None:
    findings = lint(parse_modelfile(f"FROM ./a.gguf\n{text}"))
    assert [(one.level, one.code, one.line, one.hint) for one in findings] == [("warning", code, 2, hint)]


@pytest.mark.parametrize(
    "text",
    [
        "FROM ./a.gguf\nPARSER qwen3.5\nTEMPLATE {{ .Prompt }}",
        "FROM ./a.gguf\nRENDERER deepseek3.1\nPARSER deepseek3",
        "FROM qwen3-coder\nPARSER qwen3-coder",
    ],
)
def test_a_parser_beside_what_renders_is_fine(text: str) -> None:
    assert lint(parse_modelfile(text)) == ()
