"""The options by which a user prefers something to what the GGUF and its family's profile say."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gguf2ollama.errors import UsageProblem
from gguf2ollama.fs.atomic import disk_errors

if TYPE_CHECKING:
    from gguf2ollama.modelfiles import Parameter
    from gguf2ollama.planning.plan import Preferences

__all__ = ["preference_options", "read_text", "verify_option"]

_CAP_BYTES = 1 << 20  # of a template or a system text


def preference_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Add what a user may prefer, from ``--ctx`` to ``--mmproj``; the verb gets it as ``preferences``."""

    @click.option(
        "--ctx", default="auto", metavar="N|auto|max", help="Tokens of the context.  [default: auto]"
    )
    @click.option("--param", "params", multiple=True, metavar="K=V", help="A PARAMETER; may repeat.")
    @click.option("--system", metavar="TEXT", help='The SYSTEM text; "" for none.')
    @click.option("--system-file", metavar="FILE", help="A file with the SYSTEM text; - for stdin.")
    @click.option("--template", metavar="FILE", help="A file with a Go TEMPLATE; - for stdin.")
    @click.option(
        "--chat-template",
        metavar="FILE|upstream",
        help="A file with a Jinja chat template, for the model to carry instead of its own; - for stdin;"
        " upstream for that of the model that it was made from, on the same site.",
    )
    @click.option("--license", "licenses", multiple=True, metavar="FILE", help="A file with a LICENSE text.")
    @click.option("--mmproj", multiple=True, metavar="FILE", help="A projector for images or sound.")
    @click.option("--quant", metavar="NAME", help="Of a repository: the quantization, such as Q4_K_M.")
    @click.option(
        "--file", "hub_file", metavar="PATH", help="Of a repository: a file, any shard, or a folder."
    )
    @click.option("--revision", metavar="REV", help="Of a repository: a branch, a tag or a commit.")
    @functools.wraps(verb)
    def wrapped(
        *arguments: object,
        ctx: str,
        params: tuple[str, ...],
        system: str | None,
        system_file: str | None,
        template: str | None,
        chat_template: str | None,
        licenses: tuple[str, ...],
        mmproj: tuple[str, ...],
        quant: str | None,
        hub_file: str | None,
        revision: str | None,
        **options: object,
    ) -> None:
        if system is not None and system_file is not None:
            raise UsageProblem("--system and --system-file exclude each other", hint="give one of them")
        preferences: Preferences = {
            "context": ctx,
            "parameters": _parse_parameters(params),
            "system": system if system_file is None else read_text(system_file),
            "template": None if template is None else read_text(template),
            "chat_template": chat_template
            if chat_template in {None, "upstream"}
            else read_text(chat_template),
            "licenses": tuple(read_text(path) for path in licenses),
            "projectors": mmproj,
        }
        if quant or hub_file or revision:
            from gguf2ollama.sources.remote import SourceSelection  # noqa: PLC0415 - with a repository alone

            preferences["hub"] = SourceSelection(quant=quant, file=hub_file, revision=revision)
        verb(*arguments, preferences=preferences, **options)

    return wrapped


def verify_option(verb: Callable[..., None]) -> Callable[..., None]:
    """Add ``--no-verify``; the verb gets it as ``no_verify``."""
    return click.option(
        "--no-verify",
        is_flag=True,
        help="Compare no prompts with those the authors meant; go by the family alone.",
    )(verb)


def _parse_parameters(texts: Sequence[str]) -> tuple[Parameter, ...]:
    if not texts:
        return ()
    from gguf2ollama.modelfiles import parse_parameter  # noqa: PLC0415 - seldom given

    return tuple(map(parse_parameter, texts))


def read_text(name: str) -> str:
    """Read a text file, or stdin for ``-``.

    Raises:
        NotFound: There is no such file.
        UsageProblem: It is too long, or no UTF-8.
    """
    if name == "-":
        content = sys.stdin.buffer.read(_CAP_BYTES + 1)
    else:
        with disk_errors(Path(name)), Path(name).open("rb") as stream:
            content = stream.read(_CAP_BYTES + 1)
    if len(content) > _CAP_BYTES:
        raise UsageProblem(f"{name} has more than {_CAP_BYTES:,} bytes", hint="is that the right file?")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{name} is no UTF-8 text", hint="save it as UTF-8") from error
