"""The memory that a graph of tensors takes, allocated as llama.cpp does.

Tensors share memory as soon as their last use is over, so the buffer is as large as the worst moment, plus
the gaps that its best-fit allocator leaves: up to 60 % of it, and so worth following exactly. Rules of
llama.cpp b11095: ``ggml_gallocr_alloc_graph_impl`` and ``ggml_dyn_tallocr_alloc`` in ``ggml-alloc.c``,
and the copies between devices of ``ggml_backend_sched_split_graph`` in ``ggml-backend.cpp``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

__all__ = ["Graph", "Tensor"]

_ALIGNMENT = 128  # of CUDA; the CPU's is 64, which makes no difference that counts


class Tensor:
    """A tensor of a graph: its bytes, what it is computed of, and on which device."""

    __slots__ = (
        "begins_run",
        "children",
        "device",
        "in_place",
        "is_held",
        "is_input",
        "is_output",
        "offset",
        "root",
        "size",
        "sources",
        "views",
    )

    def __init__(self, size: int, sources: tuple[Tensor, ...], device: int) -> None:
        self.size = -(-max(size, 0) // _ALIGNMENT) * _ALIGNMENT
        self.sources = sources
        self.device = device
        self.root: Tensor | None = None
        """The tensor whose memory this is a view of."""
        self.in_place = self.is_input = self.is_output = self.begins_run = False
        self.children = self.views = self.offset = 0
        self.is_held = False


class Graph:
    """A graph, in the order in which it is computed.

    Attributes:
        device: Where further tensors are computed.
    """

    def __init__(self, *, device: int = -1) -> None:
        self.device = device
        self._inputs: list[Tensor] = []
        self._nodes: list[Tensor] = []

    def input(self, size: int, *, device: int = -1) -> Tensor:
        """Add an input: it is allocated before all else, and for good if nothing uses it."""
        tensor = Tensor(size, (), device)
        tensor.is_input = True
        self._inputs.append(tensor)
        return tensor

    def op(self, size: int, *sources: Tensor, in_place: bool = False) -> Tensor:
        """Add the result of an operation; `in_place` if it may overwrite a source of its size."""
        tensor = Tensor(size, sources, self.device)
        tensor.in_place = in_place
        self._nodes.append(tensor)
        return tensor

    def over(self, *sources: Tensor) -> Tensor:
        """Add the result of an operation that may overwrite its first source, whose size it has."""
        return self.op(sources[0].size, *sources, in_place=True)

    def copied(self, size: int) -> Tensor:
        """Add a copy of what another device keeps, such as a weight: with it a new run of nodes begins."""
        tensor = self.op(size)
        tensor.begins_run = True
        return tensor

    def view(self, tensor: Tensor) -> Tensor:
        """Add another view of a tensor's memory."""
        view = Tensor(tensor.size, (tensor,), tensor.device)
        view.root = tensor.root or tensor
        self._nodes.append(view)
        return view

    def use(self, *sources: Tensor) -> None:
        """Use tensors for a result that is stored elsewhere, such as in a cache."""
        self._nodes.append(sink := Tensor(0, sources, self.device))
        sink.is_output = True

    def allocate(self, *, copies: int = 1) -> Mapping[int, int]:
        """Return the bytes that each device needs.

        Args:
            copies: How many copies there are of what goes from one device to another, so that several
                batches can be under way. They are kept for good if there is more than one.
        """
        nodes = self._with_copies(copies)
        for node in nodes:
            if node.root is not None:
                node.root.views += 1
            for source in node.sources:
                source.children += 1
        pools: dict[int, _Pool] = {}
        for tensor in self._inputs:
            _allocate(tensor, pools)
        for node in nodes:
            if node.root is None and node.size:
                _allocate(node, pools)
            for source in node.sources:
                _release(source, pools)
        return {device: pool.peak for device, pool in pools.items()}

    def _keep_inputs(self, count: int) -> None:
        """Keep all inputs that are used, so many times."""
        used = {id(source) for node in self._nodes for source in node.sources}
        for tensor in [tensor for tensor in self._inputs if id(tensor) in used]:
            tensor.is_output = True
            self.input(tensor.size * (count - 1))

    def _runs(self) -> Iterator[list[Tensor]]:
        """Yield the nodes that one device computes one after the other."""
        run: list[Tensor] = []
        for node in self._nodes:
            if run and node.root is None and (node.begins_run or node.device != run[0].device):
                yield run
                run = []
            run.append(node)
        if run:
            yield run

    def _with_copies(self, count: int) -> list[Tensor]:
        """Return the nodes with the copies that each run begins with."""
        nodes: list[Tensor] = []
        copies: dict[tuple[int, int], Tensor] = {}
        if count > 1:
            self._keep_inputs(count)
        for run in self._runs():
            device = run[0].device
            for node in run:
                if all(source.device == device for source in node.sources):
                    continue
                for source in node.sources:
                    key = id(source), device
                    if source.device != device and key not in copies:
                        copies[key] = Tensor(source.size, (), device)
                        nodes.append(Tensor(0, (source,), source.device))
                        if count > 1:
                            copies[key].is_output = True
                            self._inputs += (copies[key], Tensor(source.size * (count - 1), (), device))
                        else:
                            nodes.append(copies[key])
                node.sources = tuple(
                    source if source.device == device else copies[id(source), device]
                    for source in node.sources
                )
                if node.root is not None and node.root.device != device:
                    node.root, node.device = node.sources[0].root or node.sources[0], device
            nodes += run
        return nodes


