"""Compare a model on a host with what the file asks for: pure, by its record and by what the host shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama._text import one_line
from gguf2ollama.install.readback import renders_with
from gguf2ollama.ollama import ModelInfo
from gguf2ollama.planning.plan import BuildPlan
from gguf2ollama.planning.stored.record import BuildRecord

__all__ = ["Difference", "compare", "own_licenses"]

_SHOWN = 60  # characters of a value
_RELATIVE = 1e-6  # of a number: Ollama keeps 32 bits
_RECORDS = "gguf2ollama: "
_IN_MODELFILE = lazy_pattern(r"^FROM .*sha256[-:]([0-9a-f]{64})\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference of a model on a host from the file.

    Attributes:
        what: What differs: ``source``, ``weights``, ``system``, ``template``, ``parameters.NAME``, …
        current: What it is now; ``None`` if there is none.
        wanted: What it should be; ``None`` if there should be none.
        is_drift: Whether it was changed on the host, and not in the file or at the source.
    """

    what: str
    current: str | None
    wanted: str | None
    is_drift: bool = False

    def __str__(self) -> str:
        drift = " (changed on the host)" if self.is_drift else ""
        return f"{self.what}: {_text(self.current)} → {_text(self.wanted)}{drift}"


def compare(
    info: ModelInfo, plan: BuildPlan, *, digest: str, layers: frozenset[str] = frozenset()
) -> tuple[Difference, ...]:
    """Return how a model on a host differs from a plan for the same transport; empty if it does not.

    Args:
        info: What the host shows of it.
        plan: The plan.
        digest: What identifies its weights (``weights_digest``); empty if not known before a download.
        layers: The sha256 of the files that the host should run; empty if not known, or if it rewrites them.
    """
    record, made = BuildRecord.find(info.license), plan.inspection.recipe.made
    is_same_recipe = record is not None and made is not None and record.recipe == made.recipe
    found = list(_weights(record, made, digest=digest))
    running = frozenset(_IN_MODELFILE.findall(info.modelfile))
    if not found and layers and running and not layers & running:
        current, wanted = min(running)[:12], min(layers)[:12]
        found.append(Difference(what="weights", current=current, wanted=wanted, is_drift=True))
    visible = [_drifted(difference, is_drift=is_same_recipe) for difference in _visible(info, plan)]
    found += visible
    if record is not None and not is_same_recipe and not visible and made is not None:
        found.append(Difference(what="recipe", current=record.recipe[:12], wanted=made.recipe[:12]))
    return tuple(found)


def own_licenses(licenses: str) -> str:
    """Return the licences of a model without the lines that we add."""
    return "\n".join(line for line in licenses.splitlines() if not line.startswith(_RECORDS))


def _drifted(difference: Difference, *, is_drift: bool) -> Difference:
    return Difference(
        what=difference.what, current=difference.current, wanted=difference.wanted, is_drift=is_drift
    )


def _weights(record: BuildRecord | None, made: BuildRecord | None, *, digest: str) -> Iterator[Difference]:
    if made is None:
        return
    if record is None:
        yield Difference(what="source", current="not recorded in the model", wanted=_source(made))
    elif not digest:
        if record.source != made.source:
            yield Difference(what="source", current=_source(record), wanted=_source(made))
    elif record.digest != digest:
        if _source(record) != _source(made):
            yield Difference(what="source", current=_source(record), wanted=_source(made))
        yield Difference(what="weights", current=record.digest[:12], wanted=digest[:12])


def _source(record: BuildRecord) -> str:
    return f"{record.source} at {record.commit[:12]}" if record.commit else record.source


def _visible(info: ModelInfo, plan: BuildPlan) -> Iterator[Difference]:
    recipe = plan.inspection.recipe
    modelfile = recipe.modelfile
    if (found := _template(info, plan)) is not None:
        yield found
    if (modelfile.parser or "") != info.parser and recipe.template_origin != "none":
        yield Difference(what="parser", current=info.parser or None, wanted=modelfile.parser)
    if (modelfile.system or "") != info.system:
        yield Difference(what="system", current=info.system or None, wanted=modelfile.system or None)
    messages = tuple((message.role, message.content) for message in modelfile.messages)
    if info.messages != messages:
        yield Difference(what="messages", current=str(len(info.messages)), wanted=f"{len(messages)} (others)")
    if own_licenses(info.license).strip() != own_licenses("\n".join(modelfile.licenses)).strip():
        yield Difference(
            what="license",
            current=own_licenses(info.license) or None,
            wanted="\n".join(modelfile.licenses) or None,
        )
    wanted = modelfile.parameters_json()
    for name in sorted({*wanted, *info.parameters}):
        current, value = info.parameters.get(name), wanted.get(name)
        if not _is_same(current, value):
            yield Difference(what=f"parameters.{name}", current=_value(current), wanted=_value(value))


def _template(info: ModelInfo, plan: BuildPlan) -> Difference | None:
    recipe, destination = plan.inspection.recipe, plan.destination
    renders = renders_with(info, recipe=recipe)
    if renders == "as planned":
        return None
    # an upload ends with `create`, which may add a TEMPLATE of its own to a model for which we have none
    if destination.by_upload and recipe.modelfile.template is None and renders in {"TEMPLATE", "renderer"}:
        return None
    return Difference(
        what="template",
        current=info.renderer or one_line(info.template),
        wanted=one_line(recipe.template.value or recipe.chat_template),
    )


def _is_same(current: Any, wanted: Any) -> bool:  # noqa: ANN401 - values of parameters
    if isinstance(wanted, list) or isinstance(current, (list, tuple)):
        return [str(value) for value in _listed(current)] == [str(value) for value in _listed(wanted)]
    if isinstance(wanted, (int, float)) and isinstance(current, (int, float)):
        return abs(current - wanted) <= _RELATIVE * max(abs(current), abs(wanted))
    return bool(current == wanted)


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - as above
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _value(value: Any) -> str | None:  # noqa: ANN401 - as above
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return None if value is None else str(value)


def _text(value: str | None) -> str:
    return "none" if value is None else one_line(value, limit=_SHOWN)
