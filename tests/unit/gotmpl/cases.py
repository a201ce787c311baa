"""What templates print, by what they show; the live tests hold the same cases to Go itself."""

from __future__ import annotations

from typing import Any

# Each template runs on BODY behind this, which makes Ollama hand over the messages.
HEAD = "{{- if .Messages }}{{ end }}"
BODY: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a\u00e9b"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "c1",
                    "function": {"index": 2, "name": "f", "arguments": {"z": 1, "a": [True, None, "<"]}},
                }
            ],
        },
        {"role": "tool", "content": "22", "tool_name": "f"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "does",
                "parameters": {
                    "type": "object",
                    "required": ["z"],
                    "properties": {
                        "z": {"type": ["integer", "null"]},
                        "a": {"type": "array", "items": {"b": 1}},
                    },
                },
            },
        }
    ],
}
_PROPERTIES = "(index .Tools 0).Function.Parameters.Properties"
_PROPERTIES_JSON = '{"a":{"type":"array","items":{"b":1}},"z":{"type":["integer","null"]}}'
_ARGUMENTS = "(index (index .Messages 2).ToolCalls 0).Function.Arguments"

PRINTED: dict[str, tuple[str, str]] = {
    # texts and actions
    "text": ("a } {b}}\n", "a } {b}}\n"),
    "trims both ways": ("a \n{{- 1 -}}\t\r\n b", "a1b"),
    "a minus without space is a sign": ("a {{-1}} b", "a -1 b"),
    "comments": ("a{{/* {{ x }} */}}b {{- /* c */ -}} d", "abd"),
    "constants": (
        "{{1}} {{-0x1F}} {{1_000}} {{017}} {{0b11}} {{'a'}} {{1.5}} {{1e3}} {{true}}",
        "1 -31 1000 15 3 97 1.5 1000 true",
    ),
    "strings": (r'{{"a\tb\u00e9\x41\101\""}}{{`r\n`}}', 'a\tb\u00e9AA"' + r"r\n"),
    "line breaks in actions": ("{{ if\n true }}a{{ end\n}}", "a"),
    # variables
    "a block's variable ends with it": ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{ $x }}", "1"),
    "an outer variable is set from inside": ("{{ $x := 1 }}{{ range 3 }}{{ $x = . }}{{ end }}{{ $x }}", "2"),
    "the variable of an if lives in its else": ("{{ if $x := 0 }}a{{ else }}{{ $x }}{{ end }}", "0"),
    "range variables hold the whole when nothing is in it": (
        "{{ range $i, $e := slice .Messages 4 }}{{ else }}{{ $i }}{{ $e }}{{ end }}",
        "[][]",
    ),
    "a variable in parentheses lives on": ("{{ print ($x := 1) }}{{ $x }}", "11"),
    "a variable that short circuit skips is not there": (
        "{{ $x := 1 }}{{ $y := and false ($x := 2) }}{{ $x }}{{ $y = and true ($x := 3) }}{{ $x }}",
        "13",
    ),
    "a skipped variable is skipped anew in each turn": (
        "{{ $x := 9 }}{{ range 3 }}{{ $y := and (eq . 1) ($x := .) }}{{ $x }}{{ end }}",
        "919",
    ),
    # truth
    "truth": (
        '{{ not "" }}{{ not 0.0 }}{{ not .Missing }}{{ not .Tools }}{{ if index .Tools 0 }}t{{ end }}',
        "truetruetruefalset",
    ),
    "and gives the first false or the last": (
        '{{ and 1 0 2 }}{{ and 1 2 }}{{ or 0 "" 3 }}{{ or 0 "" }}',
        "023",
    ),
    "short circuit spares the rest": (
        "{{ and false (index .Missing 1) }}{{ or 1 (index .Missing 1) }}",
        "false1",
    ),
    "and in a pipeline": ("{{ 3 | and 1 }}{{ 3 | and 0 }}{{ 3 | or 1 }}{{ 0 | or 0 }}", "3010"),
    "else if": ("{{ if false }}a{{ else if 0 }}b{{ else if 1 }}c{{ else }}d{{ end }}", "c"),
    "with and else with": (
        "{{ with .Missing }}a{{ else with .System }}{{ . }}{{ else }}b{{ end }}",
        "Be brief.",
    ),
    # loops
    "break and continue": (
        "{{ range 6 }}{{ if eq . 1 }}{{ continue }}{{ else if eq . 4 }}{{ break }}{{ end }}{{ . }}{{ end }}",
        "023",
    ),
    "break out of with": ("{{ range 3 }}{{ with 1 }}{{ break }}{{ end }}{{ end }}.", "."),
    "a break in the else of an inner range ends that one": (
        "{{ range 2 }}{{ range 0 }}{{ else }}{{ break }}{{ end }}{{ . }}{{ end }}",
        "01",
    ),
    "maps by sorted key": (
        f"{{{{ range $k, $v := {_ARGUMENTS} }}}}{{{{ $k }}}}={{{{ $v }}}};{{{{ end }}}}",
        "a=[true <nil> <];z=1;",
    ),
    "range and its else": (
        "{{ range .Missing }}a{{ else }}b{{ end }}{{ range 0 }}{{ else }}c{{ end }}",
        "bc",
    ),
    "a negative number is walked over never": ("{{ range -2 }}a{{ else }}b{{ end }}", "b"),
    # templates
    "define and template": ('{{ define "t" }}<{{ . }}{{ $ }}>{{ end }}{{ template "t" 5 }}', "<55>"),
    "block": ('{{ block "b" .System }}[{{ . }}]{{ end }}', "[Be brief.]"),
    "a blank definition gives way": (
        '{{ define "t" }} {{ end }}{{ define "t" }}x{{ end }}{{ template "t" . }}',
        "x",
    ),
    "recursion": (
        '{{ define "r" }}{{.}}{{ with slice . 1 }}{{template "r" .}}{{ end }}{{ end }}{{template "r" "abc"}}',
        "abcbcc",
    ),
    # fields
    "a missing key prints as no value": ("{{ .Missing }}", "<no value>"),
    "a field of no value is none": ("{{ $x := .Missing }}{{ $x.Foo.Bar }}", "<no value>"),
    "a missing key is nil to functions": (
        "{{ print .Missing }}{{ json .Missing }}{{ html .Missing }}",
        "<nil>null&lt;no value&gt;",
    ),
    "chains": ("{{ (index .Tools 0).Function.Name }}{{ (index .Messages 1).Role }}", "fuser"),
    "keys of maps as fields": (f"{{{{ {_ARGUMENTS}.z }}}}", "1"),
    "parentheses as a command": ("{{ (1) | print }}{{ ((print (2))) }}", "12"),
    # comparison
    "eq with many": ('{{ eq "a" "b" "a" }}{{ eq 1 2 3 }}', "truefalse"),
    "eq of none": (
        '{{ eq .Missing nil }}{{ eq .Missing "x" }}{{ eq .Missing .Gone }}{{ ne .Missing 1 }}',
        "truefalsetruetrue",
    ),
    "eq of a byte and an int": ('{{ eq (index "a" 0) 97 }}{{ lt 96 (index "a" 0) }}', "truetrue"),
    "eq of a byte and many ints": ('{{ eq (index "a" 0) 96 97 }}{{ eq (index "a" 0) 1 2 }}', "truefalse"),
    "eq of none and many": ('{{ eq .Missing "x" "y" }}{{ eq .Missing 1 2 }}', "falsefalse"),
    "order of bytes": ('{{ ge (index "a" 0) 97 }}{{ gt 97 (index "b" 0) }}{{ le 2 1 }}', "truefalsefalse"),
    "order": ('{{ lt "a" "b" }}{{ le 1 1 }}{{ gt 1.5 1.2 }}{{ ge "a" "b" }}', "truetruetruefalse"),
    # bytes
    "len counts bytes": ('{{ len "\u00e9" }}{{ len (index .Messages 1).Content }}', "24"),
    "index gives a byte": ('{{ index "abc" 1 }}', "98"),
    "slice cuts bytes": ('{{ slice "a\u00e9b" 0 1 }}{{ slice "a\u00e9b" 3 }}{{ slice "abc" }}', "ababc"),
    "half a character is written as such": ('{{ slice "a\u00e9b" 0 2 }}', "a\ufffd"),
    "each bad byte counts": (r'{{ "\xe2\x82" }}', "\ufffd\ufffd"),
    "bytes that meet make a character": ('{{ $s := "\u00e9" }}{{ slice $s 0 1 }}{{ slice $s 1 }}', "\u00e9"),
    # functions
    "print puts spaces between what is no string": (
        '{{ print 1 2 "a" 3 "b" "c" true 4 }}',
        "1 2a3b" + "ctrue 4",
    ),
    "println puts spaces between all": ('{{ println "a" 1 "b" }}', "a 1 b\n"),
    "html": ("{{ html \"<a href='x'>&\\x00\" }}", "&lt;a href=&#39;x&#39;&gt;&amp;\ufffd"),
    "js": ('{{ js "<\'\\"\\\\=&\\n\u00e9\u00a0" }}', "\\u003C\\'\\\"\\\\\\u003D\\u0026\\u000A\u00e9\\u00A0"),
    "urlquery": ('{{ urlquery "a b&\u00e9/" 1 }}', "a+b%26%C3%A9%2F1"),
    "pipelines": ('{{ "a" | printf "%s-%s" "b" | len }}', "3"),
    "json": (
        f"{{{{ json {_ARGUMENTS} }}}}{{{{ json 1000000.0 }}}}{{{{ json 1e21 }}}}{{{{ json 1e-7 }}}}",
        '{"a":[true,null,"\\u003c"],"z":1}10000001e+211e-7',
    ),
    "toTypeScriptType": (
        f"{{{{ range {_PROPERTIES} }}}}{{{{ toTypeScriptType . }}}};{{{{ end }}}}{{{{toTypeScriptType 1}}}}",
        "any[];number | null;any",
    ),
    # what Ollama's types print
    "tools": (
        "{{ .Tools }}",
        '[{"type":"function","function":{"name":"f","description":"does","parameters":{"type":"object","required":["z"],"properties":{"a":{"type":"array","items":{"b":1}},"z":{"type":["integer","null"]}}}}}]',
    ),
    "a function": (
        "{{ range .Tools }}{{ .Function }}{{ end }}",
        f"{{f does {{object <nil> <nil> [z] {_PROPERTIES_JSON}}}}}",
    ),
    "a message": ("{{ index .Messages 3 }}", "{tool 22  [] [] f }"),
    "a message through print": ("{{ print (index .Messages 3) }}", "&{tool 22  [] [] f }"),
    "a message as JSON": (
        "{{ json (index .Messages 3) }}",
        '{"Role":"tool","Content":"22","Thinking":"","Images":null,"ToolCalls":null,"ToolName":"f","ToolCallID":""}',
    ),
    "a call": ("{{ index (index .Messages 2).ToolCalls 0 }}", '{c1 {2 f {"a":[true,null,"\\u003c"],"z":1}}}'),
    "types": (
        '{{ printf "%T %T %T %T" . .Messages (index .Tools 0) (index "a" 0) }}',
        "map[string]interface {} []*template.templateMessage template.templateTool uint8",
    ),
}

