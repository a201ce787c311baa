"""The layers of a model in Ollama's manifest, and its config: from headers alone."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.ggufio import (
    FileRange,
    FileView,
    GgufFile,
    PatchedView,
    Range,
    Shard,
    file_type_name,
)
from gguf2ollama.ggufio.copying import open_unchanged, write_ranges
from gguf2ollama.ggufio.patching import UNCHANGED, HeaderPatch
from gguf2ollama.ggufio.stream import RangeStream
from gguf2ollama.oci import (
    FORMAT,
    RUNNER,
    Descriptor,
    Digest,
    Manifest,
    MediaType,
    ModelConfig,
    go_json,
    parameter_size_label,
)
from gguf2ollama.sources.model import ModelFiles

if TYPE_CHECKING:
    from gguf2ollama.modelfiles import Modelfile
    from gguf2ollama.planning.recipe import Recipe

__all__ = ["Image", "Text", "Weights", "lay_out_image", "lay_out_weights"]

_BUFFER_BYTES = 1 << 16  # larger reads bypass it
_REFUSED = lazy_pattern(r"[\\:\ud800-\udfff]")  # in a path of `files` (server/create.go), and in JSON
_SHARDS_REQUIRE = "0.35.0"  # what `create` of 0.34.4 stamps on a model in shards (create_split_gguf.go)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A layer of weights: a file as it is or with a changed header, or merged shards.

    Attributes:
        media_type: Model, projector or draft.
        name: The file name of the layer.
        size: Its bytes.
        shards: The files with its bytes.
        ranges: Its bytes in order: ranges of files, and bytes given.
    """

    media_type: MediaType
    name: str
    size: int
    shards: tuple[Shard, ...]
    ranges: tuple[Range, ...]

    @property
    def is_file(self) -> bool:
        """Whether it is one unchanged file."""
        return len(self.ranges) == 1 and isinstance(self.ranges[0], FileRange)

    def open(self) -> BinaryIO:
        """Open its bytes at their start; each call returns a new stream.

        Reading or closing raises ``FileChanged`` if a file has changed since its header was read.
        """
        return io.BufferedReader(RangeStream(self.ranges, self._sources), _BUFFER_BYTES)

    def write_to(self, target: BinaryIO, *, report: Callable[[int], None]) -> None:
        """Append its bytes to a file, as reflinks where the file system has them.

        Args:
            target: The file; its buffer must be empty.
            report: Called with the bytes of each step.

        Raises:
            FileChanged: A file has changed since its header was read.
            NotFound: A file no longer exists.
        """
        write_ranges(target, self.ranges, self._sources, report=report)

    @property
    def _sources(self) -> dict[Path, GgufFile]:
        return {shard.path: shard.gguf for shard in self.shards}

    def require_unchanged(self) -> None:
        """Check that its files have not changed since their headers were read.

        Raises:
            FileChanged: A file has changed.
            NotFound: A file no longer exists.
        """
        for shard in self.shards:
            with open_unchanged(shard.path, shard.gguf):
                pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A small layer, or the config."""

    media_type: MediaType
    content: bytes

    @property
    def descriptor(self) -> Descriptor:
        """Its type, digest and length."""
        return Descriptor(
            media_type=self.media_type.value, digest=Digest.of(self.content), size=len(self.content)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The layers of a model in the order of its manifest, and its config.

    Attributes:
        weights: Its weights.
        texts: Its texts and parameters.
        config: Its config.
        recipe: What the texts are made of; ``None`` for a model that records nothing.
    """

    weights: tuple[Weights, ...]
    texts: tuple[Text, ...]
    config: Text
    recipe: Recipe | None = None

    def recorded(self, digests: Mapping[str, Digest]) -> Image:
        """Return it with a complete record among its texts, given the digests of weights by layer name."""
        if self.recipe is None:
            return self
        recipe = self.recipe.recorded(digests[layer.name] for layer in self.weights)
        return dataclasses.replace(self, texts=tuple(_texts(recipe)), recipe=recipe)

    def manifest(self, digests: Mapping[str, Digest]) -> Manifest:
        """Return the manifest, given the digest of each weights layer by its name."""
        weights = (
            Descriptor(
                media_type=layer.media_type.value,
                digest=digests[layer.name],
                size=layer.size,
                from_=layer.name,
            )
            for layer in self.weights
        )
        return Manifest(
            config=self.config.descriptor,
            layers=(*weights, *self.text_layers),
            runner=RUNNER,
            format=FORMAT,
        )

    @property
    def text_layers(self) -> tuple[Descriptor, ...]:
        """The descriptors of the layers other than weights."""
        return tuple(text.descriptor for text in self.texts)


