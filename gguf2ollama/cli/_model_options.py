"""The options that override what the GGUF and its family's profile say."""

from __future__ import annotations

import codecs
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.cli._options import option, repository_options
from gguf2ollama.errors import UsageProblem
from gguf2ollama.fs.errors import open_file

if TYPE_CHECKING:
    from gguf2ollama.modelfiles import Message, Parameter
    from gguf2ollama.planning.options import ModelKeywords

__all__ = ["model_options", "read_text", "verify_option"]


_CAP_BYTES = 1 << 20  # of a template or a system text
# as Notepad and PowerShell write them
_MARKS = (
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF16_LE, "UTF-16-LE"),
    (codecs.BOM_UTF16_BE, "UTF-16-BE"),
)


def model_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Add the options of model and source, from ``--ctx`` to ``--revision``, as ``keywords``."""

    @option(
        "--ctx",
        group="model",
        default="auto",
        metavar="N|auto|max|server",
        help="Context length in tokens, e.g. 8192 or 8k; auto is what fits in memory, max what the model was"
        " trained for, server what OLLAMA_CONTEXT_LENGTH says.  [default: auto]",
    )
    @option(
        "--param",
        "params",
        group="model",
        multiple=True,
        metavar="K=V",
        help="Set a PARAMETER, e.g. temperature=0.7; can be repeated.",
    )
    @option("--system", group="model", metavar="TEXT", help='Set the SYSTEM prompt; "" for none.')
    @option(
        "--system-file",
        group="model",
        metavar="FILE",
        help="Read the SYSTEM prompt from a file; - for stdin.",
    )
    @option(
        "--template",
        group="model",
        metavar="FILE",
        help="Read a Go TEMPLATE from a file; - for stdin.",
    )
    @option(
        "--chat-template",
        group="model",
        metavar="FILE|upstream",
        help="Replace the chat template in the GGUF: a file with Jinja, - for stdin, or upstream for the"
        " current one of the base model.",
    )
    @option(
        "--message",
        "messages",
        group="model",
        multiple=True,
        metavar="ROLE=TEXT",
        help="Begin every chat with this MESSAGE of user, assistant or system; can be repeated.",
    )
    @option(
        "--pooling",
        group="model",
        metavar="mean|cls|last|none",
        help="How an embedding model makes one vector of a text; none for a model that generates text."
        "  [default: what the GGUF says, or what is known]",
    )
    @option(
        "--fim",
        group="model",
        is_flag=True,
        help="Where one excludes the other, prefer filling in the middle (suffix in /api/generate) to chats"
        " and tools.",
    )
    @option(
        "--license",
        "licenses",
        group="model",
        multiple=True,
        metavar="FILE",
        help="Add a LICENSE from a file; can be repeated.",
    )
    @option(
        "--mmproj",
        group="model",
        multiple=True,
        metavar="FILE",
        help="Use this projector for images or audio: a file here or in the repository."
        "  [default: the model's own]",
    )
    @option("--no-mmproj", group="model", is_flag=True, help="Use no projector.")
    @option(
        "--exact",
        group="model",
        is_flag=True,
        help="Have rare chats rendered exactly, too, even if that takes a copy of the weights with a changed"
        " header.",
    )
    @option(
        "--draft",
        group="model",
        metavar="FILE",
        help="Use this draft (MTP or DFlash) for speculative decoding: a file here or in the repository."
        "  [default: the model's own]",
    )
    @option("--no-draft", group="model", is_flag=True, help="Use no draft.")
    @repository_options
    @functools.wraps(verb)
    def wrapped(
        *arguments: object,
        ctx: str,
        params: tuple[str, ...],
        system: str | None,
        system_file: str | None,
        template: str | None,
        chat_template: str | None,
        pooling: str | None,
        fim: bool,
        messages: tuple[str, ...],
        licenses: tuple[str, ...],
        mmproj: tuple[str, ...],
        no_mmproj: bool,
        exact: bool,
        draft: str | None,
        no_draft: bool,
        quant: str | None,
        hub_file: str | None,
        revision: str | None,
        **options: object,
    ) -> None:
        if system is not None and system_file is not None:
            raise UsageProblem("--system and --system-file exclude each other", hint="use only one of them")
        model_keywords: ModelKeywords = {
            "context": _parse_context(ctx),
            "parameters": _parse_parameters(params),
            "system": system if system_file is None else read_text(system_file),
            "template": None if template is None else read_text(template),
            "chat_template": chat_template
            if chat_template in {None, "upstream"}
            else read_text(chat_template),
            "pooling": pooling,
            "fim": fim,
            "licenses": tuple(read_text(path) for path in licenses),
            "messages": _parse_messages(messages),
            "projectors": mmproj,
            "no_projector": no_mmproj,
            "exact": exact,
            "draft": draft,
            "no_draft": no_draft,
            "quant": quant,
            "file": hub_file,
            "revision": revision,
        }
        verb(*arguments, model_keywords=model_keywords, **options)

    return wrapped


def verify_option(verb: Callable[..., None]) -> Callable[..., None]:
    """Add ``--no-verify``; the verb gets it as ``no_verify``."""
    return option(
        "--no-verify",
        group="verification",
        is_flag=True,
        help="Choose the template by model family alone, and compare no prompts.",
    )(verb)


def _parse_context(text: str) -> int | str:
    if text == "auto":
        return text
    from gguf2ollama.memory.parse import parse_context  # noqa: PLC0415 - seldom given

    return parse_context(text)


def _parse_parameters(texts: Sequence[str]) -> tuple[Parameter, ...]:
    if not texts:
        return ()
    from gguf2ollama.modelfiles import parse_parameter  # noqa: PLC0415 - seldom given

    return tuple(map(parse_parameter, texts))


def _parse_messages(texts: Sequence[str]) -> tuple[Message, ...]:
    if not texts:
        return ()
    from gguf2ollama.modelfiles import parse_message  # noqa: PLC0415 - seldom given

    return tuple(map(parse_message, texts))


def read_bytes(name: str) -> bytes:
    """Read a small file, or stdin for ``-``.

    Raises:
        NotFound: There is no such file.
        UsageProblem: It is too long.
    """
    if name == "-":
        content = sys.stdin.buffer.read(_CAP_BYTES + 1)
    else:
        with open_file(Path(name)) as stream:
            content = stream.read(_CAP_BYTES + 1)
    if len(content) > _CAP_BYTES:
        raise UsageProblem(
            f"{name} is larger than {_CAP_BYTES:,} bytes", hint="check that it is the right file"
        )
    return content


def read_text(name: str) -> str:
    """Read a text file, or stdin for ``-``: UTF-8, or what a byte order mark says, which is left out.

    Raises:
        NotFound: There is no such file.
        UsageProblem: It is too long, or not valid in its encoding.
    """
    content = read_bytes(name)
    mark, encoding = next((pair for pair in _MARKS if content.startswith(pair[0])), (b"", "UTF-8"))
    try:
        return content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{name} is not valid {encoding}", hint="save it as UTF-8") from error
