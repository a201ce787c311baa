"""``gguf2ollama patch-template``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gguf2ollama.cli._format import size
from gguf2ollama.cli._options import output_options, require_local
from gguf2ollama.cli._output import Output
from gguf2ollama.cli._preferences import read_text
from gguf2ollama.errors import UsageProblem

if TYPE_CHECKING:
    from gguf2ollama.planning.template_patch import PatchedFile

__all__ = ["command"]


@click.command("patch-template", short_help="Write a GGUF with another chat template.")
@click.argument("source", metavar="FILE", callback=require_local)
@click.option("--output", "-o", "target", required=True, metavar="OUT", help="The file to write.")
@click.option("--chat-template", metavar="FILE", help="A file with a Jinja chat template; - for stdin.")
@click.option("--remove", is_flag=True, help="Leave the chat template out instead.")
@click.option(
    "--variant",
    metavar="NAME",
    help="Change only the template of that name, such as tool_use; else one takes the place of all.",
)
@click.option("--force", is_flag=True, help="Replace OUT if it is there.")
@output_options
def command(
    *,
    source: str,
    target: str,
    chat_template: str | None,
    remove: bool,
    variant: str | None,
    force: bool,
    output: Output,
) -> None:
    """Write FILE with another chat template to OUT; all else of it stays as it is, byte by byte.

    Of a model in shards, FILE is the first: the template is there, and the others need no change.

    \b
    gguf2ollama patch-template model.gguf -o patched.gguf --chat-template chat_template.jinja
    gguf2ollama patch-template model.gguf -o patched.gguf --remove
    """  # noqa: D301 - click's mark for lines that are not wrapped
    from gguf2ollama.planning.template_patch import patch_template  # noqa: PLC0415 - not needed for help

    if (chat_template is None) is not remove:
        raise UsageProblem(
            "give either --chat-template or --remove", hint="for example --chat-template chat_template.jinja"
        )
    with output.progress() as progress:
        written = patch_template(
            source,
            target,
            chat_template=None if chat_template is None else read_text(chat_template),
            variant=variant,
            replace=force,
            progress=progress,
        )
    _report(written, output=output)


def _report(written: PatchedFile, *, output: Output) -> None:
    count, shards = written.path.stat().st_size, written.shard.count
    if written.left_out:
        output.warn(f"left out as well: the variants {', '.join(written.left_out)} of the chat template")
    if output.as_json:
        output.data({"file": str(written.path), "bytes": count, "left_out": list(written.left_out)})
        return
    output.note(f"wrote {written.path} ({size(count)})")
    if shards > 1:
        output.note(f"it is shard 1 of {shards}, and goes with the others as they are")
