"""What bytes of a tensor are taken for numbers, held to the ``gguf`` package's decoding of them."""

import itertools
import math

import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

from gguf2ollama.ggufio import TensorType
from gguf2ollama.verification.tensor_blocks import NotCheckable, make_checker

UNREAD = {TensorType.Q8_1, TensorType.Q8_K}  # what ggml computes with, and writes to no file
INTEGERS = [TensorType.I8, TensorType.I16, TensorType.I32, TensorType.I64]
FLOATS = {TensorType.F16: "f2", TensorType.F32: "f4", TensorType.F64: "f8"}
SCALED_ONLY = [TensorType.Q1_0, TensorType.Q2_0]
BLOCKS = [kind for kind in TensorType if kind.block_size > 1 and kind not in UNREAD]
DECODED = [kind for kind in BLOCKS if kind not in SCALED_ONLY]
# of the others, what decodes to numbers may still be what no quantizer writes
ANY_BYTES = [kind for kind in DECODED if kind.name not in {"MXFP4", "NVFP4", "TQ1_0", "TQ2_0"}]
SCALES = {
    **{kind: {"d": 0} for kind in BLOCKS if kind.name.startswith(("IQ", "Q"))},
    TensorType.Q4_1: {"d": 0, "m": 2},
    TensorType.Q5_1: {"d": 0, "m": 2},
    TensorType.Q2_K: {"d": 80, "dmin": 82},
    TensorType.Q3_K: {"d": 108},
    TensorType.Q4_K: {"d": 0, "dmin": 2},
    TensorType.Q5_K: {"d": 0, "dmin": 2},
    TensorType.Q6_K: {"d": 208},
    TensorType.TQ1_0: {"d": 52},
    TensorType.TQ2_0: {"d": 64},
}
SCALES.pop(TensorType.IQ1_M)  # scattered over four fields
EVERY_SCALE = [(kind, name, at) for kind, scales in SCALES.items() for name, at in scales.items()]
SCALE_NAMES = [f"{kind.name}-{name}" for kind, name, _ in EVERY_SCALE]


def blocks_of(kind: TensorType, count: int, *, seed: int = 0) -> np.ndarray:
    """Return blocks as the reference quantizes random numbers; where it cannot, random small bytes."""
    rng = np.random.default_rng(seed)
    try:
        numbers = rng.normal(size=(count, kind.block_size)).astype(np.float32)
        return quants.quantize(numbers, GGMLQuantizationType(int(kind))).reshape(count, kind.block_bytes)
    except (NotImplementedError, ValueError):
        return rng.integers(0, 0x70, size=(count, kind.block_bytes), dtype=np.uint8)


def fault_of(kind: TensorType, data: np.ndarray, byte_order: str = "little"):
    return make_checker(kind, byte_order=byte_order)(data.reshape(-1).view(np.uint8))


def test_every_type_is_checked_but_those_that_no_file_holds():
    for kind in TensorType:
        if kind in UNREAD:
            with pytest.raises(NotCheckable, match="does not decode"):
                make_checker(kind, byte_order="little")
        else:
            assert fault_of(kind, np.zeros(4 * kind.block_bytes, np.uint8)) is None


@pytest.mark.parametrize("kind", BLOCKS, ids=lambda kind: kind.name)
def test_what_a_quantizer_writes_is_sound(kind):
    assert fault_of(kind, blocks_of(kind, 300)) is None


@pytest.mark.parametrize("kind", ANY_BYTES, ids=lambda kind: kind.name)
def test_random_bytes_are_damaged_where_the_reference_decodes_no_finite_number(kind):
    blocks = np.random.default_rng(1).integers(0, 256, size=(400, kind.block_bytes), dtype=np.uint8)
    with np.errstate(all="ignore"):
        numbers = quants.dequantize(blocks, GGMLQuantizationType(int(kind)))
    finite = np.isfinite(numbers).all(axis=1)
    assert not finite.all()
    assert fault_of(kind, blocks).block == int(finite.argmin())
    assert fault_of(kind, blocks[finite]) is None


@pytest.mark.parametrize("kind, name, at", EVERY_SCALE, ids=SCALE_NAMES)
def test_a_scale_that_is_no_number_is_named_with_its_block(kind, name, at):
    for pattern, word in ((0x7E00, "NaN"), (0xFC01, "NaN"), (0x7C00, "infinite"), (0xFC00, "infinite")):
        blocks = blocks_of(kind, 9).copy()
        blocks[7, at : at + 2] = np.array([pattern], "<u2").view(np.uint8)
        blocks[8, at : at + 2] = 0xFF
        fault = fault_of(kind, blocks)
        assert (fault.block, fault.problem) == (7, f"scale {name} is {word}")


@pytest.mark.parametrize("kind, name, at", EVERY_SCALE, ids=SCALE_NAMES)
def test_a_scale_may_be_any_finite_number(kind, name, at):
    for value in (0.0, -0.0, 65504.0, -65504.0, 6e-8):
        blocks = blocks_of(kind, 3).copy()
        blocks[1, at : at + 2] = np.array([value], "<f2").view(np.uint8)
        assert fault_of(kind, blocks) is None


