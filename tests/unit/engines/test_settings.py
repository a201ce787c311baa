"""What engines are asked for: layers, contexts, and how tokens are sampled."""

import pytest

from gguf2ollama.engines import EngineSettings, parse_gpu_layers
from gguf2ollama.engines.settings import SAMPLING, parse_engine, sampling
from gguf2ollama.errors import UsageProblem


@pytest.mark.parametrize(
    "text, layers", [("0", 0), ("8", 8), (" all ", "all"), ("AUTO", "auto"), ("999999", 999_999)]
)
def test_layers_are_a_number_all_or_auto(text, layers):
    assert parse_gpu_layers(text) == layers


@pytest.mark.parametrize("text", ["", "-1", "1.5", "none", "٣", "9" * 5000])
def test_other_texts_are_no_layers(text):
    with pytest.raises(UsageProblem, match="--gpu-layers"):
        parse_gpu_layers(text)


def test_an_engine_is_named_in_any_case_and_no_other_is_taken():
    assert parse_engine("Transformers") == "transformers"
    with pytest.raises(UsageProblem, match="vllm") as caught:
        parse_engine("vllm")
    assert "llama-cpp-python" in caught.value.hint


@pytest.mark.parametrize(
    "values", [{"context": 0}, {"context": 1 << 31}, {"gpu_layers": -1}, {"cache_type": "q3"}, {"threads": 0}]
)
def test_settings_that_cannot_be_are_refused(values):
    with pytest.raises(UsageProblem):
        EngineSettings(**values)


def test_what_is_not_given_is_sampled_as_llama_cpp_does():
    assert sampling({"temperature": 0}) == {**SAMPLING, "temperature": 0, "stop": ()}
    assert sampling({"stop": "END"})["stop"] == ("END",)


@pytest.mark.parametrize("options", [{"mirostat": 2}, {"temperature": "hot"}, {"seed": True}])
def test_what_an_engine_does_not_know_is_refused(options):
    with pytest.raises(UsageProblem):
        sampling(options)
