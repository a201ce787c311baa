"""Merge the shards of a model into one file, as a view of it or written.

A merged file has the bytes that ``llama-gguf-split --merge`` writes (tools/gguf-split/gguf-split.cpp and
ggml/src/gguf.cpp of llama.cpp): version 3; the keys of the first shard, ``split.count`` set to 0 and so moved
to the end; all tensors in order, each padded with zeros. They differ only where that tool corrupts a file: it
pads to 32 bytes whatever ``general.alignment`` is, and it cuts a string at a NUL byte.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeAlias

from gguf2ollama.errors import UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.ggufio.patching import UNCHANGED, HeaderPatch
from gguf2ollama.ggufio.ranges import tensor_ranges
from gguf2ollama.ggufio.reader import SPLIT_KEYS
from gguf2ollama.ggufio.shards import ShardSet
from gguf2ollama.ggufio.values import ValueType
from gguf2ollama.ggufio.view import FileView, Parts, patched_parts
from gguf2ollama.ggufio.writer import TypedValue, encode_entry, encode_header, lay_out, normalized

__all__ = ["MergedView", "SplitKeys", "merge"]

SplitKeys: TypeAlias = Literal["keep", "drop"]


class MergedView(FileView):
    """All shards of a set as one file. A complete file is itself.

    Args:
        shards: The set.
        split_keys: ``"keep"`` results in the bytes of ``llama-gguf-split --merge``; ``"drop"`` removes
            ``split.*``, and so restores, byte for byte, a file that llama.cpp wrote and that was then split.
        patch: Changes of the header.

    Raises:
        UsageProblem: A value of the patch does not fit its type.
    """

    def __init__(
        self, shards: ShardSet, *, split_keys: SplitKeys = "keep", patch: HeaderPatch = UNCHANGED
    ) -> None:
        if shards.first.split is None:
            header, parts = patched_parts(shards.shards[0], patch)
        else:
            header, parts = _merged(shards, split_keys=split_keys, patch=patch)
        super().__init__(name=f"{shards.name}.gguf", header=header, parts=parts)


def merge(
    shards: ShardSet | str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    replace: bool = False,
    split_keys: SplitKeys = "keep",
    progress: Progress = ignore,
) -> Path:
    """Write the shards of a set into one file, by default with the bytes of ``llama-gguf-split --merge``.

    Args:
        shards: The set, or any shard of it.
        target: The file to write.
        replace: Whether an existing file may be replaced.
        split_keys: See :class:`MergedView`.
        progress: Called with the bytes written.

    Raises:
        FileChanged: A shard has changed since its header was read.
        NotEnoughSpace: The disk has too little free space.
        NotFound: The folder of the target does not exist.
        UsageProblem: The set is one complete file; the target exists and ``replace`` is false; or it is one
            of the shards.
    """
    if not isinstance(shards, ShardSet):
        shards = ShardSet.discover(Path(shards))
    if shards.first.split is None:
        raise UsageProblem(f"nothing to merge: {shards.first.name} is a single file", hint="use it as it is")
    return MergedView(shards, split_keys=split_keys).copy_to(target, replace=replace, progress=progress)


def _merged(shards: ShardSet, *, split_keys: SplitKeys, patch: HeaderPatch) -> tuple[bytes, Parts]:
    first = shards.first
    entries = patch.entries(first)
    for key in SPLIT_KEYS if split_keys == "drop" else ("split.count",):
        entries.pop(key, None)
    if split_keys == "keep":
        none = TypedValue(ValueType.UINT16, 0)
        entries["split.count"] = encode_entry("split.count", none, byte_order=first.byte_order)
    header = encode_header(
        list(entries.values()),
        lay_out(map(normalized, shards.tensors), alignment=first.alignment),
        byte_order=first.byte_order,
        version=3,
        alignment=first.alignment,
    )
    parts = [
        (shard, tensor_ranges(shard, shard.gguf.tensors, alignment=first.alignment))
        for shard in shards.shards
    ]
    return header, parts