# printf: the format and its arguments, as a template writes them
FORMATTED: dict[str, str] = {
    '"%s %d %v %q %t" "a" 1 1.5 "b" true': 'a 1 1.5 "b" true',
    '"%5s|%-5s|%05d|%+d|% d|%x|%X|%#x" "a" "b" 42 1 1 255 255 255': "    a|b    |00042|+1| 1|ff|FF|0xff",
    '"%c%c%c" 97 233 (index "a" 0)': "a\u00e9a",
    '"%U %#U" 233 97': "U+00E9 U+0061 'a'",
    '"%*s|%-*s|" 3 "a" 3 "b"': "  a|b  |",
    '"%[2]v %[1]v" 1 2': "2 1",
    '"%6.2f|%e|%g|%G" 3.14159 1234.5 1e21 1e-7': "  3.14|1.234500e+03|1e+21|1E-07",
    '"%v %v %v %v" 1000000.0 123456789.0 0.00001 100000.0': "1e+06 1.23456789e+08 1e-05 100000",
    '"%.2s|" "\u00e9\u00e8\u00ea"': "\u00e9\u00e8|",
    '"%.1f|%5.1f|%05.1f|%-6.1f|" 1.25 1.25 -1.25 1.25': "1.2|  1.2|-01.2|1.2   |",
    '"%#g %#v %#x %g %x" 1.0 1.0 1.0 0.1 -0.1': "1.00000 1 0x1.0000p+00 0.1 -0x1.999999999999ap-04",
    '"%o %O %b %#o" 8 8 5 8': "10 0o10 101 010",
    '"%s" 5': "%!s(int=5)",
    '"%d" "a"': "%!d(string=a)",
    '"%d %d" 1': "1 %!d(MISSING)",
    '"%d" 1 2': "1%!(EXTRA int=2)",
    '"%z" 1': "%!z(int=1)",
    '"100%"': "100%!(NOVERB)",
    '"%!" 1': "%!!(int=1)",
    '"%%|%5%"': "%|%",
    '"%s %v" nil nil': "%!s(<nil>) <nil>",
    '"%[5]d" 1': "%!d(BADINDEX)",
    '"%*d" "a" 1': "%!(BADWIDTH)1",
    '"%x|% x|%#x|%X" "h\u00e9" "hi" "hi" "hi"': "68c3a9|68 69|0x6869|6869",
    '"%q %+q %#q %q" "\u00e9\\n" "\u00e9" "a" 97': '"\u00e9\\n" "\\u00e9" `a` \'a\'',
    '"%v %+v %d" .Missing .Think 1': "<nil> false 1",
    '"%5t|%v" true false': " true|false",
    '"%6v|%-6v|" (slice .Messages 4) nil': "[]|<nil> |",
}

