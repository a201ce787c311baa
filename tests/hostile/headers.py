"""Headers of GGUFs that nobody should write: real ones in which a few things are wrong.

Most are still read as a header, so that what is behind the reader meets them: a value of another type, not a
number, out of range, not UTF-8, an empty or nested array, keys that are missing or of another architecture,
tensors of impossible shapes, counts and lengths that lie, bytes that are cut off or flipped.
"""

from __future__ import annotations

import functools
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from gguf2ollama.ggufio import ValueType
from gguf2ollama.ggufio.writer import encode_entry
from tests.builders import raw_array, raw_entry, raw_header, raw_tensor, raw_text, typed
from tests.zoo.maker import recipe, recipe_names
from tests.zoo.models import MODELS

__all__ = ["headers"]

_INTEGERS = (0, 1, 2, 3, 7, 31, 32, 255, 4096, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 63) - 1)
_FLOATS = (float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1e-45, 0.5, 1.0, -1.0, 1e6, 3.4e38)
_TEXTS = (
    b"",
    b"\xff\xfe",
    b"caf\xe9",
    b"\xed\xa0\x80",  # half a surrogate pair, as CESU-8 has it
    b"\x00",
    b"a\x00b",
    b"\x1b[2J\x1b]0;title\x07",
    "\u202egnp.exe\u2066".encode(),
    b'"""\nPARAMETER stop x\n"""',
    b"{{ .Prompt }}{% raw %}",
    b"../../etc/passwd",
    b"line\r\nline\n",
    "é".encode() * 300,
    b"x" * 70_000,
    b"llama",
    b"clip",
    b"bert",
    b"model",
    b"adapter",
    b"gpt2",
    b"0",
    b"1e400",
)
_GENERAL = (
    *("type", "name", "basename", "finetune", "size_label", "description", "author", "organization"),
    *("version", "license", "license.name", "license.link", "file_type", "alignment", "quantization_version"),
    *("tags", "languages", "source.url", "repo_url", "url", "base_model.count", "base_model.0.name"),
    *("base_model.0.repo_url", "base_model.0.organization", "architecture"),
    *("sampling.temp", "sampling.top_k", "sampling.top_p", "sampling.min_p", "sampling.penalty_last_n"),
    *("sampling.penalty_repeat", "sampling.sequence", "sampling.mirostat", "sampling.mirostat_tau"),
)
_OTHERS = (
    *("split.no", "split.count", "split.tensors.count", "adapter.type", "adapter.lora.alpha"),
    *("tokenizer.chat_template", "tokenizer.chat_templates", "tokenizer.chat_template.tool_use"),
    *("clip.has_vision_encoder", "clip.projector_type", "clip.vision.image_size", "clip.vision.patch_size"),
    *("tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token", "tokenizer.ggml.eot_token_id"),
    *("tokenizer.ggml.eom_token_id", "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.scores"),
    *("tokenizer.ggml.merges", "tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.token_type"),
)
_OFTEN = (
    *("pooling_type", "rope.scaling.type", "rope.scaling.factor", "attention.sliding_window"),
    "vocab_size",
)


@dataclass(slots=True)
class _Header:
    """A header in parts.

    Attributes:
        entries: Each key with the number of its type and its value in bytes.
        tensors: Name, shape, type and offset of each tensor.
        changes: What is written other than it should be, by the names of ``raw_header``.
    """

    entries: list[tuple[bytes, int, bytes]]
    tensors: list[tuple[bytes, tuple[int, ...], int, int]]
    changes: dict[str, Any] = field(default_factory=dict)

    def written(self) -> bytes:
        """Return its bytes."""
        return raw_header(
            *(raw_entry(key, kind, value) for key, kind, value in self.entries),
            tensors=[raw_tensor(name, shape, kind, offset) for name, shape, kind, offset in self.tensors],
            **self.changes,
        )


@functools.cache
def _valid(name: str) -> tuple[tuple[tuple[bytes, int, bytes], ...], tuple[Any, ...], int]:
    """Return keys and tensors of a model of the zoo with few tokens, and how many bytes its tensors have."""
    model = MODELS.get(name)
    made_of = recipe(name if model is None else model.made_of)
    tokens = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", *"abcdefgh"]
    values: dict[str, Any] = {
        "general.architecture": made_of.architecture,
        "general.type": "model",
        "general.name": "Zoo",
        "general.file_type": 0,
        **made_of.keys,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3] * 4 + [1] * 8,
        "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
    }
    if model is not None and model.own_template is not None:
        values["tokenizer.chat_template"] = model.own_template
    entries = tuple(
        (
            key.encode(),
            int(typed(value).type),
            encode_entry(key, typed(value), byte_order="little")[len(raw_text(key)) + 4 :],
        )
        for key, value in values.items()
    )
    tensors, offset = [], 0
    for tensor, shape in made_of.shapes.items():
        sizes = tuple(len(tokens) if size == -1 else size for size in shape)
        tensors.append((tensor.encode(), sizes, 0, offset))
        offset += (4 * functools.reduce(int.__mul__, sizes) + 31) // 32 * 32
    return entries, tuple(tensors), offset


