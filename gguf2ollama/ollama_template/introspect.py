"""Introspection of a template as Ollama does it: variables, tags and capabilities.

Each rule is that of Ollama's source: ``template/template.go`` (``Identifiers``), ``thinking/template.go``,
``tools/template.go`` and ``server/images.go``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from gguf2ollama._dataclass import dataclass
from gguf2ollama.gotmpl.errors import ParsingError, invalid_template
from gguf2ollama.gotmpl.nodes import (
    Action,
    Body,
    Branch,
    Chain,
    Command,
    Expression,
    Field,
    Identifier,
    If,
    Invocation,
    Node,
    Pipe,
    Position,
    Range,
    Template,
    Text,
    Variable,
)
from gguf2ollama.gotmpl.unicode import SPACE

__all__ = ["Reading", "as_ollama_has_it", "read", "used_functions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What Ollama derives from a template.

    Attributes:
        variables: The names of fields and variables that it finds, in lower case; not those after an
            expression in parentheses, such as ``(index .Messages 0).Role``.
        thinking: The think tags, opening and closing; ``""`` where there is none.
        tool_tag: The text that opens a tool call; ``{`` by default.
        capabilities: Those of ``tools``, ``insert`` and ``thinking`` that a model with it has.
        tells_tool_results: Whether Ollama considers it to render tool calls and their results.
    """

    variables: frozenset[str]
    thinking: tuple[str, str]
    tool_tag: str
    capabilities: frozenset[str]
    renders_tool_results: bool


@lru_cache(maxsize=64)
def read(template: Template) -> Reading:
    """Return what Ollama derives from a template.

    Raises:
        InvalidModelfile: Ollama refuses the template: a ``{{ template }}`` passes no value.
    """
    complete = as_ollama_has_it(template)
    variables, root = _variables(complete), complete.root
    thinking = _thinking_tags(root)
    capabilities = {name for name, variable in _CAPABILITIES.items() if variable in variables}
    if all(thinking):
        capabilities.add("thinking")
    return Reading(
        variables=variables,
        thinking=thinking,
        tool_tag=_tool_tag(root),
        capabilities=frozenset(capabilities),
        renders_tool_results={"tools", "toolcalls"} <= variables
        and any(sign in template.text for sign in _GO_RESULT_SIGNS),
    )


_CAPABILITIES = {"tools": "tools", "insert": "suffix"}
_GO_RESULT_SIGNS = ('eq .Role "tool"', "tool_response", "TOOL_RESULTS")


@lru_cache(maxsize=64)
def as_ollama_has_it(template: Template) -> Template:
    """Return the template as Ollama changes it: without messages and response, it prints the response last.

    Raises:
        InvalidModelfile: As for :func:`read`.
    """
    if _variables(template) & {"messages", "response"}:
        return template
    position = Position(1, 1)
    response = Command(position=position, args=(Field(position=position, names=("Response",)),))
    pipe = Pipe(position=position, declared=(), assigns=False, commands=(response,))
    root = template.root
    longer = Body(position=root.position, nodes=(*root.nodes, Action(position=position, pipe=pipe)))
    return Template(text=template.text, bodies={**template.bodies, b"": longer})


# Variables.


@lru_cache(maxsize=64)
def _variables(template: Template) -> frozenset[str]:
    try:
        return frozenset(name.lower() for body in template.bodies.values() for name in _names_in(body))
    except ParsingError as error:
        raise invalid_template(
            "cannot be used", error.reason, position=error.position, hint=error.hint
        ) from None


def _names_in(node: Node | Body) -> Iterator[str]:
    if isinstance(node, Body):
        for child in node.nodes:
            yield from _names_in(child)
    elif isinstance(node, Invocation):
        if node.pipe is None:
            raise ParsingError(
                "the {{ template }} call passes no value",
                position=node.position,
                hint='write {{ template "name" . }}; Ollama refuses it without a value',
            )
        yield from _names_in_pipe(node.pipe)
    elif isinstance(node, Action | Branch):
        yield from _names_in_pipe(node.pipe)
        if isinstance(node, Branch):
            yield from _names_in(node.body)
            if node.otherwise is not None:
                yield from _names_in(node.otherwise)


