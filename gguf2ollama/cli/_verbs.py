"""The names of the commands, and what the help says of each; nothing here loads one."""

from __future__ import annotations

__all__ = ["PROGRAM", "VERBS"]

PROGRAM = "gguf2ollama"

# command -> what it does; its module has the same name (with _ for -) and is not loaded for the group's help
VERBS = {
    "build": "Create an Ollama model from a GGUF.",
    "inspect": "Show what a GGUF contains, and what build would create.",
    "modelfile": "Print the Modelfile for a GGUF; needs no server.",
    "quants": "List the GGUF models in a repository.",
    "download": "Download a model.",
    "merge": "Merge the shards of a GGUF into one file.",
    "split": "Split a GGUF into shards.",
    "quantize": "Write a quantized copy of a GGUF.",
    "patch-template": "Write a copy of a GGUF with another chat template.",
    "verify": "Check a model's prompts against its chat template.",
    "parity": "Check how well Ollama can render the chat templates in a folder.",
    "list": "List the models on a server.",
    "show": "Show a model on a server.",
    "run": "Ask a model once, or chat with it.",
    "measure": "Measure memory and speed of a GGUF in engines.",
    "ps": "List the models loaded in memory.",
    "stop": "Unload a model from memory.",
    "rm": "Remove models from a server.",
    "cp": "Copy a model to another name.",
    "pull": "Pull a model from a registry.",
    "push": "Push a model to a registry.",
    "plan": "Show what apply would change on Ollama servers.",
    "apply": "Make Ollama servers have the models of a file.",
    "export": "Write a file of models from what a server has.",
    "outdated": "Compare models of a server with their repositories.",
    "update": "Make outdated models of a server again.",
    "schema": "Print the JSON Schema of a file of models.",
    "doctor": "Check what builds depend on, and Ollama's model directory.",
    "completion": "Print a shell completion script.",
}
