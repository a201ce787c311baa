"""Make up Go templates from a source of chance: mostly sensible ones, and chats to render with them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

_WORDS = ("", "a", "user", "tool", "<b>", "é", "日本", "{", "%d", "x y", '"', "\\", "a\nb", "\x00", "z" * 9)
_FORMATS = (
    *(
        "%s",
        "%d",
        "%v",
        "%+v",
        "%#v",
        "%q",
        "%t",
        "%T",
        "%x",
        "%X",
        "%c",
        "%U",
        "%5s|",
        "%-5v|",
        "%05d",
        "%+d",
    ),
    *("%.2s", "%6.2f", "%e", "%g", "%o", "%#x", "%b", "%*d", "%-*s|", "%.*f", "%[2]v %[1]v", "%[3]d", "%%"),
    *(
        "%",
        "%!",
        "%z",
        "%s %s",
        "é%vé",
        "% x",
        "% d",
        "%#q",
        "%+q",
        "%08.3f",
        "%[1]*d",
        "%[x]d",
        "%.3v",
        "%2v",
    ),
)
_NUMBERS = ("0", "1", "2", "7", "-1", "10", "0x1F", "'a'", "'\\n'", "1_000", "0b11", "0o17", "017", "+3")
_FLOATS = ("1.5", "-0.25", "1e3", "1e100", "2.0", "0x1p-2", ".5", "100000.0", "1e20", "1234567.0")
_MESSAGE_TEXTS = ("Role", "Content", "Thinking", "ToolName", "ToolCallID")
_SIZED = ("text", "list", "map", "messages", "tools", "calls")
_KEYS = ("city", "n", "none", "map", "list", "gone")
_BLANKS = ("", " ", "\n", "\t", " \n ")


class Maker:
    """Makes a template: expressions by the type that they are to have, blocks up to a depth."""

    def __init__(self, chance: Random, *, mistakes: float = 0.03) -> None:
        self._chance = chance
        self._mistakes = mistakes
        self._variables: list[list[str]] = [[]]
        self._depth = 0
        self._ranges = 0
        self._dots = ["root"]
        self._templates: list[str] = []

    def template(self) -> str:
        """Make a template, with the templates that it defines."""
        defined = ""
        for name in ("one", "two")[: self._chance.choice((0, 0, 1, 2))]:
            outside = self._variables, self._ranges, self._dots
            self._variables, self._ranges, self._dots = [[]], 0, ["any"]
            defined += self._action(f'define "{name}"') + self._body() + self._action("end")
            self._variables, self._ranges, self._dots = outside
            self._templates.append(name)
        names_messages = "" if self._rarely() else "{{ if .Messages }}{{ end -}}"
        return defined + names_messages + self._body(least=2)

    # Nodes.

    def _body(self, *, least: int = 0) -> str:
        self._variables.append([])
        self._depth += 1
        count = self._chance.randint(least, 4 if self._depth < 4 else 1)
        made = "".join(self._node() for _ in range(count))
        self._depth -= 1
        self._variables.pop()
        return made

    def _action(self, inside: str) -> str:
        left = self._chance.choice(("{{", "{{", "{{ ", "{{- "))
        right = self._chance.choice(("}}", "}}", " }}", " -}}"))
        if inside.startswith(("+", "-")) and left == "{{":
            left = "{{ "
        return f"{left}{inside}{right}"

    def _node(self) -> str:
        kinds = ["text", "print", "print", "print", "declare", "set", "if", "with", "range", "comment"]
        if self._ranges:
            kinds += ["jump"]
        if self._templates:
            kinds += ["template"]
        if self._depth > 5:
            kinds = kinds[:6]
        kind = self._chance.choice(kinds)
        made: str = getattr(self, f"_{kind}")()
        return made

    def _text(self) -> str:
        text = self._chance.choice(_BLANKS) + self._chance.choice(("", "t", "<x>", "- é", "}}", "{ "))
        return text + self._chance.choice(_BLANKS)

    def _comment(self) -> str:
        return self._chance.choice(("{{/* {{ x }} */}}", "{{- /* c */ -}}", "{{/**/}}", "{{- /**/}}"))

    def _print(self) -> str:
        return self._action(self._pipe(self._any_kind()))

    def _declare(self) -> str:
        kind = self._any_kind()
        value = self._pipe(kind)
        name = f"${kind}{self._chance.choice('123')}"
        self._variables[-1].append(name)
        return self._action(f"{name} := {value}")

    def _set(self) -> str:
        names = self._names()
        if not names:
            return self._declare()
        name = self._chance.choice(names)
        return self._action(f"{name} = {self._pipe(name[1:-1])}")

    def _if(self) -> str:
        self._variables.append([])
        head = "if " + (f"$bool1 := {self._expression('bool')}" if self._rarely() else self._condition())
        made = self._action(head) + self._body()
        while self._chance.random() < 0.3:
            made += self._action("else if " + self._condition()) + self._body()
        made += self._else()
        self._variables.pop()
        return made + self._action("end")

    def _else(self) -> str:
        return self._action("else") + self._body() if self._chance.random() < 0.4 else ""

    def _with(self) -> str:
        kind = self._any_kind()
        self._variables.append([])
        name = f"${kind}1"
        value = self._pipe(kind)
        declares = self._rarely()
        head = f"{name} := {value}" if declares else value
        if declares:
            self._variables[-1].append(name)
        self._dots.append(kind)
        made = self._action(f"with {head}") + self._body()
        self._dots.pop()
        if self._rarely():
            made += self._action("else with " + self._expression("any")) + self._body()
        made += self._else()
        self._variables.pop()
        return made + self._action("end")

    def _range(self) -> str:
        source = self._chance.choice(("messages", "tools", "calls", "list", "map", "int", "properties"))
        item = {"messages": "message", "tools": "tool", "calls": "call", "int": "int"}.get(source, "any")
        item = "property" if source == "properties" else item
        self._variables.append([])
        head, form = self._expression(source), self._chance.random()
        if form < 0.3:
            self._variables[-1].append(f"${item}2")
            head = f"${item}2 := {head}"
        elif form < 0.6 and source != "int":
            key = "text3" if source in {"map", "properties"} else "int3"
            self._variables[-1] += [f"${key}", f"${item}2"]
            head = f"${key}, ${item}2 := {head}"
        self._dots.append(item)
        self._ranges += 1
        made = self._action(f"range {head}") + self._body(least=1)
        self._ranges -= 1
        self._dots.pop()
        made += self._else()
        self._variables.pop()
        return made + self._action("end")

    def _jump(self) -> str:
        word = self._chance.choice(("break", "continue"))
        return self._action("if " + self._condition()) + self._action(word) + self._action("end")

    def _template(self) -> str:
        value = self._expression("any") if self._chance.random() < self._mistakes * 3 else "$"
        return self._action(f'template "{self._chance.choice(self._templates)}" {value}')

    # Expressions.

    def _rarely(self) -> bool:
        return self._chance.random() < 0.2

    def _any_kind(self) -> str:
        return self._chance.choice(
            ("text", "text", "int", "bool", "list", "map", "any", "message", "tool", "call")
        )

    def _names(self) -> list[str]:
        return [name for names in self._variables for name in names]

    def _condition(self) -> str:
        return self._expression(self._chance.choice(("bool", "bool", "any", "text", "int")))

    def _pipe(self, kind: str) -> str:
        value = self._expression(kind)
        if self._rarely():
            value += " | " + self._chance.choice(
                (
                    "len",
                    "print",
                    "json",
                    'printf "%v"',
                    "html",
                    "js",
                    "urlquery",
                    "not",
                    "println",
                    "eq 1",
                    "or 1",
                )
            )
        return value

    def _expression(self, kind: str) -> str:
        if self._chance.random() < self._mistakes:
            kind = self._any_kind()
        fitting = [name for name in self._names() if name[1:-1] == kind]
        if fitting and self._chance.random() < 0.5:
            return self._chance.choice(fitting)
        if self._dots[-1] == kind and self._chance.random() < 0.4:
            return "."
        self._depth += 1
        make = getattr(self, f"_{kind}_value", self._any_value)
        made: str = make()
        self._depth -= 1
        return made

    def _nested(self, kind: str) -> str:
        made = self._expression(kind)
        return made if " " not in made else f"({made})"

    def _dot_of(self, kind: str) -> str:
        """Return what has the fields of a kind: the cursor, a variable, or an item picked out."""
        if self._dots[-1] == kind:
            return ""
        for name in self._names():
            if name[1:-1] == kind:
                return name
        roots = {
            "message": "(index $.Messages 0)",
            "tool": "(index $.Tools 0)",
            "call": "(index (index $.Messages 2).ToolCalls 0)",
            "property": '(index (index $.Tools 0).Function.Parameters.Properties "city")',
        }
        return roots[kind]

    def _one_of(self, simple: tuple[Callable[[], str], ...], others: tuple[Callable[[], str], ...]) -> str:
        return self._chance.choice(simple if self._depth > 6 else (*simple, *others))()

    def _listed(self, least: int, most: int, kind: str = "") -> str:
        """Return arguments, each behind a space."""
        count = self._chance.randint(least, most)
        return "".join(f" {self._nested(kind or self._any_kind())}" for _ in range(count))

    def _text_value(self) -> str:
        pick = self._chance.choice
        return self._one_of(
            (
                self._literal,
                lambda: f"{self._dot_of('message')}.{pick(_MESSAGE_TEXTS)}",
                lambda: pick(("$.System", "$.ThinkLevel", "$.Response", self._response())),
            ),
            (
                lambda: f"{self._dot_of('tool')}.Function.{pick(('Name', 'Description'))}",
                lambda: f"{self._dot_of('call')}.{pick(('ID', 'Function.Name'))}",
                lambda: f'printf "{pick(_FORMATS)}"{self._listed(0, 3)}',
                lambda: pick(("print", "println", "html", "js", "urlquery")) + self._listed(0, 3),
                lambda: f"json {self._nested(self._any_kind())}",
                lambda: f"slice {self._nested('text')}{pick((' 0', ' 0 0', '', '', ' 1', ' 0 1', ' 2 1'))}",
                lambda: f"toTypeScriptType {self._nested(pick(('property', 'text')))}",
                lambda: f"{self._dot_of('property')}.{pick(('Description', 'Type', 'ToTypeScriptType'))}",
                lambda: f"({self._expression('text')})",
            ),
        )

    def _response(self) -> str:
        """Return the field that ends the last exchange of a template without messages, where it is one."""
        return ".Response" if self._dots[-1] == "root" else "$.System"

    def _literal(self) -> str:
        word = self._chance.choice(_WORDS)
        if "`" not in word and self._rarely():
            return f"`{word}`"
        quoted = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\x00", "\\x00")
        return f'"{quoted}"'

    def _int_value(self) -> str:
        pick = self._chance.choice
        return self._one_of(
            (lambda: pick(_NUMBERS),),
            (
                lambda: f"len {self._nested(pick(_SIZED))}",
                lambda: f'index (print {self._nested("text")} "abc") {pick("012")}',
                lambda: f"{self._dot_of('call')}.Function.Index",
                lambda: f"{pick(('and', 'or'))} {self._nested('int')} {self._nested('int')}",
            ),
        )

    def _bool_value(self) -> str:
        pick = self._chance.choice
        return self._one_of(
            (lambda: pick(("true", "false", "$.Think", "$.IsThinkSet", "$.Missing")),),
            (
                lambda: (
                    pick(("eq", "ne", "lt", "le", "gt", "ge")) + self._listed(2, 2, pick(("text", "int")))
                ),
                lambda: f"eq{self._listed(3, 3, 'text')}",
                lambda: f"not {self._nested(self._any_kind())}",
                lambda: pick(("and", "or")) + self._listed(1, 3, "bool"),
                lambda: f"eq{self._listed(2, 2, 'any')}",
                lambda: f"({self._expression('bool')})",
            ),
        )

    def _message_value(self) -> str:
        return f"index $.Messages {self._chance.choice(('0', '1', '2', '3'))}"

    def _tool_value(self) -> str:
        return f"index $.Tools {self._chance.choice('01')}"

    def _call_value(self) -> str:
        return "index (index $.Messages 2).ToolCalls 0"

    def _property_value(self) -> str:
        return 'index (index $.Tools 0).Function.Parameters.Properties "city"'

    def _messages_value(self) -> str:
        return self._chance.choice(
            ("$.Messages", "$.Messages", "(slice $.Messages 1)", "slice $.Messages 0 2")
        )

    def _tools_value(self) -> str:
        return "$.Tools"

    def _calls_value(self) -> str:
        return f"{self._dot_of('message')}.ToolCalls"

    def _properties_value(self) -> str:
        return f"{self._dot_of('tool')}.Function.Parameters.Properties"

    def _list_value(self) -> str:
        tool = self._dot_of("tool")
        return self._chance.choice(
            (
                f"{self._dot_of('property')}.Enum",
                f"{self._dot_of('property')}.Type",
                f"{tool}.Function.Parameters.Required",
                f'index {self._dot_of("call")}.Function.Arguments "list"',
            )
        )

    def _map_value(self) -> str:
        return self._chance.choice(
            (
                f"{self._dot_of('call')}.Function.Arguments",
                f"{self._dot_of('call')}.Function.Arguments.map",
                self._properties_value(),
                f"{self._dot_of('tool')}.Function.Parameters.Defs",
            )
        )

    def _any_value(self) -> str:
        call, tool = self._dot_of("call"), self._dot_of("tool")
        return self._chance.choice(
            (
                ".",
                "$.Missing",
                "nil",
                self._chance.choice(_FLOATS),
                f"{call}.Function.Arguments.{self._chance.choice(_KEYS)}",
                f"{call}.Function.Arguments.map.deep",
                f"{call}.Function",
                f"{tool}.Function",
                f"{tool}.Function.Parameters",
                f"{self._dot_of('property')}.Items",
                f"{self._dot_of('message')}.Images",
                "$.Messages" if self._rarely() else "$.Tools",
            )
        )


def chance_of(seed: int) -> Random:
    """Return a source of chance that is the same every time."""
    return Random(seed)  # noqa: S311  # a test is to be repeatable


def make_template(seed: int, *, mistakes: float = 0.03) -> str:
    """Make the template of a number."""
    return Maker(chance_of(seed), mistakes=mistakes).template()


TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": 'Tells <the> weather & "more" \u2028',
            "unknown": 1,
            "parameters": {
                "type": "object",
                "$defs": {"b": [1, None, {"x": "<y>"}], "a": True},
                "required": ["city", "unit"],
                "properties": {
                    "unit": {"type": ["string", "null"], "enum": ["C", 1, 2.5, None], "description": "é"},
                    "city": {
                        "type": "string",
                        "description": "a city",
                        "items": {"type": "string", "b": 1e21},
                        "title": "dropped",
                    },
                    "any": {"type": "array", "items": {}},
                    "deep": {
                        "anyOf": [{"type": "string"}, {"type": "integer"}],
                        "properties": {"z": {"type": "array"}, "a": {"type": "object", "required": ["q"]}},
                        "required": ["z"],
                    },
                },
            },
        },
    },
    {
        "type": "function",
        "items": [1, "x"],
        "function": {"name": "bare", "description": "", "parameters": {}},
    },
]
CALL: dict[str, Any] = {
    "id": "call_1",
    "type": "function",
    "function": {
        "index": 3,
        "name": "get_weather",
        "arguments": {
            "n": 1000000,
            "city": "Pa<r>is\n",
            "none": None,
            "list": [1, "two", None, [3.5], {"k": False}],
            "map": {"z": 1, "a": {"b": "\u00e9"}, "deep": []},
        },
    },
}
BODIES: tuple[dict[str, Any], ...] = (
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What's the weather? \u65e5\u672c \U0001f600"},
            {"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [CALL, CALL]},
            {"role": "tool", "content": '{"t": 22}', "tool_name": "get_weather", "tool_call_id": "call_1"},
            {"role": "tool", "content": "again"},
            {"role": "Assistant", "content": "It is <b>22</b>."},
            {"role": "assistant", "content": "Really."},
            {"role": "user", "content": "Thanks\x01\x7f", "images": ["AQID"]},
        ],
        "tools": TOOLS,
        "think": True,
    },
    {"messages": [{"role": "user", "content": "Hi"}]},
    {
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b", "tool_calls": [{"function": {"name": "f"}}]},
            {"role": "user", "content": "c"},
            {"role": "system", "content": "later"},
            {"role": "user", "content": ""},
            {"role": "assistant", "content": "Well"},
        ],
        "tools": [],
        "think": "high",
    },
    {"messages": [], "think": False},
)
