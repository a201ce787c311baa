"""The group of all verbs, and how a call ends."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from gguf2ollama import __version__
from gguf2ollama.cli._verbs import PROGRAM, VERBS
from gguf2ollama.cli.render.errors import no_such_command, report

__all__ = ["run"]

_INTERRUPTED = 130


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are called, not to list them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the table."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return its command."""
        del ctx
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"gguf2ollama.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a promise of each command's module
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named first, or suggest one with a similar name."""
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            raise no_such_command(args[0], known=VERBS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table alone."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=_LazyGroup,
    epilog="SOURCE is a GGUF file, any shard of one, a folder, a repository on Hugging Face (owner/repo or"
    " owner/repo:Q4_K_M) or on ModelScope (ms://owner/repo), the URL of a GGUF, a Modelfile, or a model of"
    " the server (ollama:NAME). OLLAMA_HOST is the address of the server.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name=PROGRAM)
def group() -> None:
    """Turn GGUF models into Ollama models that are prompted exactly as their chat templates say."""


def run(arguments: Sequence[str]) -> int:
    """Run one call, and return its exit code.

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
        return report(error, arguments)
    return code if isinstance(code, int) else 0


def _interruption_behind(error: BaseException | None) -> KeyboardInterrupt | SystemExit | None:
    """Return the interruption that caused an error.

    Python 3.11 raises a ``RuntimeError`` from one that comes while a class is created (``__set_name__``).
    """
    while error is not None:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            return error
        error = error.__cause__
    return None
