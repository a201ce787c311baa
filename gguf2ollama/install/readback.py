"""Compare what a server reports of a model with the plan: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

from gguf2ollama.ollama import ModelInfo
from gguf2ollama.planning.recipe import Recipe

__all__ = ["Renders", "differences", "missing_capabilities", "renders_with"]

Renders: TypeAlias = Literal["as planned", "TEMPLATE", "chat template", "renderer"]
"""What a server renders a model's chats with: what was planned, or what replaces that."""

_QUOTED = 60  # characters of a value that a message quotes
_RELATIVE = 1e-6
_INSTEAD: Mapping[Renders, str] = {
    "TEMPLATE": "a TEMPLATE of the server's own",
    "chat template": "the chat template in the GGUF",
    "renderer": "the built-in renderer {}",
}
_SHOWN_BY_TEMPLATES = frozenset({"tools", "thinking", "insert"})  # of the capabilities


def differences(info: ModelInfo, *, recipe: Recipe) -> tuple[str, ...]:
    """Return a phrase for each difference from the plan; empty if there is none."""
    return tuple(_differences(info, recipe=recipe))


def renders_with(info: ModelInfo, *, recipe: Recipe) -> Renders:
    """Return what a server renders a model's chats with.

    It reports the chat template in the GGUF if a model has no TEMPLATE, or if that takes precedence.
    """
    if recipe.template_origin == "none":
        return "as planned"
    if info.renderer and not recipe.modelfile.renderer:
        return "renderer"
    if recipe.template_origin in {"native", "patched"}:
        return "as planned" if info.template == recipe.chat_template else "TEMPLATE"
    expected = recipe.template.value
    return "as planned" if expected is None or info.template == expected else "chat template"


def missing_capabilities(info: ModelInfo, *, recipe: Recipe) -> frozenset[str]:
    """Return the expected capabilities of templates that the server does not report.

    Servers before 0.6.4 report no capabilities at all.
    """
    missing = set(recipe.capabilities) - set(info.capabilities)
    return frozenset(missing & _SHOWN_BY_TEMPLATES) if info.capabilities else frozenset()


def _differences(info: ModelInfo, *, recipe: Recipe) -> Iterator[str]:
    modelfile = recipe.modelfile
    renders = renders_with(info, recipe=recipe)
    if recipe.template_origin == "user" and renders != "as planned":
        yield f"{_INSTEAD[renders].format(info.renderer)} is used instead of your template"
    elif recipe.is_chat_template_given and renders in {"TEMPLATE", "renderer"}:
        yield f"{_INSTEAD[renders].format(info.renderer)} is used instead of your chat template"
    if modelfile.parser is not None and info.parser != modelfile.parser:
        yield f"its parser is {info.parser or 'missing'}, expected {modelfile.parser}"
    if (modelfile.system or "") != info.system:
        yield f"its system prompt is {_quote(info.system)}, expected {_quote(modelfile.system or '')}"
    messages = tuple((message.role, message.content) for message in modelfile.messages)
    if info.messages != messages:
        yield f"it has {len(info.messages)} messages before each chat, expected {len(messages)}"
    for name, value in modelfile.parameters_json().items():
        reported = info.parameters.get(name)
        if not _same(reported, value):
            yield f"its {name} is {reported!r}, expected {value!r}"
    if modelfile.drafts and "\nDRAFT " not in info.modelfile:
        yield "it has no draft"
    # servers before 0.6.4 report none
    missing = [
        capability
        for capability in recipe.capabilities
        if capability not in info.capabilities and capability not in _SHOWN_BY_TEMPLATES
    ]
    if missing and info.capabilities:
        yield f"it lacks {', '.join(missing)}"


def _same(reported: object, expected: object) -> bool:
    if isinstance(expected, list):
        listed = reported if isinstance(reported, (list, tuple)) else (reported,)
        return [str(value) for value in listed] == [str(value) for value in expected]
    if isinstance(expected, (int, float)) and isinstance(reported, (int, float)):
        return abs(reported - expected) <= _RELATIVE * max(abs(reported), abs(expected))
    return reported == expected


def _quote(text: str) -> str:
    if not text:
        return "empty"
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…")
