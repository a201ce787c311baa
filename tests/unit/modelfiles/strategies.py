"""What the property tests of the Modelfile are made of; the live differential tests use it too."""

from __future__ import annotations

from hypothesis import strategies as st

from gguf2ollama.modelfiles import PARAMETERS, Message, Modelfile, Parameter

SYNTAX = (
    *('"', '""', '"""', " ", "\t", "\n", "\r", "\r\n", "#", ": ", "\\", "'"),
    *("a", "é", "日本", "\U0001fae8", "x y", "{{ .Prompt }}", "<|im_end|>"),
)
DROPPED = ("\x00", "\x0b", "\x7f", "\x85", "\xa0", "\xad", "\u200b", "\u200d", "\u2028", "\ufeff", "\ue000")
KEYWORDS = (
    *("FROM", "from", "FrOm", "PARAMETER", "parameter", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE"),
    *("MESSAGE", "RENDERER", "PARSER", "REQUIRES", "DRAFT", "FORM", "\u017fYSTEM", "FROM1", ""),
)
NUMBERS = (
    *(
        "1",
        "-1",
        "+1",
        "007",
        "1.0",
        "0.7",
        ".5",
        "5.",
        "1e5",
        "1E-5",
        "-2.5e+3",
        "1_000",
        "1_.0",
        "_1",
        "1e39",
        "1e999",
    ),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "0.699999988", "abc", ""),
    *("true", "T", "False", "f", "0", "yes", "TRUE", "tRue", "1 2", "\uff11"),
)

values = st.lists(st.sampled_from(SYNTAX) | st.text(max_size=4), max_size=8).map("".join)
"""Texts near the grammar's edges; most can be carried by a Modelfile."""

_numbers = (
    st.sampled_from(NUMBERS)
    | st.integers().map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(str)
)
_names = st.sampled_from([*PARAMETERS, "nonsense", "Num_Ctx", "a1_"])
_pieces = st.sampled_from((*SYNTAX, *DROPPED, *KEYWORDS, "user", "stop", "num_ctx"))
_quoted = values.flatmap(
    lambda text: st.sampled_from((text, f'"{text}"', f'"""{text}"""', f'"""{text}', f'{text}"""'))
)
_instructions = st.one_of(
    st.builds("{} {}".format, st.sampled_from(KEYWORDS), _quoted),
    st.builds("PARAMETER {} {}".format, _names, _numbers | _quoted),
    st.builds("MESSAGE {} {}".format, st.sampled_from(("user", "assistant", "system", "User", "")), _quoted),
    st.builds("# {}".format, values),
    st.lists(_pieces, max_size=8).map("".join),
)
modelfile_texts = st.lists(_instructions | st.just("FROM x"), max_size=8).map("\n".join)
"""Texts that are Modelfiles, or nearly."""

_messages = st.builds(Message, role=st.sampled_from(("system", "user", "assistant")), content=values)
_parameters = st.builds(
    Parameter, name=_names, value=values | _numbers | st.integers() | st.booleans() | st.floats()
)


def _several(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(strategy, max_size=3).map(tuple)


modelfiles = st.builds(
    Modelfile,
    sources=st.lists(values, min_size=1, max_size=3).map(tuple),
    parameters=_several(_parameters),
    template=st.none() | values,
    system=st.none() | values,
    messages=_several(_messages),
    licenses=_several(values),
    adapters=_several(values),
    drafts=_several(values),
    renderer=st.none() | values,
    parser=st.none() | values,
    requires=st.none() | values,
)
"""Modelfiles as values, some of which no text can carry."""

_actions = st.sampled_from(
    (
        *("{{ if .Messages }}", "{{- range $i, $m := .Messages -}}", "{{ with .System }}", "{{ end }}"),
        *("{{- end -}}", "{{ else }}", "{{ else if .Tools }}", "{{ .Prompt }}", "{{- .Response -}}", "{{"),
        *(
            "}}",
            '{{ "}}" }}',
            "{{ `}}` }}",
            "{{/* }} */}}",
            "{{- /* a */ -}}",
            "{{ '\"' }}",
            "{{-3}}",
            "text\n",
        ),
        *('{{ "\\"" }}', '{{ define "a" }}', '{{ template "a" . }}', '{{ block "b" . }}', "{{ $x := 1 }}"),
        *("{{ break }}", "{{ if (eq .Role `}}`) }}", '{{ printf "%s" "}}" -}}', "-", "{", "}", "{{ }}"),
    )
)
go_templates = st.lists(_actions, max_size=12).map("".join)
"""Texts that are Go templates, or nearly."""
