"""How a call that fails ends: one message, one hint, an exit code; click's own errors look the same."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from gguf2ollama import __version__
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama._text import message_line, printable
from gguf2ollama.cli._verbs import PROGRAM
from gguf2ollama.errors import Gguf2OllamaError, NotEnoughSpace, UsageProblem
from gguf2ollama.fs.errors import FULL, our_error

__all__ = ["no_such_command", "report"]

_HELP = getattr(click.exceptions, "NoArgsIsHelpError", ())  # from click 8.2 on
_VERBOSE = lazy_pattern(r"--verbose|-q?v+q?")


def report(error: Exception, arguments: Sequence[str]) -> int:
    """Write an error to stderr, as JSON with ``--json``, and return its exit code.

    Args:
        error: What was raised.
        arguments: The arguments of the call, which may not have been parsed.
    """
    if isinstance(error, _HELP):
        error.show()
        return UsageProblem.exit_code
    if any(map(_VERBOSE.fullmatch, arguments)):
        import traceback  # noqa: PLC0415 - seldom needed

        click.echo(printable("".join(traceback.format_exception(error))), nl=False, err=True)
    known = _known(error)
    with contextlib.suppress(OSError):  # nobody reads it, or its disk is full: the code says it
        if "--json" in arguments:
            fields = {"message": known.message, "hint": known.hint, "exit_code": known.exit_code}
            click.echo(json.dumps({"error": fields}), err=True)
        else:
            click.echo(message_line(f"error: {known.message}"), err=True)
            if known.hint:
                click.echo(message_line(f"hint: {known.hint}"), err=True)
    return known.exit_code


def no_such_command(name: str, *, known: Iterable[str]) -> UsageProblem:
    """Return the error of a command that does not exist."""
    hint = _did_you_mean(name, known) or f"`{PROGRAM} --help` lists all commands"
    return UsageProblem(f"no such command: {name}", hint=hint)


def _known(error: Exception) -> Gguf2OllamaError:
    if isinstance(error, Gguf2OllamaError):
        return error
    if isinstance(error, click.ClickException):
        return _usage_problem(error)
    if isinstance(error, OSError) and (found := _of_the_system(error)) is not None:
        return found
    return Gguf2OllamaError(
        f"{type(error).__name__}: {error}",
        hint=f"this is a bug in {PROGRAM} {__version__}; please report it with the --verbose output",
    )


def _of_the_system(error: OSError) -> Gguf2OllamaError | None:
    """Return an error of a file, or of the output; ``None`` where it is a bug not to expect it."""
    if isinstance(error.filename, str):
        return our_error(error, Path(error.filename))
    if error.errno in FULL:
        return NotEnoughSpace(
            "cannot write the output: the disk is full", hint="free some space, or write it to another disk"
        )
    return None


def _usage_problem(error: click.ClickException) -> UsageProblem:
    """Return an error of click in our style."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else PROGRAM
    hint = f"`{path} --help` shows the usage"
    if isinstance(error, click.NoSuchOption):
        options = [name for option in context.command.params for name in option.opts] if context else ()
        suggestion = _did_you_mean(error.option_name, [name for name in options if name.startswith("--")])
        return UsageProblem(f"no such option: {error.option_name}", hint=suggestion or hint)
    message = error.format_message().strip().removesuffix(".")
    return UsageProblem(message[:1].lower() + message[1:], hint=hint)


def _did_you_mean(name: str, known: Iterable[str]) -> str | None:
    import difflib  # noqa: PLC0415 - with a mistake alone

    names = {candidate.lstrip("-"): candidate for candidate in known}
    close = difflib.get_close_matches(name.lstrip("-"), names, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(names[match] for match in close)}?" if close else None
