"""Render the body of ``/api/chat`` with a Go template, as Ollama does.

:func:`render` includes what the server adds and refuses; :func:`execute` is
``template.Template.Execute``: messages are collated, and the template runs once over ``.Messages`` or once
per exchange. The prompt is what ``_debug_render_only`` shows with ``"truncate": false``. Not included: the
model's own SYSTEM and MESSAGEs (pass them in ``messages``), changes by family or name
(``chat/special_cases.py``), built-in renderers, and the removal of a literal ``<bos>``, which happens later
(``llm``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache

from gguf2ollama.errors import InvalidInput
from gguf2ollama.gotmpl.errors import EvaluationError, invalid_template
from gguf2ollama.gotmpl.exec import Observe, Program
from gguf2ollama.gotmpl.funcs import Function
from gguf2ollama.gotmpl.nodes import Template
from gguf2ollama.gotmpl.parse import BUILTINS, parse
from gguf2ollama.gotmpl.state import Budget
from gguf2ollama.gotmpl.strconv import as_text
from gguf2ollama.gotmpl.values import NOTHING, Pairs, Pointer, Slice, Struct, Value
from gguf2ollama.gotmpl.versions import NEWEST, Dialect, dialect
from gguf2ollama.ollama_template.go_json import Json, go_bytes, marshal
from gguf2ollama.ollama_template.introspect import as_ollama_has_it, read, used_functions
from gguf2ollama.ollama_template.legacy import until_response
from gguf2ollama.ollama_template.ollama_api import types_of, typescript_type

__all__ = ["MAX_MESSAGES", "execute", "render", "render_suffix"]

MAX_MESSAGES = 100_000
_LEVELS = ("low", "medium", "high")


def render(
    template: Template | str,
    body: Mapping[str, Json],
    *,
    version: str = NEWEST,
    now: datetime | None = None,
    capabilities: Collection[str] = (),
    observe: Observe | None = None,
    budget: Budget | None = None,
) -> str:
    """Return the prompt that a server renders for the body of ``/api/chat``.

    Args:
        template: The template, or its text.
        body: ``messages``, and optionally ``tools`` and ``think``; other keys are ignored.
        version: Ollama's, such as ``0.34.4``.
        now: The time for ``currentDate``, in the server's time zone; by default the current time.
        capabilities: Those of ``tools`` and ``thinking`` that the model has by its family or its parser,
            whatever its template.
        observe: Called with each action that prints and its value, before it is printed.
        budget: What this and all other calls with the template may take; one for this call by default.

    Raises:
        InvalidModelfile: That Ollama cannot parse the template, or the template fails for this request.
        InvalidInput: The server refuses the body.
    """
    template = parse(template) if isinstance(template, str) else template
    known = dialect(version)
    _check_functions(template, known, version)
    can = read(template).capabilities.union(capabilities)
    think = body.get("think") if known.has_thinking else None
    if body.get("tools") and "tools" not in can:
        raise InvalidInput(
            "the request has tools, but the TEMPLATE does not use .Tools",
            hint="Ollama refuses such a request: the model does not support tools",
        )
    if think and "thinking" not in can:
        raise InvalidInput(
            "the request asks for thinking, but the TEMPLATE declares no think tags",
            hint="Ollama refuses such a request: the model does not support thinking",
        )
    if think is None and "thinking" in can and known.omits_empty:
        think = True
    messages = _with_image_tags(_messages(body))
    asked = {**body, "messages": messages, "think": think}
    return execute(template, asked, version=version, now=now, observe=observe, budget=budget)


def execute(
    template: Template | str,
    body: Mapping[str, Json],
    *,
    version: str = NEWEST,
    now: datetime | None = None,
    observe: Observe | None = None,
    budget: Budget | None = None,
) -> str:
    """Run a template as Ollama's template package does, without what the server adds.

    Arguments and errors are those of :func:`render`.
    """
    template = parse(template) if isinstance(template, str) else template
    known = dialect(version)
    _check_functions(template, known, version)
    system, messages, tools = _read_body(body, known)
    asked = _thinking(body.get("think"), known)
    budget = budget or Budget()
    today = (now or datetime.now()).date()  # noqa: DTZ005  # Ollama, too, takes the server's local day
    with _failures():
        if "messages" in read(template).variables:
            data = {
                b"System": system,
                b"Messages": types_of(known).messages(messages),
                b"Tools": tools,
                b"Response": b"",
                **asked,
            }
            prompt = _program(as_ollama_has_it(template), known, today, observe).run(data, budget)
        else:
            prompt = _by_exchanges(
                template, messages, asked, known, today=today, observe=observe, budget=budget
            )
    return as_text(prompt)


def render_suffix(template: Template | str, *, prompt: str, suffix: str, version: str = NEWEST) -> str:
    """Return the prompt that a server renders for ``/api/generate`` with ``prompt`` and ``suffix``.

    Args:
        template: The template, or its text.
        prompt: The text before; not empty.
        suffix: The text behind; not empty.
        version: Ollama's.

    Raises:
        InvalidModelfile: That Ollama cannot parse the template, or the template fails for this request.
    """
    template = parse(template) if isinstance(template, str) else template
    known = dialect(version)
    _check_functions(template, known, version)
    texts = {b"Prompt": go_bytes(prompt), b"Suffix": go_bytes(suffix), b"Response": b""}
    today = datetime.now().date()  # noqa: DTZ005  # as above
    with _failures():
        program = _program(as_ollama_has_it(template), known, today, None)
        return as_text(program.run({**texts, **_thinking(None, known)}, Budget()))


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Raise for a template that fails what the server would answer."""
    try:
        yield
    except EvaluationError as error:
        raise invalid_template(
            "was not run to its end" if error.is_limit else "fails for this request",
            error.reason,
            position=error.position,
            hint=error.hint or _HINT,
            is_limit=error.is_limit,
        ) from None


