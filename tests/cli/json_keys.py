"""Hold what ``--json`` writes to the shapes of ``gguf2ollama.cli.render.keys``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gguf2ollama.cli.render.keys import SHAPES, Shape

__all__ = ["check_output", "deviations"]

_TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "any": object}


def check_output(arguments: tuple[str, ...], value: Any) -> None:
    """Fail if what a call wrote does not have the documented keys and types."""
    verbs = (f"{arguments[0]} {option}" for option in ("--lint", "--all") if option in arguments)
    verb = next((verb for verb in verbs if verb in SHAPES), arguments[0])
    found = deviations(value, SHAPES[verb])
    assert not found, "\n".join(found)


def deviations(value: Any, shape: Shape, path: str = "$") -> list[str]:
    """Return where a JSON value departs from a shape."""
    if isinstance(shape, tuple):
        return [] if value is None else deviations(value, shape[0], path)
    if isinstance(shape, str):
        kind = shape.partition(": ")[0]
        return [] if isinstance(value, _TYPES[kind]) else [f"{path}: {value!r:.80} is not of type {kind}"]
    if not isinstance(value, list if isinstance(shape, list) else dict):
        return [f"{path}: not an {'array' if isinstance(shape, list) else 'object'}"]
    if isinstance(shape, list):
        return [line for i, item in enumerate(value) for line in deviations(item, shape[0], f"{path}[{i}]")]
    return _of_object(value, shape, path)


def _of_object(value: dict[str, Any], shape: Mapping[str, Shape], path: str) -> list[str]:
    if "*" in shape:
        return [line for key, item in value.items() for line in deviations(item, shape["*"], f"{path}.{key}")]
    known = {key.removesuffix("?"): inner for key, inner in shape.items()}
    found = [f"{path}.{key}: not documented" for key in value.keys() - known.keys()]
    found += [f"{path}.{key}: missing" for key in shape if not key.endswith("?") and key not in value]
    for key in value.keys() & known.keys():
        found += deviations(value[key], known[key], f"{path}.{key}")
    return found
