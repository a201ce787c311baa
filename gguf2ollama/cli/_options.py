"""Options that verbs share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from gguf2ollama.cli._output import Output
from gguf2ollama.errors import UsageProblem

__all__ = ["host_option", "output_options", "require_local", "source_argument"]

Verb = TypeVar("Verb", bound=Callable[..., Any])


def output_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Add ``--json``, ``--quiet`` and ``--verbose``; the verb gets them as an ``Output``."""

    @click.option("--json", "as_json", is_flag=True, help="Write the result as JSON to stdout.")
    @click.option("--quiet", "-q", is_flag=True, help="Tell nothing but results, warnings and errors.")
    @click.option("--verbose", is_flag=True, help="Tell more, and show tracebacks of errors.")
    @functools.wraps(verb)
    def wrapped(*args: object, as_json: bool, quiet: bool, verbose: bool, **options: object) -> None:
        verb(*args, output=Output(as_json=as_json, quiet=quiet, verbose=verbose), **options)

    return wrapped


def host_option(verb: Verb) -> Verb:
    """Add ``--host``."""
    return click.option(
        "--host",
        metavar="ADDRESS",
        help="Address of the Ollama server.  [default: OLLAMA_HOST, else 127.0.0.1:11434]",
    )(verb)


def source_argument(verb: Verb) -> Verb:
    """Add the argument SOURCE."""
    return click.argument("source", metavar="SOURCE")(verb)


def require_local(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:  # noqa: ANN401 - of click
    """Refuse a URL where a file is wanted, and show none of what may sign it."""
    for one in value if isinstance(value, tuple) else (value,):
        if "://" in one:
            raise UsageProblem(
                f"{one.partition('?')[0]} is not on this machine, where it is wanted",
                hint="download it first (`gguf2ollama download`), then name the file",
            )
    return value