_JSON_BYTES_PER_STEP = 1
_HINT = "fix the template; Ollama would answer with an error"


def _check_functions(template: Template, known: Dialect, version: str) -> None:
    for name, position in used_functions(template).items():
        if name not in BUILTINS and name not in known.functions:
            raise invalid_template(
                f"cannot be parsed by Ollama {version}",
                f"function {name} is not defined",
                position=position,
                hint="update Ollama, or avoid the function",
            )


def _read_body(body: Mapping[str, Json], known: Dialect) -> tuple[bytes, list[Struct], Slice]:
    """Return the system prompt, the collated messages, and the tools."""
    types = types_of(known)
    try:
        messages = [types.message(message, f"messages[{at}]") for at, message in enumerate(_messages(body))]
        tools = types.tools(body.get("tools"))
    except RecursionError:
        raise InvalidInput("the request's messages or tools are nested too deeply") from None
    system, collated = _collated(messages, known)
    return system, collated, tools


def _messages(body: Mapping[str, Json]) -> Sequence[Json]:
    messages = body.get("messages")
    if messages is None:
        return []
    if not isinstance(messages, list | tuple):
        raise InvalidInput(f"messages: expected an array, got {type(messages).__name__}")
    if len(messages) > MAX_MESSAGES:
        raise InvalidInput(f"too many messages: {len(messages):,}, the limit is {MAX_MESSAGES:,}")
    return messages


def _with_image_tags(messages: Sequence[Json]) -> Sequence[Json]:
    """Add ``[img-0]`` and so on before a content, or replace ``[img]`` in it."""
    tagged, number = [], 0
    for message in messages:
        images = message.get("images") if isinstance(message, Mapping) else None
        if not images or not isinstance(images, list | tuple):
            tagged.append(message)
            continue
        prefix, content = "", str(message.get("content") or "")
        for _ in images:
            tag = f"[img-{number}]"
            number += 1
            if "[img]" in content:
                content = content.replace("[img]", tag, 1)
            else:
                prefix += tag
        tagged.append({**message, "content": prefix + content})
    return tagged


