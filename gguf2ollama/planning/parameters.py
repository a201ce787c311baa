"""The stops, PARAMETER values and licences of a model, each with where it came from: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gguf2ollama.errors import UsageProblem
from gguf2ollama.families import Detection
from gguf2ollama.modelfiles import PARAMETERS, Parameter
from gguf2ollama.sources.model import Value

if TYPE_CHECKING:
    from gguf2ollama.planning.settings import ModelSettings

__all__ = [
    "choose_parameters",
    "parameter_lines",
    "read_licenses",
    "unusable_values",
    "without_cutting_stops",
]

# keys of llama.cpp's `general.sampling.*` (llama-arch.cpp) and the PARAMETER of the same meaning
_SAMPLING = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_last_n": "repeat_last_n",
    "penalty_repeat": "repeat_penalty",
}
_LICENSE = ("general.license", "general.license.name", "general.license.link")
_REQUESTED = "--param"
_EMBEDDING_BATCH = 2048  # tokens
_MAX_BATCH = (1 << 31) - 1


def without_cutting_stops(
    stops: Mapping[str, str], *, cutting: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """Return the stops that cut no answer, and a warning for each that would.

    Raises:
        UsageProblem: The user gave one that would.
    """
    for text in cutting:
        if stops.get(text) == _REQUESTED:
            raise UsageProblem(
                f"stop string {text!r} would cut answers off: the chat template prints it within them",
                hint="remove that --param",
            )
    kept = {text: source for text, source in stops.items() if text not in cutting}
    return kept, [
        f"stop string {text!r} ({source}) is not used: the chat template prints it within answers"
        for text, source in stops.items()
        if text in cutting
    ]


def choose_parameters(
    metadata: Mapping[str, Any], *, detection: Detection, settings: ModelSettings, stops: Mapping[str, str]
) -> dict[str, Value]:
    """Return each PARAMETER by name (``stop``: a list) with its origin, in the order of the Modelfile.

    The user's values precede those published with the GGUF, those ``general.sampling.*`` in it, those the
    configuration of the base model, and those the family's profile.
    """
    found: dict[str, Value] = {}
    if settings.context is not None and settings.context.tokens is not None:
        found["num_ctx"] = Value(value=settings.context.tokens, source=settings.context.reason)
    if detection.kind != "embedding":
        found |= {
            parameter.name: Value(value=parameter.value, source=parameter.source)
            for parameter in detection.parameters
        }
        if settings.draft_tokens is not None:
            found["draft_num_predict"] = settings.draft_tokens
        found |= settings.published.fallbacks
        found |= dict(_sampling(metadata))
        found |= settings.published.parameters
    found |= {
        parameter.name: Value(value=parameter.value, source=_REQUESTED)
        for parameter in settings.parameters
        if parameter.name != "stop"
    }
    if detection.kind == "embedding" and "num_batch" not in found:
        found |= _whole_texts(metadata, found.get("num_ctx"))
    if stops:
        sources = "; ".join(f"{text}: {source}" for text, source in stops.items())
        found["stop"] = Value(value=list(stops), source=sources)
    return found


def _whole_texts(metadata: Mapping[str, Any], context: Value | None) -> dict[str, Value]:
    """Return the batch with which a text as long as the context is embedded whole.

    Ollama starts models that embed with batches of at most 2,048 tokens unless the model says otherwise, and
    cuts longer texts without a word (``embeddingBatchSize`` in ``llm/llama_server.go`` of 0.34.4).
    """
    trained = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    tokens = trained if context is None else context.value  # which the server's own context limits
    if isinstance(tokens, bool) or not isinstance(tokens, int) or not _EMBEDDING_BATCH < tokens <= _MAX_BATCH:
        return {}
    return {"num_batch": Value(value=tokens, source="so that long texts are embedded whole")}


def parameter_lines(parameters: Mapping[str, Value]) -> Iterator[Parameter]:
    """Return the PARAMETER lines of a Modelfile: one for each value."""
    for name, parameter in parameters.items():
        for value in parameter.value if isinstance(parameter.value, list) else [parameter.value]:
            yield Parameter(name=name, value=value)


def read_licenses(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Return the licence that the GGUF names: its name and, if given, its URL."""
    texts = (metadata.get(key) for key in _LICENSE)
    named = dict.fromkeys(
        text.strip() for text in texts if isinstance(text, str) and text.strip() and _is_text(text)
    )
    if named:
        yield "\n".join(named)


def unusable_values(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Return a sentence for each licence and sampling value in the GGUF that is left out."""
    for key in _LICENSE:
        value = metadata.get(key)
        if value is not None and not (isinstance(value, str) and _is_text(value)):
            yield f"{key} in the GGUF is left out: it is not a text in UTF-8"
    for key, name in _SAMPLING.items():
        value = metadata.get(f"general.sampling.{key}")
        if value is not None and PARAMETERS[name].fit(value) is None:
            shown = repr(value) if isinstance(value, (int, float)) else "it"
            yield f"general.sampling.{key} in the GGUF is left out: {shown} is not valid for {name}"


def _is_text(text: str) -> bool:
    """Return whether a string of the header was valid UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that were not are kept as surrogates
        return False
    return True


def _sampling(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Read the sampling values that the authors wrote into the GGUF (llama.cpp's ``general.sampling.*``)."""
    for key, name in _SAMPLING.items():
        value = PARAMETERS[name].fit(metadata.get(f"general.sampling.{key}"))
        if value is not None:
            value = _shortest_float(value) if isinstance(value, float) else value
            yield name, Value(value=value, source=f"general.sampling.{key} in the GGUF")


def _shortest_float(value: float) -> float:
    """Return the decimal that 32 bits stand for: 0.699999988079071 was written as 0.7."""
    return float(f"{value:.7g}")
