"""A small model on disk, laid out."""

import os
import time

import pytest

from gguf2ollama.usecases.hashing import Hashing
from gguf2ollama.usecases.image import lay_out_image
from gguf2ollama.usecases.inspect import inspect
from tests.builders import build_shards, tiny_llama


def settle(path, *, seconds=60):
    """Let a file look as if it had not been changed for a while."""
    then = time.time_ns() - seconds * 10**9
    os.utime(path, ns=(then, then))
    return path


def hash_weights(image, *, cache, progress):
    """Give the digest of each layer of weights by its name."""
    with Hashing(cache=cache, progress=progress) as hashing:
        return hashing.digests(image)


@pytest.fixture
def gguf(tmp_path):
    return settle(tiny_llama(tmp_path / "Tiny-Q4_K_M.gguf"))


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    metadata = {"llama.context_length": 512, "general.file_type": 0}
    return [settle(path) for path in build_shards(folder, name="sharded", count=3, metadata=metadata)]


@pytest.fixture
def image_of():
    """Give a function that lays out the model of a source."""

    def one(source, *, takes_shards=True, **preferences):
        found = inspect(source, **preferences)
        return lay_out_image(found.files, recipe=found.recipe, takes_shards=takes_shards)

    return one
