"""What the verbs of provisioning share: their argument, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gguf2ollama.cli._options import option
from gguf2ollama.errors import Gguf2OllamaError

if TYPE_CHECKING:
    from gguf2ollama.fleet.entries import Fleet
    from gguf2ollama.fleet.foreign import Form

__all__ = ["end", "file_argument", "fleet_host_option", "form_option", "load", "prune_option"]

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def file_argument(function: _Decorated) -> _Decorated:
    """Add the argument FILE."""
    return click.argument("file", metavar="[FILE]", default="ollama.models.yaml")(function)


def form_option(function: _Decorated) -> _Decorated:
    """Add ``--from``."""
    return option(
        "--from",
        "form",
        group="source",
        type=click.Choice(["helm", "ansible", "list"]),
        help="FILE is Helm values, Ansible variables, or the output of `ollama list`.",
    )(function)


def prune_option(function: _Decorated) -> _Decorated:
    """Add ``--prune``."""
    return option(
        "--prune/--no-prune", default=None, help="Delete models not in FILE.  [default: as FILE says]"
    )(function)


def fleet_host_option(function: _Decorated) -> _Decorated:
    """Add ``--host`` as the verbs of provisioning have it."""
    return option(
        "--host",
        group="transport",
        metavar="HOST",
        help="Only this host of FILE, by name or address; the server if FILE has no hosts.",
    )(function)


def load(text: str, *, file: str, form: Form | None) -> Fleet:
    """Return the fleet of a text."""
    from gguf2ollama.fleet.file import parse_fleet  # noqa: PLC0415 - not needed for help
    from gguf2ollama.fleet.foreign import parse_foreign  # noqa: PLC0415 - as above

    return parse_fleet(text, file=file) if form is None else parse_foreign(text, form=form, file=file)


def end(code: int, *, failed: int, total: int) -> None:
    """End a call with an exit code, with an error if something failed.

    Args:
        code: The exit code.
        failed: How many hosts and models failed.
        total: How many hosts and models there are.

    Raises:
        Gguf2OllamaError: Something failed.
    """
    if failed:
        error = Gguf2OllamaError(
            f"{failed} of {total} hosts and models failed",
            hint="the output says why; correct it and call again",
        )
        error.exit_code = code
        raise error
    click.get_current_context().exit(code)
