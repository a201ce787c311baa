"""What llama.cpp makes of the special tokens of a vocabulary: which end an answer, and which it prints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.families.stops import served_token_text, token_text

__all__ = ["USER_DEFINED", "End", "Mark", "Vocabulary"]

# tokens that end an answer by their text, whatever their type; found also in the llama.cpp of Ollama 0.32.15.
# Source: `special_eog_ids` in llama.cpp's src/llama-vocab.cpp (b11095, b10488).
_ENDS = frozenset(
    {
        *("<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>"),
        *("<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]"),
        *("<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>"),
        *("<｜end▁of▁sentence｜>", "[e~["),  # noqa: RUF001 - so it is written
    }
)
# within an answer of the models that have these tokens (same source)
_WITHIN = {
    "<|end|>": (("<|return|>", "<|call|>"), ("<|calls|>", "<|flush|>")),
    "</s>": (("<|tool_response>",),),
}
_ALWAYS_PRINTED = frozenset({"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"})
USER_DEFINED = 4
"""The number in ``tokenizer.ggml.token_type`` of a special token whose text is printed."""

_UNKNOWN, _CONTROL = 2, 3
_SPECIAL = (_UNKNOWN, _CONTROL, USER_DEFINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A special token within a text.

    Attributes:
        text: Its text.
        start: Where it begins.
        number: Its place in the vocabulary; ``None`` for one that is special by its text only.
        is_printed: Whether its text shows in an answer: only then can a stop string match it.
        ends: Whether llama.cpp ends an answer with it.
    """

    text: str
    start: int
    number: int | None
    is_printed: bool
    ends: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A mark at which a turn ends, where llama.cpp does not end it by itself.

    Attributes:
        text: The mark.
        number: Its place in the vocabulary, where it is a token whose text does not show in answers;
            ``None`` where its text shows.
        what: What ends with it, a phrase.
        is_parsed: Whether llama.cpp parses it: then it has to be printed, and no token that ends an answer.
    """

    text: str
    number: int | None = None
    what: str
    is_parsed: bool = False


class Vocabulary:
    """The special tokens of a GGUF, as llama.cpp has them.

    Args:
        metadata: The metadata of the GGUF.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        tokens = metadata.get("tokenizer.ggml.tokens")
        is_list = isinstance(tokens, Sequence) and not isinstance(tokens, str)
        self._tokens: Sequence[Any] = tokens if isinstance(tokens, Sequence) and is_list else ()
        types = metadata.get("tokenizer.ggml.token_type")
        self._special: dict[str, tuple[int, int]] = {}
        if isinstance(types, Sequence) and not isinstance(types, str):
            kinds = types[: len(self._tokens)]
            for number in [n for n, kind in enumerate(kinds) if kind in _SPECIAL]:  # of 150,000, few
                self._special.setdefault(str(self._tokens[number]), (number, kinds[number]))
        named = {"eos": served_token_text(metadata, "eos")}
        named |= {key: token_text(metadata, key) for key in ("eot", "eom")}
        self._named = {key: text for key, text in named.items() if text}

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def special_texts(self) -> tuple[str, ...]:
        """Return the texts of the special tokens, in the order of the vocabulary."""
        return tuple(self._special)

    def find(self, text: str) -> Mark | None:
        """Return the special token whose text this is, if there is one."""
        number, kind = self._special.get(text, (None, 0))
        ends_by_text = text in _ENDS and text in self._tokens
        is_named = text in self._named.values()
        if number is None and not ends_by_text and not is_named:
            return None
        is_within = self._is_within(text)
        is_hidden = kind in (_CONTROL, _UNKNOWN) or ends_by_text
        return Mark(
            text=text,
            start=0,
            number=number,
            is_printed=not is_hidden or is_within or text in _ALWAYS_PRINTED,
            ends=(ends_by_text or is_named) and not is_within,
        )

    def end_tokens(self) -> tuple[int, ...]:
        """Return the places in the vocabulary of the tokens that end an answer."""
        known = {*_ENDS, *self._named.values()}
        return tuple(
            number
            for number, token in enumerate(self._tokens)
            if token in known and (mark := self.find(token)) is not None and mark.ends
        )

    def marks_in(self, text: str) -> Iterator[Mark]:
        """Yield the special tokens in a text in order, the longest where several begin at one place."""
        known = {
            token for token in (*self._special, *_ENDS, *self._named.values()) if token and token in text
        }
        by_length = sorted(known, key=lambda token: (-len(token), token))
        for match in re.finditer("|".join(map(re.escape, by_length)) or r"(?!)", text):
            if (mark := self.find(match[0])) is not None:
                yield Mark(
                    text=mark.text,
                    start=match.start(),
                    number=mark.number,
                    is_printed=mark.is_printed,
                    ends=mark.ends,
                )

    def needs(self, key: str) -> bool:
        """Return whether llama.cpp ends at a token only because the header names it as ``eot`` or ``eom``."""
        text = self._named.get(key, "")
        others = [named for other, named in self._named.items() if other != key]
        ends_anyway = (text in _ENDS and not self._is_within(text)) or text in others
        return bool(text) and not ends_anyway

    def _is_within(self, text: str) -> bool:
        """Return whether llama.cpp goes on after a token that ends an answer of other models."""
        return any(all(other in self._tokens for other in others) for others in _WITHIN.get(text, ()))
