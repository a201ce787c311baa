"""Get a planned model into Ollama: everything here does I/O, on disks of this machine and with a server.

``destination`` opens a server or a model directory; ``transport`` chooses between link, pull and upload;
``preflight`` checks disk space; ``execute`` makes the model of a plan by its transport (``link``,
``registry_pull``, ``upload``, ``passthrough``) in one ``transaction``, with digests from ``hashing`` and
``digest_cache``. ``temporary_models`` removes what interrupted builds left. Checks of a model are handed in:
nothing here imports ``verification``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.install.destination import OpenDestination, open_destination
    from gguf2ollama.install.digest_cache import DigestCache
    from gguf2ollama.install.hashing import Hashing

__all__ = ["DigestCache", "Hashing", "OpenDestination", "open_destination"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "destination": ("OpenDestination", "open_destination"),
        "digest_cache": ("DigestCache",),
        "hashing": ("Hashing",),
    },
)
