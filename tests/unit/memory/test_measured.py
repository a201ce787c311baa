"""The estimate is held to what llama-server logged for models of real shapes.

``measured.json``, which ``benchmarks/memory_truth.py`` writes, has the models' keys and the MiB of each
buffer as logged, by the options of the server.
"""

import functools
import json
from pathlib import Path

import pytest

from gguf2ollama.memory import estimate_memory

FACTS = json.loads(Path(__file__).with_name("measured.json").read_text())
BUILD = 11095
MIB = 1 << 20
HIGH, LOW = 1.15, 0.97
OUTSIDE = {
    # the gaps that its many small states leave between layers
    ("RWKV-6-7B", "-c 8192 -np 4", "cpu"),
    ("RWKV-6-7B", "-c 8192 -np 4 -kvu", "cpu"),
    # a gap beside the embeddings of layers, where the scores of one layer of five are four times as large
    ("Gemma-4-E2B", "-c 4096 -fa off", "cpu"),
}
"""Rows whose compute buffer is more than 3 % below or 15 % above the log, and why."""


def settings_of(options: str) -> dict:
    words = options.split()
    values = {word: words[index + 1 : index + 2] for index, word in enumerate(words)}
    kind = values.get("-ctk", ["f16"])[0]
    return {
        "context": int(values["-c"][0]),
        "ubatch": int(values.get("-ub", ["512"])[0]),
        "slots": int(values.get("-np", ["1"])[0]),
        "unified": "-kvu" in words,
        "flash_attention": values.get("-fa") != ["off"],
        "gpu_layers": int(values.get("-ngl", ["0"])[0]),
        "cache_type_k": kind,
        "cache_type_v": kind,
    }


def header_of(model: dict) -> dict:
    architecture = model["architecture"]
    return {"general.architecture": architecture} | {
        key[1:] if key.startswith("=") else f"{architecture}.{key}": value
        for key, value in model["keys"].items()
    }


@functools.cache
def rows(kind: str) -> list[tuple[str, str, str, float, float]]:
    """Return model, settings, device, and what is logged and estimated, in MiB."""
    found = []
    for name, model in FACTS.items():
        for options, logged in model["measured"].items():
            memory = estimate_memory(header_of(model), build=BUILD, **settings_of(options))
            for device, size in logged.get(kind, {}).items():
                found.append((name, options, device, size, getattr(memory.by_device[device], kind) / MIB))
    return found


@pytest.mark.parametrize("kind", ["kv", "recurrent", "output"])
def test_caches_and_outputs_are_as_logged(kind):
    assert rows(kind)
    wrong = [row for row in rows(kind) if abs(row[4] - row[3]) > max(0.005 * row[3], 0.02)]
    assert not wrong


def test_compute_buffers_are_as_logged():
    outside = {
        (name, options, device)
        for name, options, device, logged, estimated in rows("compute")
        if not LOW <= (estimated + 0.01) / (logged + 0.01) <= HIGH
    }
    assert outside == set(OUTSIDE)


def test_few_compute_buffers_are_not_as_logged():
    assert len(rows("compute")) > 300
    assert len(OUTSIDE) <= 0.05 * len(rows("compute"))


def test_most_compute_buffers_are_exact():
    exact = sum(
        abs(estimated - logged) < max(0.005 * logged, 0.1) for *_, logged, estimated in rows("compute")
    )
    assert exact >= 0.8 * len(rows("compute"))
