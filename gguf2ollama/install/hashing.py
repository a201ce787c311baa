"""Hash the weights of a model in parallel, unless their digests are cached."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeAlias

from gguf2ollama.events import Progress, Update
from gguf2ollama.ggufio import GivenBytes
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.install.fair_share import FairShare
from gguf2ollama.oci import Digest, hash_stream
from gguf2ollama.planning.layers import Image, Weights

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Hashing"]

_Key: TypeAlias = "tuple[tuple[str, ...], Digest | None]"
_WAIT = 0.5  # seconds; Windows notices Ctrl-C only between waits


class _StoppedError(Exception):
    """Another task failed, or this digest is no longer needed."""


def _no_check() -> None:
    """Check nothing."""


class Hashing:
    """Hashes weights in the background while its ``with`` block runs, several layers in parallel.

    Hashing starts with :meth:`submit`; :meth:`digest` waits for one. The first failure stops all of it, and
    so does the end of the block.

    Args:
        cache: Digests of files; each new one is stored as soon as it is known.
        progress: Called with the bytes hashed, from several threads.
    """

    def __init__(self, *, cache: DigestCache, progress: Progress) -> None:
        self.cache = cache
        self._progress = progress
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._futures: dict[_Key, Future[Digest]] = {}
        self._cancelled: dict[_Key, threading.Event] = {}
        self._saving = threading.Lock()
        cores = os.cpu_count() or 1
        self._shares = FairShare(cores)
        # more than cores: else cores are idle while the last file is hashed
        self._pool = ThreadPoolExecutor(max_workers=2 * cores)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def submit(self, layers: Iterable[Weights]) -> None:
        """Start to hash layers whose digests are not known, in their order."""
        for layer in layers:
            self._start(layer)

    def keep_only(self, layers: Sequence[Weights]) -> None:
        """Hash these layers, and stop hashing others."""
        for key in self._futures.keys() - {_key(layer) for layer in layers}:
            del self._futures[key]
            if key in self._cancelled:
                self._cancelled.pop(key).set()
        self.submit(layers)

    def prioritise_in_order(self) -> None:
        """Hash no more layers at once than there are cores, so that the first digests are known early."""
        self._shares.keep_order()

    def digest(self, layer: Weights, *, check: Callable[[], None] = _no_check) -> Digest:
        """Wait for the digest of a layer and return it.

        Args:
            layer: The layer.
            check: Called now and then while waiting; it raises to stop that.

        Raises:
            FileChanged: A file has changed since its header was read.
            NotFound: A file no longer exists.
        """
        future = self._start(layer)
        while not wait((future,), timeout=_WAIT).done:
            check()
        if self._failure is not None and isinstance(future.exception(), _StoppedError):
            raise self._failure
        found = future.result()
        layer.require_unchanged()
        return found

    def digests(self, image: Image) -> Mapping[str, Digest]:
        """Wait for the digests of all layers of weights, and return each by its name.

        Raises:
            FileChanged: A file has changed since its header was read.
            NotFound: A file no longer exists.
        """
        self.submit(image.weights)
        found = {layer.name: self.digest(layer) for layer in image.weights}
        for layer in image.weights:
            layer.require_unchanged()  # while others were hashed
        return found

    def _start(self, layer: Weights) -> Future[Digest]:
        key = files, header = _key(layer)
        if key not in self._futures:
            if (known := self.cache.get(files, header=header)) is None:
                cancelled = self._cancelled[key] = threading.Event()
                self._shares.begin(cancelled, size=layer.size)  # not by its key: it may be submitted again
                self._futures[key] = self._pool.submit(self._hash, layer, key, cancelled)
            else:
                self._futures[key] = Future()
                self._futures[key].set_result(known)
        return self._futures[key]

    def _hash(self, layer: Weights, key: _Key, cancelled: threading.Event) -> Digest:
        files, header = key
        done = 0

        def is_stopped() -> bool:
            return self._stop.is_set() or cancelled.is_set()

        def advance(count: int) -> None:
            nonlocal done
            self._shares.advance(cancelled, count, is_stopped=is_stopped)
            if is_stopped():
                raise _StoppedError
            done += count
            self._progress(Update(task=f"hashing {layer.name}", done=done, total=layer.size))

        try:
            with layer.open() as stream:
                digest, _ = hash_stream(stream, advance=advance)
        except _StoppedError:
            raise
        except BaseException as error:
            self._failure = self._failure or error
            self._stop.set()
            raise
        finally:
            self._shares.end(cancelled)
        with self._saving:
            head_bytes = layer.shards[0].gguf.data_offset
            self.cache.put(files, digest, header=header, head_bytes=head_bytes)
            self.cache.save()
        return digest


def _key(layer: Weights) -> _Key:
    """Return what identifies the bytes of a layer: its files, and the digest of bytes given."""
    given = [piece.content for piece in layer.ranges if isinstance(piece, GivenBytes)]
    files = tuple(str(shard.path.resolve()) for shard in layer.shards)
    return files, Digest.of(b"".join(given)) if given else None
