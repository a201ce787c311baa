"""Find out what a chat template supports by watching what it asks of crafted chats, as llama.cpp does.

What it finds decides how chats are told: a system text is merged into the next message where the template
does not ask for it, contents become lists of parts where it takes nothing else, and arguments of calls are
objects where it looks into them.

Source: ``caps_get`` in ``common/jinja/caps.cpp`` of llama.cpp b10488 and b11095.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.interpreter import Template
from gguf2ollama.chat.llamacpp.jinja_engine.scopes import Watch
from gguf2ollama.chat.llamacpp.jinja_engine.values import Value, from_json

__all__ = ["Support", "probe", "takes_parallel_calls"]

_MARKER = "STRING_MARKER"
_USER = {"role": "user", "content": "User message"}
_TOOL = {
    "name": "tool",
    "type": "function",
    "function": {
        "name": "tool1",
        "description": "Tool description",
        "parameters": {
            "type": "object",
            "properties": {"arg": {"type": "string", "description": "Arg description"}},
            "required": ["arg"],
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """What a template supports, as llama.cpp sees it.

    Attributes:
        string_content, typed_content: Contents as texts; as lists of parts.
        system_role: System messages.
        tools, tool_calls: Tools offered; calls of tools in the history.
        object_arguments: Arguments of calls as objects.
    """

    string_content: bool = True
    typed_content: bool = False
    system_role: bool = True
    tools: bool = True
    tool_calls: bool = True
    object_arguments: bool = False


def probe(template: Template, *, now: datetime, misses_text: bool, tries_empty_parts: bool) -> Support:
    """Find out what a template supports.

    Args:
        template: The template.
        now: What the clock says.
        misses_text: Whether a template that takes a content apart and does not print it takes none as text.
        tries_empty_parts: Whether a template that asks if the content is a string is tried with a list, too.

    Raises:
        NotForeseen: What llama.cpp does with it is not modelled.
        TemplateFault: The template changes the crafted chats, and llama.cpp misses what it looks at in them.
    """
    attempt = _Attempt(template, now)
    string_content, typed_content = _content(
        attempt, misses_text=misses_text, tries_empty_parts=tries_empty_parts
    )
    system = attempt([{"role": "system", "content": "System message"}, _USER])
    tools, tool_calls, object_arguments = _tools(attempt)
    return Support(
        string_content=string_content,
        typed_content=typed_content,
        system_role=system.watch("messages", 0, "content").used,
        tools=tools,
        tool_calls=tool_calls,
        object_arguments=object_arguments,
    )


def takes_parallel_calls(template: Template, *, now: datetime, support: Support) -> bool:
    """Find out whether a template shows the second call of a message.

    Raises:
        NotForeseen: What llama.cpp does with it is not modelled.
    """
    arguments: Mapping[str, Any] | str = {"arg": "value"} if support.object_arguments else '{"arg": "value"}'
    result = _Attempt(template, now)(_called(arguments, arguments), [_TOOL])
    if result.text is None:
        return False
    return result.watch("messages", 1, "tool_calls", 1, "function").used


@dataclass(slots=True)
class _Result:
    """What came of a probe: its text, ``None`` where it failed, and what was asked of its inputs."""

    inputs: Mapping[str, Any]
    text: str | None
    watched: Mapping[int, Watch]

    def watch(self, *path: str | int) -> Watch:
        """Return what was asked of what lies at a place of the inputs now, which the template may change.

        Raises:
            NotForeseen: A value of the template's own lies there, and what was asked of it is not known.
            TemplateFault: Nothing lies there any more.
        """
        known = self.watched.get(id(self.at(*path)))
        if known is None:
            raise NotForeseen(f"a template that replaces the value of {path[-1]!r}")
        return known

    def at(self, *path: str | int) -> Value:
        """Return what lies at a place of the inputs now, as ``value_t::at`` in ``common/jinja/value.h`` does.

        Raises:
            TemplateFault: Nothing lies there any more.
        """
        value: Value = self.inputs
        for step in path:
            held: Any = dict(enumerate(value)) if isinstance(value, list) else value
            is_right = isinstance(held, dict) and isinstance(value, list) is isinstance(step, int)
            if not is_right or step not in held:
                missing = ".".join(map(str, path))
                raise TemplateFault(f"it removes {missing} from llama.cpp's test conversations")
            value = held[step]
        return value


@dataclass(slots=True)
class _Attempt:
    template: Template
    now: datetime

    def __call__(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> _Result:
        told = {
            "messages": _fresh(messages),
            "tools": _fresh(tools),
            "bos_token": "",
            "eos_token": "",
            "add_generation_prompt": True,
        }
        watched: dict[int, Watch] = {}
        _watch_all([told["messages"], told["tools"]], watched)
        try:
            text: str | None = self.template.render(told, now=self.now, watched=watched)
        except TemplateFault:
            text = None
        return _Result(told, text, watched)


def _fresh(value: Value) -> Value:
    """Copy a JSON value so that each of its texts is an object of its own."""
    if isinstance(value, str):
        return "".join(list(value)) if len(value) > 1 else value
    if isinstance(value, Mapping):
        return {key: _fresh(one) for key, one in value.items()}
    return [_fresh(one) for one in value] if isinstance(value, (list, tuple)) else from_json(value)


def _watch_all(value: Value, watched: dict[int, Watch]) -> None:
    watched[id(value)] = Watch(value)
    children: Sequence[Value] = ()
    if isinstance(value, dict):
        children = list(value.values())
    elif isinstance(value, list):
        children = value
    for one in children:
        _watch_all(one, watched)


def _content(
    attempt: Callable[..., _Result], *, misses_text: bool, tries_empty_parts: bool
) -> tuple[bool, bool]:
    """Return whether contents may be texts, and whether they may be lists of parts."""
    result = attempt([{"role": "user", "content": _MARKER}])
    operations = result.watch("messages", 0, "content").operations
    is_typed = _is_taken_apart(operations)
    is_text = result.text is not None and not (misses_text and is_typed and _MARKER not in result.text)
    if tries_empty_parts and "test_is_string" in operations:
        result = attempt([{"role": "user", "content": []}])
        parts = result.watch("messages", 0, "content").operations
        is_typed |= _is_taken_apart(parts) and result.text is not None
    return is_text, is_typed


def _is_taken_apart(operations: set[str]) -> bool:
    return bool(operations & {"selectattr", "array_access"})


def _tools(attempt: Callable[..., _Result]) -> tuple[bool, bool, bool]:
    """Tell of tools, calls, and arguments as objects."""
    object_told, text_told = {"arg": "value"}, '{"arg": "value"}'
    missing = [_missing_call(attempt, told) for told in (text_told, object_told)]
    if missing[0] and missing[1]:  # llama.cpp looks for one or the other, whatever it finds before
        raise missing[0]
    result = attempt(_called(object_told), [_TOOL])
    tools, calls, arguments = True, True, False
    if result.text is not None:
        tools, calls = _asked(result)
        argument = ("messages", 1, "tool_calls", 0, "function", "arguments", "arg")
        arguments = calls and result.watch(*argument).used
    if not arguments:
        result = attempt(_called(text_told), [_TOOL])
        as_text = (False, False) if result.text is None else _asked(result)
        tools, calls = tools and as_text[0], calls and as_text[1]
    if fault := missing[arguments]:
        raise fault
    return tools, calls, arguments


def _missing_call(
    attempt: Callable[..., _Result], arguments: Mapping[str, Any] | str
) -> TemplateFault | None:
    """Return why the second of two calls is gone after a rendering; ``None`` where it is there."""
    result = attempt(_called(arguments, arguments), [_TOOL])
    try:
        if result.text is not None:
            result.at("messages", 1, "tool_calls", 1, "function")
    except TemplateFault as fault:
        return fault
    return None


def _asked(result: _Result) -> tuple[bool, bool]:
    name = result.watch("tools", 0, "function", "name")
    return name.used, result.watch("messages", 1, "tool_calls").used


def _called(*arguments: Mapping[str, Any] | str) -> list[dict[str, Any]]:
    calls = [
        {"id": f"call0000{number}", "type": "function", "function": {"name": "tool1", "arguments": one}}
        for number, one in enumerate(arguments, 1)
    ]
    return [
        _USER,
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "content": "Tool response", "tool_call_id": "call00001"},
        {"role": "assistant", "content": "The tool response was 'tool response'"},
        _USER,
    ]
