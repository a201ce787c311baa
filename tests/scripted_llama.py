"""A llama that says what it is told to, whatever it is asked: for what servers make of a model's answers.

No small model calls tools or thinks, so this one is not trained but written. Each piece of its text is a
token with a direction of its own, and the output matrix leads from the direction of each to the next one and
at last to the end of the turn; all tokens of a prompt point into the direction that leads to the first. So
nothing but the last token counts, with one exception: an attention head looks for certain texts in the whole
prompt and, where it finds one, leads to another first piece. It is certain of each step, so that no sampling
parameter changes a word.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gguf2ollama.ggufio import Tensor, TensorType
from tests.builders import CHATML_TEMPLATE, CHATML_TOKENS, build_gguf, byte_tokens, written_in_bytes

_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4  # llama.cpp's token types
_PIECE = 3  # characters, so that marks come to a server in parts
_HEAD = 32  # dimensions of an attention head
_CERTAIN = 100.0  # how much more a next token weighs than any other
_STEP = 40.0  # by which each text that is looked for outshines the one before


def scripted_llama(
    path: Path,
    says: str,
    *,
    after: Mapping[str, str] | None = None,
    chat_template: str | None = CHATML_TEMPLATE,
    special_tokens: Sequence[str] = CHATML_TOKENS,
    hidden: Sequence[str] = (),
    whole: Sequence[str] = (),
    instead: str = "",
    architecture: Literal["llama", "qwen3"] = "llama",
    metadata: Mapping[str, object] | None = None,
) -> Path:
    """Write a llama model that says a text and ends its turn.

    Args:
        path: Where to write it.
        says: What it says.
        after: What it says instead where its prompt holds a text; of several the last one counts.
        chat_template: Jinja; ``None`` leaves it out.
        special_tokens: Control tokens; the last ends a turn, the last but one (the first, if there is one
            only) is BOS.
        hidden: Texts within what it says that are control tokens of their own, as the marks of many models
            are: a server shows them only where it is told to. Each may be said once.
        whole: Texts within what it says that are one token each and always shown, once as well.
        instead: What it goes on with where a grammar keeps it from what it would say; ``""`` for nothing
            in particular.
        architecture: A ``qwen3`` looks for no texts: it norms what its attention compares.
        metadata: Keys to add or replace; a value of ``None`` removes one.

    Raises:
        ValueError: A text cannot be said: it is empty, or has a mark twice; or it cannot be looked for.
    """
    if after and architecture != "llama":
        raise ValueError(f"a {architecture} looks for no texts")
    script = _Script(
        special_tokens, marks=dict.fromkeys(hidden, _CONTROL) | dict.fromkeys(whole, _USER_DEFINED)
    )
    said = {text: script.add(text) for text in dict.fromkeys((says, *(after or {}).values()))}
    starts = [(said[says], 0)]
    starts += [(said[answer], script.look_for(text)) for text, answer in (after or {}).items()]
    fallback = script.add(instead) if instead else None
    values: dict[str, object] = {
        "general.architecture": architecture,
        "general.type": "model",
        "general.name": "Scripted",
        "general.file_type": 0,
        f"{architecture}.block_count": 1,
        f"{architecture}.context_length": 8192,
        f"{architecture}.embedding_length": script.width,
        f"{architecture}.feed_forward_length": _HEAD,
        f"{architecture}.attention.head_count": script.width // _HEAD,
        f"{architecture}.attention.head_count_kv": 1,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-6,
        f"{architecture}.rope.dimension_count": _HEAD,
        f"{architecture}.rope.freq_base": 1e10,  # the last pair of a head does not turn
        f"{architecture}.vocab_size": len(script.tokens),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [token.text for token in script.tokens],
        "tokenizer.ggml.token_type": [token.type for token in script.tokens],
        "tokenizer.ggml.merges": ["h e"],
        "tokenizer.ggml.bos_token_id": script.number(special_tokens[max(0, len(special_tokens) - 2)]),
        "tokenizer.ggml.eos_token_id": script.number(special_tokens[-1]),
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": chat_template,
    }
    tensors = script.weights(starts, fallback=fallback)
    if architecture == "qwen3":
        tensors += [_ones(f"blk.0.attn_{name}_norm.weight", _HEAD) for name in ("q", "k")]
    return build_gguf(path, metadata=values | dict(metadata or {}), tensors=tensors)


@dataclass(frozen=True)
class _Token:
    """A token of the vocabulary.

    Attributes:
        text: As the vocabulary has it.
        type: llama.cpp's number.
        direction: Where its embedding points; 0 for what a prompt is made of.
        mark: The direction of the text that is looked for, where it is one; else 0.
        source: The direction that leads to it; ``None`` where none does.
    """

    text: str
    type: int
    direction: int = 0
    mark: int = 0
    source: int | None = None


class _Script:
    """What is said, as tokens; a direction for each of them and two for each text that is looked for."""

    def __init__(self, special_tokens: Sequence[str], *, marks: Mapping[str, int]) -> None:
        plain = [*byte_tokens(), "he"]
        self.tokens = [_Token(text, _NORMAL) for text in plain]
        self.tokens += [_Token(text, _CONTROL) for text in special_tokens]
        self._end = special_tokens[-1]
        self._marks = marks  # the type of each
        self._directions = 1
        self._lasts: list[int] = []
        self._looked_for: list[tuple[int, int]] = []  # the direction of each, and the one that tells of it

    @property
    def width(self) -> int:
        """The embedding length."""
        return math.ceil(self._directions / _HEAD) * _HEAD

    def number(self, text: str) -> int:
        """Return the number of a token."""
        return next(number for number, token in enumerate(self.tokens) if token.text == text)

    def add(self, says: str) -> int:
        """Have a text said; give the number of its first token."""
        first, source = len(self.tokens), None
        for text, kind in self._pieces(says):
            direction = self._new_direction()
            self.tokens.append(_Token(text, kind, direction=direction, source=source))
            source = direction
        if source is None:
            raise ValueError("there is nothing to say")
        self._lasts.append(source)
        return first

    def look_for(self, text: str) -> int:
        """Have a text looked for in prompts; give the direction that tells of it."""
        found, told = self._new_direction(), self._new_direction()
        self.tokens.append(_Token(text, _USER_DEFINED, mark=found))
        self._looked_for.append((found, told))
        return told

    def weights(self, starts: Sequence[tuple[int, int]], *, fallback: int | None) -> list[Tensor]:
        """Return the tensors; ``starts`` has first tokens, each with the direction that tells of its text.

        That of the token that is said where there is no text is 0. ``fallback`` is the first token of what
        is said where nothing else may be.
        """
        width = self.width
        return [
            _matrix("token_embd.weight", width, list(self._embeddings())),
            _ones("output_norm.weight", width),
            _matrix("output.weight", width, list(self._outputs(starts, fallback))),
            _ones("blk.0.attn_norm.weight", width),
            _ones("blk.0.ffn_norm.weight", width),
            *self._attention(),
            *(_matrix(f"blk.0.ffn_{name}.weight", width, [{}] * _HEAD) for name in ("gate", "up")),
            _matrix("blk.0.ffn_down.weight", _HEAD, [{}] * width),
        ]

    def _pieces(self, text: str) -> Iterator[tuple[str, int]]:
        """Cut a text into tokens that the vocabulary does not have yet; the last may be longer."""
        taken = {token.text for token in self.tokens}
        for part in self._parts(text):
            if part in self._marks:
                if part in taken:
                    raise ValueError(f"{part!r} is a token, and cannot be said twice")
                yield part, self._marks[part]
                taken.add(part)
                continue
            cut = list(_cut(part, taken))
            yield from ((piece, _NORMAL) for piece in cut)
            taken.update(cut)

    def _parts(self, text: str) -> Iterator[str]:
        """Cut a text before and behind each mark."""
        while text:
            places = [(text.find(mark), mark) for mark in self._marks if mark in text]
            if not places:
                yield text
                return
            place, mark = min(places)
            if place:
                yield text[:place]
            yield mark
            text = text[place + len(mark) :]

    def _new_direction(self) -> int:
        self._directions += 1
        return self._directions - 1

    def _embeddings(self) -> Iterator[dict[int, float]]:
        for token in self.tokens:
            yield {token.direction: 1.0} | ({token.mark: 1.0} if token.mark else {})

    def _outputs(self, starts: Sequence[tuple[int, int]], fallback: int | None) -> Iterator[dict[int, float]]:
        always = {number for number, told in starts if not told}
        signs = {direction for signs in self._looked_for for direction in signs}
        for number, token in enumerate(self.tokens):
            if number == fallback:
                yield {one: 0.5 * _CERTAIN for one in range(self._directions) if one not in signs}
                continue
            if told := [direction for first, direction in starts if first == number and direction]:
                yield {0: 0.6 * _CERTAIN} | dict.fromkeys(told, 0.7 * _CERTAIN)
            elif token.text == self._end:
                yield dict.fromkeys(self._lasts, _CERTAIN)
            elif number in always:
                yield {0: _CERTAIN}
            else:
                yield {} if token.source is None else {token.source: _CERTAIN}

    def _attention(self) -> Iterator[Tensor]:
        """Return the head that finds texts: keys of these outshine all others, the last one most."""
        width, last = self.width, _HEAD - 2
        marks = {found for found, _ in self._looked_for}
        asks: dict[int, float] = {one: 1.0 for one in range(width) if one not in marks}
        # what asks is as long as sqrt(width), a mark sqrt(width / 2); their product is divided by sqrt(_HEAD)
        scale = math.sqrt(_HEAD) / (width / math.sqrt(2))
        shines = {
            found: scale * (2 * _STEP + _STEP * place) for place, (found, _) in enumerate(self._looked_for)
        }
        queries: list[dict[int, float]] = [{}] * width
        keys: list[dict[int, float]] = [{}] * _HEAD
        values: list[dict[int, float]] = [{}] * _HEAD
        tells: list[dict[int, float]] = [{}] * width
        queries[last], keys[last] = asks, shines
        for place, (found, told) in enumerate(self._looked_for):
            values[place] = {found: 1 / math.sqrt(width / 2)}
            tells[told] = {place: 1.0}
        yield _matrix("blk.0.attn_q.weight", width, queries)
        yield _matrix("blk.0.attn_k.weight", width, keys)
        yield _matrix("blk.0.attn_v.weight", width, values)
        yield _matrix("blk.0.attn_output.weight", width, tells)


def _cut(text: str, taken: Collection[str]) -> Iterator[str]:
    """Cut a text into pieces that are not taken, short ones but for the last."""
    cut: list[str] = []
    piece = ""
    for character in text:
        piece += character
        told = written_in_bytes(piece)
        if len(piece) >= _PIECE and told not in taken and told not in cut:
            cut.append(told)
            piece = ""
    rest = written_in_bytes(piece)
    while cut and (rest in taken or rest in cut or not rest):
        rest = cut.pop() + rest
        if rest not in taken and rest not in cut:
            break
    if rest in taken:
        raise ValueError(f"{text!r} cannot be told from other tokens: say more")
    yield from cut
    if rest:
        yield rest


def _matrix(name: str, columns: int, rows: Sequence[Mapping[int, float]]) -> Tensor:
    """Return a matrix by the few numbers of its rows that are not zero."""
    data = bytearray(4 * columns * len(rows))
    for number, row in enumerate(rows):
        for column, value in row.items():
            struct.pack_into("<f", data, 4 * (number * columns + column), value)
    return Tensor(name=name, shape=(columns, len(rows)), type=TensorType.F32, data=bytes(data))


def _ones(name: str, length: int) -> Tensor:
    return Tensor(name=name, shape=(length,), type=TensorType.F32, data=struct.pack("<f", 1.0) * length)
