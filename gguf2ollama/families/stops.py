"""Stop strings, and the tokens they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.families.profile import Profile

__all__ = ["Stop", "adds_bos", "served_token_text", "stops_for", "token_text"]

_END_KEYS = ("eos", "eot", "eom")
_CAP_CHARACTERS = 128  # the longest end-of-turn token known has 24
_NO_ENDS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
_BPE_ADDS_BOS = frozenset(
    {
        *("chameleon", "falcon-h1", "falcon3", "jina-v5-nano", "lfm2", "llama-bpe", "llama-v3"),
        *("llama3", "midm-2.0", "pixtral", "tekken"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A stop string, and where it comes from."""

    text: str
    source: str


def stops_for(metadata: Mapping[str, Any], *, profile: Profile | None) -> tuple[Stop, ...]:
    """Return the stop strings of a model: those of its end tokens, then those of its family.

    A family's string is used only if it is one of the file's tokens, provided that the file has tokens and
    the string looks like a token (``<…>``). Tags of thinking and tool calls are never stops.

    Args:
        metadata: The metadata of the GGUF.
        profile: The family, or ``None`` where it is not known.
    """
    found: dict[str, str] = {}
    for name in _END_KEYS:
        text = token_text(metadata, name)
        if text.strip() and text not in _NO_ENDS:
            found.setdefault(text, f"tokenizer.ggml.{name}_token_id in the GGUF")
    if profile:
        wanted = [text for text in profile.stops if text not in _NO_ENDS]
        for text in _known(metadata, texts=wanted):
            found.setdefault(text, f"end of a turn in {profile.title}")
    return tuple(Stop(text=text, source=source) for text, source in found.items())


def _known(metadata: Mapping[str, Any], *, texts: list[str]) -> list[str]:
    """Remove texts that look like tokens but are not among the file's tokens, if it has any."""
    tokens = metadata.get("tokenizer.ggml.tokens")
    special = {text for text in texts if text.startswith("<") and text.endswith(">")}
    if not special or not isinstance(tokens, Sequence) or isinstance(tokens, str):
        return texts
    return [text for text in texts if text not in special or text in tokens]


_DEFAULT_IDS = {"gpt2": {"bos": 11, "eos": 11}, "llama": {"bos": 1, "eos": 2}}
_WITHOUT_DEFAULTS = ("chatglm-bpe", "glm4")


def adds_bos(metadata: Mapping[str, Any]) -> bool:
    """Return whether the tokenizer puts BOS before a prompt, so that a TEMPLATE must not.

    If the file does not say, llama.cpp decides by tokenizer: source ``llama_vocab::impl::load`` in
    llama.cpp's ``src/llama-vocab.cpp``.
    """
    adds, model, pre = (metadata.get(f"tokenizer.ggml.{key}") for key in ("add_bos_token", "model", "pre"))
    if model == "gemma4" or pre == "gemma4":
        return True
    if isinstance(adds, bool):
        return adds
    return model in ("llama", "bert") or (model == "gpt2" and pre in _BPE_ADDS_BOS)


def token_text(metadata: Mapping[str, Any], name: str) -> str:
    """Return the text of a special token (``bos``, ``eos``, ``eot``, ``eom``); empty if there is none."""
    identifier = metadata.get(f"tokenizer.ggml.{name}_token_id")
    tokens = metadata.get("tokenizer.ggml.tokens")
    if isinstance(identifier, bool) or not isinstance(identifier, int) or not isinstance(tokens, Sequence):
        return ""
    text = tokens[identifier] if 0 <= identifier < len(tokens) else ""
    return text if isinstance(text, str) and len(text) <= _CAP_CHARACTERS and _is_unicode(text) else ""


def served_token_text(metadata: Mapping[str, Any], name: str) -> str:
    """Return the text of ``bos`` or ``eos`` that llama.cpp passes to a chat template; empty if there is none.

    Without such a token in the header, it is a fixed one of the vocabulary, by type of tokenizer: with
    GPT-2's a comma. Source: ``llama_vocab::impl::load`` in llama.cpp's ``src/llama-vocab.cpp`` (b11095).
    """
    key = f"tokenizer.ggml.{name}_token_id"
    model, pre = (metadata.get(f"tokenizer.ggml.{key}") for key in ("model", "pre"))
    if key in metadata or pre in _WITHOUT_DEFAULTS:
        return token_text(metadata, name)
    return token_text({**metadata, key: _DEFAULT_IDS.get(str(model), {}).get(name)}, name)


def _is_unicode(text: str) -> bool:
    """Return whether a text was valid UTF-8 in the file: other bytes are read as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
