"""The tokenizers of the zoo: what real files say of theirs, with some 300 tokens.

Names, pre-tokenizers and special tokens are those that llama.cpp's converters (b11095, ``conversion/``) write
for the families. What so few tokens can't have is their numbers: ``<|eot_id|>`` of Llama 3 is number 128009
in real files, and one of the last here.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.builders import byte_tokens

__all__ = ["Vocabulary", "vocabulary"]

_FACTS = Path(__file__).with_name("vocabularies.json")
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6  # llama.cpp's token types
_MERGES = ("h e", "l l", "he ll", "hell o", "t h", "th e", "i n", "Ġ t")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PUNCTUATION = "0123456789.,:;!?'\"()[]{}<>|/\\_-+*=#@&%$^~`"
_SPACE = "▁"  # how SentencePiece writes one


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """A tokenizer.

    Attributes:
        model: ``tokenizer.ggml.model``.
        pre: ``tokenizer.ggml.pre``; ``None`` leaves the key out.
        control: Special tokens, which servers don't show in answers.
        visible: Special tokens that they show: marks of calls and thoughts.
        roles: Which of these tokens is ``bos``, ``eos``, ``eot``, ``eom``, ``padding``, ``unknown``,
            ``seperator`` (sic) or ``mask``.
        adds_bos, adds_eos: Whether it puts them around a text; ``None`` leaves the key out.
    """

    model: str = "gpt2"
    pre: str | None = "default"
    control: tuple[str, ...]
    visible: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    adds_bos: bool | None = False
    adds_eos: bool | None = None

    def tokens(self) -> list[tuple[str, int]]:
        """Return all tokens with their types, in the order of their numbers."""
        special = [(text, self._type(text)) for text in self.control]
        special += [(text, _USER_DEFINED) for text in self.visible]
        plain = [(text, _NORMAL) for text in self._plain()]
        if self.model in {"gpt2", "rwkv"}:
            return [*plain, *special] if self.model == "gpt2" else [*special, *plain]
        if self.model in {"llama", "gemma4", "plamo2"}:
            raw = [(f"<0x{byte:02X}>", _BYTE) for byte in range(256)]
            return [*special, *raw, *plain]
        return [*special, *plain]

    def says(self) -> list[bool]:
        """Return for each token whether it is a letter: only these are said by the models of the zoo."""
        letters = set(_LETTERS)
        return [kind == _NORMAL and text in letters for text, kind in self.tokens()]

    def metadata(self) -> dict[str, Any]:
        """Return the keys ``tokenizer.ggml.*``."""
        tokens = self.tokens()
        numbers = {text: number for number, (text, _) in enumerate(tokens)}
        values: dict[str, Any] = {"tokenizer.ggml.model": self.model, "tokenizer.ggml.pre": self.pre}
        values["tokenizer.ggml.tokens"] = [text for text, _ in tokens]
        values["tokenizer.ggml.token_type"] = [kind for _, kind in tokens]
        if self.model not in {"gpt2", "rwkv"}:
            values["tokenizer.ggml.scores"] = [0.0 if kind == _CONTROL else -1.0 for _, kind in tokens]
        if self.model == "gpt2":
            values["tokenizer.ggml.merges"] = list(_MERGES)
        elif self.model == "gemma4":
            values["tokenizer.ggml.merges"] = [pair.replace("Ġ", _SPACE) for pair in _MERGES]
        if self.model in {"bert", "t5"}:
            values["tokenizer.ggml.token_type_count"] = 2 if self.model == "bert" else 1
        if self.model in {"gemma4", "plamo2"}:
            values["tokenizer.ggml.add_space_prefix"] = False
        for role, text in self.roles.items():
            values[f"tokenizer.ggml.{role}_token_id"] = numbers[text]
        values["tokenizer.ggml.add_bos_token"] = self.adds_bos
        values["tokenizer.ggml.add_eos_token"] = self.adds_eos
        return values

    def _type(self, text: str) -> int:
        if self.model == "gpt2" or text != self.roles.get("unknown"):
            return _CONTROL
        return _UNKNOWN

    def _plain(self) -> Sequence[str]:
        if self.model == "gpt2":
            return [*byte_tokens(), *(merge.replace(" ", "") for merge in _MERGES)]
        if self.model == "bert":  # a word begins with the mark of a space, what goes on has none
            return [*(_SPACE + one for one in _LETTERS + _PUNCTUATION), *_LETTERS, *_PUNCTUATION]
        if self.model == "rwkv":  # written as Python writes bytes
            return [
                *(
                    chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}"
                    for byte in range(256)
                ),
                "\\n\\n",
            ]
        merged = [merge.replace(" ", "").replace("Ġ", _SPACE) for merge in _MERGES]
        line = ["\n"] if self.model == "gemma4" else []
        return [*line, _SPACE, *_LETTERS, *_PUNCTUATION, *merged]


def vocabulary(name: str) -> Vocabulary:
    """Return the vocabulary of that name in ``vocabularies.json``.

    Raises:
        KeyError: There is none.
    """
    fields = {**_vocabularies()[name]}
    for key in ("control", "visible"):
        fields[key] = tuple(fields.get(key, ()))
    return Vocabulary(**fields)


@functools.cache
def _vocabularies() -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = json.loads(_FACTS.read_text("utf-8"))
    return content
