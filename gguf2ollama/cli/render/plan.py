"""Show what a GGUF contains and what build would create."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gguf2ollama.cli.render.format import columns, size
from gguf2ollama.cli.render.memory import memory_json, memory_table
from gguf2ollama.cli.render.prompts import choice_json, choice_table

if TYPE_CHECKING:
    from gguf2ollama.api.build_steps import BuildResult
    from gguf2ollama.planning.inspection import Inspection
    from gguf2ollama.planning.plan import BuildPlan

__all__ = ["describe", "describe_origin", "inspection_json", "plan_json", "result_json"]

_LONGEST = 60  # characters of a value in a table


def describe(inspection: Inspection) -> str:
    """Write the facts of the file, the family with its evidence, each value with its origin, and the prompts.

    Of the prompts, how many match the chat template, by each way of rendering that was tried.
    """
    parts = [
        columns(("MODEL", ""), _facts(inspection)),
        columns(("FAMILY", ""), _family(inspection)),
        columns(("SETTING", "VALUE", "ORIGIN"), _values(inspection)),
    ]
    if table := memory_table(inspection):
        parts.append(table)
    if inspection.selection is not None:
        parts.append(choice_table(inspection.selection.choice))
    return "\n\n".join(parts)


def describe_origin(inspection: Inspection) -> str:
    """Write where the files are that are not local, and how little of them was downloaded."""
    origin = inspection.files.origin
    if origin is None:
        return ""
    if inspection.files.are_local and not origin.bytes_fetched:
        return f"{origin.source} ({origin.reason})"
    total = sum(shard.size for shard in inspection.files.shards)
    return f"Downloaded {size(origin.bytes_fetched)} of {size(total)}: {origin.source} ({origin.reason})"


def _facts(inspection: Inspection) -> list[tuple[str, str]]:
    model, facts = inspection.model, _fact_values(inspection)
    files = f"{len(model.shards)} shards" if model.is_split else "1 file"
    rows = [
        ("name", facts["name"] or model.name),
        ("architecture", facts["architecture"]),
        ("parameters", f"{facts['parameter_count']:,}"),
        ("quantization", facts["quantization"]),
        ("size", f"{size(facts['size_bytes'])} in {files}, {facts['tensor_count']} tensors"),
        ("format", f"GGUF v{facts['gguf_version']}, {facts['byte_order']} endian"),
    ]
    if inspection.memory is not None and (trained := inspection.memory.shape.context_length):
        rows.append(("context", f"{trained:,} tokens"))
    rows += [("projector", path) for path in facts["projectors"]]
    rows += [("draft", path) for path in facts["drafts"]]
    return rows


def _family(inspection: Inspection) -> list[tuple[str, str]]:
    detection = inspection.detection
    title = detection.profile.title if detection.profile else "unknown"
    rows = [("family", title), ("reason", detection.reason)]
    rows += [("evidence", item.what) for item in detection.evidence if item.what != detection.reason]
    rows += [("ruled out", f"{other.family}: {other.reason}") for other in detection.runners_up]
    return rows


def _values(inspection: Inspection) -> list[tuple[str, str, str]]:
    recipe, context = inspection.recipe, inspection.context
    rows = [] if "num_ctx" in recipe.parameters else [("num_ctx", "-", context.reason)]
    rows += [
        (name, _short(parameter.value), parameter.source)
        for name, parameter in recipe.parameters.items()
        if name != "stop"
    ]
    if (pooling := inspection.pooling) is not None and pooling.choice.value is not None:
        rows.append(("pooling", _short(pooling.choice.value), pooling.choice.source))
        rows += [
            (f"prompt {name}", _short(text), "put before a text") for name, text in pooling.prompts.items()
        ]
    rows += [("stop", _short(text), source) for text, source in recipe.stop_sources.items()]
    rows.append(("SYSTEM", _short(recipe.system.value), recipe.system.source))
    rows.append(("TEMPLATE", _short(recipe.template.value), recipe.template.source))
    if recipe.companion is not None:
        rows.append(("companion", _short(recipe.companion), recipe.companion_source))
    if recipe.parser.value is not None:
        rows.append(("PARSER", _short(recipe.parser.value), recipe.parser.source))
        rows.append(("REQUIRES", _short(recipe.modelfile.requires), "oldest Ollama with this parser"))
    rows += [
        (key, "-", "removed from the header")
        if value is None
        else (key, _short(value.value), "written into the header")
        for key, value in inspection.patch.changes.items()
    ]
    rows += [
        ("MESSAGE", f"{message.role} {_short(message.content)}", "as requested")
        for message in recipe.modelfile.messages
    ]
    rows += [("LICENSE", _short(text), "general.license in the GGUF") for text in recipe.modelfile.licenses]
    return rows


def _short(value: object) -> str:
    if value is None:
        return "-"
    text = str(value).replace("\n", "\\n")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _fact_values(inspection: Inspection) -> dict[str, Any]:
    from gguf2ollama.ggufio import file_type_name  # noqa: PLC0415 - loaded with the inspection

    model = inspection.model
    metadata = model.metadata
    return {
        "name": str(metadata.get("general.name", "")),
        "architecture": str(metadata.get("general.architecture", "")),
        "parameter_count": model.parameter_count,
        "quantization": file_type_name(metadata.get("general.file_type")),
        "size_bytes": model.total_bytes,
        "tensor_count": len(model.tensors),
        "gguf_version": model.first.version,
        "byte_order": model.first.byte_order,
        "files": [str(shard.path) for shard in model.shards],
        "projectors": [str(projector.path) for projector in inspection.files.projectors],
        "drafts": [str(draft.path) for draft in inspection.files.drafts],
    }


def inspection_json(inspection: Inspection, *, for_all: bool = True) -> dict[str, Any]:
    """Return the same as JSON values.

    Args:
        inspection: The model.
        for_all: Whether its memory is estimated for several contexts, and not only for the one that it gets.
    """
    detection, recipe = inspection.detection, inspection.recipe
    origin = inspection.files.origin
    return {
        "model": _fact_values(inspection),
        "origin": None
        if origin is None
        else {
            "location": origin.source,
            "commit": origin.commit,
            "reason": origin.reason,
            "downloaded_bytes": origin.bytes_fetched,
        },
        "memory": memory_json(inspection, for_all=for_all),
        "embeddings": _embeddings_json(inspection),
        "detection": {
            "kind": detection.kind,
            "family": detection.profile.family if detection.profile else None,
            "confidence": detection.confidence,
            "reason": detection.reason,
            "evidence": [
                {"kind": item.kind, "description": item.what, "weight": item.weight}
                for item in detection.evidence
            ],
            "ruled_out": [{"family": other.family, "reason": other.reason} for other in detection.runners_up],
        },
        "recipe": {
            "parameters": {
                name: {"value": parameter.value, "source": parameter.source}
                for name, parameter in recipe.parameters.items()
            },
            "system": {"value": recipe.system.value, "source": recipe.system.source},
            "template": {
                "value": recipe.template.value,
                "source": recipe.template.source,
                "origin": recipe.template_origin,
            },
            "parser": {"value": recipe.parser.value, "source": recipe.parser.source},
            "companion_template": None
            if recipe.companion is None
            else {"value": recipe.companion, "has_think_tags": recipe.has_thinking_tags},
            "requires": recipe.modelfile.requires,
            "patched_keys": list(inspection.patch.changes),
            "licenses": list(recipe.modelfile.licenses),
            "messages": [
                {"role": message.role, "content": message.content} for message in recipe.modelfile.messages
            ],
            "capabilities": list(recipe.capabilities),
            "warnings": list(inspection.warnings),
        },
        "prompts": None
        if inspection.selection is None
        else {"ollama_version": inspection.selection.version, **choice_json(inspection.selection.choice)},
    }


def _embeddings_json(inspection: Inspection) -> dict[str, Any] | None:
    if inspection.pooling is None or inspection.pooling.choice.value is None:
        return None
    choice = inspection.pooling.choice
    return {
        "pooling": choice.value,
        "source": choice.source,
        "prompts": [{"name": name, "text": text} for name, text in inspection.pooling.prompts.items()],
    }


def plan_json(plan: BuildPlan) -> dict[str, Any]:
    """Return what would be created as JSON values."""
    at = plan.destination
    return {
        "name": plan.name.short,
        "location": at.location,
        "transport": at.transport,
        "transport_reason": at.reason,
        "ollama_version": str(at.version),
        "created": False,
        "download_bytes": plan.bytes_to_fetch,
        "layers": [
            {"media_type": layer.media_type.value, "name": layer.name, "size_bytes": layer.size}
            for layer in plan.image.weights
        ]
        + [
            {"media_type": text.media_type.value, "name": None, "size_bytes": len(text.content)}
            for text in plan.image.texts
        ],
        "differences": [],
        "server_warnings": [],
        **inspection_json(plan.inspection, for_all=False),
    }


def result_json(result: BuildResult) -> dict[str, Any]:
    """Return what was created as JSON values."""
    return plan_json(result.plan) | {
        "created": True,
        "differences": list(result.differences),
        "server_warnings": list(result.warnings),
    }
