"""Names that people write: of models, servers and sources. Its only I/O: whether a local path exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.names._model_name import TEMPORARY_NAMESPACE, ModelName
    from gguf2ollama.names._server_address import ServerAddress
    from gguf2ollama.names._shown import size
    from gguf2ollama.names._source import (
        HubSource,
        LocalSource,
        OllamaSource,
        SiteKey,
        Source,
        UrlSource,
        parse_source,
    )

__all__ = [
    "TEMPORARY_NAMESPACE",
    "HubSource",
    "LocalSource",
    "ModelName",
    "OllamaSource",
    "ServerAddress",
    "SiteKey",
    "Source",
    "UrlSource",
    "parse_source",
    "size",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "_model_name": ("TEMPORARY_NAMESPACE", "ModelName"),
        "_server_address": ("ServerAddress",),
        "_shown": ("size",),
        "_source": (
            *("HubSource", "LocalSource", "OllamaSource", "SiteKey", "Source", "UrlSource", "parse_source"),
        ),
    },
)
