"""Talk to an Ollama server over its REST interface.

::

    with Client() as client:
        print(client.version(), client.features())
        for chunk in client.chat("smol", [{"role": "user", "content": "Say hi"}]):
            print(chunk.content, end="")
"""

from gguf2ollama.ollama.client import STALL_TIMEOUT, Client
from gguf2ollama.ollama.responses import (
    Chunk,
    LocalModel,
    Metrics,
    ModelDetails,
    ModelInfo,
    RunningModel,
    Status,
    ToolCall,
)
from gguf2ollama.ollama.rest import Stream
from gguf2ollama.ollama.versions import ServerFeatures, ServerVersion

__all__ = [
    "STALL_TIMEOUT",
    "Chunk",
    "Client",
    "LocalModel",
    "Metrics",
    "ModelDetails",
    "ModelInfo",
    "RunningModel",
    "ServerFeatures",
    "ServerVersion",
    "Status",
    "Stream",
    "ToolCall",
]
