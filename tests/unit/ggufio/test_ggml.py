from __future__ import annotations

import gguf
import pytest

from gguf2ollama.ggufio import TensorType, file_type_name

ONLY_OURS = {TensorType.Q2_0: (64, 18)}  # in llama.cpp's ggml-common.h, not yet in the gguf package


def test_knows_every_tensor_type_of_the_gguf_package_with_its_sizes() -> None:
    ours = {
        kind.name: (int(kind), kind.block_size, kind.block_bytes)
        for kind in TensorType
        if kind not in ONLY_OURS
    }
    theirs = {kind.name: (int(kind), *sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert ours == theirs


@pytest.mark.parametrize("kind,sizes", ONLY_OURS.items())
def test_knows_newer_tensor_types(kind: TensorType, sizes: tuple[int, int]) -> None:
    assert (kind.block_size, kind.block_bytes) == sizes


def test_names_every_file_type_of_the_gguf_package() -> None:
    for file_type in gguf.LlamaFileType:
        if file_type is gguf.LlamaFileType.GUESSED:
            continue
        expected = file_type.name.removeprefix("MOSTLY_").removeprefix("ALL_")
        assert file_type_name(int(file_type)) == expected


def test_a_guessed_file_type_has_the_name_of_the_guess() -> None:
    assert file_type_name(1024 | 15) == "Q4_K_M"


@pytest.mark.parametrize("value", [None, "Q4_K_M", 4, 33, 999, -1, True, 15.0])
def test_whatever_is_no_file_type_is_unknown(value: object) -> None:
    assert file_type_name(value) == "unknown"