def _odd_value(noise: random.Random, *, depth: int = 0) -> tuple[int, bytes]:
    """Return a type and a value that hardly any key has."""
    kind = noise.choice(list(ValueType))
    if kind is ValueType.ARRAY:
        if depth > noise.randrange(1, 5):
            return int(ValueType.UINT8), b"\x01"
        element = noise.choice(list(ValueType))
        count = noise.choice((0, 0, 1, 2, 3, 12, 300))
        if element is ValueType.ARRAY:
            inner = [_odd_value(noise, depth=depth + 1) for _ in range(min(count, 3))]
            arrays = [value for number, value in inner if number == int(ValueType.ARRAY)]
            return int(kind), raw_array(int(element), len(arrays), b"".join(arrays))
        elements = b"".join(_odd_scalar(noise, element) for _ in range(count))
        return int(kind), raw_array(int(element), count, elements)
    return int(kind), _odd_scalar(noise, kind)


def _odd_scalar(noise: random.Random, kind: ValueType) -> bytes:
    if kind is ValueType.STRING:
        return raw_text(noise.choice(_TEXTS))
    if kind is ValueType.BOOL:
        return bytes([noise.choice((0, 1, 1, 0, 2))])
    if kind in {ValueType.FLOAT32, ValueType.FLOAT64}:
        return struct.pack("<" + kind.code, noise.choice(_FLOATS))
    number: int = noise.choice((*_INTEGERS, -1, -2, -(1 << 31))) & ((1 << (8 * kind.size)) - 1)
    return number.to_bytes(kind.size, "little")


def _change_value(header: _Header, noise: random.Random) -> None:
    at = noise.randrange(len(header.entries))
    key, *_ = header.entries[at]
    header.entries[at] = (key, *_odd_value(noise))


def _same_type(header: _Header, noise: random.Random) -> None:
    at = noise.randrange(len(header.entries))
    key, number, _ = header.entries[at]
    kind = ValueType(number)
    if kind is not ValueType.ARRAY:
        header.entries[at] = (key, number, _odd_scalar(noise, kind))


def _add_key(header: _Header, noise: random.Random) -> None:
    named = (raw[8:] for key, _, raw in header.entries if key == b"general.architecture")
    architecture = next(named, b"llama")
    known = [f"general.{name}".encode() for name in _GENERAL] + [name.encode() for name in _OTHERS]
    usual = (key.partition(".")[2] for key in recipe(noise.choice(recipe_names())).keys)
    known += [architecture + b"." + name.encode() for name in (*_OFTEN, *usual)]
    key = noise.choice(known)
    header.entries = [entry for entry in header.entries if entry[0] != key]
    header.entries.insert(noise.randrange(len(header.entries) + 1), (key, *_odd_value(noise)))


def _remove_key(header: _Header, noise: random.Random) -> None:
    if len(header.entries) > 1:
        del header.entries[noise.randrange(len(header.entries))]


def _repeat_key(header: _Header, noise: random.Random) -> None:
    header.entries.append(noise.choice(header.entries))


def _other_architecture(header: _Header, noise: random.Random) -> None:
    name = noise.choice(recipe_names())
    header.entries = [
        (key, kind, raw_text(name) if key == b"general.architecture" else value)
        for key, kind, value in header.entries
    ]


def _change_tensor(header: _Header, noise: random.Random) -> None:
    if not header.tensors:
        return
    at = noise.randrange(len(header.tensors))
    name, shape, kind, offset = header.tensors[at]
    what = noise.randrange(5)
    if what == 0:
        name = noise.choice((*_TEXTS[:-1], b"token_embd.weight", b"blk.99999999999.attn_q.weight", name * 9))
    elif what == 1:
        shape = tuple(noise.choice(_INTEGERS) for _ in range(noise.randrange(6)))
    elif what == 2:
        kind = noise.choice((*range(45), 255, (1 << 32) - 1))
    elif what == 3:
        offset = noise.choice((*_INTEGERS, (1 << 64) - 32, offset + 1))
    else:
        shape = shape[::-1]
    header.tensors[at] = (name, shape, kind, offset)


def _remove_tensors(header: _Header, noise: random.Random) -> None:
    header.tensors = [tensor for tensor in header.tensors if noise.random() < noise.choice((0.0, 0.5, 0.9))]


def _lie(header: _Header, noise: random.Random) -> None:
    what = noise.choice(("version", "key_count", "tensor_count"))
    count = len(header.entries)
    header.changes[what] = noise.choice((0, 1, 2, 4, count - 1, count + 1, 1 << 20))


_CHANGES: tuple[Callable[[_Header, random.Random], None], ...] = (
    *[_change_value] * 4,
    *[_same_type] * 3,
    *[_add_key] * 4,
    _remove_key,
    _repeat_key,
    _other_architecture,
    _change_tensor,
    _change_tensor,
    _remove_tensors,
    _lie,
)


def _make(name: str, seed: int, changes: int, damage: int) -> tuple[bytes, int]:
    """Return a header, and how many bytes of tensors belong behind it."""
    noise = random.Random(seed)  # noqa: S311 - the same every time
    entries, tensors, n_bytes = _valid(name)
    header = _Header(list(entries), list(tensors))
    for _ in range(changes):
        noise.choice(_CHANGES)(header, noise)
    written = bytearray(header.written())
    for _ in range(damage):
        other = noise.choice((0, 1, 0x7F, 0x80, 0xFF, noise.randrange(256)))
        written[noise.randrange(4, len(written))] = other
    if damage and noise.random() < 0.3:
        del written[noise.randrange(len(written)) :]
        n_bytes = 0
    return bytes(written), n_bytes


def headers() -> st.SearchStrategy[tuple[bytes, int]]:
    """Return a strategy for headers and the bytes of tensors behind them."""
    return st.builds(
        _make,
        st.sampled_from(sorted({*recipe_names(), *MODELS})),
        st.integers(0, (1 << 32) - 1),
        st.integers(1, 5),
        st.sampled_from((0, 0, 0, 0, 1, 3)),
    )
