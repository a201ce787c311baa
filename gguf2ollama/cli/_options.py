"""Options that verbs share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from gguf2ollama.cli._output import Output
from gguf2ollama.errors import UsageProblem

__all__ = ["CA_FILE", "ca_option", "host_option", "output_options", "require_local", "source_argument"]

CA_FILE = "gguf2ollama.ca"
"""Where the context of a call holds what ``--ca`` names."""

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
    """Add ``--host``, and ``--ca``."""
    return click.option(
        "--host",
        metavar="ADDRESS",
        help="Address of the Ollama server.  [default: OLLAMA_HOST, else 127.0.0.1:11434]",
    )(ca_option(verb))


def ca_option(verb: Verb) -> Verb:
    """Add ``--ca``, which :func:`gguf2ollama.cli._server.ca_file` returns."""
    return click.option(
        "--ca",
        metavar="FILE",
        expose_value=False,
        callback=_keep_ca,
        help="Certificate authority (PEM) of the Ollama server.  [default: SSL_CERT_FILE, else the system's]",
    )(verb)


def _keep_ca(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta[CA_FILE] = value


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