def _names_in_pipe(pipe: Pipe) -> Iterator[str]:
    for argument in _arguments(pipe):
        if isinstance(argument, Field | Variable):
            yield from argument.names
        elif isinstance(argument, Pipe):
            yield from _names_in_pipe(argument)


def _arguments(pipe: Pipe) -> Iterator[Expression]:
    for command in pipe.commands:
        yield from command.args


@lru_cache(maxsize=64)
def used_functions(template: Template) -> dict[str, Position]:
    """Return the functions that a template calls, each with the position of its first call."""
    used: dict[str, Position] = {}
    for body in template.bodies.values():
        for identifier in _identifiers(body):
            used.setdefault(identifier.name, identifier.position)
    return used


def _identifiers(node: Node | Body | Expression | None) -> Iterator[Identifier]:
    if isinstance(node, Identifier):
        yield node
    elif isinstance(node, Body):
        for child in node.nodes:
            yield from _identifiers(child)
    elif isinstance(node, Pipe):
        for argument in _arguments(node):
            yield from _identifiers(argument)
    elif isinstance(node, Chain):
        yield from _identifiers(node.node)
    elif isinstance(node, Action | Invocation | Branch):
        if node.pipe is not None:
            yield from _identifiers(node.pipe)
        if isinstance(node, Branch):
            yield from _identifiers(node.body)
            yield from _identifiers(node.otherwise)


# Tags.


def _thinking_tags(root: Body) -> tuple[str, str]:
    """Return the texts at both ends of the innermost list with ``.Thinking``, in a range over messages."""
    opening = closing = ""
    for body in _lists_with_thinking(root, None, root):
        first, last = body.nodes[0], body.nodes[-1]
        if isinstance(first, Text):
            opening = _strip(first.text)
        if isinstance(last, Text):
            closing = _strip(last.text)
    return opening, closing


def _lists_with_thinking(node: Node | Body, walked: Pipe | None, around: Body) -> Iterator[Body]:
    """Yield, for each ``.Thinking``, the list around it; ``walked`` is the operand of the innermost range."""
    if isinstance(node, Body):
        for child in node.nodes:
            yield from _lists_with_thinking(child, walked, node)
        return
    if isinstance(node, Range):
        walked = node.pipe
    if isinstance(node, Action | Invocation | Branch) and node.pipe is not None:
        for names in _fields_in(node.pipe):
            if names[0] == "Thinking" and walked is not None and _walks_messages(walked):
                yield around
    if isinstance(node, Branch):
        yield from _lists_with_thinking(node.body, walked, around)
        if node.otherwise is not None:
            yield from _lists_with_thinking(node.otherwise, walked, around)


def _walks_messages(pipe: Pipe) -> bool:
    return any(names[0] == "Messages" for names in _fields_in(pipe))


def _fields_in(pipe: Pipe) -> Iterator[tuple[str, ...]]:
    for argument in _arguments(pipe):
        if isinstance(argument, Field):
            yield argument.names
        elif isinstance(argument, Pipe):
            yield from _fields_in(argument)


def _strip(text: str) -> str:
    """Strip whitespace as ``strings.TrimSpace`` does."""
    return text.strip(SPACE)


def _tool_tag(root: Body) -> str:
    branch = _branch_of_calls(root)
    text = _first_text(branch.body) if branch is not None else None
    if text is None:
        return "{"
    return _strip(text.replace("\r\n", "\n").partition("{")[0]) or "{"


def _branch_of_calls(body: Body) -> If | None:
    """Return the first ``if`` whose condition has the field ``.ToolCalls`` itself."""
    for node in body.nodes:
        if isinstance(node, If) and any(
            isinstance(argument, Field) and "ToolCalls" in argument.names
            for argument in _arguments(node.pipe)
        ):
            return node
        if isinstance(node, Branch):
            for inner in (node.body, node.otherwise):
                found = _branch_of_calls(inner) if inner is not None else None
                if found is not None:
                    return found
    return None


def _first_text(body: Body) -> str | None:
    """Return the first text that is not blank, before the first action; the first block decides."""
    for node in body.nodes:
        if isinstance(node, Text):
            if _strip(node.text):
                return node.text
        elif isinstance(node, Branch):
            found = _first_text(node.body)
            if found is None and node.otherwise is not None:
                found = _first_text(node.otherwise)
            return found
        elif isinstance(node, Action):
            return None
    return None
