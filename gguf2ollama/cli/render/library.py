"""Show what became of all models in folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gguf2ollama.cli.render.format import columns, size

if TYPE_CHECKING:
    from gguf2ollama.api.build_all import LibraryResult, ModelState

__all__ = ["library_json", "library_summary", "library_table"]

_SUMMARY: dict[ModelState, str] = {
    "created": "created",
    "new": "would be created",
    "exists": "already there",
    "taken": "with a name that is taken",
    "failed": "failed",
}
_STATES = {"exists": "already there", "taken": "name taken", "new": "would create"}


def library_table(result: LibraryResult) -> str:
    """Write a row for each model: its name, size, state, and file."""
    rows = [
        (
            model.name.short if model.name is not None else "-",
            size(model.size),
            _STATES.get(model.state, model.state),
            f"{model.path}{f' + {model.projectors[0].name}' if model.projectors else ''}",
            model.reason if model.state in {"failed", "taken"} else "",
        )
        for model in result.models
    ]
    return columns(("NAME", "SIZE", "STATE", "FILE", ""), rows)


def library_summary(result: LibraryResult) -> str:
    """Write how many models there are of each kind, in one line."""
    counts = [f"{count} {word}" for state, word in _SUMMARY.items() if (count := result.count(state))]
    skipped = f"; {len(result.skipped)} files skipped (--verbose lists them)" if result.skipped else ""
    return f"{len(result.models)} models: {', '.join(counts) or 'none'}{skipped}"


def library_json(result: LibraryResult) -> dict[str, Any]:
    """Return the same as JSON values."""
    return {
        "location": result.location,
        "models": [
            {
                "name": model.name.short if model.name is not None else None,
                "path": str(model.path),
                "size_bytes": model.size,
                "projectors": [str(path) for path in model.projectors],
                "state": model.state,
                "reason": model.reason,
                "warnings": list(model.warnings),
            }
            for model in result.models
        ],
        "skipped": [{"path": str(file.path), "reason": file.reason} for file in result.skipped],
    }
