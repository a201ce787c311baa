"""Names made from the names of files as publishers write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import UsageProblem
from gguf2ollama.names import ModelName
from gguf2ollama.planning.default_name import suggest_name


@pytest.mark.parametrize(
    "stem,name",
    [
        ("SmolLM2-135M-Instruct.Q4_1", "smollm2-135m-instruct:q4_1"),
        ("Qwen2.5-7B-Instruct-Q4_K_M", "qwen2.5-7b-instruct:q4_k_m"),
        ("qwen2.5-7b-instruct-fp16", "qwen2.5-7b-instruct:fp16"),
        # unsloth
        ("Qwen3-30B-A3B-Instruct-2507-UD-Q4_K_XL", "qwen3-30b-a3b-instruct-2507:ud-q4_k_xl"),
        ("DeepSeek-R1-UD-IQ1_S", "deepseek-r1:ud-iq1_s"),
        ("DeepSeek-V3.1-UD-TQ1_0", "deepseek-v3.1:ud-tq1_0"),
        ("gemma-3-27b-it-BF16", "gemma-3-27b-it:bf16"),
        ("gpt-oss-20b-F16", "gpt-oss-20b:f16"),
        # bartowski
        ("Meta-Llama-3.1-8B-Instruct-Q4_K_M", "meta-llama-3.1-8b-instruct:q4_k_m"),
        ("Mistral-Small-24B-Instruct-2501-IQ2_XXS", "mistral-small-24b-instruct-2501:iq2_xxs"),
        ("Phi-3.5-mini-instruct-Q4_0_4_8", "phi-3.5-mini-instruct:q4_0_4_8"),
        ("google_gemma-3-4b-it-Q6_K_L", "google_gemma-3-4b-it:q6_k_l"),
        ("Qwen_Qwen3-8B-bf16", "qwen_qwen3-8b:bf16"),
        # mradermacher
        ("Llama-3-8B-Lexi.i1-IQ3_XXS", "llama-3-8b-lexi:i1-iq3_xxs"),
        ("Llama-3-8B-Lexi.Q8_0", "llama-3-8b-lexi:q8_0"),
        # ggml-org, TheBloke, the authors
        ("gpt-oss-120b-mxfp4", "gpt-oss-120b:mxfp4"),
        ("Qwen3-Coder-30B-A3B-MXFP4_MOE", "qwen3-coder-30b-a3b:mxfp4_moe"),
        ("mistral-7b-instruct-v0.2.Q5_K_S", "mistral-7b-instruct-v0.2:q5_k_s"),
        ("tinyllama-1.1b-chat-v1.0.Q4_K_M", "tinyllama-1.1b-chat-v1.0:q4_k_m"),
        ("ggml-model-i2_s", "ggml-model:i2_s"),
        ("Phi-3-mini-4k-instruct-q4", "phi-3-mini-4k-instruct:q4"),
        # no quantization at the end
        ("AVQ2", "avq2:latest"),
        ("model-AVQ2", "model-avq2:latest"),
        ("Q4_K_M", "q4_k_m:latest"),
        ("llama-2-7b-chat", "llama-2-7b-chat:latest"),
        ("Q8_0-of-something", "of-something:q8_0"),
        ("gemma-4-26B_q4_0-it", "gemma-4-26b-it:q4_0"),
        ("Qwen3VL-32B-Instruct-F16-split", "qwen3vl-32b-instruct:f16"),
        ("m-7b.Q8_0.part", "m-7b:q8_0"),
        ("model", "model:latest"),
        ("model (1)", "model-1:latest"),
        ("Modèle été-Q8_0", "modele-ete:q8_0"),
        ("-._model-", "model:latest"),
        ("x" * 200 + "-Q4_0", "x" * 80 + ":q4_0"),
    ],
)
def test_a_name_is_what_a_user_would_choose(stem, name):
    assert suggest_name(stem).short == name


@pytest.mark.parametrize(
    "stem,label,repository,name",
    [
        ("ggml-model-Q4_K_M", "Q4_K_M", "MiniCPM-V-4-gguf", "minicpm-v-4:q4_k_m"),
        ("unsloth.Q4_K_M", "Q4_K_M", "llama3.1-8b-coding-gguf", "llama3.1-8b-coding:q4_k_m"),
        ("final.Q8_0", "Q8_0", "My-Finetune-GGUF", "my-finetune:q8_0"),
        ("Q4_K_M", "Q4_K_M", "llama_gguf", "llama:q4_k_m"),
        ("model", None, "ggml-model-f16.gguf", "model:latest"),
        ("模型-Q4_0", "Q4_0", "Sakura-14B-GGUF", "sakura-14b:q4_0"),
        (
            "Llama-3.2-1B-Instruct-Q4_K_M",
            "Q4_K_M",
            "ultravox-v0_5-llama-3_2-1b-GGUF",
            "llama-3.2-1b-instruct:q4_k_m",
        ),
        ("gpt2.i1-Q2_K", "i1-Q2_K", "gpt2-i1-GGUF", "gpt2:i1-q2_k"),
        (
            "Qwen3.6-35B-A3B-APEX-I-Compact",
            "I-Compact",
            "Qwen3.6-35B-A3B-APEX-GGUF",
            "qwen3.6-35b-a3b-apex:i-compact",
        ),
        ("Qwen3.5-9B-MoQ-16", "BF16", "Qwen3.5-9B-GGUF-MoQ", "qwen3.5-9b-moq-16:bf16"),
        ("模型", None, "模型", None),
    ],
)
def test_from_a_repository_the_name_is_its_own_where_the_files_says_nothing(stem, label, repository, name):
    if name is None:
        with pytest.raises(UsageProblem):
            suggest_name(stem, label=label, repository=repository)
    else:
        assert suggest_name(stem, label=label, repository=repository).short == name


@pytest.mark.parametrize(
    "stem,folders,name",
    [
        ("ggml-model-q4_k", ("ggml_llava-v1.5-7b", "mys"), "ggml_llava-v1.5-7b:q4_k"),
        ("Q4_K_M", ("Q4_K_M", "phi-2"), "phi-2:q4_k_m"),
        ("模型-Q4_0", ("Sakura-14B",), "sakura-14b:q4_0"),
        ("mistral.Q4_0", ("Downloads",), "mistral:q4_0"),
        ("model", ("Downloads",), "model:latest"),
        ("model", ("Jan-v1-4B-Q4_K_M", "models"), "jan-v1-4b:q4_k_m"),
        ("model", ("Jan-v1-4B", "models"), "jan-v1-4b:latest"),
        ("model", ("Q8_0", "phi-2-GGUF"), "phi-2:q8_0"),
        ("model.Q8_0", ("phi-2-GGUF", "TheBloke"), "phi-2:q8_0"),
        ("ggml-model", ("Q8_0", "phi-2"), "phi-2:q8_0"),
    ],
)
def test_a_file_that_says_nothing_has_the_name_of_its_folder(stem, folders, name):
    assert suggest_name(stem, folders=folders).short == name


@pytest.mark.parametrize("stem", ["", "---", "模型", "🤖-Q4_0"])
def test_where_nothing_can_stand_in_a_name_one_is_asked_for(stem):
    with pytest.raises(UsageProblem) as caught:
        suggest_name(stem)
    assert "--name" in caught.value.hint


quantizations = st.sampled_from(["", "-Q4_K_M", ".i1-IQ3_XXS", "_BF16", "-UD-Q4_K_XL", "-q8" + "_0" * 100])


@given(stem=st.text(max_size=120) | st.text("aZ09._- ", max_size=120), ending=quantizations)
def test_whatever_a_file_is_called_the_name_is_one_that_ollama_takes(stem, ending):
    try:
        name = suggest_name(stem + ending)
    except UsageProblem:
        return
    assert ModelName.parse(name.short) == name
    assert name.short == name.short.lower()


@given(stem=st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z]", fullmatch=True))
def test_the_quantization_becomes_the_tag(stem):
    assert suggest_name(f"{stem}-Q5_K_M") == ModelName(model=stem, tag="q5_k_m")
