"""The reference: chat templates rendered as transformers renders them, and the chats to render.

For tests only: it runs trusted templates, with no bound on time or memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NoReturn

from jinja2 import Template, nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

Message = dict[str, Any]
CALL_ID = "abcdefghi"  # Mistral's templates take nothing but nine alphanumerics


class Refused(Exception):  # the template's own word: raise_exception
    """The chat template raised: its authors do not take such a chat."""


class _Generation(Extension):
    """The ``{% generation %}`` tag, which marks the assistant's tokens for training and prints its body."""

    tags = {"generation"}  # noqa: RUF012  # the type that Jinja declares

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_print"), [], [], body).set_lineno(line)

    def _print(self, caller: Callable[[], str]) -> str:
        return caller()


def _tojson(
    value: Any,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002  # transformers' own signature
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002  # as above
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise(message: str) -> NoReturn:
    raise Refused(message)


@cache
def _compiled(chat_template: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    return environment.from_string(chat_template)


def render(
    chat_template: str,
    messages: Sequence[Message],
    *,
    tools: Sequence[Mapping[str, Any]] | None = None,
    bos: str = "",
    eos: str = "",
    now: datetime | None = None,
    **variables: Any,
) -> str:
    """Render a chat as transformers does; a final assistant message is left open, to be continued.

    Raises:
        Refused: The template raises.
    """
    clock = now or datetime.now()  # noqa: DTZ005  # templates print the local date
    is_open = messages[-1]["role"] == "assistant" and not messages[-1].get("tool_calls")
    try:
        text = _compiled(chat_template).render(
            strftime_now=clock.strftime,
            messages=messages,
            tools=tools,
            documents=None,
            add_generation_prompt=not is_open,
            bos_token=bos,
            eos_token=eos,
            **variables,
        )
    except TemplateError as error:
        raise Refused(str(error)) from error
    if not is_open:
        return text
    last = messages[-1]["content"]
    content = (last if isinstance(last, str) else last[0]["text"]).strip()
    return text[: text.rindex(content) + len(content)]


@dataclass(frozen=True)
class Chat:
    """A chat to render.

    Attributes:
        name: What it is about.
        messages: The messages as transformers takes them.
        tools: Tool definitions, in the order of keys that Ollama hands to a template.
        think: Whether thinking is asked for, refused, or left open.
    """

    name: str
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] | None = None
    think: bool | None = None


def system(content: str) -> Message:
    """Return a system message."""
    return {"role": "system", "content": content}


def user(content: str) -> Message:
    """Return a user's message."""
    return {"role": "user", "content": content}


def assistant(content: str, **more: Any) -> Message:
    """Return an assistant's message; ``reasoning_content`` is its thinking."""
    return {"role": "assistant", "content": content, **more}


def call(name: str, arguments: dict[str, Any], identifier: str = CALL_ID) -> Message:
    """Return one tool call; arguments in alphabetical order, as Ollama hands them to a template."""
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(content: str, name: str = "get_weather", identifier: str = CALL_ID) -> Message:
    """Return the result of a tool call."""
    return {"role": "tool", "name": name, "tool_call_id": identifier, "content": content}


TOOLS: tuple[dict[str, Any], ...] = (
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": 'Get the "weather" <for> a city & its région 🎉 \\u003c\n\tback\\slash',
            "parameters": {
                "type": "object",
                "required": ["city"],
                "properties": {
                    "city": {"type": "string", "description": "City, name: x"},
                    "days": {
                        "type": "array",
                        "items": {"enum": [1, 2.5, True, None, "[{"], "type": "integer"},
                    },
                    "unit": {"type": "string", "enum": ["c", "f"]},
                },
            },
        },
    },
    {
        "type": "function",
        "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}},
    },
)
_PARIS = call("get_weather", {"city": "Paris", "unit": "c"})
_ODD = call(
    "get_weather",
    {"city": 'L\'"été" <&>\u2028', "days": [], "nested": {"a": {}, "b": [1, [2.5, None]], "c": "{:,}"}},
    "123456789",
)
_TURNS = tuple(
    message for turn in range(1, 4) for message in (user(f"Question {turn}?"), assistant(f"Answer {turn}."))
)

