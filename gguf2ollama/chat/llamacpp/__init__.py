"""What Ollama makes of a chat with the chat template in the GGUF, predicted with no server.

From 0.30 on, Ollama leaves a chat to llama.cpp's ``llama-server``, whose Jinja engine is its own and whose
ways with messages are too. Both are modelled here, cause by cause, and held to servers by tests.
"""

from __future__ import annotations

from gguf2ollama.chat.llamacpp.model import NativeTemplate, Prediction, Unpredictable, read_native

__all__ = ["NativeTemplate", "Prediction", "Unpredictable", "read_native"]