def _collated(messages: Sequence[Struct], known: Dialect) -> tuple[bytes, list[Struct]]:
    """Join system messages, and merge adjacent messages of a role: of the second, only the content stays."""
    system: list[bytes] = []
    collated: list[Struct] = []
    for message in messages:
        role, content = message.fields["Role"], message.fields["Content"]
        if role == b"system":
            system.append(content)
        stays = role == b"tool" and known.has_tool_names
        if collated and collated[-1].fields["Role"] == role and not stays:
            collated[-1].fields["Content"] += b"\n\n" + content
        else:
            collated.append(message)
    return b"\n\n".join(system), collated


def _thinking(think: Value, known: Dialect) -> dict[bytes, Value]:
    """Return the variables for ``think``; a server without that key ignores it."""
    if not known.has_thinking:
        return {}
    levels = (*_LEVELS, "max") if known.has_highest_level else _LEVELS if known.has_levels else ()
    if not (think is None or isinstance(think, bool) or think in levels):
        shown = ", ".join(levels)
        raise InvalidInput(
            f"think: expected true or false{f', or one of {shown}' if shown else ''}, got {think!r}"
        )
    seen: dict[bytes, Value] = {b"Think": bool(think), b"IsThinkSet": think is not None}
    if known.has_levels:
        level = think if isinstance(think, str) else "medium" if think else ""
        seen[b"ThinkLevel"] = go_bytes(level)
    return seen


def _by_exchanges(
    template: Template,
    messages: Sequence[Struct],
    asked: Mapping[bytes, Value],
    known: Dialect,
    *,
    today: date,
    observe: Observe | None,
    budget: Budget,
) -> bytes:
    """Run a template without ``.Messages``: once per exchange, the last one up to the response."""
    program = _program(as_ollama_has_it(template), known, today, observe)
    out: list[bytes] = []
    values = {b"System": b"", b"Prompt": b"", b"Response": b""}

    def flush() -> None:
        out.append(program.run({**values, **asked}, budget))
        values.update(dict.fromkeys(values, b""))

    for message in messages:
        role, content = message.fields["Role"], message.fields["Content"]
        if role == b"system":
            if values[b"Prompt"] or values[b"Response"]:
                flush()
            values[b"System"] = content
        elif role == b"user":
            if values[b"Response"]:
                flush()
            values[b"Prompt"] = content
        elif role == b"assistant":
            values[b"Response"] = content
    last = _last_program(template, over_integers=known.ranges_over_integers, observe=observe)
    out.append(last.run({**values, **asked}, budget))
    return b"".join(out)


@lru_cache(maxsize=64)
def _program(template: Template, known: Dialect, today: date, observe: Observe | None = None) -> Program:
    functions = _functions(today)
    return Program(
        template.bodies,
        functions={name: functions[name] for name in known.functions},
        over_integers=known.ranges_over_integers,
        observe=observe,
    )


@lru_cache(maxsize=64)
def _last_program(template: Template, *, over_integers: bool, observe: Observe | None) -> Program:
    """Return the program for the last exchange, which Ollama runs without its functions and options."""
    body = until_response(template)
    return Program({b"": body}, functions={}, missing=NOTHING, over_integers=over_integers, observe=observe)


def _functions(today: date) -> dict[str, Function]:
    day, day_before = (date.isoformat().encode() for date in (today, today - timedelta(days=1)))
    return {
        "json": Function(call=_json, least=1, most=1, bytes_per_step=_JSON_BYTES_PER_STEP),
        "currentDate": Function(call=lambda _values: day, least=0, most=None, texts=-1),
        "yesterdayDate": Function(call=lambda _values: day_before, least=0, most=None, texts=-1),
        "toTypeScriptType": Function(call=_typescript, least=1, most=1),
    }


def _json(values: list[Value]) -> bytes:
    return b"" if isinstance(values[0], Pairs) else marshal(values[0])  # functions cannot be printed


def _typescript(values: list[Value]) -> bytes:
    value = values[0].target if isinstance(values[0], Pointer) else values[0]
    if isinstance(value, Struct) and value.type.name == "api.ToolProperty":
        return typescript_type(value)
    return b"any"
