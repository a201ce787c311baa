"""What the project is for, one function each: inspect a GGUF, write its Modelfile, build a model of it."""

from gguf2ollama.usecases.build import Built, build
from gguf2ollama.usecases.inspect import Inspection, Preferences, inspect, modelfile
from gguf2ollama.usecases.routes import Via

__all__ = ["Built", "Inspection", "Preferences", "Via", "build", "inspect", "modelfile"]
