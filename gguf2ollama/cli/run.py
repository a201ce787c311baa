"""``gguf2ollama run``."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeAlias

import click

from gguf2ollama._text import printable
from gguf2ollama.cli._engine_options import engine_option, load_options, source_options
from gguf2ollama.cli._options import host_option, option, output_options, verb
from gguf2ollama.cli._server import ca_file, connect, model_name
from gguf2ollama.cli.render.output import Output
from gguf2ollama.errors import ServerUnreachable, UsageProblem

if TYPE_CHECKING:
    from gguf2ollama.cli._engine_options import LoadKeywords
    from gguf2ollama.engines import Engine
    from gguf2ollama.ollama import Chunk, Client

__all__ = ["answer", "command"]

_LEAVE = {"/bye", "/exit", "/quit"}

Ask: TypeAlias = "Callable[[list[dict[str, str]]], AbstractContextManager[Iterable[Chunk]]]"
"""Sends the messages of a chat, and returns the pieces of the answer."""


@verb("run")
@click.argument("model")
@click.argument("prompt", nargs=-1, metavar="[PROMPT]...")
@option("--system", group="model", metavar="TEXT", help="System message for this chat.")
@option(
    "--think/--no-think",
    group="model",
    default=None,
    help="Turn thinking on or off.  [default: the model's own]",
)
@engine_option
@load_options
@source_options
@host_option
@output_options
def command(
    *,
    model: str,
    prompt: tuple[str, ...],
    system: str | None,
    think: bool | None,
    engine: str | None,
    load_keywords: LoadKeywords,
    sampling: dict[str, object],
    host: str | None,
    output: Output,
) -> None:
    """Ask MODEL the PROMPT, or what stdin holds; without either, chat on the terminal.

    MODEL is a model on the server or, with --engine, a SOURCE, as for build: it is loaded into that engine,
    and no server is used.
    """
    if engine is None and (load_keywords or sampling):
        raise UsageProblem(
            "--gpu-layers, --ctx and other options of loading need --engine",
            hint=f"gguf2ollama run --engine llama.cpp {model}, or set them when the model is built",
        )
    with contextlib.ExitStack() as stack:
        if engine is None:
            client, name = stack.enter_context(connect(host)), model_name(model)
            ask = _server_asker(client, name, think=think)
        else:
            if host is not None and engine != "ollama":
                raise UsageProblem(f"--host has no meaning for {engine}", hint="use only one of them")
            loaded = stack.enter_context(_load(model, engine, load_keywords, host=host, output=output))
            ask = functools.partial(_ask_engine, loaded, options=sampling, think=think)
        _talk(ask, prompt, system=system, output=output)


def _talk(ask: Ask, prompt: tuple[str, ...], *, system: str | None, output: Output) -> None:
    messages = [{"role": "system", "content": system}] if system else []
    if text := _one_shot(prompt):
        messages.append({"role": "user", "content": text})
        _answer(ask, messages, output=output)
    else:
        _chat(ask, messages, output=output)


def _server_asker(client: Client, name: str, *, think: bool | None) -> Ask:
    @contextlib.contextmanager
    def ask(messages: list[dict[str, str]]) -> Iterator[Iterable[Chunk]]:
        try:
            with client.chat(name, messages, think=think) as chunks:
                yield chunks
        except ServerUnreachable as error:
            without = "`gguf2ollama run --engine llama.cpp SOURCE` runs a GGUF without a server"
            raise type(error)(
                error.message, hint=f"{error.hint}; {without}" if error.hint else without
            ) from error

    return ask


def _one_shot(prompt: tuple[str, ...]) -> str:
    """Join the words of the prompt, and what is piped in, as ``ollama run`` does."""
    piped = "" if sys.stdin.isatty() else sys.stdin.read()
    return "\n\n".join(text for text in (" ".join(prompt), piped.strip()) if text)


def answer(
    client: Client,
    name: str,
    messages: list[dict[str, str]],
    *,
    output: Output,
) -> str:
    """Ask a model of a server, show its answer as it comes, and return it."""
    return _answer(_server_asker(client, name, think=None), messages, output=output)


def _load(source: str, engine: str, keywords: LoadKeywords, *, host: str | None, output: Output) -> Engine:
    from gguf2ollama.api.load import load  # noqa: PLC0415 - not needed for help

    with output.progress() as progress:
        return load(
            source,
            engine=engine,
            host=host,
            ca_file=ca_file(),
            progress=progress,
            notify=output.note,
            **keywords,
        )


def _ask_engine(
    model: Engine, messages: list[dict[str, str]], *, options: dict[str, object], think: bool | None
) -> AbstractContextManager[Iterable[Chunk]]:
    return contextlib.closing(model.chat(messages, options=options, think=think))


def _answer(ask: Ask, messages: list[dict[str, str]], *, output: Output) -> str:
    with ask(messages) as chunks:
        if output.as_json:
            whole = _collect(chunks)
            output.data(whole)
            return str(whole["content"])
        return _show(chunks, output=output)


def _collect(chunks: Iterable[Chunk]) -> dict[str, object]:
    content, thinking, reason, tokens = "", "", "", 0
    calls = []
    for chunk in chunks:
        content += chunk.content
        thinking += chunk.thinking
        calls += [{"name": call.name, "arguments": dict(call.arguments)} for call in chunk.tool_calls]
        if chunk.done:
            reason = chunk.done_reason
            tokens = chunk.metrics.eval_count if chunk.metrics else 0
    return {
        "content": content,
        "thinking": thinking,
        "tool_calls": calls,
        "done_reason": reason,
        "token_count": tokens,
    }


def _show(chunks: Iterable[Chunk], *, output: Output) -> str:
    content, was_thinking = "", False
    for chunk in chunks:
        if chunk.thinking and not output.quiet:
            click.echo(click.style(printable(chunk.thinking), dim=True), nl=False, err=True)
            was_thinking = True
        if chunk.content:
            if was_thinking:
                click.echo("\n", err=True)
                was_thinking = False
            output.exact(chunk.content, newline=False)
            content += chunk.content
    output.text("")
    return content


def _chat(ask: Ask, messages: list[dict[str, str]], *, output: Output) -> None:
    """Chat until the user leaves; Ctrl-C ends an answer, and an empty line is not sent."""
    output.note("Chat with the model (/clear to reset, /bye or Ctrl-D to exit)")
    start = len(messages)
    while True:
        try:
            text = click.prompt(">>>", prompt_suffix=" ", default="", show_default=False, err=True).strip()
        except click.Abort:
            output.note("")
            return
        if text in _LEAVE:
            return
        if text == "/clear":
            del messages[start:]
        elif text:
            messages.append({"role": "user", "content": text})
            try:
                reply = _answer(ask, messages, output=output)
            except KeyboardInterrupt:
                messages.pop()
                output.note("\n(interrupted)")
            else:
                messages.append({"role": "assistant", "content": reply})
