"""What Ollama makes of a TEMPLATE: parsed and run by its rules, with chats whose texts are recognised."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.modelfiles._answer import Event
from gguf2ollama.modelfiles._finding import Finding, Level, Weights
from gguf2ollama.modelfiles._value import Modelfile

if TYPE_CHECKING:
    from gguf2ollama.gotmpl.errors import InvalidTemplate
    from gguf2ollama.gotmpl.nodes import Action, Body, Expression, Pipe, Position, Template
    from gguf2ollama.gotmpl.state import Budget
    from gguf2ollama.gotmpl.values import Value
    from gguf2ollama.ollama_template.go_json import Json

__all__ = ["TemplateLinter"]

_QUESTION, _ANSWER, _LAST, _SYSTEM, _TOOL = "qzfirst", "qzanswer", "qzlast", "qzsystem", "qztool"
_ASK = {"role": "user", "content": _LAST}
_SAY = {"role": "system", "content": _SYSTEM}
_PAST = ({"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _ANSWER})
_PLAIN = ([_ASK], [_SAY, _ASK], [_SAY, *_PAST, _ASK])
_CALL = {"function": {"name": _TOOL, "arguments": {"city": "Rome"}}}
_WITH_TOOLS = (
    [_ASK],
    [_SAY, _ASK],
    [_ASK, {"role": "assistant", "content": "", "tool_calls": [_CALL]}, {"role": "tool", "content": "21"}],
)
_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": _TOOL,
            "description": "Temperature",
            "parameters": {
                "type": "object",
                "required": ["city"],
                "properties": {"city": {"type": "string", "description": "City"}},
            },
        },
    }
]
_VARIABLES = (
    *("System", "Prompt", "Response", "Suffix", "Messages", "Tools"),
    *("Think", "ThinkLevel", "IsThinkSet"),
)
_ANSWER_FIELDS = frozenset({"ToolCalls", "Thinking"})
_SHOWN = 60


@dataclass(slots=True, kw_only=True)
class TemplateLinter:
    """The linter of one TEMPLATE.

    ``template`` is ``None`` where there is none, or none that Ollama accepts: see ``error``.
    """

    modelfile: Modelfile
    weights: Weights
    template: Template | None = None
    error: InvalidTemplate | None = None
    _bare: dict[Position, tuple[Pipe, str]] = field(default_factory=dict)
    """The actions that print a value of Go's as Go writes it: what they print."""
    _budget: Budget | None = None

    def __post_init__(self) -> None:
        if not self.modelfile.template:
            return
        # 20 ms that a Modelfile without TEMPLATE does not need
        from gguf2ollama.gotmpl.errors import InvalidTemplate  # noqa: PLC0415
        from gguf2ollama.gotmpl.parse import parse  # noqa: PLC0415
        from gguf2ollama.gotmpl.state import Budget  # noqa: PLC0415
        from gguf2ollama.ollama_template.introspect import read  # noqa: PLC0415

        try:
            template = parse(self.modelfile.template)
            read(template)
        except InvalidTemplate as error:
            self.error = error
        else:
            self.template = template
            self._budget = Budget()

    def events(self) -> tuple[Event, ...]:
        """Return the template's texts and values in their order, for the stop strings."""
        if self.template is None:
            return ()
        bodies = dict(self.template.bodies)
        root = bodies.pop(b"")
        return tuple(event for body in (*bodies.values(), root) for event in _events(body, None))

    def check(self) -> Iterator[Finding]:
        """Find what Ollama refuses, what fails in a chat, and what never reaches the prompt."""
        if self.error is not None:
            yield self._uncompilable(self.error)
        if self.template is None:
            return
        if reason := self._unused(self.template):
            yield reason
            return
        if any("{%" in (event.text or "") for event in self.events()):
            yield self._finding(
                "jinja-template",
                "TEMPLATE looks like Jinja; Ollama reads a Go template, and prints {% … %} as text",
                hint="remove TEMPLATE to use the chat template in the GGUF, or write a Go template",
            )
        yield from self._unknown_variables(self.template)
        yield from self._check_plain(self.template)
        yield from self._check_tools(self.template)
        yield from self._bare_values(self.template)

    def _finding(
        self,
        code: str,
        message: str,
        *,
        hint: str,
        level: Level = "warning",
        position: Position | None = None,
    ) -> Finding:
        line = self.modelfile.line("TEMPLATE")
        if line is not None and position is not None:
            line += position.line - 1
        return Finding(level=level, code=code, message=message, line=line, hint=hint)

    def _uncompilable(self, error: InvalidTemplate) -> Finding:
        if error.is_limit:
            return self._unchecked(error)
        hint = error.hint or "fix the template"
        if "{%" in (self.modelfile.template or ""):
            hint = "this looks like Jinja: remove TEMPLATE to use the chat template in the GGUF"
        where = f" at line {error.position.line} of its text" if error.position else ""
        return self._finding(
            "invalid-template",
            f"TEMPLATE cannot be parsed{where}: {error.reason}",
            hint=hint,
            level="error",
            position=error.position,
        )

    def _unchecked(self, error: InvalidTemplate) -> Finding:
        return self._finding(
            "unchecked-template", f"TEMPLATE was not checked: {error.reason}", hint="simplify the template"
        )

    def _unused(self, template: Template) -> Finding | None:
        """Return why Ollama renders no chat with this TEMPLATE."""
        from gguf2ollama.ollama_template.given_renderers import GIVEN_RENDERERS  # noqa: PLC0415 - see above
        from gguf2ollama.ollama_template.template_precedence import takes_precedence  # noqa: PLC0415

        renderer = self.modelfile.renderer or GIVEN_RENDERERS.get(self.weights.architecture)
        if renderer:
            return self._finding(
                "replaced-template",
                f"TEMPLATE has no effect: Ollama renders chats with its built-in renderer {renderer[:40]}",
                hint="remove TEMPLATE, or RENDERER",
            )
        if self.modelfile.parser is None and self.weights.chat_template:
            verdict = takes_precedence(template.text, self.weights.chat_template)
            if not verdict:
                return self._finding(
                    "replaced-template",
                    "TEMPLATE has no effect: Ollama renders chats with the chat template in the GGUF, since"
                    f" {verdict.reason}",
                    hint="remove TEMPLATE, or have it print .Tools, .ToolCalls and, after `eq .Role"
                    ' "tool"`, the results of tools',
                )
        return None

    def _unknown_variables(self, template: Template) -> Iterator[Finding]:
        for name, position in _root_names(template.root):
            close = difflib.get_close_matches(name.lower(), [known.lower() for known in _VARIABLES], n=1)
            known = next((known for known in _VARIABLES if known.lower() in close), None)
            yield self._finding(
                "unknown-variable",
                f"TEMPLATE uses .{name[:40]}, which Ollama does not set, so it is always empty",
                hint=f"did you mean .{known}?" if known else f"use one of .{', .'.join(_VARIABLES)}",
                position=position,
            )

    def _run(
        self, template: Template, messages: Sequence[Json], tools: Sequence[Json] | None = None
    ) -> str | InvalidTemplate:
        """Return the prompt of a chat, or why there is none; values that are not texts are noted."""
        from gguf2ollama.gotmpl.errors import InvalidTemplate  # noqa: PLC0415 - see above
        from gguf2ollama.ollama_template.execute import render  # noqa: PLC0415

        try:
            return render(
                template, {"messages": messages, "tools": tools}, observe=self._observe, budget=self._budget
            )
        except InvalidTemplate as error:
            return error

    def _observe(self, action: Action, value: Value) -> None:
        if (_is_bare(value) or _is_bare_text(action.pipe, value)) and action.position not in self._bare:
            self._bare[action.position] = (action.pipe, _as_printed(value))

    def _check_plain(self, template: Template) -> Iterator[Finding]:
        alone, with_system, history = (self._run(template, messages) for messages in _PLAIN)
        for prompt, what in ((alone, "a question"), (with_system, "a system prompt"), (history, "a history")):
            if not isinstance(prompt, str):
                if not self._bare:
                    yield self._failing(prompt, f"a chat with {what}")
                return
        assert isinstance(alone, str) and isinstance(with_system, str) and isinstance(history, str)  # noqa: PT018, S101 - for mypy
        if _LAST not in alone:
            yield self._finding(
                "template-without-prompt",
                "TEMPLATE never prints the user's message",
                hint="print .Prompt, or range over .Messages",
            )
            return
        for marker, prompt, what in (
            (_LAST, alone, "user's message"),
            (_SYSTEM, with_system, "system prompt"),
        ):
            if prompt.count(marker) > 1:
                yield self._finding(
                    "doubled-text",
                    f"TEMPLATE prints the {what} {prompt.count(marker)} times",
                    hint="range over .Messages, which include system messages, or use .System; not both",
                )
        if self._has_system() and not (_SYSTEM in with_system and _SYSTEM in history):
            yield self._unprinted_system()
        if _ANSWER not in history or _QUESTION not in history:
            what = "earlier answers" if _QUESTION in history else "earlier messages"
            yield self._finding(
                "unprinted-history",
                f"TEMPLATE does not print {what} of a chat, so the model forgets them",
                hint="print .Content of all .Messages, or use .Prompt and .Response",
            )
        bos = self.weights.bos
        if (
            bos
            and bos != "<bos>"
            and (alone.lstrip().startswith(bos) or with_system.lstrip().startswith(bos))
        ):
            # <bos> itself Ollama removes (llm/llama_server.go)
            yield self._finding(
                "doubled-bos",
                f"TEMPLATE begins with {bos!r}, which the tokenizer adds too, so prompts begin with it twice",
                hint=f"remove {bos} from the beginning of TEMPLATE",
                position=_position_of(template, bos),
            )

    def _has_system(self) -> bool:
        return bool(self.modelfile.system) or any(
            message.role == "system" for message in self.modelfile.messages
        )

    def _unprinted_system(self) -> Finding:
        line = self.modelfile.line("SYSTEM") if self.modelfile.system else None
        return Finding(
            level="warning",
            code="unprinted-system",
            message="TEMPLATE never prints the system prompt, so SYSTEM has no effect",
            line=line or self.modelfile.line("TEMPLATE"),
            hint="print {{ .System }} in TEMPLATE, or remove SYSTEM",
        )

    def _failing(self, error: InvalidTemplate, chat: str) -> Finding:
        if error.is_limit:
            return self._unchecked(error)
        return self._finding(
            "failing-template",
            f"TEMPLATE fails for {chat}: {error.reason}",
            hint=error.hint or "fix the template",
            position=error.position,
        )

    def _check_tools(self, template: Template) -> Iterator[Finding]:
        from gguf2ollama.ollama_template.introspect import read  # noqa: PLC0415 - see above

        if "tools" not in read(template).capabilities:
            return
        prompts = [self._run(template, messages, _TOOLS) for messages in _WITH_TOOLS]
        failed = next((prompt for prompt in prompts if not isinstance(prompt, str)), None)
        if failed is not None:
            if not self._bare:
                yield self._failing(failed, "a chat with tools")
        elif not any(_TOOL in prompt for prompt in prompts[:-1] if isinstance(prompt, str)):
            yield self._finding(
                "unprinted-tools",
                "TEMPLATE uses .Tools but prints none, so Ollama accepts tools that the model never sees",
                hint="range over .Tools and print each one, or remove .Tools",
            )

    def _bare_values(self, template: Template) -> Iterator[Finding]:
        for position, (pipe, printed) in sorted(self._bare.items()):
            source = _source_at(template, position)
            is_operand = len(pipe.commands) == 1 and len(pipe.commands[0].args) == 1  # and no function's call
            yield self._finding(
                "go-value",
                f"TEMPLATE prints {{{{ {source} }}}} as Go writes it and not as JSON: {printed}",
                hint=f"write {{{{ json {source} }}}}" if is_operand else "print the value with json",
                position=position,
            )