def lay_out_image(
    files: ModelFiles, *, recipe: Recipe, takes_shards: bool, patch: HeaderPatch = UNCHANGED
) -> Image:
    """Return the layers of a model, and its config.

    Args:
        files: Its files.
        recipe: What they become.
        takes_shards: Whether shards stay separate layers; else they are merged into one.
        patch: Changes to the header of the model.
    """
    merges = files.model.is_split and not takes_shards
    return Image(
        weights=lay_out_weights(files, takes_shards=takes_shards, patch=patch),
        texts=tuple(_texts(recipe)),
        config=Text(
            media_type=MediaType.CONFIG, content=_config(files, recipe=recipe, merges=merges).to_bytes()
        ),
        recipe=recipe,
    )


def recipe_parameters(modelfile: Modelfile) -> dict[str, Any]:
    """Return the parameters of a model for every transport, with an empty list of stops where there are none.

    Without that list ``create`` adds the stops of a template that it detects, and the layers of one model
    would differ by transport.
    """
    return {"stop": [], **modelfile.parameters_json()}


def lay_out_weights(
    files: ModelFiles, *, takes_shards: bool, patch: HeaderPatch = UNCHANGED
) -> tuple[Weights, ...]:
    """Return the layers of weights alone; see :func:`lay_out_image`."""
    merges = files.model.is_split and not takes_shards
    return tuple(_uniquely_named(_weights(files, merges=merges, patch=patch)))


def _weights(files: ModelFiles, *, merges: bool, patch: HeaderPatch) -> Iterator[Weights]:
    model = files.model
    if merges:
        from gguf2ollama.ggufio import MergedView  # noqa: PLC0415 - for a model in shards

        view = MergedView(model, patch=patch)
        yield _layer(view, name=f"{model.name}.gguf", media_type=MediaType.MODEL, shards=model.shards)
    else:
        for shard, name in zip(model.shards, model.canonical_names, strict=True):
            own = patch if shard is model.shards[0] else patch.in_later_shard(shard.gguf)
            yield _file(shard, name=name, media_type=MediaType.MODEL, patch=own)
    for projector in files.projectors:
        yield _file(projector, name=projector.path.name, media_type=MediaType.PROJECTOR)
    for draft in files.drafts:
        yield _file(draft, name=draft.path.name, media_type=MediaType.DRAFT)


def _uniquely_named(layers: Iterable[Weights]) -> Iterator[Weights]:
    """Return the layers with unique names that Ollama accepts: several folders may have files of one name."""
    used = set()
    for layer in layers:
        name = _REFUSED.sub("-", layer.name)
        while name in used:
            name = f"{layer.media_type.name.lower()}-{name}"
        used.add(name)
        yield dataclasses.replace(layer, name=name)


def _file(shard: Shard, *, name: str, media_type: MediaType, patch: HeaderPatch = UNCHANGED) -> Weights:
    return _layer(PatchedView(shard, patch), name=name, media_type=media_type, shards=(shard,))


def _layer(view: FileView, *, name: str, media_type: MediaType, shards: tuple[Shard, ...]) -> Weights:
    return Weights(media_type=media_type, name=name, size=view.size, shards=shards, ranges=view.ranges())


def _texts(recipe: Recipe) -> Iterator[Text]:
    """Return the text layers in the order of ``ApplyModelfileLayers`` (create/manifest.go of 0.34.4)."""
    modelfile = recipe.modelfile
    if modelfile.template is not None:
        yield Text(media_type=MediaType.TEMPLATE, content=modelfile.template.encode())
    if modelfile.system:
        yield Text(media_type=MediaType.SYSTEM, content=modelfile.system.encode())
    for text in recipe.licenses:
        yield Text(media_type=MediaType.LICENSE, content=text.encode())
    parameters = recipe_parameters(modelfile)
    yield Text(media_type=MediaType.PARAMS, content=go_json(dict(sorted(parameters.items()))))
    if modelfile.messages:
        messages = [{"role": message.role, "content": message.content} for message in modelfile.messages]
        yield Text(media_type=MediaType.MESSAGES, content=go_json(messages))


def _config(files: ModelFiles, *, recipe: Recipe, merges: bool) -> ModelConfig:
    model, modelfile = files.model, recipe.modelfile
    architecture = str(model.metadata.get("general.architecture", ""))
    keeps_shards = model.is_split and not merges
    return ModelConfig(
        family=architecture,
        families=(architecture,),
        parameter_size=parameter_size_label(model.parameter_count),
        file_type=files.label or file_type_name(model.metadata.get("general.file_type")),
        renderer=modelfile.renderer or "",
        parser=modelfile.parser or "",
        requires=_SHARDS_REQUIRE if keeps_shards else modelfile.requires or "",
        draft=next((str(draft.gguf.metadata.get("general.architecture")) for draft in files.drafts), ""),
    )
