"""Show what the chat templates of a model do besides printing chats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gguf2ollama.jinja import TemplateSafety
    from gguf2ollama.planning.inspection import Inspection
    from gguf2ollama.verification.verify import Verification

__all__ = ["inspection_safety", "safety_json", "safety_line", "safety_warning", "verification_safety"]


def inspection_safety(inspection: Inspection) -> Mapping[str, TemplateSafety]:
    """Check the chat templates of a model by their names; empty where it has none."""
    from gguf2ollama.chat.reference.variants import DEFAULT, chat_templates  # noqa: PLC0415 - not for help
    from gguf2ollama.jinja import check_safety  # noqa: PLC0415

    recipe, published = inspection.recipe, inspection.files.published.chat_template
    texts = chat_templates(inspection.model.metadata)
    if recipe.chat_template and recipe.is_chat_template_given:  # else it is changed by us
        texts[DEFAULT] = recipe.chat_template
    upstream = published.value if published is not None and not recipe.is_chat_template_given else None
    return {
        name: check_safety(text, upstream=upstream if name == DEFAULT else None)
        for name, text in texts.items()
    }


def verification_safety(found: Verification) -> Mapping[str, TemplateSafety]:
    """Check the chat templates that a model was compared with."""
    from gguf2ollama.chat.reference.variants import DEFAULT, TOOL_USE  # noqa: PLC0415 - not for help
    from gguf2ollama.jinja import check_safety  # noqa: PLC0415

    if found.authors is None:
        return {}
    texts = {DEFAULT: found.authors.chat_template, TOOL_USE: found.authors.tool_use}
    return {name: check_safety(text) for name, text in texts.items() if text}


def safety_line(safeties: Mapping[str, TemplateSafety]) -> str:
    """Write one line about all of them, or about each where they differ."""
    if not safeties:
        return "none"
    lines = {name: safety.summary for name, safety in safeties.items()}
    if len(set(lines.values())) == 1:
        return next(iter(lines.values()))
    return "; ".join(f"{name} {summary}" for name, summary in lines.items())


def safety_warning(safeties: Mapping[str, TemplateSafety]) -> str | None:
    """Return what to warn of: what ordinary chat templates do not do."""
    suspicious = {name: safety for name, safety in safeties.items() if safety.is_suspicious}
    if not suspicious:
        return None
    return f"check the chat template before you use this model: it {safety_line(suspicious)}"


def safety_json(safeties: Mapping[str, TemplateSafety]) -> list[dict[str, Any]]:
    """Return the same as JSON values, a value for each template."""
    return [
        {
            "template": name,
            "only_prints": safety.only_prints,
            "suspicious": safety.is_suspicious,
            "findings": [
                {
                    "kind": finding.kind,
                    "text": finding.text,
                    "line": finding.line or None,
                    "suspicious": finding.is_suspicious,
                }
                for finding in safety.findings
            ],
        }
        for name, safety in safeties.items()
    ]
