"""Hash what goes to a store or a server, and tell how far it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from gguf2ollama._atomic import disk_errors
from gguf2ollama.errors import InvalidInput
from gguf2ollama.oci import Digest, hash_stream
from gguf2ollama.progress import Progress, Update

__all__ = ["hash_file", "hash_opened"]


def hash_file(path: Path, *, size: int, progress: Progress) -> Digest:
    """Give the digest of a file that has ``size`` bytes.

    Raises:
        InvalidInput: It has another length by now.
        NotFound: It is no longer there.
    """

    def open_file() -> BinaryIO:
        with disk_errors(path):
            return path.open("rb")

    return hash_opened(open_file, name=path.name, size=size, progress=progress)


def hash_opened(open_bytes: Callable[[], BinaryIO], *, name: str, size: int, progress: Progress) -> Digest:
    """Give the digest of what ``open_bytes`` opens, which has ``size`` bytes.

    Raises:
        InvalidInput: It has another length.
    """
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(Update(task=f"hashing {name}", done=done, total=size))

    with open_bytes() as stream:
        digest, length = hash_stream(stream, advance=advance)
    if length != size:
        raise InvalidInput(
            f"{name} has {length:,} bytes, it had {size:,} a moment ago",
            hint="something writes to it: wait until that is done, then run the same command again",
        )
    return digest
