"""Embed a few texts with a model on a server, and see whether the vectors can be used.

The checks look for packaging bugs: no pooling or the wrong one, texts that are cut off unnoticed. How well
vectors tell texts apart depends on the model alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.responses import Embeddings
from gguf2ollama.verification.smoke_tests import Check, State

__all__ = ["run_embedding_tests"]

_TEXTS = ("Hello", "A cat sleeps on the warm stone wall.")
_UNIT = 1e-3  # by which the length of a vector may differ from 1
_SENTENCE = "the cat and the dog sleep "
_SAMPLE = 2  # sentences by which tokens are counted; twice as many fit any context that is tried
_SHARE = 0.9  # of a context that a long text fills
_TOKENS = 2400  # of a long text: more than the batch that Ollama sets by itself
_BATCH = 2048  # that one, in tokens
_SHORTEST = 64  # tokens of a context in which a text can be cut
# how wide vectors are: that of the model, or what its last layer makes of it
_WIDTHS = ("embedding_length", "embedding_length_out", "dense_2_feat_out", "dense_3_feat_out")


def run_embedding_tests(
    client: Client, name: str, *, metadata: Mapping[str, Any], parameters: Mapping[str, Any]
) -> Iterator[Check]:
    """Try a model that embeds: length and norm of vectors, different texts, and a text as long as it takes.

    Args:
        client: The server.
        name: The model.
        metadata: The metadata of its GGUF.
        parameters: Its PARAMETER values.
    """
    try:
        found = client.embed(name, _TEXTS)
    except Gguf2OllamaError as error:
        yield _check("embeds", "failed", error.message)
        return
    yield _embeds(found, metadata)
    yield _unit(found)
    yield _differ(found)
    try:
        yield _whole(client, name, metadata=metadata, parameters=parameters)
    except Gguf2OllamaError as error:
        yield _check("embeds long texts", "failed", error.message)


def _embeds(found: Embeddings, metadata: Mapping[str, Any]) -> Check:
    lengths = {len(vector) for vector in found.vectors}
    if len(found.vectors) != len(_TEXTS) or len(lengths) != 1:
        return _check("embeds", "failed", "The server returns no vectors of one length")
    length = lengths.pop()
    architecture = metadata.get("general.architecture")
    widths = [metadata.get(f"{architecture}.{key}") for key in _WIDTHS]
    known = [width for width in widths if isinstance(width, int)]
    if known and length not in known:
        return _check("embeds", "failed", f"Vectors of {length} numbers, and the model has {known[0]}")
    return _check("embeds", "passed", f"Vectors of {length} numbers")


def _unit(found: Embeddings) -> Check:
    norms = [math.sqrt(sum(number * number for number in vector)) for vector in found.vectors]
    if all(abs(norm - 1) < _UNIT for norm in norms):
        return _check("unit length", "passed", "Each vector has length 1")
    if not any(norms):
        return _check("unit length", "failed", "All numbers are 0, as those of a reranker")
    return _check(
        "unit length", "failed", f"Vectors have lengths {', '.join(f'{norm:.3g}' for norm in norms)}"
    )


def _differ(found: Embeddings) -> Check:
    if len(set(found.vectors)) < len(found.vectors):
        return _check("distinguishes texts", "failed", "Two texts have the same vector")
    return _check("distinguishes texts", "passed", "Two texts have different vectors")


def _whole(client: Client, name: str, *, metadata: Mapping[str, Any], parameters: Mapping[str, Any]) -> Check:
    title = "embeds long texts"
    limit = _context(client, name, metadata=metadata, parameters=parameters)
    batch = _number(parameters.get("num_batch")) or _BATCH
    # longer than a batch that does not hold the context, else longer than the one that Ollama sets by itself
    wanted = min(int(limit * _SHARE), max(_TOKENS, int(batch / _SHARE)) if batch < limit else _TOKENS)
    if wanted < _SHORTEST:
        return _check(title, "inconclusive", f"The context of {limit} tokens is too short to cut anything")
    short, long = (client.embed(name, [_SENTENCE * count]).tokens for count in (_SAMPLE, 2 * _SAMPLE))
    if long <= short:
        return _check(title, "inconclusive", "The server does not count tokens")
    text = _SENTENCE * (wanted * _SAMPLE // (long - short))
    found = client.embed(name, [f"{text}one", f"{text}two"])
    tokens = found.tokens // 2
    if tokens < wanted * _SHARE or len(set(found.vectors)) < len(found.vectors):
        why = f"A text of some {wanted:,} tokens is cut to {tokens:,} before it is embedded"
        return _check(title, "failed", f"{why}: set num_batch to num_ctx ({limit:,})")
    return _check(title, "passed", f"The end of a text of {tokens:,} tokens changes its vector")


def _context(client: Client, name: str, *, metadata: Mapping[str, Any], parameters: Mapping[str, Any]) -> int:
    """Return the tokens that fit: of the context that the model has there, and that it was trained for."""
    trained = _number(metadata.get(f"{metadata.get('general.architecture')}.context_length"))
    running = {model.name: model.context_length for model in client.ps()}
    given = _number(parameters.get("num_ctx")) or running.get(name, 0)
    return min(filter(None, (trained, given)), default=0)


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _check(name: str, state: State, detail: str) -> Check:
    return Check(name=name, state=state, detail=f"{detail.rstrip('.')}.")