def _events(body: Body, block: int | None) -> Iterator[Event]:
    from gguf2ollama.gotmpl.nodes import Action, Branch, Invocation, Text  # noqa: PLC0415 - see above

    for node in body.nodes:
        if isinstance(node, Text):
            if node.text:
                yield Event(text=node.text, block=block)
        elif isinstance(node, Action):
            if not node.pipe.declared:
                yield Event(block=block, is_response="Response" in _names(node.pipe))
        elif isinstance(node, Invocation):
            yield Event(block=block)
        elif isinstance(node, Branch):
            names = _names(node.pipe)
            is_answer = bool(names & _ANSWER_FIELDS) and "Content" not in names
            yield from _events(node.body, id(node) if block is None and is_answer else block)
            if node.otherwise is not None:
                yield from _events(node.otherwise, block)


def _names(pipe: Pipe) -> set[str]:
    """Return the names of the fields in a pipeline, without negated ones."""
    from gguf2ollama.gotmpl.nodes import Identifier  # noqa: PLC0415 - see above

    names: set[str] = set()
    for command in pipe.commands:
        first = command.args[0]
        if not (isinstance(first, Identifier) and first.name == "not"):
            for argument in command.args:
                names |= _names_of(argument)
    return names


def _names_of(argument: Expression) -> set[str]:
    from gguf2ollama.gotmpl.nodes import Chain, Field, Pipe, Variable  # noqa: PLC0415 - see above

    if isinstance(argument, Field | Variable):
        return set(argument.names)
    if isinstance(argument, Chain):
        return _names_of(argument.node) | set(argument.names)
    return _names(argument) if isinstance(argument, Pipe) else set()