def test_the_scattered_scale_of_iq1_m_is_decoded():
    blocks = blocks_of(TensorType.IQ1_M, 5).copy()
    blocks[3, 48:56].view("<u2")[:] |= 0xF000
    fault = fault_of(TensorType.IQ1_M, blocks)
    assert (fault.block, fault.problem) == (3, "element 0 of the block is NaN")


@pytest.mark.parametrize("exponent, is_sound", [(252, True), (254, False), (255, False)])
def test_an_exponent_of_mxfp4_that_makes_no_number_is_found(exponent, is_sound):
    blocks = blocks_of(TensorType.MXFP4, 4).copy()
    blocks[2] = 0x77  # the largest number, 6
    blocks[2, 0] = exponent
    fault = fault_of(TensorType.MXFP4, blocks)
    assert (fault is None) is is_sound
    assert is_sound or fault.block == 2


def test_255_is_no_exponent_of_mxfp4_even_where_all_numbers_are_0():
    blocks = np.zeros((2, 17), np.uint8)
    blocks[1, 0] = 255
    assert fault_of(TensorType.MXFP4, blocks).problem == "scale e is 255, which stands for NaN"


@pytest.mark.parametrize(
    "scale, is_sound", [(0, True), (0x7E, True), (0x7F, False), (0x80, False), (0xFF, False)]
)
@pytest.mark.parametrize("index", range(4))
def test_a_scale_of_nvfp4_that_is_nan_or_negative_is_found(index, scale, is_sound):
    blocks = blocks_of(TensorType.NVFP4, 4).copy()
    blocks[2, index] = scale
    fault = fault_of(TensorType.NVFP4, blocks)
    assert (fault is None) is is_sound
    assert is_sound or fault.block == 2


def test_all_groups_of_ternary_digits_are_sound_and_no_other_byte_is():
    for digits, at in ((5, 0), (4, 48)):
        groups = np.array(list(itertools.product([-1, 0, 1], repeat=digits)), np.float32)
        blocks = np.zeros((len(groups), 256), np.float32)
        # the reference keeps elements 32 (5 digits) and 4 (4 digits) apart in one byte
        step, first = (32, 0) if digits == 5 else (4, 240)
        blocks[:, first : first + digits * step : step] = groups
        blocks[:, 1] = 1
        written = quants.quantize(blocks, GGMLQuantizationType.TQ1_0)
        assert fault_of(TensorType.TQ1_0, written) is None
        valid = set(written[:, at].tolist())
        assert len(valid) == 3**digits
        for byte in set(range(256)) - valid:
            damaged = written.copy()
            damaged[5, at] = byte
            assert fault_of(TensorType.TQ1_0, damaged).block == 5


@pytest.mark.parametrize("shift", [0, 2, 4, 6])
def test_the_digit_3_is_found_in_tq2_0(shift):
    blocks = blocks_of(TensorType.TQ2_0, 6).copy()
    blocks[4, 63] = 0b01010101 | 0b11 << shift
    assert fault_of(TensorType.TQ2_0, blocks).block == 4


@pytest.mark.parametrize("kind", [TensorType.TQ1_0, TensorType.TQ2_0], ids=lambda kind: kind.name)
def test_with_a_scale_of_0_any_digits_are_sound(kind):
    blocks = np.full((2, kind.block_bytes), 0xFF, np.uint8)
    blocks[:, -2:] = 0
    assert fault_of(kind, blocks) is None


@pytest.mark.parametrize("byte_order, mark", [("little", "<"), ("big", ">")])
@pytest.mark.parametrize("value, word", [(math.nan, "NaN"), (math.inf, "infinite"), (-math.inf, "infinite")])
@pytest.mark.parametrize("kind", FLOATS, ids=lambda kind: kind.name)
def test_a_float_that_is_no_number_is_found_in_either_byte_order(kind, value, word, byte_order, mark):
    numbers = np.full(50, 1.5, mark + FLOATS[kind])
    assert fault_of(kind, numbers, byte_order) is None
    numbers[42:] = value
    fault = fault_of(kind, numbers, byte_order)
    assert (fault.block, fault.problem) == (42, f"is {word}")


@pytest.mark.parametrize("byte_order, mark", [("little", "<"), ("big", ">")])
@pytest.mark.parametrize("pattern, word", [(0x7FC0, "NaN"), (0xFF81, "NaN"), (0x7F80, "infinite")])
def test_a_bf16_that_is_no_number_is_found_in_either_byte_order(pattern, word, byte_order, mark):
    numbers = np.full(50, 0x7F7F, mark + "u2")
    assert fault_of(TensorType.BF16, numbers, byte_order) is None
    numbers[42] = pattern
    fault = fault_of(TensorType.BF16, numbers, byte_order)
    assert (fault.block, fault.problem) == (42, f"is {word}")


@pytest.mark.parametrize("kind", INTEGERS, ids=lambda kind: kind.name)
def test_any_bytes_are_integers(kind):
    assert fault_of(kind, np.full(64, 0xFF, np.uint8)) is None


@pytest.mark.parametrize("kind", BLOCKS, ids=lambda kind: kind.name)
def test_blocks_of_a_big_endian_file_are_not_checked(kind):
    with pytest.raises(NotCheckable, match="big-endian"):
        make_checker(kind, byte_order="big")
