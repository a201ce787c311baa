"""Lay out a model as Ollama keeps it: its layers in order, and its config. Nothing is read but headers."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from gguf2ollama.ggufio import FileRange, MergedView, Range, Shard, file_type_name
from gguf2ollama.ggufio.copying import open_unchanged
from gguf2ollama.ggufio.stream import RangeStream
from gguf2ollama.oci import (
    Descriptor,
    Digest,
    Manifest,
    MediaType,
    ModelConfig,
    go_json,
    parameter_size_label,
)
from gguf2ollama.recipe import Recipe
from gguf2ollama.usecases.source import ModelFiles

__all__ = ["Image", "Text", "Weights", "lay_out_image"]

_BUFFER_BYTES = 1 << 20
_REFUSED = re.compile(r"[\\:]")  # in a path of `files` (server/create.go)
_SHARDS_REQUIRE = "0.35.0"  # what `create` of 0.34.4 stamps on a model in shards (create_split_gguf.go)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A layer of weights: a file as it is, or shards as one.

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

        Reading or closing raises ``InvalidGguf`` when a file was changed since its header was read.
        """
        sources = {shard.path: shard.gguf for shard in self.shards}
        return io.BufferedReader(RangeStream(self.ranges, sources), _BUFFER_BYTES)

    def require_unchanged(self) -> None:
        """Check that its files are as they were when their headers were read.

        Raises:
            InvalidGguf: One was changed.
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
        """Give the manifest; ``digests`` holds that of each weights layer by its name."""
        weights = (
            Descriptor(
                media_type=one.media_type.value, digest=digests[one.name], size=one.size, from_=one.name
            )
            for one in self.weights
        )
        return Manifest(
            config=self.config.descriptor, layers=(*weights, *(one.descriptor for one in self.texts))
        )


def lay_out_image(files: ModelFiles, *, recipe: Recipe, takes_shards: bool) -> Image:
    """Lay out a model.

    Args:
        files: Its files.
        recipe: What is made of them.
        takes_shards: Whether shards stay layers of their own; else they are one.
    """
    merges = files.model.is_split and not takes_shards
    return Image(
        weights=tuple(_named_apart(_weights(files, merges=merges))),
        texts=tuple(_texts(recipe)),
        config=Text(
            media_type=MediaType.CONFIG, content=_config(files, recipe=recipe, merges=merges).to_bytes()
        ),
    )


def _weights(files: ModelFiles, *, merges: bool) -> Iterator[Weights]:
    model = files.model
    if merges:
        view = MergedView(model)
        yield Weights(
            media_type=MediaType.MODEL,
            name=f"{model.name}.gguf",
            size=view.size,
            shards=model.shards,
            ranges=view.ranges(),
        )
    else:
        for shard, name in zip(model.shards, model.canonical_names, strict=True):
            yield _file(shard, name=name, media_type=MediaType.MODEL)
    for projector in files.projectors:
        yield _file(projector, name=projector.path.name, media_type=MediaType.PROJECTOR)


def _named_apart(layers: Iterable[Weights]) -> Iterator[Weights]:
    """Give each layer a name of its own that Ollama takes: files of one name may lie in several folders."""
    taken = set()
    for layer in layers:
        name = _REFUSED.sub("-", layer.name)
        while name in taken:
            name = f"{layer.media_type.name.lower()}-{name}"
        taken.add(name)
        yield dataclasses.replace(layer, name=name)


def _file(shard: Shard, *, name: str, media_type: MediaType) -> Weights:
    whole = FileRange(shard.path, 0, shard.size)
    return Weights(media_type=media_type, name=name, size=shard.size, shards=(shard,), ranges=(whole,))


def _texts(recipe: Recipe) -> Iterator[Text]:
    """Give the small layers in the order of ``ApplyModelfileLayers`` (create/manifest.go of 0.34.4)."""
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
        requires=wanted.requires or (_SHARDS_REQUIRE if keeps_shards else ""),
    )
