"""Decide how a model's answers end: by a token of its header, or by a stop string."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.families import Detection, Vocabulary, stops_for
from gguf2ollama.ggufio import HeaderPatch, TypedValue, ValueType
from gguf2ollama.ggufio.patching import UNCHANGED
from gguf2ollama.planning.settings import ModelSettings
from gguf2ollama.planning.target import Target

if TYPE_CHECKING:
    from gguf2ollama.chat.ends import End

__all__ = ["Ends", "choose_ends"]

_REQUESTED = "--param"
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
    text. Those at which it ends anyway need none; others go into the header. The user's stop strings replace
    all others.

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
    vocabulary = Vocabulary(metadata)
    wanted = {stop.text: stop.source for stop in stops_for(metadata, profile=detection.profile)}
    for text, source in settings.published.stops.items():
        wanted.setdefault(text, source)
    for end in learned:
        is_printed = end.number is None or not target.runs_llama_server
        if is_printed and not any(text in end.text for text in wanted):
            wanted[end.text] = end.what
    if requested:
        wanted = dict.fromkeys(requested, _REQUESTED)
    if not target.runs_llama_server:
        return Ends(stops=wanted)
    tokens = {end.text: end.number for end in learned if end.number is not None}
    for text in requested:
        mark = vocabulary.find(text)
        if mark is not None and not mark.is_printed and not mark.ends and mark.number is not None:
            tokens.setdefault(text, mark.number)
    patch, left_over = _patch(tokens, vocabulary=vocabulary)
    if not target.header_is_editable:
        patch, left_over = UNCHANGED, list(tokens)
    return Ends(
        stops={
            text: source
            for text, source in wanted.items()
            if source == _REQUESTED or (mark := vocabulary.find(text)) is None or mark.is_printed
        },
        patch=patch,
        warnings=tuple(
            f"answers may not end: Ollama does not end them at the token {text!r}, as the chat template does"
            for text in left_over
        ),
    )


def _patch(tokens: Mapping[str, int], *, vocabulary: Vocabulary) -> tuple[HeaderPatch, list[str]]:
    """Return the change of a header that names these tokens, and those for which it has no place."""
    free = [key for key in _SLOTS if not vocabulary.needs(key)]
    changes = {
        f"tokenizer.ggml.{key}_token_id": TypedValue(ValueType.UINT32, number)
        for key, number in zip(free, tokens.values(), strict=False)
    }
    return HeaderPatch(changes=changes), list(tokens)[len(free) :]
