"""Which context length is chosen, and what is wrong with one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.memory.context import choose_context, describe_use, judge_context
from gguf2ollama.memory.hardware import Gpu, Hardware, MemoryRoom
from gguf2ollama.memory.placement import Model, place_model
from tests.unit.memory.test_caches import GEMMA4_12B
from tests.unit.memory.test_placement import LLAMA, Tensor, model

GIB = 1 << 30


def room(*, ram=0, gpus=(), **keys):
    return MemoryRoom(ram=int(ram * GIB), gpus=tuple(int(count * GIB) for count in gpus), **keys)


def test_the_whole_context_is_chosen_where_all_runs_on_the_gpu():
    choice = choose_context(LLAMA, "auto", room=room(ram=16, gpus=(24,)))
    assert choice.tokens == 131_072
    assert re.fullmatch(r"the model's full context: 2\d\.\d GiB of 24\.0 GiB on the GPU", choice.reason), (
        choice.reason
    )


@pytest.mark.parametrize(
    "hardware",
    [Hardware(ram_bytes=24 * GIB), Hardware(ram_bytes=16 * GIB, gpus=(Gpu(name="", total_bytes=24 * GIB),))],
)
@pytest.mark.parametrize("weights", [0, 7 * GIB])
def test_windows_leave_room_for_the_whole_context(hardware, weights):
    metadata = {f"gemma4.{key}": value for key, value in GEMMA4_12B.items() if key != "architecture"}
    metadata |= {
        "general.architecture": "gemma4",
        "gemma4.context_length": 131_072,
        "gemma4.vocab_size": 262_144,
    }
    gemma = Model.read(metadata, [Tensor(f"blk.{index}.x", weights // 48) for index in range(48)])
    assert choose_context(gemma, "auto", room=hardware.room).tokens == 131_072


def test_the_largest_context_that_stays_on_the_gpu_is_chosen():
    machine = room(ram=64, gpus=(8,))
    choice = choose_context(LLAMA, "auto", room=machine)
    assert 4096 < choice.tokens < 32_768
    assert place_model(LLAMA, choice.tokens, room=machine).place == "gpu"
    assert place_model(LLAMA, choice.tokens + 1024, room=machine).place == "split"
    assert "the largest with which all of it runs on the GPU" in choice.reason


def test_a_model_that_is_partly_on_the_gpu_gets_a_context_that_leaves_it_there():
    choice = choose_context(LLAMA, "auto", room=room(ram=64, gpus=(4,)))
    assert choice.tokens == 32_768
    assert re.search(r"more would leave less of it on the GPU: .* layers on the GPU", choice.reason)


def test_in_ram_the_context_takes_half_of_what_the_weights_leave():
    machine = room(ram=12)
    choice = choose_context(LLAMA, "auto", room=machine)
    estimate = place_model(LLAMA, choice.tokens, room=machine).estimate
    beyond = place_model(LLAMA, choice.tokens + 1024, room=machine).estimate
    half = (12 * GIB - LLAMA.weights) / 2
    assert estimate.total - LLAMA.weights <= half < beyond.total - LLAMA.weights
    assert choice.reason.endswith(" of 12.0 GiB in RAM")


def test_auto_says_so_when_not_even_the_least_fits():
    choice = choose_context(LLAMA, "auto", room=room(ram=2, gpus=(1,)))
    assert (choice.tokens, "does not fit in 3.0 GiB" in choice.reason) == (2048, True)


def test_a_machine_that_is_not_known_decides_itself():
    choice = choose_context(LLAMA, "auto", room=None)
    assert (choice.tokens, choice.reason) == (
        None,
        "left to the server, as the memory of its machine is not known",
    )


def test_models_that_a_server_runs_show_that_a_context_fits():
    choice = choose_context(LLAMA, "auto", room=room(gpus=(40,), is_minimum=True))
    assert (choice.tokens, "of 40.0 GiB that its models take" in choice.reason) == (131_072, True)
    choice = choose_context(LLAMA, "auto", room=room(ram=64, gpus=(4,), is_minimum=True))
    assert (choice.tokens, "left to the server" in choice.reason) == (None, True)


def test_auto_never_goes_beyond_what_the_model_was_trained_for():
    assert choose_context(model(trained=2048), "auto", room=room(ram=64)).tokens == 2048
    assert choose_context(model(trained=None), "auto", room=room(ram=64)).tokens == 4096


@pytest.mark.parametrize("machine", [None, room(ram=1), room(ram=64)])
def test_what_was_asked_for_does_not_depend_on_the_machine(machine):
    assert choose_context(LLAMA, "max", room=machine).tokens == 131_072
    assert choose_context(LLAMA, 200_000, room=machine).tokens == 200_000
    assert choose_context(LLAMA, "server", room=machine).tokens is None


@pytest.mark.parametrize(
    "wanted,machine,reason",
    [
        ("max", room(ram=64, gpus=(24,)), "the model's full context: 2"),
        (200_000, room(ram=2), r"as requested: \d+\.\d GiB, which does not fit in 2\.0 GiB$"),
        (8192, room(ram=8), r"as requested: \d\.\d GiB of 8\.0 GiB in RAM$"),
        (8192, room(gpus=(1,), is_minimum=True), "as requested$"),
        ("max", None, "the model's full context$"),
    ],
)
def test_where_it_runs_is_said_of_what_was_asked_for(wanted, machine, reason):
    assert re.match(reason, choose_context(LLAMA, wanted, room=machine).reason)


def test_a_header_that_says_nothing_gets_a_usual_context():
    choice = choose_context(None, "auto", room=room(ram=64))
    assert (choice.tokens, choice.reason) == (4096, "the GGUF has an invalid header")


@given(st.integers(0, 80), st.integers(0, 80))
def test_what_is_chosen_fits_or_is_the_least(ram, gpu):
    machine = room(ram=ram, gpus=(gpu,) if gpu else ())
    choice = choose_context(LLAMA, "auto", room=machine)
    placement = place_model(LLAMA, choice.tokens, room=machine)
    assert placement.place != "none" or choice.tokens == 2048
    assert choice == choose_context(LLAMA, "auto", room=machine)


def judge(tokens, *, machine=None, of=LLAMA, system=""):
    return [
        str(found) for found in judge_context(tokens, source="--param", model=of, room=machine, system=system)
    ]


def test_a_context_that_fits_is_no_problem():
    assert judge(8192, machine=room(ram=16), system="Be brief.") == []


def test_a_context_beyond_the_training_is_said_with_what_ollama_does():
    (warning,) = judge(200_000, machine=room(ram=64))
    assert warning == (
        "num_ctx 200,000 (--param) is beyond the 131,072 tokens that the model was trained for;"
        " Ollama will use 131,072"
    )


def test_a_context_beyond_memory_is_said_with_what_fits():
    (warning,) = judge(131_072, machine=room(ram=12))
    found = re.fullmatch(
        r"num_ctx 131,072 \(--param\) takes (\d+\.\d) GiB, and this machine has 12\.0 GiB for models:"
        r" at most ([\d,]+) tokens fit",
        warning,
    )
    largest = int(found[2].replace(",", ""))
    assert place_model(LLAMA, largest, room=room(ram=12)).place == "ram"
    assert place_model(LLAMA, largest + 1024, room=room(ram=12)).place == "none"


def test_weights_beyond_memory_are_said():
    assert "the weights alone do not fit" in judge(4096, machine=room(ram=2))[0]


def test_memory_that_models_show_is_no_limit():
    assert judge(131_072, machine=room(gpus=(1,), is_minimum=True)) == []


def test_a_context_too_small_for_the_system_prompt_and_a_question_is_said():
    (warning,) = judge(1024, system="x" * 4000)
    assert warning == (
        "num_ctx 1,024 (--param) is too small for the system prompt (about 1,000 tokens) and one question"
        " with its answer (about 1,512 tokens)"
    )
    assert judge(2048, system="x" * 4000) == []
    assert "too small for one question" in judge(256)[0]


def test_a_model_trained_for_little_is_not_blamed_for_it():
    assert judge(256, of=model(trained=256)) == []
    assert judge(256, of=model(trained=512, is_embedding=True)) == []
    assert len(judge(256, of=model(trained=256), system="x" * 4000)) == 1


@pytest.mark.parametrize("trained", [(1 << 31) - 1, 1 << 31, (1 << 32) - 1])
@pytest.mark.parametrize("wanted", ["auto", "max", 1, (1 << 31) - 1])
def test_a_context_beyond_all_numbers_is_no_error(trained, wanted):
    machine = room(ram=64, gpus=(8,))
    endless = model(trained=trained)
    choice = choose_context(endless, wanted, room=machine)
    assert 0 < choice.tokens <= (1 << 31) - 1
    judge(choice.tokens, machine=machine, of=endless)


@pytest.mark.parametrize("tokens", [-5, 0, 1, 1 << 31, 1 << 63])
def test_any_number_can_be_judged(tokens):
    assert judge(tokens, machine=room(ram=64))
    assert judge(tokens, machine=room(ram=1), of=model(trained=None)) or tokens > 1 << 30


def test_without_a_valid_header_only_texts_are_judged():
    assert judge(1 << 30, of=None) == []
    assert len(judge(16, of=None)) == 1


def hardware(*, free_ram=None, vram=None, free_vram=None):
    """A machine of 32 GiB, with a GPU if its memory is given, in GiB."""
    in_bytes = [None if count is None else count * GIB for count in (free_ram, vram, free_vram)]
    gpus = () if vram is None else (Gpu(name="", total_bytes=in_bytes[1], free_bytes=in_bytes[2]),)
    return Hardware(ram_bytes=32 * GIB, gpus=gpus, free_ram_bytes=in_bytes[0])


@pytest.mark.parametrize(
    "machine,remark",
    [
        (hardware(), ""),
        (hardware(free_ram=30), ""),
        (hardware(free_ram=2), "30.0 GiB of RAM is in use now: the model may not load"),
        (hardware(free_ram=2, vram=16, free_vram=15), ""),
        (hardware(free_ram=2, vram=16), ""),
        (hardware(free_ram=9, vram=16, free_vram=3), "13.0 GiB of the GPU is in use now: a part of"),
    ],
)
def test_what_is_in_use_now_is_a_remark_where_it_is_in_the_way(machine, remark):
    placement = place_model(LLAMA, 8192, room=machine.room)
    found = describe_use(placement, machine)
    assert found.startswith(remark)
    assert bool(found) == bool(remark)
