"""What the package offers, and what it costs to ask for it."""

import subprocess
import sys

import pytest

import gguf2ollama

HEAVY = ("httpcore2", "huggingface_hub", "gguf", "numpy", "rich", "jinja2", "yaml")


@pytest.mark.parametrize("name", gguf2ollama.__all__)
def test_every_public_name_is_there(name):
    assert getattr(gguf2ollama, name) is not None


def test_a_name_that_is_not_public_is_no_attribute():
    with pytest.raises(AttributeError, match="protocol_error"):
        _ = gguf2ollama.protocol_error


def test_functions_stay_functions_after_their_modules_were_imported():
    from gguf2ollama import build, inspect, modelfile  # noqa: PLC0415

    assert all(callable(one) for one in (build, inspect, modelfile))


def modules_after(code):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split("\n")[-2].split())


@pytest.mark.parametrize(
    "code",
    [
        "import gguf2ollama",
        "from gguf2ollama.cli import run; run(['--help'])",
        "from gguf2ollama.cli import run; run(['build', '--help'])",
        "from gguf2ollama.cli import run; run(['list', '--help'])",
    ],
)
def test_nothing_heavy_is_imported_for_help(code):
    assert modules_after(code).isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "nope"],
        ["build", "nope.gguf"],
        ["build", "o/r", "--ctx", "banana"],
        ["inspect", "nope"],
        ["modelfile", "nope"],
        ["download", "nope"],
        ["quants", "nope"],
        ["show", ""],
        ["bild"],
        ["build", "--nope"],
    ],
)
def test_a_wrong_call_is_refused_before_the_rooms_are_loaded(arguments):
    loaded = modules_after(f"from gguf2ollama.cli import run; assert run({arguments!r}) in {{2, 3}}")
    rooms = {name.split(".")[1] for name in loaded if name.startswith("gguf2ollama.")}
    assert rooms.isdisjoint({"api", "verification", "install", "planning", "ollama", "chat", "ggufio", "net"})
