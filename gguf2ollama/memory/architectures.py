"""What llama.cpp knows of an architecture that its header does not say.

Read from the ``load_arch_hparams`` functions, ``llm_arch_is_recurrent``, ``llm_arch_is_hybrid`` and
``llama_model::create_memory`` of llama.cpp b11095 (``src/models/*.cpp``, ``src/llama-arch.cpp``,
``src/llama-model.cpp``).
"""

from __future__ import annotations

from gguf2ollama._dataclass import dataclass

__all__ = [
    "ARCHITECTURES",
    "ENCODERS",
    "HYBRID",
    "INDEXED",
    "RECURRENT",
    "WINDOWS",
    "Windows",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Which layers of an architecture attend to a window of tokens, and how large it is.

    Attributes:
        period: One of this many layers attends to all tokens, where the header has no pattern; 0 means that
            all layers have a window, ``None`` that the header must say which.
        starts_full: Whether the first layer of a period attends to all tokens, instead of the last.
        tokens: The window where the header has none; 0 means that no layer has one then.
        forced: The window whatever the header says, provided that it is not 0 there.
        layers: The number of layers that a model must have for windows to be used; ``None`` for any.
    """

    period: int | None
    starts_full: bool = False
    tokens: int = 0
    forced: int | None = None
    layers: int | None = None


WINDOWS = {
    "afmoe": Windows(period=4),
    "cohere2": Windows(period=4),
    "cohere2moe": Windows(period=4, starts_full=True),
    "deepseek4": Windows(period=0),
    "dots3note": Windows(period=None),
    "exaone-moe": Windows(period=4, tokens=128),
    "exaone4": Windows(period=4, tokens=4096, layers=64),
    "gemma2": Windows(period=2, tokens=4096),
    "gemma3": Windows(period=6),
    "gemma3n": Windows(period=5),
    "gemma4": Windows(period=None),
    "gemma4-assistant": Windows(period=None),
    "gpt-oss": Windows(period=2),
    "granite_swa": Windows(period=None),
    "laguna": Windows(period=4, starts_full=True),
    "lfm2": Windows(period=0),  # its layers of attention; not those of `lfm2moe`
    "llama4": Windows(period=4, tokens=8192, forced=8192),
    "maple": Windows(period=None),
    "mellum": Windows(period=4),
    "mimo2": Windows(period=None),
    "muse-glimmer": Windows(period=4),
    "olmo2": Windows(period=4),
    "plamo3": Windows(period=8),
    "smallthinker": Windows(period=4, starts_full=True, forced=4096),
    "spark2_5": Windows(period=None),
    "step35": Windows(period=None),
}
"""The architectures of which llama.cpp uses windows. Others may have a ``sliding_window``, too, and attend to
all tokens all the same (``phi3``, ``llama``, ``qwen2``)."""

RECURRENT = frozenset({"arwkv7", "mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7"})
"""Architectures without attention: a state of fixed size for each sequence."""

HYBRID = frozenset(
    {
        "bailingmoe3",
        "falcon-h1",
        "granitehybrid",
        "jamba",
        "kimi-k3",
        "kimi-linear",
        "lfm2",
        "lfm2moe",
        "minimax-01",
        "nemotron_h",
        "nemotron_h_moe",
        "plamo2",
        "qwen35",
        "qwen35moe",
        "qwen3next",
        "qwen4exp",
    }
)
"""Architectures of which some layers have attention and some, or all, a recurrent state."""

ENCODERS = frozenset(
    {
        "bert",
        "dream",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "llada",
        "llada-moe",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "rnd1",
        "t5encoder",
        "wavtokenizer-dec",
    }
)
"""Architectures that see their whole input at once, so nothing is cached."""

INDEXED = frozenset({"deepseek32", "dots3note", "glm-dsa", "hy_v4", "minimax-m3", "qwen4exp"})
"""Architectures with sparse attention: a small cache of index keys beside the KV cache."""

ARCHITECTURES = frozenset(  # as words, for their number
    """
    afmoe apertus arcee arctic arwkv7 baichuan bailingmoe bailingmoe2 bailingmoe3 bert bitnet bloom
    chameleon chatglm codeshell cogvlm cohere2 cohere2moe command-r dbrx deci deepseek deepseek2
    deepseek2-ocr deepseek32 deepseek4 dots1 dots3note dream ernie4_5 ernie4_5-moe eurobert exaone
    exaone-moe exaone4 falcon falcon-h1 gemma gemma-embedding gemma2 gemma3 gemma3n gemma4
    gemma4-assistant glm-dsa glm4 glm4moe gpt-oss gpt2 gptj gptneox granite granite_swa granitehybrid
    granitemoe graniteswitch grok grovemoe hrm_text hunyuan-dense hunyuan-moe hunyuan_vl hy_v3 hy_v4
    internlm2 jais jais2 jamba jina-bert-v2 jina-bert-v3 kimi-k3 kimi-linear laguna lfm2 lfm2moe llada
    llada-moe llama llama-embed llama4 maincoder mamba mamba2 maple mellum mimo2 minicpm minicpm3
    minimax-01 minimax-m2 minimax-m3 mistral3 mistral4 modern-bert mpt muse-glimmer nanbeige nemotron
    nemotron_h nemotron_h_moe neo-bert nomic-bert nomic-bert-moe olmo olmo2 olmoe openelm orion
    paddleocr pangu-embedded phi2 phi3 phimoe plamo plamo2 plamo3 plm qwen qwen2 qwen2moe qwen2vl qwen3
    qwen35 qwen35moe qwen3moe qwen3next qwen3vl qwen3vlmoe qwen4exp refact rnd1 rwkv6 rwkv6qwen2 rwkv7
    seed_oss smallthinker smollm3 spark2_5 stablelm starcoder starcoder2 step35 t5 t5encoder talkie
    wavtokenizer-dec xverse
    """.split()  # noqa: SIM905
)
"""The language models that llama.cpp b11095 runs (``LLM_ARCH_NAMES``)."""
