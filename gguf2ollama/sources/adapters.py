"""Adapters: why Ollama has no use for them, what they are made for, and how they are merged."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gguf2ollama._text import one_line
from gguf2ollama.errors import UsageProblem

__all__ = ["adapter_refusal"]

_MERGED = "merged.gguf"
_CAP_NAME = 200  # characters
_CONTROL_VECTOR = "controlvector"


def adapter_refusal(path: Path, metadata: Mapping[str, Any]) -> UsageProblem:
    """Return the error for an adapter, with the command that merges it into its base.

    Ollama calls adapters deprecated, and ``create`` has taken none since 0.34.1 (``errAdaptersUnsupported``
    in ``server/create.go``).

    Args:
        path: The file.
        metadata: Its metadata; ``general.base_model.*`` names the base (``gguf-py``'s ``metadata.py``).
    """
    if metadata.get("general.architecture") == _CONTROL_VECTOR:
        return UsageProblem(
            f"{path} is a control vector, which Ollama does not support",
            hint=f"llama.cpp applies it: llama-server -m BASE.gguf --control-vector {shlex.quote(str(path))}",
        )
    base = _base(metadata)
    made_for = f" for {base}" if base else ""
    source = shlex.quote(str(path))
    return UsageProblem(
        f"{path} is a LoRA adapter{made_for}; Ollama has not supported adapters since 0.34.1",
        hint=f"merge it into its base and build the result: llama-export-lora -m BASE.gguf --lora {source}"
        f" -o {_MERGED} && gguf2ollama build {_MERGED}",
    )


def _base(metadata: Mapping[str, Any]) -> str:
    """Return the name of the model that an adapter modifies, with its repository; empty where neither is."""
    name, repository, author = (
        _text(metadata, f"general.base_model.0.{key}") for key in ("name", "repo_url", "organization")
    )
    named = " ".join(filter(None, (author, name))) if name else ""
    if not named:
        return repository
    return f"{named} ({repository})" if repository else named


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key)
    return one_line(value.strip(), limit=_CAP_NAME) if isinstance(value, str) else ""
