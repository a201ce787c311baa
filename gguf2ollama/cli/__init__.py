"""The command line: one file per verb over the library's use cases; each is loaded when it is called."""

from gguf2ollama.cli._app import run

__all__ = ["run"]
