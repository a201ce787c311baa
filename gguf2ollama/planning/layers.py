"""Lay out a model as Ollama keeps it: its layers in order, and its config. Nothing is read but headers."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from gguf2ollama._dataclass import dataclass
from gguf2ollama.ggufio import (
    FileRange,
    FileView,
    GgufFile,
    MergedView,
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
    from gguf2ollama.planning.recipe import Recipe

__all__ = ["Image", "Text", "Weights", "lay_out_image", "lay_out_weights"]

_BUFFER_BYTES = 1 << 16  # what is read in larger pieces does not go through it
_REFUSED = re.compile(r"[\\:]")  # in a path of `files` (server/create.go)
_SHARDS_REQUIRE = "0.35.0"  # what `create` of 0.34.4 stamps on a model in shards (create_split_gguf.go)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A layer of weights: a file as it is or with another header, or shards as one.

    Attributes:
        media_type: Model or projector.
        name: The file name that the layer goes by.
        size: Its length in bytes.
        shards: The files that its bytes come from.
        ranges: Where its bytes are, in order.
    """

    media_type: MediaType
    name: str
    size: int
    shards: tuple[Shard, ...]
    ranges: tuple[Range, ...]

    @property
    def is_file(self) -> bool:
        """Whether it is one file as it is."""
        return len(self.ranges) == 1 and isinstance(self.ranges[0], FileRange)

    def open(self) -> BinaryIO:
        """Open its bytes from their start; each call gives a stream of its own.

        Reading or closing raises ``FileChanged`` when a file was changed since its header was read.
        """
        return io.BufferedReader(RangeStream(self.ranges, self._sources), _BUFFER_BYTES)

    def write_to(self, target: BinaryIO, *, report: Callable[[int], None]) -> None:
        """Append its bytes to a file, shared with its own files where the file system does that.

        Args:
            target: The file; nothing may be left in its buffer.
            report: Called with the bytes of each step when it is done.

        Raises:
            FileChanged: A file was changed since its header was read.
            NotFound: One is gone.
        """
        write_ranges(target, self.ranges, self._sources, report=report)

    @property
    def _sources(self) -> dict[Path, GgufFile]:
        return {shard.path: shard.gguf for shard in self.shards}

    def require_unchanged(self) -> None:
        """Check that its files are as they were when their headers were read.

        Raises:
            FileChanged: One was changed.
            NotFound: One is gone.
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
    """All that a model is made of, in the order of its manifest."""

    weights: tuple[Weights, ...]
    texts: tuple[Text, ...]
    config: Text

    def manifest(self, digests: Mapping[str, Digest]) -> Manifest:
        """Return the manifest; ``digests`` holds that of each weights layer by its name."""
        weights = (
            Descriptor(
                media_type=one.media_type.value, digest=digests[one.name], size=one.size, from_=one.name
            )
            for one in self.weights
        )
        return Manifest(
            config=self.config.descriptor,
            layers=(*weights, *self.text_layers),
            runner=RUNNER,
            format=FORMAT,
        )

    @property
    def text_layers(self) -> tuple[Descriptor, ...]:
        """The layers that are no weights, as they stand in the manifest."""
        return tuple(one.descriptor for one in self.texts)


def lay_out_image(
    files: ModelFiles, *, recipe: Recipe, takes_shards: bool, patch: HeaderPatch = UNCHANGED
) -> Image:
    """Lay out a model.

    Args:
        files: Its files.
        recipe: What is made of them.
        takes_shards: Whether shards stay layers of their own; else they are one.
        patch: What is changed in the header of the model.
    """
    merges = files.model.is_split and not takes_shards
    return Image(
        weights=lay_out_weights(files, takes_shards=takes_shards, patch=patch),
        texts=tuple(_texts(recipe)),
        config=Text(
            media_type=MediaType.CONFIG, content=_config(files, recipe=recipe, merges=merges).to_bytes()
        ),
    )


def lay_out_weights(
    files: ModelFiles, *, takes_shards: bool, patch: HeaderPatch = UNCHANGED
) -> tuple[Weights, ...]:
    """Lay out the weights of a model alone; see :func:`lay_out_image`."""
    merges = files.model.is_split and not takes_shards
    return tuple(_named_apart(_weights(files, merges=merges, patch=patch)))


def _weights(files: ModelFiles, *, merges: bool, patch: HeaderPatch) -> Iterator[Weights]:
    model = files.model
    if merges:
        view = MergedView(model, patch=patch)
        yield _layer(view, name=f"{model.name}.gguf", media_type=MediaType.MODEL, shards=model.shards)
    else:
        for shard, name in zip(model.shards, model.canonical_names, strict=True):
            own = patch if shard is model.shards[0] else patch.in_later_shard(shard.gguf)
            yield _file(shard, name=name, media_type=MediaType.MODEL, patch=own)
    for projector in files.projectors:
        yield _file(projector, name=projector.path.name, media_type=MediaType.PROJECTOR)


def _named_apart(layers: Iterable[Weights]) -> Iterator[Weights]:
    """Return each layer a name of its own that Ollama takes: files of one name may lie in several folders."""
    taken = set()
    for layer in layers:
        name = _REFUSED.sub("-", layer.name)
        while name in taken:
            name = f"{layer.media_type.name.lower()}-{name}"
        taken.add(name)
        yield dataclasses.replace(layer, name=name)


def _file(shard: Shard, *, name: str, media_type: MediaType, patch: HeaderPatch = UNCHANGED) -> Weights:
    return _layer(PatchedView(shard, patch), name=name, media_type=media_type, shards=(shard,))


def _layer(view: FileView, *, name: str, media_type: MediaType, shards: tuple[Shard, ...]) -> Weights:
    return Weights(media_type=media_type, name=name, size=view.size, shards=shards, ranges=view.ranges())


def _texts(recipe: Recipe) -> Iterator[Text]:
    """Return the small layers in the order of ``ApplyModelfileLayers`` (create/manifest.go of 0.34.4)."""
    wanted = recipe.modelfile
    if wanted.template is not None:
        yield Text(media_type=MediaType.TEMPLATE, content=wanted.template.encode())
    if wanted.system:
        yield Text(media_type=MediaType.SYSTEM, content=wanted.system.encode())
    for text in wanted.licenses:
        yield Text(media_type=MediaType.LICENSE, content=text.encode())
    if parameters := wanted.parameters_json():
        yield Text(media_type=MediaType.PARAMS, content=go_json(dict(sorted(parameters.items()))))
    if wanted.messages:
        told = [{"role": one.role, "content": one.content} for one in wanted.messages]
        yield Text(media_type=MediaType.MESSAGES, content=go_json(told))


def _config(files: ModelFiles, *, recipe: Recipe, merges: bool) -> ModelConfig:
    model, wanted = files.model, recipe.modelfile
    architecture = str(model.metadata.get("general.architecture", ""))
    keeps_shards = model.is_split and not merges
    return ModelConfig(
        family=architecture,
        families=(architecture,),
        parameter_size=parameter_size_label(model.parameter_count),
        file_type=file_type_name(model.metadata.get("general.file_type")),
        renderer=wanted.renderer or "",
        parser=wanted.parser or "",
        requires=_SHARDS_REQUIRE if keeps_shards else wanted.requires or "",
    )
