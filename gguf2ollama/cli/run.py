"""``gguf2ollama run``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from gguf2ollama._text import printable
from gguf2ollama.cli._options import host_option, option, output_options, verb
from gguf2ollama.cli._server import connect, model_name
from gguf2ollama.cli.render.output import Output

if TYPE_CHECKING:
    from gguf2ollama.ollama import Chunk, Client

__all__ = ["answer", "command"]

_LEAVE = {"/bye", "/exit", "/quit"}


@verb("run")
@click.argument("model")
@click.argument("prompt", nargs=-1, metavar="[PROMPT]...")
@option("--system", metavar="TEXT", help="System message for this chat.")
@option("--think/--no-think", default=None, help="Turn thinking on or off.  [default: the model's own]")
@host_option
@output_options
def command(
    *,
    model: str,
    prompt: tuple[str, ...],
    system: str | None,
    think: bool | None,
    host: str | None,
    output: Output,
) -> None:
    """Ask MODEL the PROMPT, or what stdin holds; without either, chat on the terminal."""
    name = model_name(model)
    messages = [{"role": "system", "content": system}] if system else []
    with connect(host) as client:
        if text := _one_shot(prompt):
            messages.append({"role": "user", "content": text})
            answer(client, name, messages, think=think, output=output)
        else:
            _chat(client, name, messages, think=think, output=output)


def _one_shot(prompt: tuple[str, ...]) -> str:
    """Join the words of the prompt, and what is piped in, as ``ollama run`` does."""
    piped = "" if sys.stdin.isatty() else sys.stdin.read()
    return "\n\n".join(text for text in (" ".join(prompt), piped.strip()) if text)


def answer(
    client: Client,
    name: str,
    messages: list[dict[str, str]],
    *,
    think: bool | None = None,
    output: Output,
) -> str:
    """Ask the model, show its answer as it comes, and return it."""
    with client.chat(name, messages, think=think) as chunks:
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


def _chat(
    client: Client, name: str, messages: list[dict[str, str]], *, think: bool | None, output: Output
) -> None:
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
                reply = answer(client, name, messages, think=think, output=output)
            except KeyboardInterrupt:
                messages.pop()
                output.note("\n(interrupted)")
            else:
                messages.append({"role": "assistant", "content": reply})
