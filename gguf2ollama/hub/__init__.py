"""Read files where they are published, over HTTP.

::

    with RangeReader("https://example.com/model.gguf") as stream:
        gguf = open_gguf(stream)
"""

from gguf2ollama.hub.ranges import RangeReader, open_remote_gguf

__all__ = ["RangeReader", "open_remote_gguf"]