# the properties of a tool's properties, since 0.14
NESTED_BODY: dict[str, Any] = {
    "messages": BODY["messages"],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "g",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "some": {
                            "type": "object",
                            "properties": {"y": {"type": "string"}, "x": {"type": "integer"}},
                        },
                        "none": {"type": "string"},
                    },
                },
            },
        }
    ],
}
_SOME, _NONE = f"{_PROPERTIES}.some.Properties", f"{_PROPERTIES}.none.Properties"
NESTED: dict[str, tuple[str, str]] = {
    "in the order of the request": (
        f"{{{{ range $k, $v := {_SOME}.All }}}}{{{{ $k }}}} {{{{ $v.Type }}}}{{{{ .Type }}}}{{{{ end }}}}",
        "y stringstringx integerinteger",
    ),
    "sorted": (f"{{{{ range $key, $_ := {_SOME}.ToMap }}}}{{{{ $key }}}}{{{{ end }}}}", "xy"),
    "with one variable, the keys": (
        f"{{{{ range $key := {_SOME}.All }}}}{{{{ $key }}}}{{{{ . }}}} {{{{ end }}}}",
        "yy xx ",
    ),
    "without a variable, the keys": (f"{{{{ range {_SOME}.All }}}}{{{{ . }}}}{{{{ end }}}}", "yx"),
    "ended early": (f"{{{{ range {_SOME}.All }}}}{{{{ . }}}}{{{{ break }}}}{{{{ end }}}}", "y"),
    "none": (f"{{{{ range {_NONE}.All }}}}x{{{{ else }}}}none{{{{ end }}}}", "none"),
    "how many": (f"{{{{ {_SOME}.Len }}}}{{{{ {_NONE}.Len }}}}{{{{ len {_NONE}.ToMap }}}}", "200"),
    "its type": (
        f'{{{{ printf "%T" {_SOME}.All }}}}',
        "iter.Seq2[string,github.com/ollama/ollama/api.ToolProperty]",
    ),
    "true, and no JSON": (f"{{{{ if {_NONE}.All }}}}x{{{{ end }}}}{{{{ json {_SOME}.All }}}}", "x"),
}
NESTED_FAILING: dict[str, str] = {
    f"{{{{ len {_SOME}.All }}}}": "length of a value of type iter",
    f"{{{{ index {_SOME}.All 0 }}}}": "cannot index a value of type iter",
    f"{{{{ {_SOME}.All.y }}}}": "has no field y",
    f"{{{{ {_SOME}.All 1 }}}}": "takes no argument",
    f"{{{{ eq {_SOME}.All {_SOME}.All }}}}": "cannot compare values of type iter",
    f"{{{{ {_SOME}.All }}}}": "cannot print a value of type iter",
    f"{{{{ call {_SOME}.All }}}}": "cannot call a value of type iter",
    f"{{{{ {_PROPERTIES}.none.Type.All }}}}": "has no field All",
}
NESTED_REFUSED: tuple[str, ...] = (f"{{{{ print {_SOME}.All }}}}", f'{{{{ printf "%v" {_NONE}.All }}}}')

