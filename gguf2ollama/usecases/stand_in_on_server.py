"""Put a tiny stand-in of a model on its server, for as long as its prompts are looked at."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gguf2ollama.errors import Gguf2OllamaError, VerificationFailed
from gguf2ollama.modelfiles import Modelfile
from gguf2ollama.ollama import Client, ModelInfo, regime
from gguf2ollama.progress import ignore
from gguf2ollama.refs import ModelName
from gguf2ollama.usecases.digest_cache import DigestCache
from gguf2ollama.usecases.hashing import Hashing
from gguf2ollama.usecases.inspect import inspect
from gguf2ollama.usecases.open_route import open_route
from gguf2ollama.usecases.routes import choose_route
from gguf2ollama.usecases.stand_in import stand_in

__all__ = ["stand_in_on_server"]


@contextlib.contextmanager
def stand_in_on_server(
    client: Client, name: ModelName, metadata: Mapping[str, Any], *, info: ModelInfo, template: str | None
) -> Iterator[ModelName]:
    """Give the name of a tiny model that is prompted as another, and is removed when the block ends.

    Args:
        client: The server.
        name: The model it stands in for.
        metadata: The metadata of that model's GGUF.
        info: What the server tells of that model.
        template: Its TEMPLATE; ``None`` where the chat template in its GGUF renders.

    Raises:
        ServerProblem: The server cannot be reached, or refuses.
        VerificationFailed: The server prompts the stand-in in another way than the model.
    """
    temporary = name.temporary(secrets.token_hex(6))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stand-in.gguf"
        path.write_bytes(stand_in(metadata))
        inspection = inspect(path, verify=False)
        wanted = Modelfile(
            sources=(str(path),),
            template=template,
            system=info.system or None,
            renderer=info.renderer or None,
            parser=info.parser or None,
        )
        made = dataclasses.replace(
            inspection, recipe=dataclasses.replace(inspection.recipe, modelfile=wanted)
        )
        with Hashing(cache=DigestCache(is_trusted=False), progress=ignore) as hashing:
            route = open_route(
                made,
                regime(client.version()),
                choose_route(client, via="auto"),
                client=client,
                hashing=hashing,
                progress=ignore,
                tell=ignore,
            )
            try:
                route.make(temporary)
                if client.show(temporary).template != info.template:
                    raise VerificationFailed(
                        f"the server prompts a stand-in of {name.short} in another way than the model itself",
                        hint="leave out --quick",
                    )
                yield temporary
            finally:
                with contextlib.suppress(Gguf2OllamaError):
                    client.delete(temporary)
