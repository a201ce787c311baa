"""What may come of a hostile header: a plan that can be printed and written, or an error of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

from gguf2ollama.cli.render.plan import describe, inspection_json, plan_json
from gguf2ollama.cli.render.safety import inspection_safety
from gguf2ollama.errors import Gguf2OllamaError, InvalidModelfile
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.memory.hardware import MemoryRoom
from gguf2ollama.modelfiles import parse_modelfile, render_modelfile
from gguf2ollama.planning.options import BuildOptions
from gguf2ollama.planning.plan import plan_build
from gguf2ollama.planning.target import NEWEST_TESTED, Destination, TransportName, parse_version
from gguf2ollama.sources.model import SourceSelection
from gguf2ollama.sources.resolve import resolve

__all__ = ["check_header"]

_ROOM = MemoryRoom(ram=8 << 30, gpus=(4 << 30,))


def check_header(header: bytes, *, n_bytes: int, path: Path, transport: TransportName, verify: bool) -> str:
    """Plan a build of a file and write all that a user would see of it; return how it ended.

    Args:
        header: The file's header.
        n_bytes: The bytes of tensors behind it, all of them zero.
        path: Where to write the file.
        transport: How it would get to Ollama.
        verify: Whether what renders its chats is selected by comparison.

    Raises:
        Exception: A bug: an error that is not one of ours, or a result that cannot be written.
    """
    with path.open("wb") as stream:
        stream.write(header)
        stream.truncate(len(header) + n_bytes)
    version = parse_version(NEWEST_TESTED)
    try:
        ref = resolve(path, selection=SourceSelection(), room=_ROOM, digests=DigestCache(path=None))
        plan = plan_build(
            ref.files,
            options=BuildOptions(verify=verify, load=False),
            destination=Destination(location="here", version=version, transport=transport),
            room=_ROOM,
        )
        image = plan.image
    except Gguf2OllamaError as error:
        error.message.encode()
        (error.hint or "").encode()
        return type(error).__name__
    inspection = plan.inspection
    shown = plan_json(plan) if transport == "link" else inspection_json(inspection)
    json.loads(json.dumps(shown, allow_nan=False), parse_constant=_not_json)
    texts = (describe(inspection), *inspection.warnings, inspection.describe_context(plan.name))
    for text in texts:
        text.encode()
    inspection_safety(inspection)
    for layer in (*image.text_layers, image.config.descriptor):
        assert layer.size >= 0
    for weights in image.weights:
        weights.open().close()
    try:
        text = render_modelfile(inspection.recipe.modelfile)
    except InvalidModelfile:
        return "planned, but for a Modelfile"  # which has no escapes
    again = parse_modelfile(text.encode())
    if again.licenses != inspection.recipe.modelfile.licenses:
        raise AssertionError(f"another licence: {again.licenses}")
    return "planned"


def _not_json(name: str) -> NoReturn:
    raise AssertionError(f"{name} is not JSON")
