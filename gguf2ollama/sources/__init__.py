"""Models that are elsewhere: on the Hugging Face Hub, on ModelScope, at a URL. List, look at, download.

A site is asked over its own interface (``huggingface``, ``modelscope``, ``url``, each a ``Site``), as the
environment says (``settings``); ``sites.open_site`` opens the one of a source. A repository is read
(``repository``), its files are sorted (``gguf_files``, ``classification``, ``selection``), and those of one
model are downloaded into the cache that all tools of the site share (``download``, ``transfer``,
``part_file``, ``cache``). A file is read where it is (``remote_file``, ``remote_streams``)::

    with RangeReader.at("https://example.com/model.gguf") as stream:
        gguf = open_gguf(stream)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.sources.remote_streams import RangeReader, open_remote_gguf

__all__ = ["RangeReader", "open_remote_gguf"]

__getattr__, __dir__ = lazy_exports(__name__, {"remote_streams": ("RangeReader", "open_remote_gguf")})
