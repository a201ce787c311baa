"""Options that verbs share, and their groups in the help."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar

import click

from gguf2ollama.cli._verbs import VERBS
from gguf2ollama.cli.render.output import Output
from gguf2ollama.errors import UsageProblem

__all__ = [
    "CA_FILE",
    "ca_option",
    "host_option",
    "option",
    "output_options",
    "repository_options",
    "require_local",
    "source_argument",
    "verb",
]

CA_FILE = "gguf2ollama.ca"
"""The key under which the context of a call holds what ``--ca`` names."""

Group: TypeAlias = Literal["model", "source", "transport", "verification", "output"]
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_GROUPS: tuple[Group, ...] = ("model", "source", "transport", "verification", "output")  # in this order


class _Option(click.Option):
    """An option that the help lists under a title."""

    def __init__(self, *args: Any, group: Group = "output", **attributes: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*args, **attributes)
        self.group = group


class _Verb(click.Command):
    """A command whose help lists its options in groups, where it has more than one."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each group under its title."""
        groups: dict[Group, list[tuple[str, str]]] = {group: [] for group in _GROUPS}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)) is not None:
                groups[getattr(parameter, "group", "output")].append(record)
        used = {group: records for group, records in groups.items() if records}
        for group, records in used.items():
            with formatter.section(f"{group.capitalize()} options" if len(used) > 1 else "Options"):
                formatter.write_dl(records)


def verb(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function; its docstring is the help."""
    return click.command(name, cls=_Verb, short_help=VERBS[name])


def option(*names: str, group: Group = "output", **attributes: Any) -> Callable[[Decorated], Decorated]:  # noqa: ANN401 - click's
    """Add an option to a verb, as ``click.option`` does, under the title of a group."""
    return click.option(*names, cls=_Option, group=group, **attributes)


def output_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--json``, ``--quiet`` and ``--verbose``; the verb gets them as an ``Output``."""

    @option("--json", "as_json", is_flag=True, help="Write the result as JSON to stdout.")
    @option("--quiet", "-q", is_flag=True, help="Show only results, warnings and errors.")
    @option("--verbose", "-v", is_flag=True, help="Show more detail, and tracebacks on errors.")
    @functools.wraps(function)
    def wrapped(*args: object, as_json: bool, quiet: bool, verbose: bool, **options: object) -> None:
        output = Output(as_json=as_json, quiet=quiet, verbose=verbose)
        with output.log_messages():
            function(*args, output=output, **options)

    return wrapped


def host_option(function: Decorated) -> Decorated:
    """Add ``--host``, and ``--ca``."""
    return option(
        "--host",
        group="transport",
        metavar="ADDRESS",
        help="Address of the Ollama server.  [default: OLLAMA_HOST, else 127.0.0.1:11434]",
    )(ca_option(function))


def ca_option(function: Decorated) -> Decorated:
    """Add ``--ca``, which :func:`gguf2ollama.cli._server.ca_file` returns."""
    return option(
        "--ca",
        group="transport",
        metavar="FILE",
        expose_value=False,
        callback=_keep_ca,
        help="CA certificate (PEM) of the Ollama server.  [default: SSL_CERT_FILE, else the system's]",
    )(function)


def _keep_ca(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta[CA_FILE] = value


def repository_options(function: Decorated) -> Decorated:
    """Add ``--quant``, ``--file`` (``hub_file``) and ``--revision``: which model of a repository is used."""
    quant = option(
        "--quant",
        group="source",
        metavar="NAME",
        help="Quantization to use, e.g. Q4_K_M (repositories only).",
    )
    file = option(
        "--file",
        "hub_file",
        group="source",
        metavar="PATH",
        help="File to use: a GGUF, any shard of one, or a folder (repositories only).",
    )
    revision = option(
        "--revision",
        group="source",
        metavar="REV",
        help="Branch, tag or commit to use (repositories only).",
    )
    return quant(file(revision(function)))


def source_argument(function: Decorated) -> Decorated:
    """Add the argument SOURCE."""
    return click.argument("source", metavar="SOURCE")(function)


def require_local(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:  # noqa: ANN401 - of click
    """Refuse a URL where a local file is required, without showing a signature in its query."""
    for name in value if isinstance(value, tuple) else (value,):
        if "://" in name:
            raise UsageProblem(
                f"{name.partition('?')[0]} is a URL, and this command needs a local file",
                hint="download it first (`gguf2ollama download`), then name the file",
            )
    return value
