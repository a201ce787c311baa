"""Layers on a GPU, on a machine that has one: ``make test-gpu``.

The libraries have to be built for it; where they are not, or there is no GPU, the tests fail: whoever asks
for them has one. A software device counts as one (Mesa's lavapipe, named by ``GGML_VK_VISIBLE_DEVICES``).
"""

import importlib.util
import os

import pytest

import gguf2ollama
from gguf2ollama.memory.hardware import find_hardware
from tests.live import parts

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif("GGUF2OLLAMA_GPU" not in os.environ, reason="`make test-gpu` runs this"),
]

MODULES = {"llama.cpp": "xllamacpp", "llama-cpp-python": "llama_cpp"}
ENGINES = [name for name, module in MODULES.items() if importlib.util.find_spec(module)]
LAYERS = [0, 8, "all"]
OPTIONS = {"temperature": 0, "num_predict": 16}


@pytest.fixture(scope="module", params=ENGINES)
def measured(request):
    """What no, some and all layers on the GPU take."""
    return list(
        gguf2ollama.measure(
            parts.model_path(), engines=[request.param], gpu_layers=LAYERS, contexts=[4096], tokens=16
        )
    )


def test_no_some_and_all_layers_run(measured):
    assert [found.problem for found in measured] == [None] * 3
    assert all(found.answer_tokens for found in measured)


def test_the_more_layers_are_there_the_more_memory_the_gpu_has(measured):
    sizes = [found.answering.gpu for found in measured]
    if None in sizes:
        pytest.skip("no driver says what a process has on this GPU")
    assert sizes[0] < sizes[1] < sizes[2]


def test_the_estimate_holds_on_the_gpu(measured):
    none, _, everything = measured
    if everything.answering.gpu is None:
        pytest.skip("no driver says what a process has on this GPU")
    # without a layer it has what the driver takes for each process, which is not estimated
    grown = everything.answering.gpu - none.answering.gpu
    assert sum(everything.need.gpus) == pytest.approx(grown, rel=0.2, abs=64 << 20)


def test_ollama_puts_as_many_layers_there():
    hardware = find_hardware()
    if not (hardware and hardware.gpus):
        pytest.skip("Ollama uses no software device")
    found = list(
        gguf2ollama.measure(parts.model_path(), engines=["ollama"], gpu_layers=LAYERS, contexts=[4096])
    )
    assert [case.problem for case in found] == [None] * 3
    assert found[2].answering.gpu