PLAIN = (
    Chat("one turn", (user("Hello there"),)),
    Chat("system", (system("Be brief."), user("Hello there"))),
    Chat("two turns", (user("Hello"), assistant("General Kenobi"), user("Bye"))),
    Chat("system, two turns", (system("Be brief."), user("Hello"), assistant("Hi"), user("Bye"))),
    Chat("three turns", (*_TURNS[:4], user("Question 3?"))),
    Chat("seven messages", (*_TURNS, user("Question 4?"))),
    Chat("system, seven messages", (system("Be brief."), *_TURNS, user("Question 4?"))),
    Chat("white space", (system(" Be brief.\n"), user(" Hello \n"), assistant("\n A1\t"), user("\n\nBye\n"))),
    Chat(
        "odd white space",
        (user("\u00a0\u3000Hello\u2028\x1f"), assistant("\u2003Hi\x85"), user("\x0bBye\u205f")),
    ),
    Chat(
        "Unicode",
        (system("Réponds 简短地 🎉"), user("日本語 עברית"), assistant("é\u0301 👩‍👩‍👧"), user("ﷺ\u200b")),
    ),
    Chat("empty answer", (user("Hello"), assistant(""), user("Are you there?"))),
    Chat("empty question", (system("Be brief."), user(""))),
    Chat("empty system", (system(""), user("Hello"))),
    Chat(
        "marks",
        (
            user("{{ .System }} {% x %} <b>&amp; \"q\" 's' \\n `"),
            assistant("}} <|x|> [INST] ${y}"),
            user("<"),
        ),
    ),
    Chat("prefill", (user("Write a poem."), assistant("Roses are"))),
    Chat("system, prefill", (system("Be brief."), *_TURNS[:2], user("Go on."), assistant("So then"))),
)
TOOL_USE = (
    Chat("tools", (user("Weather in Paris?"),), tools=TOOLS),
    Chat("system, tools", (system("Be brief."), user("Weather in Paris?")), tools=TOOLS),
    Chat("later tools", (*_TURNS[:2], user("Weather in Paris?")), tools=TOOLS),
    Chat(
        "call and result",
        (user("Weather in Paris?"), assistant("", tool_calls=[_PARIS]), result("22 C")),
        tools=TOOLS,
    ),
    Chat(
        "call, result, answer",
        (
            *(system("Be brief."), user("Weather?"), assistant("", tool_calls=[_PARIS]), result('{"c": 22}')),
            *(assistant("It is 22 C."), user("Thanks")),
        ),
        tools=TOOLS,
    ),
    Chat(
        "odd arguments",
        (user("Weather?"), assistant("", tool_calls=[_ODD]), result("ça <va>\n", identifier="123456789")),
        tools=TOOLS,
    ),
    Chat(
        "two steps",
        (
            *(user("Weather?"), assistant("", tool_calls=[_PARIS]), result("22 C")),
            *(assistant("", tool_calls=[call("now", {}, "ABCDEFGHI")]), result("12:00", "now", "ABCDEFGHI")),
        ),
        tools=TOOLS,
    ),
)
TOOL_USE_WITH_TEXT = (
    Chat(
        "text before a call",
        (user("Weather?"), assistant("Let me look.", tool_calls=[_PARIS]), result("22 C")),
        tools=TOOLS,
    ),
)
PARALLEL_CALLS = (
    Chat(
        "parallel calls",
        (
            user("Weather?"),
            assistant("", tool_calls=[_PARIS, _ODD]),
            *(result("22 C"), result("23 C", identifier="123456789")),
        ),
        tools=TOOLS,
    ),
    Chat(
        "parallel calls, answer",
        (
            user("Weather?"),
            assistant("", tool_calls=[_PARIS, _ODD]),
            *(result("22 C"), result("23 C", identifier="123456789")),
            *(assistant("22 and 23."), user("Thanks")),
        ),
        tools=TOOLS,
    ),
)
THINKING = (
    Chat("thinking refused", (user("Hello"),), think=False),
    Chat("thinking asked for", (system("Be brief."), user("Hello")), think=True),
    Chat(
        "earlier thinking",
        (user("Hello"), assistant("Hi", reasoning_content="They greet."), user("Bye")),
        think=True,
    ),
    Chat(
        "earlier thinking, refused now",
        (user("Hello"), assistant("Hi", reasoning_content="They greet."), user("Bye")),
        think=False,
    ),
    Chat(
        "thinking within the text",
        (user("Hello"), assistant("<think>\nThey greet.\n</think>\n\nHi"), user("Bye")),
        think=True,
    ),
    Chat(
        "thinking before a call",
        (
            user("Weather?"),
            assistant("", reasoning_content="I must look.\n", tool_calls=[_PARIS]),
            result("22 C"),
        ),
        tools=TOOLS,
        think=True,
    ),
)


