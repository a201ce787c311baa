"""The JSON Schema of a file of models, for editors and CI; the same keys as the reader has."""

from __future__ import annotations

from typing import Any, get_args

from gguf2ollama.fleet.entries import (
    CONTEXT_KEYS,
    HOST_KEYS,
    MODEL_KEYS,
    POLICIES,
    TEXT_KEYS,
    TOP_KEYS,
    State,
)
from gguf2ollama.planning.target import Via

__all__ = ["json_schema"]

_TEXT: dict[str, Any] = {"type": ["string", "number"]}
_SECRET: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
    "properties": {
        "env": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "file": {"type": "string"},
    },
}
_VALUE: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_MODEL: dict[str, dict[str, Any]] = {
    "source": {
        **_TEXT,
        "description": "File, folder, owner/repo, owner/repo:QUANT, hf://, ms:// or URL",
    },
    "modelfile": {"type": "string", "description": "A Modelfile"},
    "pull": {"type": "string", "description": "Name under which the server pulls it from a registry"},
    "quant": {**_TEXT, "description": "Quantization, of a repository"},
    "file": {"type": "string", "description": "File or folder, of a repository"},
    "revision": {**_TEXT, "description": "Branch, tag or commit, of a repository"},
    **{
        key: {"type": ["string", "integer"], "description": "Tokens (8192 or 8k), auto, max or server"}
        for key in CONTEXT_KEYS
    },
    "parameters": {
        "type": "object",
        "description": "PARAMETER values; stop may be a list",
        "additionalProperties": {"oneOf": [_VALUE, {"type": "array", "items": _VALUE}]},
    },
    **{
        key: {
            "description": f"{title}: a text, or {{file: PATH}}",
            "oneOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["file"],
                    "properties": {"file": {"type": "string"}},
                },
            ],
        }
        for key, title in zip(
            TEXT_KEYS, ("System prompt", "Go template", "Jinja chat template, or upstream"), strict=True
        )
    },
    "license": {
        "description": "License texts",
        "oneOf": [{"type": "string"}, {"type": "array", "items": _TEXT}],
    },
    "messages": {
        "type": "array",
        "description": "Messages before every chat",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["role", "content"],
            "properties": {"role": {"enum": ["system", "user", "assistant"]}, "content": _TEXT},
        },
    },
    "mmproj": {
        "description": "Projectors, or false for none",
        "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"const": False}],
    },
    "draft": {
        "description": "Draft (MTP or DFlash), or false for none",
        "oneOf": [{"type": "string"}, {"const": False}],
    },
    "pooling": {"enum": ["mean", "cls", "last", "none"], "description": "Pooling of an embedding model"},
    "fim": {"type": "boolean", "description": "Filling in the middle goes before chats"},
    "exact": {"type": "boolean", "description": "Exact prompts, even at the cost of a copy of the weights"},
    "verify": {"type": "boolean", "description": "Load it once and check its prompts (the default)"},
    "hosts": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string"},
        "description": "Names of its hosts; all when left out",
    },
    "state": {"enum": list(get_args(State)), "description": "present (the default) or absent"},
    "update": {"enum": list(POLICIES), "description": "When it is made again; when-changed by default"},
}
_HOST: dict[str, dict[str, Any]] = {
    "url": {"type": "string", "description": "Address of the server"},
    "token": {**_SECRET, "description": "Bearer token"},
    "user": {"type": "string", "description": "User, for basic authentication"},
    "password": {**_SECRET, "description": "Password, for basic authentication"},
    "ca": {"type": "string", "description": "CA certificate (PEM) of the server"},
    "via": {"enum": list(get_args(Via)), "description": "How files reach it"},
}


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12)."""
    model = {
        "type": "object",
        "additionalProperties": False,
        "properties": {key: _MODEL[key] for key in MODEL_KEYS},
    }
    host = {
        "type": "object",
        "additionalProperties": False,
        "required": ["url"],
        "properties": {key: _HOST[key] for key in HOST_KEYS},
    }
    top = {
        "models": {
            "type": "object",
            "description": "Models by name; a source is enough",
            "additionalProperties": {"oneOf": [_TEXT, model]},
        },
        "hosts": {
            "type": "object",
            "description": "Servers by name; OLLAMA_HOST when left out",
            "additionalProperties": {"oneOf": [{"type": "string"}, host]},
        },
        "prune": {"type": "boolean", "description": "Delete models that are not in the file"},
        "environment": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Variables that ${NAME} may name in this file",
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Models of Ollama servers, for gguf2ollama",
        "type": "object",
        "additionalProperties": False,
        "required": ["models"],
        "properties": {key: top[key] for key in TOP_KEYS},
    }