# what Go prints, and we own up to refusing, with a word of why
REFUSED: dict[str, str] = {
    "{{ .Messages }}": "memory address",
    "{{ print .Messages }}": "memory address",
    '{{ printf "%p" .Messages }}': "memory address",
    '{{ printf "%.2x" 1.5 }}': "float",
    "{{ (index .Tools 0).Function.Parameters.Properties.a.Type.MarshalJSON }}": "no field MarshalJSON",
    "{{ 1i }}": "complex",
    "{{ if 1 }}" * 101 + "{{ end }}" * 101: "nested more than 100 levels",
    "x" * 250_001: "too long",
}

# templates that fail when they run: where, and a word of why
FAILING: dict[str, tuple[int, int, str]] = {
    "\n {{ .Missing.Foo }}": (2, 13, "cannot take the field Foo of a missing value"),
    "{{ index .Messages 9 }}": (1, 4, "out of range"),
    "{{ 1 | index .Missing }}": (1, 8, "cannot index a missing value"),
    "x{{ .System.Foo }}": (1, 12, "has no field Foo"),
    '{{ eq 1 "a" }}': (1, 4, "incompatible types for comparison: int and string"),
    "{{ eq 1 1.0 }}": (1, 4, "incompatible types for comparison: int and float64"),
    "{{ eq 1 }}": (1, 4, "missing argument for comparison"),
    "{{ lt true false }}": (1, 4, "cannot order values of type bool"),
    "{{ eq .Tools .Tools }}": (1, 4, "cannot compare values of type template.templateTools"),
    '{{ slice "abc" 2 1 }}': (1, 4, "invalid slice: 2 > 1"),
    '{{ slice "abc" 0 4 }}': (1, 4, "out of range"),
    '{{ slice "abc" 0 1 2 }}': (1, 4, "too many bounds for slice: 3"),
    "{{ len 3 }}": (1, 4, "length of a value of type int"),
    "{{ not }}": (1, 4, "wrong number of arguments for not: expected 1, got 0"),
    "{{ printf 3 }}": (1, 11, "expected a string"),
    "{{ .System 1 }}": (1, 4, "no argument"),
    "{{ 1 2 }}": (1, 4, "cannot give an argument to a constant"),
    "{{ nil }}": (1, 4, "nil"),
    '{{ template "gone" . }}': (1, 13, "not defined"),
    "{{ range true }}{{ end }}": (1, 10, "range cannot iterate over bool"),
    "{{ call 1 }}": (1, 4, "cannot call a value of type int"),
    "{{ 9223372036854775808 }}": (1, 4, "does not fit"),
    "{{ $x = 1 }}": (1, 4, "undefined variable $x"),
}