def _root_names(body: Body, *, is_root: bool = True) -> Iterator[tuple[str, Position]]:
    """Yield the unknown fields of the template's data, each once."""
    seen: set[str] = set()
    for name, position in _used_variables(body, is_root=is_root):
        if name not in _VARIABLES and name not in seen:
            seen.add(name)
            yield name, position


def _used_variables(body: Body, *, is_root: bool) -> Iterator[tuple[str, Position]]:
    from gguf2ollama.gotmpl.nodes import Action, Branch, If, Invocation  # noqa: PLC0415 - see above

    for node in body.nodes:
        if isinstance(node, Action | Invocation | Branch) and node.pipe is not None:
            yield from _in_pipe(node.pipe, is_root=is_root)
        if isinstance(node, Branch):
            yield from _used_variables(node.body, is_root=is_root and isinstance(node, If))
            if node.otherwise is not None:
                yield from _used_variables(node.otherwise, is_root=is_root)


def _in_pipe(pipe: Pipe, *, is_root: bool) -> Iterator[tuple[str, Position]]:
    from gguf2ollama.gotmpl.nodes import Field, Pipe, Variable  # noqa: PLC0415 - see above

    for command in pipe.commands:
        for argument in command.args:
            if isinstance(argument, Field) and is_root:
                yield argument.names[0], argument.position
            elif isinstance(argument, Variable) and argument.names[0] == "$" and len(argument.names) > 1:
                yield argument.names[1], argument.position
            elif isinstance(argument, Pipe):
                yield from _in_pipe(argument, is_root=is_root)


