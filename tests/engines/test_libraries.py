"""llama-cpp-python and transformers with a real model, each in its own environment: ``make test-engines``.

Where neither is installed, nothing here runs: CI has llama.cpp in process alone.
"""

import importlib.util

import pytest

import gguf2ollama
from gguf2ollama.errors import InvalidInput, NotEnoughSpace, UsageProblem
from gguf2ollama.ggufio import ShardSet, split
from gguf2ollama.memory.hardware import Hardware, find_hardware
from tests.builders import tiny_llama
from tests.live import parts

pytestmark = pytest.mark.live

MODULES = {"llama-cpp-python": "llama_cpp", "transformers": "transformers"}
ENGINES = [name for name, module in MODULES.items() if importlib.util.find_spec(module)]
GREEDY = {"temperature": 0, "num_predict": 12}
QUESTION = [{"role": "user", "content": "Say hi."}]
CHATS = [QUESTION, [{"role": "system", "content": "Be brief."}, *QUESTION]]


@pytest.fixture(scope="module", params=ENGINES)
def loaded(request):
    with gguf2ollama.load(parts.model_path(), engine=request.param, context=512, threads=1) as model:
        yield model


def said(model, **options):
    return "".join(chunk.content for chunk in model.chat(QUESTION, options=GREEDY | options))


def test_whole_and_in_shards_a_model_says_the_same(loaded, tmp_path):
    engine = loaded.report.engine
    shards = split(parts.model_path(), tmp_path / "shards", max_bytes=40_000_000)
    with gguf2ollama.load(shards[1], engine=engine, context=512, threads=1) as sharded:
        assert said(sharded) == said(loaded)
    assert len(said(loaded)) > 10


def test_all_engines_render_the_same_prompt(loaded):
    with gguf2ollama.load(parts.model_path(), engine="llama.cpp", context=512) as other:
        assert [loaded.prompt(chat) for chat in CHATS] == [other.prompt(chat) for chat in CHATS]


def test_the_answer_ends_at_its_end_a_stop_string_or_when_nobody_reads(loaded):
    *_, last = loaded.chat(QUESTION, options={"temperature": 0, "num_predict": 200})
    assert last.done_reason == "stop"
    assert last.metrics.prompt_eval_count > 20
    assert last.metrics.eval_count > 2
    assert said(loaded) != said(loaded, stop=[said(loaded)[5:8]])
    story = loaded.generate("Once upon a time", options={"num_predict": 300})
    assert next(story).content
    story.close()
    assert said(loaded)


def test_a_prompt_that_is_too_long_is_an_error_and_the_model_stays(loaded):
    with pytest.raises(UsageProblem, match=r"cannot answer: .* context"):
        list(loaded.generate("word " * 600))
    assert said(loaded)


def test_sampling_is_the_same_with_the_same_seed(loaded):
    first, again = (said(loaded, temperature=1.5, seed=3) for _ in range(2))
    assert first == again


def test_the_estimate_holds(loaded):
    (found,) = gguf2ollama.measure(
        parts.model_path(),
        engines=[loaded.report.engine],
        gpu_layers=[0],
        contexts=[2048],
        tokens=4,
        threads=1,
    )
    assert found.problem is None
    # of transformers only the weights are estimated; torch takes more when it first computes
    most = 600_000_000 if found.engine == "transformers" else 80_000_000
    assert -0.1 * found.need.ram < found.ram_growth - found.need.ram < most
    if found.engine == "transformers":
        assert found.need.ram == 4 * ShardSet.discover(parts.model_path()).parameter_count


@pytest.mark.parametrize("engine", ENGINES)
def test_an_architecture_that_no_engine_knows_is_refused_by_its_name(engine, tmp_path):
    strange = tiny_llama(tmp_path / "strange.gguf")
    strange.write_bytes(strange.read_bytes().replace(b"llama", b"llamo"))
    with pytest.raises(InvalidInput, match="llamo"):
        gguf2ollama.load(strange, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_without_a_gpu_none_is_used_unless_it_is_asked_for(engine):
    hardware = find_hardware()
    if hardware is None or hardware.gpus:
        pytest.skip("this machine has a GPU")
    with pytest.raises(UsageProblem, match="finds no GPU"):
        gguf2ollama.load(parts.model_path(), engine=engine, gpu_layers="all")


@pytest.mark.parametrize("engine", ENGINES)
def test_what_does_not_fit_is_refused_and_loaded_by_force(engine, monkeypatch):
    small = Hardware(ram_bytes=1 << 30, free_ram_bytes=90_000_000)
    monkeypatch.setattr("gguf2ollama.engines.embedded.find_hardware", lambda: small)
    with pytest.raises(NotEnoughSpace, match="does not fit"):
        gguf2ollama.load(parts.model_path(), engine=engine, context=512)
    with gguf2ollama.load(parts.model_path(), engine=engine, context=512, force=True) as model:
        assert said(model)


@pytest.mark.skipif("llama-cpp-python" not in ENGINES, reason="the library of llama-cpp-python is not here")
def test_the_library_quantizes_as_the_program_does(tmp_path, monkeypatch):
    program = parts.OLLAMAS[0].tool("llama-quantize")
    by_program = gguf2ollama.quantize(parts.model_path(), tmp_path / "a.gguf", "Q8_0", program=program)
    monkeypatch.setenv("PATH", "/nowhere")
    steps = []
    by_library = gguf2ollama.quantize(parts.model_path(), tmp_path / "b.gguf", "Q8_0", progress=steps.append)
    assert by_program.read_bytes() == by_library.read_bytes()
    assert steps[-1].is_complete
    with pytest.raises(InvalidInput, match="imatrix"):
        gguf2ollama.quantize(parts.model_path(), tmp_path / "c.gguf", "IQ1_S")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gguf", "b.gguf"]