# templates that are none: where, and a word of why
BROKEN: dict[str, tuple[int, int, str]] = {
    "a\n{{ if true }}b": (2, 15, "unexpected end of template in a block"),
    "{{ end }}": (1, 8, "unexpected {{end}}"),
    "{{ else }}": (1, 9, "unexpected {{else}}"),
    "{{ if }}a{{ end }}": (1, 7, "missing value for if"),
    "{{ .A": (1, 6, "unclosed action"),
    "{{ gone 1 }}": (1, 4, "function gone is not defined"),
    "{{ $x }}": (1, 4, "undefined variable $x"),
    "{{ if 1 }}{{ $x := 1 }}{{ end }}{{ $x }}": (1, 36, "undefined variable $x"),
    "{{ break }}": (1, 10, "{{break}} outside {{range}}"),
    "{{ range 1 }}{{ else }}{{ break }}{{ end }}": (1, 33, "{{break}} outside {{range}}"),
    '{{ "a }}': (1, 4, "unterminated quoted string"),
    "{{ `a }}": (1, 4, "unterminated raw quoted string"),
    "{{ /* a */ }}": (1, 4, "unexpected '/' in an action"),
    "{{/* a */ }}": (1, 3, "comment ends before closing delimiter"),
    "{{/* a }}": (1, 3, "comment"),
    "{{ (1 }}": (1, 7, "parenthesis"),
    "{{ 1) }}": (1, 5, "unexpected right parenthesis"),
    "{{ 12x }}": (1, 4, "bad number syntax: '12x'"),
    "{{ .A.9 }}": (1, 6, "unexpected '.9' in a command"),
    "{{ 1 | 2 }}": (1, 10, "non-executable command in a pipeline: only functions can follow |"),
    "{{ 1.A }}": (1, 4, "bad number syntax: '1.A'"),
    "{{ nil.A }}": (1, 9, "no fields"),
    '{{ "\\z" }}': (1, 4, "invalid escape: \\z"),
    "{{ '' }}": (1, 4, "malformed character constant: ''"),
    "{{ # }}": (1, 4, "unexpected '#' in an action"),
    "{{ \u20ac }}": (1, 4, "unrecognized character in action: '€'"),
    "{{ $x, $y := 1 }}": (1, 6, "too many declarations in an action"),
    '{{ define "a" }}x{{ end }}{{ define "a" }}y{{ end }}': (1, 51, "multiple definitions of template 'a'"),
    "{{ if 1 }}{{ else }}{{ else }}{{ end }}": (1, 29, "expected {{end}}, found another {{else}}"),
    "{{ template . }}": (1, 13, "unexpected '.' in template"),
    "{{ end": (1, 7, "unclosed action"),
}
