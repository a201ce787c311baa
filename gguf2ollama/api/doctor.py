"""Check an Ollama model directory on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from gguf2ollama.errors import NotFound
from gguf2ollama.events import Progress, ignore
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.install.stores import known_stores
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.ollama.store_check import StoreFinding, check_store

__all__ = ["check_directory", "doctor", "find_model_directory"]


def doctor(
    store: str | os.PathLike[str] | None = None, *, quick: bool = False, progress: Progress = ignore
) -> tuple[StoreFinding, ...]:
    """Check every manifest and every blob of a model directory; nothing is changed.

    Args:
        store: The directory; when not given, the first that exists of those that Ollama uses.
        quick: Whether only the sizes of blobs are checked, and the digests of linked ones that were changed.
        progress: Called with the bytes hashed.

    Raises:
        NotFound: There is no such directory.
    """
    return check_directory(find_model_directory(store), quick=quick, progress=progress)


def check_directory(root: Path, *, quick: bool, progress: Progress = ignore) -> tuple[StoreFinding, ...]:
    """Check a model directory; see :func:`doctor`."""
    cache = DigestCache()
    found = check_store(LocalStore(root, cache), hash_blobs=not quick, progress=progress)
    cache.save()
    return found


def find_model_directory(named: str | os.PathLike[str] | None) -> Path:
    """Return the given directory, or the first that exists of those that Ollama uses.

    Raises:
        NotFound: There is none.
    """
    roots = [store.root for store in known_stores(os.environ)] if named is None else [Path(named)]
    for root in roots:
        if (root / "blobs").is_dir():
            return root
    if named is not None:
        raise NotFound(
            f"{roots[0]} is not an Ollama model directory: it has no folder blobs",
            hint="give the directory in OLLAMA_MODELS",
        )
    raise NotFound(
        f"no Ollama model directory found at {', '.join(map(str, roots))}", hint="give it with --store DIR"
    )
