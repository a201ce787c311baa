"""Decide how a model's answers end: by a token of its header, or by a stop string."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.families import Detection, Vocabulary, stops_for
from gguf2ollama.families.vocabulary import USER_DEFINED, End
from gguf2ollama.ggufio import HeaderPatch, TypedValue, ValueType
from gguf2ollama.ggufio.patching import UNCHANGED
from gguf2ollama.planning.settings import ModelSettings
from gguf2ollama.planning.target import Target

__all__ = ["Ends", "choose_ends"]

_REQUESTED = "--param"
_TYPES = "tokenizer.ggml.token_type"
_SLOTS = ("eot", "eom")  # the header names one token each, beside that of the end of the text


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """How a model's answers end.

    Attributes:
        stops: Each stop string and where it came from.
        patch: The change of the header that has llama.cpp end at further tokens.
        warnings: What does not end, one sentence each.
    """

    stops: Mapping[str, str]
    patch: HeaderPatch = UNCHANGED
    warnings: tuple[str, ...] = ()


def choose_ends(
    metadata: Mapping[str, Any],
    *,
    detection: Detection,
    settings: ModelSettings,
    target: Target,
    learned: Sequence[End] = (),
) -> Ends:
    """Choose stop strings, and the tokens at which a header has llama.cpp end.

    Since 0.30 Ollama runs llama-server, which does not print control tokens: no stop string matches their
    text. Those at which it ends anyway need none; others go into the header as such, or where llama.cpp
    parses their text as tokens that are printed. The user's stop strings replace all others.

    Args:
        metadata: The metadata of the GGUF.
        detection: Its family.
        settings: What the user requests and the publishers recommend.
        target: The Ollama that will run it.
        learned: The marks at which turns end by its chat template, where llama.cpp does not end.
    """
    requested = [str(one.value) for one in settings.parameters if one.name == "stop"]
    if detection.kind == "embedding" and not requested:
        return Ends(stops={})
    stops = dict.fromkeys(requested, _REQUESTED) or _detected_stops(
        metadata, detection=detection, settings=settings, target=target, learned=learned
    )
    if not target.runs_llama_server:
        return Ends(stops=stops)
    vocabulary = Vocabulary(metadata)
    hidden = {end.text: end for end in (*learned, *_hidden(requested, vocabulary)) if end.number is not None}
    patch, left_over = _patch(metadata, hidden.values(), vocabulary=vocabulary)
    if not target.header_is_editable:
        patch, left_over = UNCHANGED, list(hidden)
    shown = {end.text for end in learned if end.is_parsed and (patch or end.number is None)}

    def may_match(text: str) -> bool:
        mark = vocabulary.find(text)
        return mark is None or mark.is_printed or text in shown

    return Ends(
        stops={text: why for text, why in stops.items() if why == _REQUESTED or may_match(text)},
        patch=patch,
        warnings=tuple(
            f"answers may not end: Ollama does not end them at the token {text!r}, as the chat template does"
            for text in left_over
        ),
    )


def _detected_stops(
    metadata: Mapping[str, Any],
    *,
    detection: Detection,
    settings: ModelSettings,
    target: Target,
    learned: Sequence[End],
) -> dict[str, str]:
    """Return the stop strings that nobody asked for, each with where it came from."""
    stops = {stop.text: stop.source for stop in stops_for(metadata, profile=detection.profile)}
    for text, source in settings.published.stops.items():
        stops.setdefault(text, source)
    for end in learned:
        is_printed = end.number is None or end.is_parsed or not target.runs_llama_server
        if is_printed and not any(text in end.text for text in stops):
            stops[end.text] = end.what
    return stops


def _hidden(texts: Sequence[str], vocabulary: Vocabulary) -> Iterator[End]:
    """Yield the texts that are tokens which are not printed and do not end an answer either."""
    for text in texts:
        mark = vocabulary.find(text)
        if mark is not None and not mark.is_printed and not mark.ends:
            yield End(text=text, number=mark.number, what=_REQUESTED)


def _patch(
    metadata: Mapping[str, Any], ends: Collection[End], *, vocabulary: Vocabulary
) -> tuple[HeaderPatch, list[str]]:
    """Return the change by which a header ends answers at these tokens, and those that find no place."""
    numbers = {end.text: end.number for end in ends if not end.is_parsed and end.number is not None}
    free = [key for key in _SLOTS if not vocabulary.needs(key)]
    changes = {
        f"tokenizer.ggml.{key}_token_id": TypedValue(ValueType.UINT32, number)
        for key, number in zip(free, numbers.values(), strict=False)
    }
    if printed := [end.number for end in ends if end.is_parsed and end.number is not None]:
        changes[_TYPES] = TypedValue.array(
            ValueType.INT32,
            [USER_DEFINED if at in printed else kind for at, kind in enumerate(metadata[_TYPES])],
        )
    return HeaderPatch(changes=changes), list(numbers)[len(free) :]
