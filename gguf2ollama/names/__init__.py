"""Names that people write: of models, servers and sources. Its only I/O: whether a local path exists."""

from gguf2ollama.names._model_name import TEMPORARY_NAMESPACE, ModelName
from gguf2ollama.names._server_address import ServerAddress
from gguf2ollama.names._shown import size
from gguf2ollama.names._source import HubSource, LocalSource, SiteKey, Source, UrlSource, parse_source

__all__ = [
    "TEMPORARY_NAMESPACE",
    "HubSource",
    "LocalSource",
    "ModelName",
    "ServerAddress",
    "SiteKey",
    "Source",
    "UrlSource",
    "parse_source",
    "size",
]
