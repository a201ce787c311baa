"""Read all numbers of a model and name the tensors that no program can compute with.

NaN and infinities spread through every product that they meet, so one of them makes a model answer gibberish
or nothing. They come from disks and transfers that lost bytes, and from conversions that went wrong; the
header shows nothing of that.
"""

from __future__ import annotations

import io
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import FileChanged, InvalidGguf
from gguf2ollama.events import Progress, ignore
from gguf2ollama.fs.sharing import CHANGED
from gguf2ollama.ggufio import ByteOrder, Shard, TensorInfo, TensorType
from gguf2ollama.ggufio.copying import Meter, open_unchanged
from gguf2ollama.ggufio.tensors import tensor_bytes
from gguf2ollama.install.parallel import run_parallel
from gguf2ollama.verification.tensor_blocks import Checker, NotCheckable, make_checker

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["DamagedTensor", "SkippedTensor", "TensorCheck", "check_tensors"]

_CHUNK_ELEMENTS = 1 << 18  # decoded, 1 MiB and some copies of it: what a core's cache holds is quickest
_PART_CHUNKS = 64  # what a thread does before it takes the next part
_MOST_THREADS = 8
_KEPT_BYTES = 16 << 20  # glibc's own bound is 32 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedTensor:
    """A tensor with its first fault.

    Attributes:
        shard: The file that holds it.
        tensor: As the header describes it.
        block: Index of the first faulty block; without blocks, of the element.
        first_element: Index of the first element of that block, in the order of the file.
        last_element: Index of the last.
        offset: Where the block begins, in bytes from the start of the file.
        problem: Such as ``"scale d is NaN"``.
    """

    shard: Shard
    tensor: TensorInfo
    block: int
    first_element: int
    last_element: int
    offset: int
    problem: str

    def __str__(self) -> str:
        kind = self.tensor.type
        where = f"element {self.first_element:,}"
        if kind.block_size > 1:
            where = f"block {self.block:,} (elements {self.first_element:,} to {self.last_element:,})"
        return (
            f"{self.shard.path}: tensor {self.tensor.name} ({kind.name}) is damaged:"
            f" {where} at byte {self.offset:,}: {self.problem}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedTensor:
    """A tensor that could not be checked, and why.

    Attributes:
        shard: The file that holds it.
        tensor: As the header describes it.
        reason: Why nothing is known of its numbers.
    """

    shard: Shard
    tensor: TensorInfo
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorCheck:
    """What was found in the tensors of some files, in their order.

    Attributes:
        n_tensors: Tensors of all files.
        n_elements: Numbers that were checked.
        damaged: Tensors that hold NaN, infinities, or a block that no quantizer writes.
        skipped: Tensors that could not be checked.
        zeros: Tensors of two or more dimensions with no byte but zeros, what a download with a hole leaves.
    """

    n_tensors: int
    n_elements: int
    damaged: tuple[DamagedTensor, ...]
    skipped: tuple[SkippedTensor, ...]
    zeros: tuple[TensorInfo, ...]

    def require_sound(self) -> None:
        """Do nothing if no tensor is damaged.

        Raises:
            InvalidGguf: Some are; the message names the first.
        """
        if self.damaged:
            more = len(self.damaged) - 1
            others = f"; {more:,} more {'tensors are' if more > 1 else 'tensor is'} damaged" if more else ""
            raise InvalidGguf(
                f"{self.damaged[0]}{others}",
                hint="get the file again and compare its checksum with the publisher's;"
                " if that is right, the conversion went wrong",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Some blocks of one tensor, from ``start`` to before ``end`` in bytes of its data."""

    shard: Shard
    tensor: TensorInfo
    check: Checker
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _PartResult:
    damaged: DamagedTensor | None
    is_zero: bool


def check_tensors(shards: Sequence[Shard], *, progress: Progress = ignore) -> TensorCheck:
    """Decode every tensor of some files in bounded memory, some 10 MiB for each of at most 8 threads.

    Args:
        shards: The files of a model: its shards and its projectors.
        progress: Receives the bytes checked, from several threads.

    Raises:
        FileChanged: A file changed since its header was read.
        NotFound: A file is gone.
    """
    _keep_freed_memory()
    parts, skipped = _plan(shards)
    meter = Meter("checking tensors", sum(part.end - part.start for part in parts), progress)
    lock = threading.Lock()

    def check_part(part: _Part, stop_if_cancelled: Callable[[], None]) -> _PartResult:
        def report(count: int) -> None:
            stop_if_cancelled()
            with lock:
                meter(count)

        return _check_part(part, report=report)

    results = run_parallel(check_part, parts, most=min(os.cpu_count() or 1, _MOST_THREADS))
    damaged, zeros = _by_tensor(parts, results)
    return TensorCheck(
        n_tensors=sum(len(shard.gguf.tensors) for shard in shards),
        n_elements=sum(part.tensor.n_elements for part in parts if part.start == 0),
        damaged=tuple(damaged),
        skipped=tuple(skipped),
        zeros=tuple(zeros),
    )


def _keep_freed_memory() -> None:
    """Free a large block once: glibc then keeps what is freed up to that size instead of unmapping it.

    Decoding allocates and frees some MiB thousands of times, and takes four times as long where the system
    maps and clears each page again (``M_MMAP_THRESHOLD`` in mallopt(3) is dynamic).
    """
    import numpy as np  # noqa: PLC0415 - heavy

    np.empty(_KEPT_BYTES, np.uint8)


def _plan(shards: Sequence[Shard]) -> tuple[list[_Part], list[SkippedTensor]]:
    """Cut all tensors into parts, in the order of the files."""
    checkers: dict[tuple[TensorType, ByteOrder], Checker | NotCheckable] = {}
    parts: list[_Part] = []
    skipped: list[SkippedTensor] = []
    for shard in shards:
        for tensor in shard.gguf.tensors:
            key = tensor.type, shard.gguf.byte_order
            if key not in checkers:
                checkers[key] = _checker(*key)
            check = checkers[key]
            if isinstance(check, NotCheckable):
                skipped.append(SkippedTensor(shard=shard, tensor=tensor, reason=str(check)))
                continue
            step = _PART_CHUNKS * _chunk_bytes(tensor.type)
            parts += [
                _Part(
                    shard=shard,
                    tensor=tensor,
                    check=check,
                    start=start,
                    end=min(start + step, tensor.n_bytes),
                )
                for start in range(0, tensor.n_bytes, step)
            ]
    return parts, skipped


def _checker(kind: TensorType, byte_order: ByteOrder) -> Checker | NotCheckable:
    try:
        return make_checker(kind, byte_order=byte_order)
    except NotCheckable as reason:
        return reason


def _chunk_bytes(kind: TensorType) -> int:
    return tensor_bytes(kind, _CHUNK_ELEMENTS)


def _check_part(part: _Part, *, report: Callable[[int], None]) -> _PartResult:
    """Check blocks until one is faulty."""
    kind = part.tensor.type
    data_start = part.shard.gguf.data_offset + part.tensor.offset
    is_zero = True
    with open_unchanged(part.shard.path, part.shard.gguf) as file:
        file.seek(data_start + part.start)
        for start in range(part.start, part.end, _chunk_bytes(kind)):
            data = _read(file, min(_chunk_bytes(kind), part.end - start))
            is_zero = is_zero and not data.any()
            if (fault := part.check(data)) is not None:
                report(part.end - start)
                offset = start + fault.block * kind.block_bytes
                block = offset // kind.block_bytes
                damaged = DamagedTensor(
                    shard=part.shard,
                    tensor=part.tensor,
                    block=block,
                    first_element=block * kind.block_size,
                    last_element=(block + 1) * kind.block_size - 1,
                    offset=data_start + offset,
                    problem=fault.problem,
                )
                return _PartResult(damaged=damaged, is_zero=False)
            report(len(data))
    return _PartResult(damaged=None, is_zero=is_zero)


def _read(file: io.FileIO, length: int) -> npt.NDArray[np.uint8]:
    import numpy as np  # noqa: PLC0415 - heavy

    data = np.empty(length, np.uint8)
    window = memoryview(data.data)
    while window:
        count = file.readinto(window)
        if not count:
            raise FileChanged(f"{file.name} ended while it was being read", hint=CHANGED)
        window = window[count:]
    return data


def _by_tensor(
    parts: Sequence[_Part], results: Sequence[_PartResult]
) -> tuple[list[DamagedTensor], list[TensorInfo]]:
    """Return the first damage of each tensor, and the matrices that are all zeros; vectors often are."""
    damaged: list[DamagedTensor] = []
    zeros: list[TensorInfo] = []
    pairs = zip(parts, results, strict=True)
    for _, group in itertools.groupby(pairs, key=lambda pair: id(pair[0].tensor)):
        of_tensor = list(group)
        tensor = of_tensor[0][0].tensor
        damaged += [result.damaged for _, result in of_tensor if result.damaged is not None][:1]
        if len(tensor.shape) > 1 and all(result.is_zero for _, result in of_tensor):
            zeros.append(tensor)
    return damaged, zeros
