"""The names that people write: of models, of servers, of where a GGUF comes from."""

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
