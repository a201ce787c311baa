"""What a model takes in an engine, and whether it fits: by the figures of the tutorial where they do."""

import pytest

from gguf2ollama.engines.fit import choose_layers, context_of, estimate_need
from gguf2ollama.engines.settings import EngineSettings
from gguf2ollama.engines.support import engine_support
from gguf2ollama.errors import NotEnoughSpace, UsageProblem
from gguf2ollama.memory.hardware import Gpu, Hardware
from tests.unit.engines.tutorial_model import METADATA, TENSORS, Model

GIB = 1 << 30
MODEL = Model()
TUTORIAL = EngineSettings(context=512)  # what llama-cpp-python takes by default


def hardware(*, free=64, gpus=(), unified=False):
    cards = tuple(Gpu(name="card", total_bytes=count * GIB, free_bytes=count * GIB) for count in gpus)
    return Hardware(ram_bytes=64 * GIB, free_ram_bytes=int(free * GIB), gpus=cards, unified=unified)


def layers(wanted, *, engine="llama.cpp", of=None):
    return choose_layers(MODEL, EngineSettings(gpu_layers=wanted), engine=engine, hardware=of)


def need(engine="llama-cpp-python", *, settings=TUTORIAL, layers=0, of=None):
    return estimate_need(
        MODEL, engine=engine, settings=settings, layers=layers, hardware=of or hardware(gpus=(24,))
    )


def test_the_model_has_the_tensors_and_the_bytes_of_the_tutorials():
    assert len(TENSORS) == 339  # as transformers counts them there
    assert sum(tensor.n_bytes for tensor in TENSORS) / GIB == pytest.approx(4.36, abs=0.01)


def test_all_in_ram_is_what_was_measured_there():
    """Measured: +4655 MiB of RAM with no layer on the GPU; the weights are 4,460 MiB of it."""
    assert need().ram / (1 << 20) == pytest.approx(4655, rel=0.08)
    assert need().gpus == ()


def test_all_layers_on_the_gpu_leave_the_embeddings_in_ram():
    """Measured: +4606 MiB on the GPU, where its driver's own memory counts, too."""
    on_gpu = need(layers=29)
    assert sum(on_gpu.gpus) / (1 << 20) == pytest.approx(4606, rel=0.08)
    assert on_gpu.estimate.by_device["cpu"].weights == TENSORS[0].n_bytes


def test_eight_layers_are_their_share():
    """Measured: +1948 MiB on the GPU for 8 layers: the output, which is the first of them, and seven."""
    eight = need(layers=8).estimate.by_device["gpu0"].weights
    blocks = sum(t.n_bytes for t in TENSORS if t.name.startswith(tuple(f"blk.{i}." for i in range(21, 28))))
    assert eight == blocks + TENSORS[1].n_bytes + TENSORS[2].n_bytes
    assert eight / (1 << 20) < 1948


def test_transformers_dequantizes_to_28_gb():
    """Measured: +27,826 MiB; 7.6 billion weights of 4 bytes are 29,051 MiB."""
    found = need("transformers", of=hardware())
    assert found.ram == 4 * MODEL.parameter_count
    assert found.ram / (1 << 20) == pytest.approx(27826, rel=0.05)
    assert "from 4.7 GB to 30 GB" in found.note


@pytest.mark.parametrize(
    "engine, layers, of, place",
    [
        ("llama.cpp", 0, hardware(free=4), "RAM"),
        ("transformers", 0, hardware(free=16), "RAM"),
        ("llama.cpp", 29, hardware(gpus=(4,)), "GPU 0"),
        ("transformers", 29, hardware(gpus=(24,)), "GPU 0"),
        ("llama.cpp", 29, hardware(free=4, gpus=(48,), unified=True), "RAM"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_figures(engine, layers, of, place):
    with pytest.raises(NotEnoughSpace, match=rf"needs .* GB of {place}, and .* GB are free") as caught:
        need(engine, layers=layers, of=of).check(of, subject="qwen.gguf")
    assert "--force" in caught.value.hint


def test_what_fits_or_cannot_be_known_is_not_refused():
    need(layers=29).check(hardware(gpus=(8,)), subject="qwen.gguf")
    need().check(None, subject="qwen.gguf")


def test_more_layers_than_there_are_are_refused_with_their_number():
    with pytest.raises(UsageProblem, match="has 29 layers") as caught:
        layers(30)
    assert caught.value.hint == "use 29 or all"


@pytest.mark.parametrize(
    "wanted, of, expected",
    [
        (8, None, 8),
        ("all", None, 29),
        ("auto", None, 0),
        ("auto", hardware(), 0),
        ("auto", hardware(gpus=(24,)), 29),
    ],
)
def test_layers_are_those_asked_for_or_as_many_as_fit(wanted, of, expected):
    assert layers(wanted, of=of) == expected


def test_a_small_gpu_gets_some_of_the_layers():
    assert 0 < layers("auto", of=hardware(gpus=(4,))) < 29


def test_transformers_has_all_layers_on_one_device():
    assert layers("auto", engine="transformers", of=hardware(gpus=(24,))) == 0
    assert layers("auto", engine="transformers", of=hardware(gpus=(24, 48))) == 29
    assert layers(0, engine="transformers") == 0
    assert layers(29, engine="transformers") == 29
    with pytest.raises(UsageProblem, match="all layers to one device"):
        layers(8, engine="transformers")


@pytest.mark.parametrize(
    "trained, tokens", [(32768, 4096), (2048, 2048), (0, 4096), (True, 4096), ("x", 4096)]
)
def test_without_a_context_it_is_4096_or_what_the_model_was_trained_for(trained, tokens):
    metadata = METADATA | {"qwen2.context_length": trained}
    assert context_of(metadata, EngineSettings()) == tokens
    assert context_of(metadata, EngineSettings(context=99)) == 99


def test_each_engine_says_whether_it_knows_an_architecture():
    known = {found.engine: (found.is_known, found.form) for found in engine_support(METADATA)}
    assert known == {
        "llama.cpp": (True, "packed"),
        "llama-cpp-python": (True, "packed"),
        "transformers": (True, "dequantized"),
        "ollama": (True, "packed"),
    }
    odd = {found.engine: found for found in engine_support({"general.architecture": "plamo3"})}
    assert odd["llama.cpp"].is_known
    assert not odd["transformers"].is_known
    assert "plamo3" in odd["transformers"].note
    assert not any(found.is_known for found in engine_support({"general.architecture": "nonsense"}))
