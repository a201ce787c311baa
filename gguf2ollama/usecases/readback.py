"""Compare what a server tells of a model with what was asked for: pure."""

from __future__ import annotations

from collections.abc import Iterator

from gguf2ollama.ollama import ModelInfo
from gguf2ollama.recipe import Recipe

__all__ = ["differences"]

_QUOTED = 60  # characters of a value that a message quotes
_RELATIVE = 1e-6


def differences(info: ModelInfo, *, recipe: Recipe) -> tuple[str, ...]:
    """Give one phrase for each thing that differs; none where the model is what was asked for."""
    return tuple(_differences(info, recipe=recipe))


def _differences(info: ModelInfo, *, recipe: Recipe) -> Iterator[str]:
    wanted = recipe.modelfile
    if wanted.template is not None and info.template != wanted.template:
        yield f"its template is not the one that was given ({_quote(info.template)})"
    if recipe.template_origin in {"native", "patched"} and info.template != recipe.chat_template:
        yield f"a template was put before the one in the GGUF ({_quote(info.template)})"
    if wanted.parser is not None and info.parser != wanted.parser:
        yield f"its parser of answers is {info.parser or 'none'}, {wanted.parser} was asked for"
    if wanted.template is not None and info.renderer:
        yield f"the renderer {info.renderer} was put before its template"
    if (wanted.system or "") != info.system:
        yield f"its system text is {_quote(info.system)}"
    for name, value in wanted.parameters_json().items():
        told = info.parameters.get(name)
        if not _same(told, value):
            yield f"its {name} is {told!r}, {value!r} was asked for"
    # servers before 0.6.4 tell none
    missing = [one for one in recipe.capabilities if one not in info.capabilities]
    if missing and info.capabilities:
        yield f"it lacks {', '.join(missing)}"


def _same(told: object, wanted: object) -> bool:
    if isinstance(wanted, list):
        listed = told if isinstance(told, (list, tuple)) else (told,)
        return [str(one) for one in listed] == [str(one) for one in wanted]
    if isinstance(wanted, (int, float)) and isinstance(told, (int, float)):
        return abs(told - wanted) <= _RELATIVE * max(abs(told), abs(wanted))
    return told == wanted


def _quote(text: str) -> str:
    if not text:
        return "empty"
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…")
