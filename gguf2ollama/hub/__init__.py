"""The Hugging Face Hub, and files at other addresses: list, look at by ranges, download.

A repository is read (``repository``), its files are told apart by their names (``variants``, ``catalogue``),
and those of one model are downloaded into the cache that all tools of the Hub share (``download``,
``fetch``, ``cache``). A file is looked at where it is::

    with RangeReader("https://example.com/model.gguf") as stream:
        gguf = open_gguf(stream)
"""

from gguf2ollama.hub.ranges import RangeReader, open_remote_gguf

__all__ = ["RangeReader", "open_remote_gguf"]
