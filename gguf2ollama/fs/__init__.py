"""Files: written atomically, resumed after a kill, copied by sharing blocks; errors name the user's path.

It does I/O on disk, and knows no file formats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.fs.atomic import (
        already_exists,
        atomic_file,
        clear_abandoned,
        publish_new,
        require_writable,
        sync_folder,
    )
    from gguf2ollama.fs.errors import disk_errors, open_file, our_error
    from gguf2ollama.fs.resumable import resumable_file
    from gguf2ollama.fs.sharing import CHANGED, can_share, copy_range, write_all
    from gguf2ollama.fs.space import check_free_space, free_bytes

__all__ = [
    "CHANGED",
    "already_exists",
    "atomic_file",
    "can_share",
    "check_free_space",
    "clear_abandoned",
    "copy_range",
    "disk_errors",
    "free_bytes",
    "open_file",
    "our_error",
    "publish_new",
    "require_writable",
    "resumable_file",
    "sync_folder",
    "write_all",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "atomic": (
            "already_exists",
            "atomic_file",
            "clear_abandoned",
            "publish_new",
            "require_writable",
            "sync_folder",
        ),
        "errors": ("disk_errors", "open_file", "our_error"),
        "resumable": ("resumable_file",),
        "sharing": ("CHANGED", "can_share", "copy_range", "write_all"),
        "space": ("check_free_space", "free_bytes"),
    },
)
