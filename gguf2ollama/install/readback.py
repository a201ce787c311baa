"""Compare what a server reports of a model with what was asked for: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

from gguf2ollama.ollama import ModelInfo
from gguf2ollama.planning.recipe import Recipe

__all__ = ["Renders", "differences", "missing_capabilities", "renders_with"]

Renders: TypeAlias = Literal["as planned", "TEMPLATE", "chat template", "renderer"]
"""What a server renders a model's chats with: what was planned, or what takes the place of that."""

_QUOTED = 60  # characters of a value that a message quotes
_RELATIVE = 1e-6
_INSTEAD: Mapping[Renders, str] = {
    "TEMPLATE": "a TEMPLATE of the server's own",
    "chat template": "the chat template in the GGUF",
    "renderer": "the built-in renderer {}",
}
_SHOWN_BY_TEMPLATES = frozenset({"tools", "thinking"})  # of the capabilities


def differences(info: ModelInfo, *, recipe: Recipe) -> tuple[str, ...]:
    """Return one phrase for each thing that was asked for and is not so; none where all of it is."""
    return tuple(_differences(info, recipe=recipe))


def renders_with(info: ModelInfo, *, recipe: Recipe) -> Renders:
    """Return what a server renders a model's chats with.

    Of a model without a TEMPLATE, or with one that is passed over, it shows the chat template in the GGUF.
    """
    if recipe.template_origin == "none":
        return "as planned"
    if info.renderer and not recipe.modelfile.renderer:
        return "renderer"
    if recipe.template_origin in {"native", "patched"}:
        return "as planned" if info.template == recipe.chat_template else "TEMPLATE"
    wanted = recipe.template.value
    return "as planned" if wanted is None or info.template == wanted else "chat template"


def missing_capabilities(info: ModelInfo, *, recipe: Recipe) -> frozenset[str]:
    """Return what the model should support by its template, and does not.

    Servers before 0.6.4 report no capabilities at all.
    """
    lacking = set(recipe.capabilities) - set(info.capabilities)
    return frozenset(lacking & _SHOWN_BY_TEMPLATES) if info.capabilities else frozenset()


def _differences(info: ModelInfo, *, recipe: Recipe) -> Iterator[str]:
    wanted = recipe.modelfile
    renders = renders_with(info, recipe=recipe)
    if recipe.template_origin == "user" and renders != "as planned":
        yield f"{_INSTEAD[renders].format(info.renderer)} is used instead of your template"
    elif recipe.is_chat_template_given and renders in {"TEMPLATE", "renderer"}:
        yield f"{_INSTEAD[renders].format(info.renderer)} is used instead of your chat template"
    if wanted.parser is not None and info.parser != wanted.parser:
        yield f"its parser is {info.parser or 'missing'}, expected {wanted.parser}"
    if (wanted.system or "") != info.system:
        yield f"its system prompt is {_quote(info.system)}, expected {_quote(wanted.system or '')}"
    for name, value in wanted.parameters_json().items():
        reported = info.parameters.get(name)
        if not _same(reported, value):
            yield f"its {name} is {reported!r}, expected {value!r}"
    # servers before 0.6.4 report none
    missing = [
        one for one in recipe.capabilities if one not in info.capabilities and one not in _SHOWN_BY_TEMPLATES
    ]
    if missing and info.capabilities:
        yield f"it lacks {', '.join(missing)}"


def _same(reported: object, wanted: object) -> bool:
    if isinstance(wanted, list):
        listed = reported if isinstance(reported, (list, tuple)) else (reported,)
        return [str(one) for one in listed] == [str(one) for one in wanted]
    if isinstance(wanted, (int, float)) and isinstance(reported, (int, float)):
        return abs(reported - wanted) <= _RELATIVE * max(abs(reported), abs(wanted))
    return reported == wanted


def _quote(text: str) -> str:
    if not text:
        return "empty"
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…")
