"""Models that are elsewhere: on the Hugging Face Hub, on ModelScope, at a URL. List, look at, download.

A site is asked over its own interface (``hugging_face``, ``modelscope``, ``url_site``, each a ``Site``), as
the environment says (``settings``, ``modelscope_settings``; ``places`` puts them together). A repository is
read (``repository``), its files are told apart by their names (``variants``, ``catalogue``), and those of one
model are downloaded into the cache that all tools of the site share (``download``, ``fetch``, ``cache``). A
file is looked at where it is::

    with RangeReader("https://example.com/model.gguf") as stream:
        gguf = open_gguf(stream)
"""

from gguf2ollama.sources.ranges import RangeReader, open_remote_gguf

__all__ = ["RangeReader", "open_remote_gguf"]
