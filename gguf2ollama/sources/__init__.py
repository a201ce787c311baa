"""Where models come from: this machine, the Hugging Face Hub, ModelScope, a URL.

``resolve`` is the door: it finds the model that a source names, reads its headers, and fetches its files.
What is on this machine is found by ``local`` and ``library``. A repository is read (``repository``) over its
site (``sites``), its files are sorted (``catalogue``), and those of one model are downloaded (``downloads``)
into the cache that all tools of the site share (``cache``). A file is read where it is::

    with RangeReader.at("https://example.com/model.gguf") as stream:
        gguf = open_gguf(stream)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.sources.sites.remote_streams import RangeReader, open_remote_gguf

__all__ = ["RangeReader", "open_remote_gguf"]

__getattr__, __dir__ = lazy_exports(__name__, {"sites.remote_streams": ("RangeReader", "open_remote_gguf")})
