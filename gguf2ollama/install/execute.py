"""Execute a plan: open its transport, and make the model in one transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from gguf2ollama.errors import ServerRefused
from gguf2ollama.events import Progress
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.transaction import Check, Findings, install_model
from gguf2ollama.install.transport import Transport
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.planning.plan import BuildPlan

__all__ = ["execute"]


def execute(
    plan: BuildPlan,
    *,
    client: Client | None,
    store: LocalStore | None,
    hashing: Hashing,
    check: Check | None,
    progress: Progress,
    notify: Callable[[str], None],
) -> Findings:
    """Make the model of a plan.

    Args:
        plan: The plan; its files are on this machine, unless they are streamed.
        client: The server; ``None`` for a model directory without one.
        store: The model directory to write; ``None`` if the server writes.
        hashing: Finds the digests of its files.
        check: Checks the model once the server has loaded it.
        progress: Called with the bytes copied and sent.
        notify: Called with a line about each step.

    Raises:
        Gguf2OllamaError: As :func:`~gguf2ollama.install.transaction.install_model` and the transport do.
    """
    transport = _make_transport(
        plan, client=client, store=store, hashing=hashing, progress=progress, notify=notify
    )
    if client is None:
        transport.make(plan.name)
        return Findings()
    try:
        return install_model(client, plan, transport, check=check, notify=notify)
    except ServerRefused as error:  # an upload might have got a TEMPLATE, so this was not refused earlier
        plan.require_loadable(cause=error)
        raise


def _make_transport(
    plan: BuildPlan,
    *,
    client: Client | None,
    store: LocalStore | None,
    hashing: Hashing,
    progress: Progress,
    notify: Callable[[str], None],
) -> Transport:
    image = plan.image
    if store is not None and not plan.inspection.files.variant_of:
        from gguf2ollama.install.link import StoreTransport  # noqa: PLC0415 - each only if it is chosen

        return StoreTransport(
            store=dataclasses.replace(store, records=hashing.cache),
            image=image,
            hashing=hashing,
            progress=progress,
            notify=notify,
            makes_symlinks=plan.options.symlink,
        )
    assert client is not None  # noqa: S101 - the destination is a server or a model directory
    if plan.inspection.files.variant_of:
        from gguf2ollama.install.variant import VariantTransport  # noqa: PLC0415

        return VariantTransport(client=client, plan=plan)
    if plan.options.stream:
        from gguf2ollama.install.passthrough import StreamTransport  # noqa: PLC0415

        return StreamTransport(client=client, plan=plan, progress=progress, notify=notify)
    if plan.destination.by_upload:
        from gguf2ollama.install.upload import UploadTransport  # noqa: PLC0415

        return UploadTransport(
            client=client,
            image=image,
            recipe=plan.inspection.recipe,
            quantization=plan.inspection.files.label,
            hashing=hashing,
            copies=plan.destination.features.copies_of_upload,
            progress=progress,
            notify=notify,
        )
    from gguf2ollama.install.registry_pull import PullTransport  # noqa: PLC0415

    return PullTransport(client=client, image=image, hashing=hashing, progress=progress, notify=notify)