def to_ollama(chat: Chat) -> dict[str, Any]:
    """Return a chat as the body of Ollama's ``/api/chat``: ``messages``, ``tools`` and ``think``."""
    body: dict[str, Any] = {"messages": [_to_ollama(message) for message in chat.messages]}
    if chat.tools:
        body["tools"] = list(chat.tools)
    if chat.think is not None:
        body["think"] = chat.think
    return body


def _to_ollama(message: Message) -> Message:
    names = {"reasoning_content": "thinking", "name": "tool_name"}
    taken = {names.get(key, key): value for key, value in message.items() if key != "tool_calls"}
    if calls := message.get("tool_calls"):
        taken["tool_calls"] = [{"id": one["id"], "function": one["function"]} for one in calls]
    return taken


def _chatml(default: str = "") -> str:
    turn = (
        "{% if loop.first and m.role != 'system' %}<|im_start|>system\n" + default + "<|im_end|>\n{% endif %}"
    )
    return (
        "{% for m in messages %}"
        + (turn if default else "")
        + "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )


_TOOLS_IN_XML = (
    "{{ '# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\n"
    "You are provided with function signatures within <tools></tools> XML tags:\\n<tools>' }}"
    "{% for tool in tools %}{{ '\\n' + tool | tojson }}{% endfor %}"
    "{{ '\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments"
    ' within <tool_call></tool_call> XML tags:\\n<tool_call>\\n{"name": <function-name>, "arguments":'
    " <args-json-object>}\\n</tool_call><|im_end|>\\n' }}"
)
OWN_TEMPLATES = {
    "chatml": _chatml(),
    "chatml, its own default": _chatml("You are a test."),
    "smollm2": _chatml("You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
    "qwen2": _chatml("You are a helpful assistant."),
    "qwen2.5": (
        "{% set first = messages[0] %}"
        "{% set text = first.content if first.role == 'system' else"
        " 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' %}"
        "{{ '<|im_start|>system\\n' + text }}"
        "{% if tools %}{{ '\\n\\n' }}" + _TOOLS_IN_XML + "{% else %}{{ '<|im_end|>\\n' }}{% endif %}"
        "{% for message in messages %}"
        "{% if message.role == 'tool' %}"
        "{% if messages[loop.index0 - 1].role != 'tool' %}{{ '<|im_start|>user' }}{% endif %}"
        "{{ '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}"
        "{% if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\\n' }}{% endif %}"
        "{% elif not (loop.first and message.role == 'system') %}"
        "{{ '<|im_start|>' + message.role }}"
        "{% if message.content or not message.tool_calls %}{{ '\\n' + message.content }}{% endif %}"
        "{% for one in message.tool_calls or [] %}"
        '{{ \'\\n<tool_call>\\n{"name": "\' + one.function.name + \'", "arguments": \' }}'
        "{{ one.function.arguments | tojson + '}\\n</tool_call>' }}{% endfor %}"
        "{{ '<|im_end|>\\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "llama3": (
        "{{ bos_token }}{% for m in messages %}"
        "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' }}"
        "{{ m['content'] | trim + '<|eot_id|>' }}"
        "{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
    ),
    "phi4": (
        "{% for m in messages %}"
        "{{ '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
    ),
    "mixtral": (
        "{% set ns = namespace(first='') %}{{ bos_token }}{% for message in messages %}"
        "{% if message.role == 'system' %}{% set system_message = message.content %}"
        "{% set ns.first = ' [INST] ' + system_message + '\\n\\n' %}"
        "{% elif message.role == 'user' and ns.first %}"
        "{{ ns.first + message.content + ' [/INST]' }}{% set ns.first = '' %}"
        "{% elif message.role == 'user' %}{{ ' [INST] ' + message.content + ' [/INST]' }}"
        "{% else %}{{ ' ' + message.content + eos_token }}{% endif %}{% endfor %}"
    ),
    "alpaca": (
        "{% for m in messages %}"
        "{% if loop.first and m.role != 'system' %}Below is an instruction that describes a task. Write a"
        " response that appropriately completes the request.\n\n{% endif %}"
        "{% if m.role == 'system' %}{{ m.content + '\\n\\n' }}"
        "{% elif m.role == 'user' %}{{ '### Instruction:\\n' + m.content + '\\n\\n' }}"
        "{% else %}{{ '### Response:\\n' + m.content + eos_token + '\\n\\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"
    ),
}
