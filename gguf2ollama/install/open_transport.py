"""Make ready the way to a server that was chosen."""

from __future__ import annotations

from collections.abc import Callable

from gguf2ollama.events import Progress
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.link import StoreRoute
from gguf2ollama.install.transaction import MayBeUnavailable, Route
from gguf2ollama.install.transport import Choice
from gguf2ollama.install.upload import UploadRoute
from gguf2ollama.ollama import Client, ServerFeatures
from gguf2ollama.planning.plan import Inspection

__all__ = ["open_route"]


def open_route(
    inspection: Inspection,
    features: ServerFeatures,
    choice: Choice,
    *,
    client: Client,
    hashing: Hashing,
    stream: bool = False,
    progress: Progress,
    notify: Callable[[str], None],
) -> Route:
    """Make ready the way that was chosen; it raises ``WayClosed`` where it was uncertain and does not work.

    Args:
        inspection: What is made.
        features: What the server can do.
        choice: The way.
        client: The server.
        hashing: Finds the digests of its files.
        stream: Whether its files are in a repository, and go from there through to the server.
        progress: Called with the bytes copied and sent.
        notify: Called with a line about each step.
    """
    if stream:
        from gguf2ollama.install.passthrough import StreamRoute  # noqa: PLC0415 - for this way alone

        return StreamRoute(
            client=client, inspection=inspection, features=features, progress=progress, notify=notify
        )
    if choice.via == "upload":
        return UploadRoute(
            client=client,
            image=inspection.lay_out_image(takes_shards=features.takes_shards),
            recipe=inspection.recipe,
            hashing=hashing,
            copies=features.copies_of_upload,
            progress=progress,
        )
    image = inspection.lay_out_image(takes_shards=features.keeps_shards)
    if choice.store is not None:
        return StoreRoute(store=choice.store, image=image, hashing=hashing, progress=progress, notify=notify)
    from gguf2ollama.install.registry_pull import PullRoute  # noqa: PLC0415 - an HTTP server, for this way alone

    pull = PullRoute(client=client, image=image, hashing=hashing, progress=progress)
    return pull if choice.is_certain else MayBeUnavailable(route=pull)