def _allocate(tensor: Tensor, pools: dict[int, _Pool]) -> None:
    tensor.is_held = True
    if tensor.in_place:
        for source in tensor.sources:
            if source.device != tensor.device or source.size != tensor.size or source.is_output:
                continue
            if not source.is_held or source.children != 1 or source.views:
                continue  # nor is a view ever overwritten: it holds no memory by itself
            source.is_held = False
            tensor.offset = source.offset
            return
    pool = pools.get(tensor.device)
    if pool is None:
        pool = pools[tensor.device] = _Pool()
    tensor.offset = pool.take(tensor.size)


def _release(tensor: Tensor, pools: dict[int, _Pool]) -> None:
    """Note that a use of a tensor is over."""
    tensor.children -= 1
    if tensor.children or tensor.views:
        return
    owner = tensor
    if tensor.root is not None:
        owner = tensor.root
        owner.views -= 1
        if owner.views or owner.children:
            return
    if owner.is_held and not owner.is_output:
        owner.is_held = False
        pools[owner.device].free(owner.offset, owner.size)


class _Pool:
    """The memory of a device: free blocks by offset, of which the last has no end."""

    def __init__(self) -> None:
        self.peak = 0
        self._blocks: list[tuple[int, int]] = [(0, 1 << 62)]

    def take(self, size: int) -> int:
        """Return the offset of the smallest free block that is large enough."""
        blocks = self._blocks
        best, best_size = len(blocks) - 1, 1 << 62
        for index in range(len(blocks) - 1):
            length = blocks[index][1]
            if size <= length <= best_size:
                best, best_size = index, length
        offset, length = blocks[best]
        if length == size:
            del blocks[best]
        else:
            blocks[best] = offset + size, length - size
        self.peak = max(self.peak, offset + size)
        return offset

    def free(self, offset: int, size: int) -> None:
        """Return a block, joined with its free neighbours."""
        blocks = self._blocks
        index = 0
        while index < len(blocks) and blocks[index][0] < offset:
            index += 1
        end = offset + size
        if index < len(blocks) and blocks[index][0] == end:
            end += blocks.pop(index)[1]
        if index and sum(blocks[index - 1]) == offset:
            index -= 1
            offset = blocks.pop(index)[0]
        blocks.insert(index, (offset, end - offset))
