"""Make a model in the folder of a store, with no server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

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
from gguf2ollama.ollama import Regime
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.progress import Progress
from gguf2ollama.recipe import Recipe
from gguf2ollama.refs import ModelName
from gguf2ollama.usecases.hashing import hash_file
from gguf2ollama.usecases.source import ModelFiles

__all__ = ["StoreRoute"]

_SHARDS_REQUIRE = "0.35.0"  # what `create` of 0.34.4 stamps on a model in shards (create_split_gguf.go)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRoute:
    """Everything that making one model in one store needs."""

    store: LocalStore
    regime: Regime
    name: ModelName
    files: ModelFiles
    recipe: Recipe
    progress: Progress
    tell: Callable[[str], None]

    def run(self) -> Manifest:
        """Write blobs, then the manifest; give the manifest.

        Raises:
            InvalidInput: A file changed while it was read, or a blob that is there is damaged.
            NotEnoughSpace: The disk is too small.
            UsageProblem: The store cannot be written.
        """
        self.store.prepare(needed=self._needed())
        layers = [*self._weights(), *self._texts()]
        config = self._add(self._config().to_bytes(), MediaType.CONFIG)
        manifest = Manifest(config=config, layers=tuple(layers))
        self.store.write_manifest(self.name, manifest)
        return manifest

    @property
    def _merges(self) -> bool:
        return self.files.model.is_split and not self.regime.keeps_shards

    def _needed(self) -> int:
        """Bytes that are sure to be written: files are linked where they can be, a merge is written."""
        return self.files.model.total_bytes if self._merges else 0

    def _weights(self) -> Iterator[Descriptor]:
        model = self.files.model
        if self._merges:
            yield self._merged()
        else:
            for shard, name in zip(model.shards, model.canonical_names, strict=True):
                yield self._file(shard, name=name, media_type=MediaType.MODEL)
        for projector in self.files.projectors:
            yield self._file(projector, name=projector.path.name, media_type=MediaType.PROJECTOR)

    def _file(self, shard: Shard, *, name: str, media_type: MediaType) -> Descriptor:
        digest = hash_file(shard.path, size=shard.size, progress=self.progress)
        arrival = self.store.add_file(shard.path, digest, size=shard.size, progress=self.progress)
        self.tell(f"{name}: {_ARRIVALS[arrival]}")
        return Descriptor(media_type=media_type.value, digest=digest, size=shard.size, from_=name)

    def _merged(self) -> Descriptor:
        view = MergedView(self.files.model)
        name = f"{self.files.model.name}.gguf"
        self.tell(f"{name}: merging {len(self.files.model.shards)} shards into the store")
        digest = Digest(view.sha256(progress=self.progress))
        with view.open() as stream:
            self.store.add_stream(
                stream, digest, size=view.size, task=f"writing {name}", progress=self.progress
            )
        return Descriptor(media_type=MediaType.MODEL.value, digest=digest, size=view.size, from_=name)

    def _texts(self) -> Iterator[Descriptor]:
        """Give the small layers in the order of ``ApplyModelfileLayers`` (create/manifest.go of 0.34.4)."""
        wanted = self.recipe.modelfile
        if wanted.template is not None:
            yield self._add(wanted.template.encode(), MediaType.TEMPLATE)
        if wanted.system:
            yield self._add(wanted.system.encode(), MediaType.SYSTEM)
        for text in wanted.licenses:
            yield self._add(text.encode(), MediaType.LICENSE)
        if parameters := wanted.parameters_json():
            yield self._add(go_json(dict(sorted(parameters.items()))), MediaType.PARAMS)
        if wanted.messages:
            told = [{"role": one.role, "content": one.content} for one in wanted.messages]
            yield self._add(go_json(told), MediaType.MESSAGES)

    def _add(self, content: bytes, media_type: MediaType) -> Descriptor:
        digest = self.store.add_bytes(content)
        return Descriptor(media_type=media_type.value, digest=digest, size=len(content))

    def _config(self) -> ModelConfig:
        model, wanted = self.files.model, self.recipe.modelfile
        architecture = str(model.metadata.get("general.architecture", ""))
        keeps_shards = model.is_split and not self._merges
        return ModelConfig(
            family=architecture,
            families=(architecture,),
            parameter_size=parameter_size_label(model.parameter_count),
            file_type=file_type_name(model.metadata.get("general.file_type")),
            renderer=wanted.renderer or "",
            parser=wanted.parser or "",
            requires=wanted.requires or (_SHARDS_REQUIRE if keeps_shards else ""),
        )


_ARRIVALS = {"there": "was there already", "linked": "linked, nothing copied", "copied": "copied"}