def _is_bare(value: Value) -> bool:
    """Whether Go prints a value in its own notation: it is composite, and has no text of its own."""
    from gguf2ollama.gotmpl.values import Map, Pairs, Pointer, Slice, Struct  # noqa: PLC0415 - see above

    if isinstance(value, Pointer):
        value = value.target
    if isinstance(value, list | dict):
        return True
    return (
        isinstance(value, Struct | Slice | Map | Pairs)
        and value.type.text is None
        and value.type.text_of_pointer is None
    )


_PRINTING = frozenset({"print", "printf", "println", "html", "js", "urlquery"})
_GO_NOTATION = lazy_pattern(rb"map\[|[{[](?:qztool|object|function|city)\b|&\{|%7B(?:qztool|object)")


def _is_bare_text(pipe: Pipe, value: Value) -> bool:
    """Whether a function that prints was given such a value; what it prints of our tools is known."""
    from gguf2ollama.gotmpl.nodes import Identifier  # noqa: PLC0415 - see above

    return (
        isinstance(value, bytes)
        and any(
            isinstance(argument, Identifier) and argument.name in _PRINTING
            for command in pipe.commands
            for argument in command.args
        )
        and _GO_NOTATION.search(value) is not None
    )


def _as_printed(value: Value) -> str:
    from gguf2ollama.gotmpl.errors import EvaluationError  # noqa: PLC0415 - see above
    from gguf2ollama.gotmpl.fmt import printed  # noqa: PLC0415

    try:
        text = printed(value).decode(errors="replace")
    except EvaluationError:
        return "memory addresses"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _source_at(template: Template, position: Position) -> str:
    """Return the pipeline that begins at a position, as it is written."""
    line = template.text.split("\n")[position.line - 1]
    return line[position.column - 1 :].partition("}}")[0].rstrip(" -")[:_SHOWN]


def _position_of(template: Template, text: str) -> Position | None:
    """Return where a text first stands in a template."""
    from gguf2ollama.gotmpl.nodes import Position  # noqa: PLC0415 - see above

    at = template.text.find(text)
    return Position(template.text.count("\n", 0, at) + 1, 1) if at >= 0 else None
