"""Turn GGUF models into Ollama models, prompted as their authors meant."""

__version__ = "0.1.0"
