"""Plan a build: what the model becomes and how it gets to Ollama, from headers alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import VerificationFailed
from gguf2ollama.memory.hardware import MemoryRoom
from gguf2ollama.memory.record import ContextRecord
from gguf2ollama.names import ModelName
from gguf2ollama.planning.default_name import default_name
from gguf2ollama.planning.inspection import Inspection
from gguf2ollama.planning.layers import Image
from gguf2ollama.planning.migration import warn_of_second_copy
from gguf2ollama.planning.model_plan import plan_model
from gguf2ollama.planning.options import BuildOptions
from gguf2ollama.planning.stored.plan_cache import NO_CACHE, PlanCache
from gguf2ollama.planning.target import NEWEST_TESTED, Destination, TransportName, parse_version
from gguf2ollama.sources.model import ModelFiles

if TYPE_CHECKING:
    from gguf2ollama.chat.reference import Renderer
    from gguf2ollama.planning.target import TransportName

__all__ = ["BuildPlan", "plan_build"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """What a build will make, and where; only headers were read for it.

    Attributes:
        name: The model's name.
        inspection: What the GGUF is, and the recipe.
        destination: Where it is built, for which Ollama, and by which transport.
        options: The options.
    """

    name: ModelName
    inspection: Inspection
    destination: Destination
    options: BuildOptions

    @property
    def image(self) -> Image:
        """The layers of the model, as the transport needs them."""
        features = self.destination.features
        return self.inspection.lay_out_image(
            takes_shards=features.takes_shards if self.destination.by_upload else features.keeps_shards
        )

    @property
    def bytes_to_fetch(self) -> int:
        """Bytes of files that are not on this machine yet; some may be in a cache."""
        files = self.inspection.files
        return 0 if files.are_local else sum(shard.size for shard in files.shards)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may surprise, one sentence each."""
        version, model = self.destination.version, self.inspection.model
        second_copy = warn_of_second_copy(version, model) if self.destination.by_upload else ()
        return (*self.inspection.warnings, *second_copy)

    def with_files(self, files: ModelFiles) -> BuildPlan:
        """Return the plan for the same files after they were fetched."""
        inspection = dataclasses.replace(self.inspection, files=files)
        return dataclasses.replace(self, inspection=inspection)

    def require_loadable(self, *, cause: Exception | None = None) -> None:
        """Check that the server is not known to fail to load the model.

        Raises:
            VerificationFailed: It fails on the chat template, and no TEMPLATE replaces that.
        """
        unsupported = self.inspection.unsupported
        if unsupported is not None and unsupported.refusal:
            raise VerificationFailed(
                f"Ollama {self.destination.version} cannot load {self.name.short}: {unsupported.refusal}",
                hint="use --chat-template FILE to replace it (or upstream: that of the base model)",
            ) from cause


def plan_build(
    files: ModelFiles,
    *,
    options: BuildOptions,
    destination: Destination,
    room: MemoryRoom | None,
    recorded: Callable[[ModelName], ContextRecord | None] = lambda _: None,
    renderer: Renderer | None = None,
    cache: PlanCache = NO_CACHE,
) -> BuildPlan:
    """Plan a build.

    Args:
        files: The model; headers are enough.
        options: The options.
        destination: Where it is built.
        room: The memory for models of the machine that will run it; ``None`` where it is not known.
        recorded: Returns how the context of the model was chosen that has a name now.
        renderer: Renders the chat template; one for this call when not given.
        cache: What was found out before.

    Raises:
        Gguf2OllamaError: As :func:`plan_model` does.
        VerificationFailed: The server is known to fail to load the model.
    """
    name = options.model_name or default_name(files)
    if files.variant_of is not None:  # it gets no TEMPLATE but ours, and keeps the one that it has
        transport: TransportName = "pull" if files.variant_of.is_native else "upload"
        destination = dataclasses.replace(destination, transport=transport)
    inspection = plan_model(
        files,
        options=options,
        target=destination.target(
            model_name=name.model,
            header_is_editable=not options.stream and files.variant_of is None,
        ),
        room=room,
        recorded=recorded(name) if options.context == "auto" else None,
        renderer=renderer,
        cache=cache,
    ).with_records(options=options, transport=destination.transport)
    plan = BuildPlan(name=name, inspection=inspection, destination=destination, options=options)
    is_predicted = destination.version <= parse_version(NEWEST_TESTED)  # newer ones may load it
    # by an upload, `create` may add a TEMPLATE with which it does load
    if not destination.by_upload and is_predicted and not options.allow_mismatch:
        plan.require_loadable()
    return plan
