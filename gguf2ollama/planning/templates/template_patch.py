"""Change the chat template in a GGUF: check the text, and write the changed file."""

from __future__ import annotations

import os
from pathlib import Path

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import NotFound, UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.ggufio import (
    GgufFile,
    HeaderPatch,
    PatchedView,
    Shard,
    TypedValue,
    ValueType,
    chat_template_patch,
)
from gguf2ollama.ggufio.patching import ORIGINAL_CHAT_TEMPLATE, chat_template_variants
from gguf2ollama.jinja.facts import find_syntax_error

__all__ = ["PatchedFile", "changed_template_patch", "patch_template", "require_chat_template"]

_CAP_BYTES = 1 << 20  # the longest of 183 real templates has 19 kB


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchedFile:
    """A file that was written with a changed chat template.

    Attributes:
        path: The file.
        shard: The original.
        removed_variants: Named variants of the chat template that it no longer has.
    """

    path: Path
    shard: Shard
    removed_variants: tuple[str, ...]


def require_chat_template(text: str) -> None:
    """Check that a text is a valid chat template. It is parsed, not run.

    Raises:
        UsageProblem: It is empty, too long, or not Jinja.
    """
    if not text.strip():
        raise UsageProblem("the chat template is empty", hint="is that the right file?")
    if (size := len(text.encode("utf-8", "surrogatepass"))) > _CAP_BYTES:
        raise UsageProblem(f"the chat template has {size:,} bytes, more than the {_CAP_BYTES:,} accepted")
    if "\0" in text:
        raise UsageProblem("the chat template contains a NUL, where llama.cpp would cut it off")
    if error := find_syntax_error(text):
        raise UsageProblem(
            f"the chat template is not valid Jinja: {error}", hint="a Go template is given with --template"
        )


def changed_template_patch(gguf: GgufFile, text: str, *, original: str) -> HeaderPatch:
    """Return the patch for a changed chat template; the header keeps the original too, to compare with."""
    changes = chat_template_patch(gguf, text, keep_variants=True).changes
    kept = TypedValue(ValueType.STRING, original)
    return HeaderPatch(changes={**changes, ORIGINAL_CHAT_TEMPLATE: kept})


def patch_template(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    chat_template: str | None,
    variant: str | None = None,
    replace: bool = False,
    progress: Progress = ignore,
) -> PatchedFile:
    """Write a GGUF with a changed chat template, or none; all other bytes stay as they are.

    Args:
        source: The file; of a model in shards, the first.
        target: The file to write.
        chat_template: Jinja that replaces the template and its named variants; ``None`` removes them.
        variant: The named variant to change, such as ``tool_use``; the others stay as they are then.
        replace: Whether an existing file may be replaced.
        progress: Called with the bytes written.

    Raises:
        InvalidGguf: The source is not a GGUF, or changes meanwhile.
        NotEnoughSpace: The disk has too little space.
        NotFound: The source does not exist, or has no such template to remove.
        UsageProblem: The text is not a chat template, the source is a later shard, or the target is the
            source, or exists and ``replace`` is false.
    """
    if chat_template is not None:
        require_chat_template(chat_template)
    shard = Shard.open(source)
    if shard.no:
        raise UsageProblem(
            f"{shard.path} is shard {shard.no + 1} of {shard.count}; the chat template is in the first",
            hint="give the first shard; the others stay as they are",
        )
    patch = chat_template_patch(shard.gguf, chat_template, variant=variant)
    if chat_template is None and not patch:
        what = "chat template" if variant is None else f"variant {variant} of the chat template"
        raise NotFound(f"{shard.path} has no {what}", hint="there is nothing to remove")
    path = PatchedView(shard, patch).copy_to(target, replace=replace, progress=progress)
    removed_variants = chat_template_variants(shard.gguf) if variant is None else ()
    return PatchedFile(path=path, shard=shard, removed_variants=removed_variants)
