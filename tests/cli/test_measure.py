"""``measure``: cases in fresh processes, each of which is one of the tests here."""

import csv
import io
import re
import sys
from pathlib import Path

import pytest

from gguf2ollama.engines import process
from gguf2ollama.engines.engine import EngineMemory
from gguf2ollama.engines.measurement import error_percent
from gguf2ollama.memory.hardware import Gpu, Hardware

CHILD = Path(__file__).resolve().parents[1] / "engine_child.py"
MIB, GIB = 1 << 20, 1 << 30

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("engine")]


@pytest.fixture
def started():
    """The engines that were started, in order."""
    return []


@pytest.fixture
def engine(monkeypatch, started):
    """Return a function that gives engines a GPU, and what of memory their processes have."""

    def be(*, devices="", gpus=(), sizes=()):
        found = Hardware(ram_bytes=64 * GIB, free_ram_bytes=64 * GIB, gpus=gpus)
        for module in ("api.load", "api.measure", "engines.embedded"):
            monkeypatch.setattr(f"gguf2ollama.{module}.find_hardware", lambda: found)

        def command(asked):
            started.append(asked)
            return [sys.executable, "-I", CHILD, asked, devices]

        monkeypatch.setattr(process, "worker_command", command)
        if sizes:
            left = list(sizes)
            memory = lambda _: EngineMemory(resident=left[0][0], gpu=left.pop(0)[1])  # noqa: E731
            monkeypatch.setattr("gguf2ollama.engines.embedded.process_memory", memory)

    be()
    return be


def test_each_combination_is_a_case_in_a_process_of_its_own(call, gguf, started):
    done = call("measure", gguf, "--ctx", "256,512", "--cache-type", "f16,Q8_0", "--json")
    assert done.code == 0, done.err
    cases = [(case["context"], case["cache_type"]) for case in done.json["cases"]]
    assert cases == [(256, "f16"), (256, "q8_0"), (512, "f16"), (512, "q8_0")]
    assert started == ["llama.cpp"] * 4
    first = done.json["cases"][0]
    assert first["before"]["resident_bytes"] > 0
    assert first["prompt_tokens_per_second"] == 16
    assert first["answer_tokens_per_second"] == 16


def test_engines_and_layers_are_lists_too_and_gpus_count(call, gguf, engine):
    engine(
        devices="RTX 4090",
        gpus=(Gpu(name="RTX 4090", total_bytes=24 * GIB),),
        sizes=[(100 * MIB, 10 * MIB), (300 * MIB, 60 * MIB), *[(310 * MIB, 70 * MIB)] * 2] * 2,
    )
    done = call("measure", gguf, "--engine", "llama-cpp-python", "--gpu-layers", "1,all")
    assert done.code == 0, done.err
    header, one, everything, *_ = done.out.splitlines()
    assert header.split()[:4] == ["engine", "layers", "ctx", "cache"]
    assert one.split()[1] == "1"
    for row in (one, everything):
        assert ("+200" in row, "+210" in row, "+50" in row, "+60" in row) == (True,) * 4


def test_a_case_that_fails_is_shown_and_the_others_go_on(call, gguf):
    done = call("measure", gguf, "--engine", "llama.cpp", "--gpu-layers", "0,1")
    assert done.code == 0
    assert "1 layers on GPUs, 2048 tokens, f16: failed: --gpu-layers: llama.cpp finds no GPU" in done.out


def test_if_all_fail_the_first_reason_is_the_error(call, gguf):
    done = call("measure", gguf, "--gpu-layers", "1,2")
    assert done.code == 2
    assert "finds no GPU" in done.err
    assert done.out == ""


def test_csv_has_the_keys_of_the_json(call, gguf):
    done = call("measure", gguf, "--csv")
    (row,) = csv.DictReader(io.StringIO(done.out))
    assert row["engine"] == "llama.cpp"
    assert int(row["loaded.resident_bytes"]) > 0
    assert row["problem"] == ""


def test_a_plot_is_an_svg_with_every_case(call, gguf, tmp_path):
    plot = tmp_path / "plot.svg"
    done = call("measure", gguf, "--ctx", "256,512", "--plot", plot)
    assert done.code == 0, done.err
    texts = re.findall("<text [^>]*>([^<]*)</text>", plot.read_text(encoding="utf-8"))
    assert sum("tokens, f16" in text for text in texts) == 2
    assert sum(text.endswith(" MiB") for text in texts) == 4


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["--engine", "vllm"], 2, "invalid engine"),
        (["--gpu-layers", "0,x"], 2, "--gpu-layers 'x'"),
        (["--gpu-layers", "0,99"], 2, "the output counted as one"),
        (["--ctx", "max"], 2, "--ctx"),
        (["--cache-type", "q9"], 2, "cache type"),
        (["--tokens", "0"], 2, "--tokens"),
        (["--csv", "--json"], 2, "exclude each other"),
        (["--plot", "plot.png"], 2, "not an SVG"),
        (["--plot", "nowhere/plot.svg"], 3, "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_measured(call, gguf, started, arguments, code, message):
    done = call("measure", gguf, *arguments)
    assert done.code == code, done.err
    assert message in done.err
    assert started == []


@pytest.mark.parametrize(
    "estimated, measured, expected", [(110, 100, 10), (90, 100, -10), (1, 0, None), (1, None, None)]
)
def test_the_error_is_that_of_the_estimate(estimated, measured, expected):
    assert error_percent(estimated, measured) == expected
