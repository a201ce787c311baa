"""Lay out a model as Ollama keeps it: its layers in order, and its config. Nothing is read but headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gguf2ollama._atomic import disk_errors
from gguf2ollama.ggufio import MergedView, Shard, file_type_name
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

_SHARDS_REQUIRE = "0.35.0"  # what `create` of 0.34.4 stamps on a model in shards (create_split_gguf.go)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A layer of weights: a file as it is, or shards as one.

    Attributes:
        media_type: Model or projector.
        name: The file name that the layer goes by.
        size: Its length in bytes.
        source: The file, or the view of several as one.
    """

    media_type: MediaType
    name: str
    size: int
    source: Path | MergedView

    def open(self) -> BinaryIO:
        """Open its bytes from their start; each call gives a stream of its own."""
        if isinstance(self.source, MergedView):
            return self.source.open()
        with disk_errors(self.source):
            return self.source.open("rb")


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
        weights=tuple(_weights(files, merges=merges)),
        texts=tuple(_texts(recipe)),
        config=Text(
            media_type=MediaType.CONFIG, content=_config(files, recipe=recipe, merges=merges).to_bytes()
        ),
    )


def _weights(files: ModelFiles, *, merges: bool) -> Iterator[Weights]:
    model = files.model
    if merges:
        view = MergedView(model)
        yield Weights(media_type=MediaType.MODEL, name=f"{model.name}.gguf", size=view.size, source=view)
    else:
        for shard, name in zip(model.shards, model.canonical_names, strict=True):
            yield _file(shard, name=name, media_type=MediaType.MODEL)
    for projector in files.projectors:
        yield _file(projector, name=projector.path.name, media_type=MediaType.PROJECTOR)


def _file(shard: Shard, *, name: str, media_type: MediaType) -> Weights:
    return Weights(media_type=media_type, name=name, size=shard.size, source=shard.path)


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
