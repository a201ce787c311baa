"""``gguf2ollama patch-template``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gguf2ollama.cli._model_options import read_text
from gguf2ollama.cli._options import option, output_options, require_local, verb
from gguf2ollama.cli.render.format import size
from gguf2ollama.cli.render.output import Output
from gguf2ollama.errors import UsageProblem

if TYPE_CHECKING:
    from gguf2ollama.planning.templates.template_patch import PatchedFile

__all__ = ["command"]


@verb("patch-template")
@click.argument("source", metavar="FILE", callback=require_local)
@option("--output", "-o", "target", required=True, metavar="OUT", help="File to write.")
@option("--chat-template", metavar="FILE", help="File with the new Jinja chat template; - for stdin.")
@option("--remove", is_flag=True, help="Remove the chat template instead.")
@option(
    "--variant",
    metavar="NAME",
    help="Change only the variant of this name, e.g. tool_use; otherwise one template replaces all.",
)
@option("--force", is_flag=True, help="Overwrite OUT if it exists.")
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
    """Write a copy of FILE with another chat template to OUT; everything else stays the same, byte for byte.

    Of a model in shards, FILE is the first shard, which holds the template; the others need no change.

    \b
    gguf2ollama patch-template model.gguf -o patched.gguf --chat-template chat_template.jinja
    gguf2ollama patch-template model.gguf -o patched.gguf --remove
    """  # noqa: D301 - click's mark for lines that are not wrapped
    from gguf2ollama.planning.templates.template_patch import patch_template  # noqa: PLC0415 - not needed for help

    if (chat_template is None) is not remove:
        raise UsageProblem(
            "exactly one of --chat-template and --remove is required",
            hint="for example: --chat-template chat_template.jinja",
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
    if written.removed_variants:
        output.warn(f"also removed: the chat template's variants {', '.join(written.removed_variants)}")
    if output.as_json:
        output.data(
            {
                "file": str(written.path),
                "size_bytes": count,
                "removed_variants": list(written.removed_variants),
            }
        )
        return
    output.note(f"Wrote {written.path} ({size(count)})")
    if shards > 1:
        output.note(f"It is shard 1 of {shards}; use it with the other shards unchanged")
