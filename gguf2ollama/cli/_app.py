"""The group of all verbs, and how a call ends."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence

import click

from gguf2ollama import __version__
from gguf2ollama.errors import Gguf2OllamaError

__all__ = ["PROGRAM", "VERBS", "run"]

PROGRAM = "gguf2ollama"
_INTERRUPTED = 130

# verb -> what it does; its module has the same name (with _ for -) and is not loaded for the group's help
VERBS = {
    "build": "Make an Ollama model from a GGUF.",
    "inspect": "Tell what a GGUF holds, and what would be made of it.",
    "modelfile": "Print the Modelfile for a GGUF; touches no server.",
    "quants": "List the models of a repository.",
    "download": "Download a model.",
    "merge": "Write the shards of a GGUF into one file.",
    "split": "Write one GGUF as shards.",
    "patch-template": "Write a GGUF with another chat template.",
    "verify": "Prove that a model is prompted as its authors meant.",
    "parity": "Tell how well Ollama can render each chat template of a folder.",
    "list": "List the models of a server.",
    "show": "Show a model of a server.",
    "run": "Ask a model, once or in a chat.",
    "ps": "List the models in memory.",
    "stop": "Take a model out of memory.",
    "rm": "Remove models from a server.",
    "cp": "Copy a model to another name.",
    "pull": "Pull a model from a registry.",
    "push": "Push a model to a registry.",
    "doctor": "Check a store of models.",
    "completion": "Print the completion script for a shell.",
}


class _LazyGroup(click.Group):
    """A group whose verbs are imported when they are called, not for the list of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the table."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and give its command."""
        del ctx
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"gguf2ollama.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a promise of each verb's module
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs from the table alone."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=_LazyGroup,
    epilog="SOURCE is a GGUF file, any shard of one, a folder, a repository on the Hub (owner/repo or"
    " owner/repo:Q4_K_M) or on ModelScope (ms://owner/repo), or the URL of a GGUF."
    " OLLAMA_HOST tells where the server is.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name=PROGRAM)
def group() -> None:
    """Turn GGUF models into Ollama models, prompted as their authors meant."""


def run(arguments: Sequence[str]) -> int:
    """Run one call; give its exit code.

    Errors are one sentence and a hint on stderr; a traceback is shown only with ``--verbose``.
    """
    try:
        code = group.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return _INTERRUPTED
    except BrokenPipeError:
        # the reader of our output has enough; keep the interpreter from complaining at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the last line of defence: a sentence instead of a traceback
        interruption = _interruption_behind(error)
        if isinstance(interruption, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            return _INTERRUPTED
        if interruption is not None:
            raise interruption from None
        return _end(error, arguments)
    return code if isinstance(code, int) else 0


def _interruption_behind(error: BaseException | None) -> KeyboardInterrupt | SystemExit | None:
    """Return the interruption that an error comes from.

    Python 3.11 makes a ``RuntimeError`` of one that comes while a class is made (``__set_name__``).
    """
    while error is not None:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            return error
        error = error.__cause__
    return None


def _end(error: Exception, arguments: Sequence[str]) -> int:
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if "--verbose" in arguments:
        traceback.print_exception(error)
    if not isinstance(error, Gguf2OllamaError):
        error = Gguf2OllamaError(
            f"{type(error).__name__}: {error}",
            hint=f"a fault of {PROGRAM} {__version__}: report what --verbose shows of it",
        )
    if "--json" in arguments:
        told = {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}
        click.echo(json.dumps({"error": told}), err=True)
    else:
        click.echo(f"error: {_printable(error.message)}", err=True)
        if error.hint:
            click.echo(f"hint: {_printable(error.hint)}", err=True)
    return error.exit_code


def _printable(text: str) -> str:
    """Keep control characters of hostile names and server texts away from the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text)
