"""Models of real shapes for :mod:`benchmarks.memory_truth`: headers without weights, and with few layers.

What llama.cpp computes with doesn't depend on the number of layers, so two or a few of each kind are enough.
The dimensions are those of the models' own configuration files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["MAKES", "Make"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Make:
    """A model to measure.

    Attributes:
        architecture: Such as ``qwen3``.
        keys: Its metadata, without the architecture; ``=`` marks those that have none.
        optional: Tensors of layers that llama.cpp does not demand and real files have.
        without: Layers that have none of those that begin with a prefix.
    """

    architecture: str
    keys: Mapping[str, Any]
    optional: tuple[str, ...] = ()
    without: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def _dense(*sizes: int, layers: int = 2, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - values of keys
    """Return keys of a model: its width, feed-forward width, heads, those of keys, their length, tokens."""
    width, feed_forward, heads, kv_heads, length, vocabulary = sizes
    return {
        "context_length": 262144,
        "block_count": layers,
        "embedding_length": width,
        "feed_forward_length": feed_forward,
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
        "attention.key_length": length,
        "attention.value_length": length,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "attention.layer_norm_epsilon": 1e-5,
        "rope.dimension_count": length,
        "rope.freq_base": 10000.0,
        "vocab_size": vocabulary,
    } | {key.replace("__", "."): value for key, value in more.items()}


def _experts(count: int, used: int, width: int, *, shared: int = 0, shared_width: int = 0) -> dict[str, int]:
    keys = {"expert_count": count, "expert_used_count": used, "expert_feed_forward_length": width}
    if shared:
        keys["expert_shared_count"] = shared
    if shared_width:
        keys["expert_shared_feed_forward_length"] = shared_width
    return keys


def _state(kernel: int, inner: int, state: int, heads: int, groups: int = 1) -> dict[str, int]:
    return {
        "ssm.conv_kernel": kernel,
        "ssm.inner_size": inner,
        "ssm.state_size": state,
        "ssm.time_step_rank": heads,
        "ssm.group_count": groups,
    }


_LINEAR = {"optional": ("attn_qkv.weight", "attn_gate.weight"), "without": {"attn_": (3,)}}
_BIASES = ("attn_q.bias", "attn_k.bias", "attn_v.bias")
_GATE = ("ffn_gate_exps.weight",)
_GEMMA4 = {
    "attention__key_length_swa": 256,
    "attention__value_length_swa": 256,
    "attention__shared_kv_layers": 0,
    "rope__freq_base_swa": 10000.0,
    "rope__dimension_count_swa": 256,
    "final_logit_softcapping": 30.0,
}
_MLA = {"attention__value_length": 512, "attention__key_length_mla": 192, "attention__value_length_mla": 128}
_DEEPSEEK = {"attention__kv_lora_rank": 512, "rope__dimension_count": 64, "leading_dense_block_count": 1}
_SECTIONS = [11, 11, 10, 0]

MAKES: dict[str, Make] = {
    "Llama-3.1-8B": Make(architecture="llama", keys=_dense(4096, 14336, 32, 8, 128, 128256)),
    "Llama-3.2-1B": Make(architecture="llama", keys=_dense(2048, 8192, 32, 8, 64, 128256)),
    "Mistral-Nemo": Make(architecture="llama", keys=_dense(5120, 14336, 32, 8, 128, 131072)),
    "Mixtral-8x7B": Make(
        architecture="llama",
        keys=_dense(4096, 14336, 32, 8, 128, 32000) | _experts(8, 2, 14336),
        optional=_GATE,
    ),
    "Qwen2.5-7B": Make(architecture="qwen2", keys=_dense(3584, 18944, 28, 4, 128, 152064), optional=_BIASES),
    "Qwen2.5-0.5B": Make(architecture="qwen2", keys=_dense(896, 4864, 14, 2, 64, 151936), optional=_BIASES),
    "Qwen3-4B": Make(architecture="qwen3", keys=_dense(2560, 9728, 32, 8, 128, 151936)),
    "Qwen3-32B": Make(architecture="qwen3", keys=_dense(5120, 25600, 64, 8, 128, 151936)),
    "Qwen3-30B-A3B": Make(
        architecture="qwen3moe", keys=_dense(2048, 6144, 32, 4, 128, 151936) | _experts(128, 8, 768)
    ),
    "Qwen3-Next": Make(
        architecture="qwen3next",
        keys=_dense(2048, 5120, 16, 2, 256, 151936, layers=4, rope__dimension_count=64)
        | _state(4, 4096, 128, 32, 16)
        | _experts(64, 10, 512, shared_width=512)
        | {"full_attention_interval": 4},
        **_LINEAR,
    ),
    "Qwen3.6-27B": Make(
        architecture="qwen35",
        keys=_dense(5120, 17408, 24, 4, 256, 248320, layers=4, rope__dimension_count=64)
        | _state(4, 6144, 128, 48, 16)
        | {"full_attention_interval": 4, "rope.dimension_sections": _SECTIONS},
        **_LINEAR,
    ),
    "Qwen3.6-35B-A3B": Make(
        architecture="qwen35moe",
        keys=_dense(2048, 512, 16, 2, 256, 248320, layers=4, rope__dimension_count=64)
        | _state(4, 4096, 128, 32, 16)
        | _experts(64, 8, 512, shared_width=512)
        | {"full_attention_interval": 4, "rope.dimension_sections": _SECTIONS},
        **_LINEAR,
    ),
    "Gemma-2-9B": Make(
        architecture="gemma2",
        keys=_dense(
            3584,
            14336,
            16,
            8,
            256,
            256000,
            layers=4,
            attention__sliding_window=4096,
            attn_logit_softcapping=50.0,
            final_logit_softcapping=30.0,
        ),
    ),
    "Gemma-3-4B": Make(
        architecture="gemma3",
        keys=_dense(2560, 10240, 8, 4, 256, 262144, layers=6, attention__sliding_window=1024),
    ),
    "Gemma-3-27B": Make(
        architecture="gemma3",
        keys=_dense(5376, 21504, 32, 16, 128, 262208, layers=6, attention__sliding_window=1024),
    ),
    "Gemma-3n-E4B": Make(
        architecture="gemma3n",
        keys=_dense(
            2048,
            16384,
            8,
            2,
            256,
            262400,
            layers=30,
            attention__sliding_window=512,
            embedding_length_per_layer_input=256,
            altup__num_inputs=4,
            altup__active_idx=0,
            activation_sparsity_scale=[1.6] * 10 + [0.0] * 20,
            attention__shared_kv_layers=10,
        ),
    ),
    "Gemma-4-12B": Make(
        architecture="gemma4",
        keys=_dense(
            3840,
            15360,
            16,
            8,
            512,
            262144,
            layers=6,
            attention__sliding_window=1024,
            embedding_length_per_layer_input=0,
            attention__sliding_window_pattern=[True] * 5 + [False],
            **_GEMMA4,
        ),
    ),
    "Gemma-4-E2B": Make(
        architecture="gemma4",
        keys=_dense(
            1536,
            6144,
            8,
            1,
            512,
            262144,
            layers=10,
            attention__sliding_window=512,
            embedding_length_per_layer_input=256,
            attention__sliding_window_pattern=[True, True, True, True, False] * 2,
            **_GEMMA4,
        ),
    ),
    "Gemma-4-26B-A4B": Make(
        architecture="gemma4",
        keys=_dense(
            2816,
            2112,
            16,
            8,
            512,
            262144,
            layers=6,
            attention__sliding_window=1024,
            embedding_length_per_layer_input=0,
            attention__sliding_window_pattern=[True] * 5 + [False],
            **_GEMMA4,
        )
        | _experts(128, 8, 704),
        optional=(
            "ffn_gate_inp.weight",
            "ffn_gate_inp.scale",
            "pre_ffw_norm_2.weight",
            "post_ffw_norm_1.weight",
            "post_ffw_norm_2.weight",
            "ffn_gate_up_exps.weight",
            "ffn_down_exps.weight",
            "ffn_down_exps.scale",
        ),
    ),
    "gpt-oss-20b": Make(
        architecture="gpt-oss",
        keys=_dense(2880, 2880, 64, 8, 64, 201088, layers=4, attention__sliding_window=128)
        | _experts(32, 4, 2880),
    ),
    "DeepSeek-V3": Make(
        architecture="deepseek2",
        keys=_dense(
            7168,
            18432,
            128,
            1,
            576,
            129280,
            layers=3,
            attention__q_lora_rank=1536,
            expert_weights_scale=2.5,
            expert_gating_func=2,
            **_MLA,
        )
        | {key.replace("__", "."): value for key, value in _DEEPSEEK.items()}
        | _experts(32, 8, 2048, shared=1),
        optional=("exp_probs_b.bias",),
        without={"": (0,)},
    ),
    "DeepSeek-V2-Lite": Make(
        architecture="deepseek2",
        keys=_dense(2048, 10944, 16, 16, 192, 102400, layers=27, attention__value_length=128)
        | {key.replace("__", "."): value for key, value in _DEEPSEEK.items()}
        | _experts(64, 6, 1408, shared=2)
        | {"expert_weights_scale": 1.0},
    ),
    "GLM-4.5-Air": Make(
        architecture="glm4moe",
        keys=_dense(
            4096,
            10944,
            96,
            8,
            128,
            151552,
            layers=3,
            leading_dense_block_count=1,
            expert_weights_scale=1.0,
            expert_gating_func=2,
        )
        | _experts(64, 8, 1408, shared=1),
        optional=("exp_probs_b.bias",),
        without={"": (0,)},
    ),
    "GLM-4-9B": Make(architecture="glm4", keys=_dense(4096, 13696, 32, 2, 128, 151552)),
    "Phi-4": Make(
        architecture="phi3",
        keys=_dense(
            5120,
            17920,
            40,
            10,
            128,
            100352,
            attention__sliding_window=0,
            rope__scaling__original_context_length=16384,
        ),
        optional=("attn_qkv.weight",),
    ),
    "Command-R": Make(
        architecture="command-r", keys=_dense(8192, 22528, 64, 64, 128, 256000, logit_scale=0.0625)
    ),
    "Command-R7B": Make(
        architecture="cohere2",
        keys=_dense(
            4096, 14336, 32, 8, 128, 256000, layers=4, logit_scale=0.25, attention__sliding_window=4096
        ),
    ),
    "LFM2-1.2B": Make(
        architecture="lfm2",
        keys=_dense(2048, 8192, 32, 8, 64, 65536, layers=4)
        | {"attention.head_count_kv": [0, 8, 0, 8], "shortconv.l_cache": 3},
    ),
    "Granite-4.0-H-Tiny": Make(
        architecture="granitehybrid",
        keys=_dense(
            1536,
            512,
            12,
            4,
            128,
            100352,
            layers=4,
            logit_scale=8.0,
            residual_scale=0.2,
            embedding_scale=12.0,
            attention__scale=0.0078,
        )
        | {"attention.head_count_kv": [0, 4, 0, 4]}
        | _state(4, 3072, 128, 48)
        | _experts(64, 6, 512, shared=1, shared_width=1024),
        optional=("ssm_conv1d.bias", "ffn_gate_exps.weight"),
        without={"ssm_": (1, 3)},
    ),
    "Nemotron-H-8B": Make(
        architecture="nemotron_h",
        keys=_dense(4096, 21504, 32, 8, 128, 131072, layers=4)
        | {"attention.head_count_kv": [0, 8, 0, 0], "feed_forward_length": [0, 0, 21504, 21504]}
        | _state(4, 8192, 128, 128, 8),
        optional=("ssm_conv1d.bias",),
        without={"ssm_": (1, 2, 3)},
    ),
    "Falcon-H1-7B": Make(
        architecture="falcon-h1",
        keys=_dense(3072, 12288, 12, 2, 128, 130048) | _state(4, 3072, 256, 24),
        optional=("ssm_conv1d.bias", "ssm_norm.weight"),
    ),
    "Llama-4-Scout": Make(
        architecture="llama4",
        keys=_dense(
            5120, 16384, 40, 8, 128, 202048, layers=4, interleave_moe_layer_step=1, attention__scale=0.1
        )
        | _experts(4, 1, 8192),
    ),
    "MiniMax-M2": Make(
        architecture="minimax-m2",
        keys=_dense(3072, 1536, 48, 8, 128, 200064, rope__dimension_count=64, expert_gating_func=2)
        | _experts(64, 8, 1536),
    ),
    "Kimi-Linear": Make(
        architecture="kimi-linear",
        keys=_dense(
            2304,
            9216,
            32,
            1,
            576,
            163840,
            layers=4,
            kda__head_dim=128,
            ssm__conv_kernel=4,
            expert_gating_func=2,
            expert_weights_scale=2.446,
            **_MLA,
        )
        | {key.replace("__", "."): value for key, value in _DEEPSEEK.items()}
        | {"attention.head_count_kv": [0, 0, 0, 1]}
        | _experts(64, 8, 1024, shared=1),
    ),
    "GLM-5": Make(
        architecture="glm-dsa",
        keys=_dense(
            6144,
            12288,
            64,
            1,
            576,
            154880,
            layers=3,
            attention__value_length=512,
            attention__key_length_mla=256,
            attention__value_length_mla=256,
            attention__q_lora_rank=2048,
            expert_gating_func=2,
            expert_weights_scale=2.5,
            attention__indexer__head_count=32,
            attention__indexer__key_length=128,
            attention__indexer__top_k=2048,
        )
        | {key.replace("__", "."): value for key, value in _DEEPSEEK.items()}
        | _experts(32, 8, 2048, shared=1),
        optional=(
            "indexer.k_norm.weight",
            "indexer.k_norm.bias",
            "indexer.proj.weight",
            "indexer.attn_k.weight",
            "indexer.attn_q_b.weight",
        ),
    ),
    "Mamba-2.8B": Make(
        architecture="mamba", keys=_dense(2560, 0, 0, 0, 64, 50280) | _state(4, 5120, 16, 160)
    ),
    "Mamba-2-2.7B": Make(
        architecture="mamba2", keys=_dense(2560, 0, 0, 0, 64, 50288) | _state(4, 5120, 128, 80)
    ),
    "Jamba": Make(
        architecture="jamba",
        keys=_dense(4096, 14336, 32, 8, 128, 65536, layers=4)
        | {"attention.head_count_kv": [0, 8, 0, 8]}
        | _state(4, 8192, 16, 256)
        | _experts(4, 2, 14336),
        optional=(
            "ffn_gate_inp.weight",
            "ffn_gate_exps.weight",
            "ffn_up_exps.weight",
            "ffn_down_exps.weight",
        ),
    ),
    "RWKV-6-7B": Make(
        architecture="rwkv6",
        keys=_dense(
            4096,
            14336,
            0,
            0,
            64,
            65536,
            wkv__head_size=64,
            time_mix_extra_dim=64,
            time_decay_extra_dim=128,
            token_shift_count=2,
            rescale_every_n_layers=6,
        ),
        optional=("time_mix_lerp_fused.weight",),
    ),
    "nomic-embed-text-v1.5": Make(
        architecture="nomic-bert",
        keys=_dense(768, 3072, 12, 12, 64, 30522)
        | {"attention.causal": False, "pooling_type": 1, "=tokenizer.ggml.token_type_count": 2},
        optional=("attn_qkv.weight",),
    ),
    "bge-m3": Make(
        architecture="bert",
        keys=_dense(1024, 4096, 16, 16, 64, 250002)
        | {"attention.causal": False, "pooling_type": 2, "=tokenizer.ggml.token_type_count": 1},
    ),
    "embeddinggemma-300m": Make(
        architecture="gemma-embedding",
        keys=_dense(768, 1152, 3, 1, 256, 262144, layers=6, attention__sliding_window=512)
        | {"attention.causal": False, "pooling_type": 1},
    ),
    "OLMo-2-7B": Make(architecture="olmo2", keys=_dense(4096, 11008, 32, 32, 128, 100352)),
    "StarCoder2-7B": Make(architecture="starcoder2", keys=_dense(4608, 18432, 36, 4, 128, 49152)),
    "Falcon-40B": Make(
        architecture="falcon", keys=_dense(8192, 32768, 128, 8, 64, 65024), optional=("attn_qkv.weight",)
    ),
    "Granite-3.1-3B-A800M": Make(
        architecture="granitemoe",
        keys=_dense(
            1536,
            512,
            24,
            8,
            64,
            49155,
            logit_scale=6.0,
            residual_scale=0.22,
            embedding_scale=12.0,
            attention__scale=0.015625,
        )
        | _experts(40, 8, 512),
        optional=_GATE,
    ),
    "ERNIE-4.5-21B-A3B": Make(
        architecture="ernie4_5-moe",
        keys=_dense(
            2560,
            12288,
            20,
            4,
            128,
            103424,
            layers=3,
            leading_dense_block_count=1,
            interleave_moe_layer_step=1,
        )
        | _experts(64, 6, 1536, shared=2),
        optional=_GATE,
        without={"": (0,)},
    ),
    "Hunyuan-A13B": Make(
        architecture="hunyuan-moe",
        keys=_dense(4096, 3072, 32, 8, 128, 128167) | _experts(16, 8, 3072, shared=1, shared_width=3072),
    ),
    "dots.llm1": Make(
        architecture="dots1",
        keys=_dense(
            4096,
            10944,
            32,
            32,
            128,
            152064,
            layers=3,
            leading_dense_block_count=1,
            expert_gating_func=2,
            expert_weights_scale=2.5,
        )
        | _experts(32, 6, 1408, shared=2),
    ),
    "Seed-OSS-36B": Make(architecture="seed_oss", keys=_dense(5120, 27648, 80, 8, 128, 155136)),
    "EXAONE-4-32B": Make(
        architecture="exaone4",
        keys=_dense(
            5120,
            27392,
            40,
            8,
            128,
            102400,
            layers=4,
            attention__sliding_window=4096,
            attention__sliding_window_pattern=4,
        ),
    ),
    "MiMo-V2-Flash": Make(
        architecture="mimo2",
        keys=_dense(
            4096,
            16384,
            64,
            4,
            192,
            152576,
            layers=4,
            attention__value_length=128,
            attention__sliding_window=128,
            attention__sliding_window_pattern=[True, True, True, False],
            expert_gating_func=2,
            leading_dense_block_count=1,
        )
        | _experts(32, 8, 2048),
        optional=(
            "attn_sinks.weight",
            "ffn_gate_inp.weight",
            "ffn_gate_exps.weight",
            "ffn_up_exps.weight",
            "ffn_down_exps.weight",
            "exp_probs_b.bias",
        ),
        without={"": (0,)},
    ),
    "DBRX": Make(
        architecture="dbrx",
        keys=_dense(6144, 10752, 48, 8, 128, 100352, attention__clamp_kqv=8.0) | _experts(8, 4, 10752),
        optional=("attn_qkv.weight",),
    ),
    "Grok-1": Make(architecture="grok", keys=_dense(6144, 32768, 48, 8, 128, 131072) | _experts(4, 2, 16384)),
    "Phi-2": Make(
        architecture="phi2",
        keys=_dense(2560, 10240, 32, 32, 80, 51200),
        optional=("attn_qkv.weight", "attn_qkv.bias"),
    ),
    "Gemma-7B": Make(architecture="gemma", keys=_dense(3072, 24576, 16, 16, 256, 256000)),
    "Gemma-4-31B": Make(
        architecture="gemma4",
        keys=_dense(
            5376,
            21504,
            32,
            4,
            512,
            262144,
            layers=6,
            attention__sliding_window=1024,
            embedding_length_per_layer_input=0,
            attention__sliding_window_pattern=[True] * 5 + [False],
            **_GEMMA4,
        )
        | {"attention.head_count_kv": [16] * 5 + [4]},
    ),
    "Nemotron-4-15B": Make(architecture="nemotron", keys=_dense(6144, 24576, 48, 8, 128, 256000)),
    "OLMoE": Make(architecture="olmoe", keys=_dense(2048, 1024, 16, 16, 128, 50304) | _experts(64, 8, 1024)),
    "Kimi-K2": Make(
        architecture="deepseek2",
        keys=_dense(
            7168,
            18432,
            64,
            1,
            576,
            163840,
            layers=3,
            attention__q_lora_rank=1536,
            expert_weights_scale=2.827,
            expert_gating_func=2,
            **_MLA,
        )
        | {key.replace("__", "."): value for key, value in _DEEPSEEK.items()}
        | _experts(32, 8, 2048, shared=1),
        optional=("exp_probs_b.bias",),
        without={"": (0,)},
    ),
    "LFM2-8B-A1B": Make(
        architecture="lfm2moe",
        keys=_dense(2048, 7168, 32, 8, 64, 65536, layers=5, leading_dense_block_count=2, expert_gating_func=2)
        | {"attention.head_count_kv": [0, 0, 8, 0, 8], "shortconv.l_cache": 3}
        | _experts(32, 4, 1792),
    ),
    "Qwen3-VL-30B-A3B": Make(
        architecture="qwen3vlmoe",
        keys=_dense(2048, 6144, 32, 4, 128, 151936, layers=6, n_deepstack_layers=3)
        | {"rope.dimension_sections": [24, 20, 20, 0]}
        | _experts(32, 8, 768),
    ),
    "EXAONE-4.5-MoE": Make(
        architecture="exaone-moe",
        keys=_dense(
            6144,
            18432,
            64,
            8,
            128,
            153600,
            layers=4,
            attention__sliding_window=128,
            attention__sliding_window_pattern=[True, True, True, False],
            expert_gating_func=2,
            expert_weights_scale=2.5,
            leading_dense_block_count=1,
        )
        | _experts(16, 8, 2048, shared=1),
    ),
    "Qwen2-57B-A14B": Make(
        architecture="qwen2moe",
        keys=_dense(3584, 18944, 28, 4, 128, 151936) | _experts(16, 8, 2560, shared_width=20480),
    ),
    "Apertus-8B": Make(
        architecture="apertus",
        keys=_dense(4096, 21504, 32, 8, 128, 131072)
        | {f"=xielu.{key}": [0.8] * 2 for key in ("alpha_n", "alpha_p", "beta", "eps")},
    ),
    "GPT-2-XL": Make(
        architecture="gpt2",
        keys=_dense(1600, 6400, 25, 25, 64, 50257),
        optional=("attn_qkv.weight", "attn_qkv.bias"),
    ),
    "Llama-Nemotron-49B": Make(
        architecture="deci",
        keys=_dense(8192, 28672, 64, 8, 128, 128256, layers=4)
        | {
            "attention.head_count": [64, 0, 64, 64],
            "attention.head_count_kv": [8, 0, 8, 8],
            "feed_forward_length": [28672, 28672, 14336, 28672],
        },
    ),
}
"""Models by what they are shaped like. Where that has very many experts, fewer: only those used count."""
