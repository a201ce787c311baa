"""GGUF files: read and validate headers, patch them, merge, split and write files.

I/O on local files only, and on seekable streams. (``gguf`` is the name of the reference package.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.ggufio.ggml import TensorType, file_type_name
    from gguf2ollama.ggufio.merging import MergedView, SplitKeys, merge
    from gguf2ollama.ggufio.metadata import Metadata
    from gguf2ollama.ggufio.patching import HeaderPatch, chat_template_patch
    from gguf2ollama.ggufio.ranges import FileRange, GivenBytes, Range, Zeros
    from gguf2ollama.ggufio.reader import GgufFile, SplitInfo, open_gguf
    from gguf2ollama.ggufio.roles import Role, role_of
    from gguf2ollama.ggufio.shard_files import Shard, ShardName, shard_name
    from gguf2ollama.ggufio.shards import ModelFolder, ShardSet
    from gguf2ollama.ggufio.splitting import split
    from gguf2ollama.ggufio.tensors import TensorInfo
    from gguf2ollama.ggufio.values import ByteOrder, GgufArray, Value, ValueType
    from gguf2ollama.ggufio.view import FileView, PatchedView
    from gguf2ollama.ggufio.writer import Tensor, TypedValue, write_gguf

__all__ = [
    "ByteOrder",
    "FileRange",
    "FileView",
    "GgufArray",
    "GgufFile",
    "GivenBytes",
    "HeaderPatch",
    "MergedView",
    "Metadata",
    "ModelFolder",
    "PatchedView",
    "Range",
    "Role",
    "Shard",
    "ShardName",
    "ShardSet",
    "SplitInfo",
    "SplitKeys",
    "Tensor",
    "TensorInfo",
    "TensorType",
    "TypedValue",
    "Value",
    "ValueType",
    "Zeros",
    "chat_template_patch",
    "file_type_name",
    "merge",
    "open_gguf",
    "role_of",
    "shard_name",
    "split",
    "write_gguf",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "ggml": ("TensorType", "file_type_name"),
        "merging": ("MergedView", "SplitKeys", "merge"),
        "metadata": ("Metadata",),
        "patching": ("HeaderPatch", "chat_template_patch"),
        "ranges": ("FileRange", "GivenBytes", "Range", "Zeros"),
        "reader": ("GgufFile", "SplitInfo", "open_gguf"),
        "roles": ("Role", "role_of"),
        "shard_files": ("Shard", "ShardName", "shard_name"),
        "shards": ("ModelFolder", "ShardSet"),
        "splitting": ("split",),
        "tensors": ("TensorInfo",),
        "values": ("ByteOrder", "GgufArray", "Value", "ValueType"),
        "view": ("FileView", "PatchedView"),
        "writer": ("Tensor", "TypedValue", "write_gguf"),
    },
)
