"""File lists of repositories as publishers of GGUF lay them out: names, and rounded numbers of bytes.

After https://huggingface.co/OWNER/REPOSITORY/tree/main, and from memory: what counts is how they name and lay
out files; single sizes may be off. ``MB`` is a million bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

MB = 1_000_000

# every quantization above 4 GB in shards; the sizes of a shard set are those of its files
QWEN = {
    "qwen2.5-7b-instruct-fp16-00001-of-00004.gguf": 3953 * MB,
    "qwen2.5-7b-instruct-fp16-00002-of-00004.gguf": 3864 * MB,
    "qwen2.5-7b-instruct-fp16-00003-of-00004.gguf": 3864 * MB,
    "qwen2.5-7b-instruct-fp16-00004-of-00004.gguf": 3556 * MB,
    "qwen2.5-7b-instruct-q2_k.gguf": 3016 * MB,
    "qwen2.5-7b-instruct-q3_k_m.gguf": 3808 * MB,
    "qwen2.5-7b-instruct-q4_0-00001-of-00002.gguf": 3985 * MB,
    "qwen2.5-7b-instruct-q4_0-00002-of-00002.gguf": 447 * MB,
    "qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf": 3993 * MB,
    "qwen2.5-7b-instruct-q4_k_m-00002-of-00002.gguf": 690 * MB,
    "qwen2.5-7b-instruct-q5_0-00001-of-00002.gguf": 3992 * MB,
    "qwen2.5-7b-instruct-q5_0-00002-of-00002.gguf": 1323 * MB,
    "qwen2.5-7b-instruct-q5_k_m-00001-of-00002.gguf": 3993 * MB,
    "qwen2.5-7b-instruct-q5_k_m-00002-of-00002.gguf": 1451 * MB,
    "qwen2.5-7b-instruct-q6_k-00001-of-00002.gguf": 3990 * MB,
    "qwen2.5-7b-instruct-q6_k-00002-of-00002.gguf": 2265 * MB,
    "qwen2.5-7b-instruct-q8_0-00001-of-00003.gguf": 3986 * MB,
    "qwen2.5-7b-instruct-q8_0-00002-of-00003.gguf": 3945 * MB,
    "qwen2.5-7b-instruct-q8_0-00003-of-00003.gguf": 168 * MB,
}

# marks of their own, folders for what is in shards, projectors and an importance matrix beside the models
UNSLOTH = {
    "BF16/gemma-3-27b-it-BF16-00001-of-00002.gguf": 49_900 * MB,
    "BF16/gemma-3-27b-it-BF16-00002-of-00002.gguf": 4_130 * MB,
    "gemma-3-27b-it-IQ4_NL.gguf": 15_600 * MB,
    "gemma-3-27b-it-IQ4_XS.gguf": 14_800 * MB,
    "gemma-3-27b-it-Q2_K.gguf": 10_500 * MB,
    "gemma-3-27b-it-Q2_K_L.gguf": 10_700 * MB,
    "gemma-3-27b-it-Q3_K_M.gguf": 13_400 * MB,
    "gemma-3-27b-it-Q4_0.gguf": 15_600 * MB,
    "gemma-3-27b-it-Q4_K_M.gguf": 16_500 * MB,
    "gemma-3-27b-it-Q5_K_M.gguf": 19_300 * MB,
    "gemma-3-27b-it-Q6_K.gguf": 22_200 * MB,
    "gemma-3-27b-it-Q8_0.gguf": 28_700 * MB,
    "gemma-3-27b-it-UD-IQ1_M.gguf": 7_060 * MB,
    "gemma-3-27b-it-UD-IQ2_XXS.gguf": 7_850 * MB,
    "gemma-3-27b-it-UD-Q2_K_XL.gguf": 11_000 * MB,
    "gemma-3-27b-it-UD-Q4_K_XL.gguf": 16_800 * MB,
    "gemma-3-27b-it-UD-Q8_K_XL.gguf": 31_800 * MB,
    "imatrix_unsloth.dat": 13 * MB,
    "mmproj-BF16.gguf": 858 * MB,
    "mmproj-F16.gguf": 858 * MB,
    "mmproj-F32.gguf": 1_690 * MB,
}

# a folder for each quantization, and no file whole
UNSLOTH_LARGE = {
    f"{quant}/DeepSeek-R1-{quant}-{no:05d}-of-{count:05d}.gguf": 48_000 * MB
    for quant, count in (("UD-IQ1_S", 3), ("UD-Q2_K_XL", 5), ("Q4_K_M", 9), ("Q8_0", 15), ("BF16", 30))
    for no in range(1, count + 1)
}

# folders with the name of the file for what is above 50 GB
BARTOWSKI = {
    "Qwen2.5-72B-Instruct-IQ1_M.gguf": 23_740 * MB,
    "Qwen2.5-72B-Instruct-IQ2_XXS.gguf": 25_490 * MB,
    "Qwen2.5-72B-Instruct-IQ3_XXS.gguf": 31_850 * MB,
    "Qwen2.5-72B-Instruct-IQ4_XS.gguf": 39_710 * MB,
    "Qwen2.5-72B-Instruct-Q2_K_L.gguf": 31_030 * MB,
    "Qwen2.5-72B-Instruct-Q3_K_XL.gguf": 40_600 * MB,
    "Qwen2.5-72B-Instruct-Q4_0.gguf": 41_380 * MB,
    "Qwen2.5-72B-Instruct-Q4_K_M.gguf": 47_420 * MB,
    "Qwen2.5-72B-Instruct-Q5_K_M/Qwen2.5-72B-Instruct-Q5_K_M-00001-of-00002.gguf": 39_900 * MB,
    "Qwen2.5-72B-Instruct-Q5_K_M/Qwen2.5-72B-Instruct-Q5_K_M-00002-of-00002.gguf": 14_600 * MB,
    "Qwen2.5-72B-Instruct-Q8_0/Qwen2.5-72B-Instruct-Q8_0-00001-of-00002.gguf": 39_900 * MB,
    "Qwen2.5-72B-Instruct-Q8_0/Qwen2.5-72B-Instruct-Q8_0-00002-of-00002.gguf": 37_400 * MB,
    "Qwen2.5-72B-Instruct.imatrix": 26 * MB,
}

# a dot before the quantization, and files above 50 GB cut into pieces
MRADERMACHER = {
    "Meta-Llama-3-70B-Instruct.i1-IQ1_S.gguf": 15_400 * MB,
    "Meta-Llama-3-70B-Instruct.i1-IQ3_XXS.gguf": 27_600 * MB,
    "Meta-Llama-3-70B-Instruct.i1-Q2_K.gguf": 26_500 * MB,
    "Meta-Llama-3-70B-Instruct.i1-Q4_K_M.gguf": 42_600 * MB,
    "Meta-Llama-3-70B-Instruct.i1-Q4_K_S.gguf": 40_400 * MB,
    "Meta-Llama-3-70B-Instruct.i1-Q6_K.gguf.part1of2": 29_000 * MB,
    "Meta-Llama-3-70B-Instruct.i1-Q6_K.gguf.part2of2": 29_000 * MB,
    "imatrix.dat": 25 * MB,
}

GGML_ORG = {
    "gemma-3-4b-it-Q4_K_M.gguf": 2_490 * MB,
    "gemma-3-4b-it-Q8_0.gguf": 4_130 * MB,
    "gemma-3-4b-it-f16.gguf": 7_770 * MB,
    "mmproj-model-f16.gguf": 851 * MB,
}

GGML_ORG_SPLIT = {f"gpt-oss-120b-mxfp4-{no:05d}-of-00003.gguf": 21_100 * MB for no in (1, 2, 3)}

LMSTUDIO = {
    "Qwen2.5-VL-7B-Instruct-Q3_K_L.gguf": 4_090 * MB,
    "Qwen2.5-VL-7B-Instruct-Q4_K_M.gguf": 4_680 * MB,
    "Qwen2.5-VL-7B-Instruct-Q6_K.gguf": 6_250 * MB,
    "Qwen2.5-VL-7B-Instruct-Q8_0.gguf": 8_100 * MB,
    "mmproj-model-f16.gguf": 1_350 * MB,
}

KNOWN: Mapping[str, Mapping[str, int]] = {
    "Qwen/Qwen2.5-7B-Instruct-GGUF": QWEN,
    "unsloth/gemma-3-27b-it-GGUF": UNSLOTH,
    "unsloth/DeepSeek-R1-GGUF-UD": UNSLOTH_LARGE,
    "bartowski/Qwen2.5-72B-Instruct-GGUF": BARTOWSKI,
    "mradermacher/Meta-Llama-3-70B-Instruct-i1-GGUF": MRADERMACHER,
    "ggml-org/gemma-3-4b-it-GGUF": GGML_ORG,
    "ggml-org/gpt-oss-120b-GGUF": GGML_ORG_SPLIT,
    "lmstudio-community/Qwen2.5-VL-7B-Instruct-GGUF": LMSTUDIO,
}
