"""Show what was found in the tensors of a model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gguf2ollama._text import one_line
from gguf2ollama.cli.render.format import columns

if TYPE_CHECKING:
    from gguf2ollama.verification.tensor_check import TensorCheck

__all__ = ["describe_tensors", "tensor_check_json", "tensor_warnings"]

_NAMED = 3


def describe_tensors(check: TensorCheck) -> str:
    """Write how many tensors were checked, and which are damaged; all of those, a line each."""
    n_checked = check.n_tensors - len(check.skipped)
    rows = [
        ("checked", f"{n_checked:,} of {check.n_tensors:,}, {check.n_elements:,} elements"),
        ("damaged", f"{len(check.damaged):,}"),
    ]
    return "\n".join([columns(("TENSORS", ""), rows), *(one_line(str(tensor)) for tensor in check.damaged)])


def tensor_warnings(check: TensorCheck) -> Iterator[str]:
    """Write what was not checked, and what is suspicious, one sentence each."""
    by_reason: dict[tuple[str, str], list[str]] = defaultdict(list)
    for skipped in check.skipped:
        by_reason[skipped.tensor.type.name, skipped.reason].append(skipped.tensor.name)
    for (kind, reason), names in by_reason.items():
        yield f"{_listed(names)} of type {kind} not checked: {reason}"
    if check.zeros:
        yield (
            f"{_listed([tensor.name for tensor in check.zeros])} with nothing but zeros:"
            " a download or a copy with a hole in it looks like that"
        )


def tensor_check_json(check: TensorCheck) -> dict[str, Any]:
    """Return the same as JSON values."""
    return {
        "tensor_count": check.n_tensors,
        "checked_count": check.n_tensors - len(check.skipped),
        "element_count": check.n_elements,
        "damaged": [
            {
                "file": str(damaged.shard.path),
                "tensor": damaged.tensor.name,
                "type": damaged.tensor.type.name,
                "block": damaged.block,
                "first_element": damaged.first_element,
                "last_element": damaged.last_element,
                "offset_bytes": damaged.offset,
                "problem": damaged.problem,
            }
            for damaged in check.damaged
        ],
        "skipped": [
            {
                "file": str(skipped.shard.path),
                "tensor": skipped.tensor.name,
                "type": skipped.tensor.type.name,
                "reason": skipped.reason,
            }
            for skipped in check.skipped
        ],
        "zero_tensors": [tensor.name for tensor in check.zeros],
    }


def _listed(names: list[str]) -> str:
    shown = ", ".join(one_line(name) for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{len(names):,} {'tensors' if len(names) > 1 else 'tensor'} ({shown}{more})"
