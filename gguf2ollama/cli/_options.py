"""Options that verbs share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from gguf2ollama.cli._output import Output

__all__ = ["host_option", "output_options", "source_argument"]

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
