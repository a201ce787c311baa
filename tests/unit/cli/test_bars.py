"""What a progress bar tells."""

import io

import pytest
from rich.console import Console

from gguf2ollama.cli._bars import make_display


def shown(*, name="work", width=200, **task):
    """Return what is shown of a task."""
    display = make_display()
    display.add_task(name, **task)
    console = Console(file=io.StringIO(), width=width)
    console.print(display.get_renderable())
    return console.file.getvalue()


@pytest.mark.parametrize("unit,told", [("bytes", "3/10 bytes"), ("things", "3/10")])
def test_things_are_numbered_and_bytes_have_a_unit(unit, told):
    line = shown(total=10, completed=3, unit=unit)
    assert told in line
    assert ("bytes" in line) == (unit == "bytes")


def test_a_number_of_things_may_not_be_known():
    assert "3/?" in shown(total=None, completed=3, unit="things")


@pytest.mark.parametrize("width", [200, 80, 60, 40])
@pytest.mark.parametrize("name", ["hashing", "uploading model-of-a-long-name-Q4_K_M-00002-of-00003.gguf"])
def test_a_task_takes_one_line(name, width):
    lines = shown(name=name, width=width, total=750e6, completed=123e6, unit="bytes").splitlines()
    assert len(lines) == 1
    assert "123.0/750.0 MB" in lines[0]


def test_shards_are_told_apart_by_the_end_of_their_names():
    name = "uploading model-of-a-long-name-Q4_K_M-00002-of-00003.gguf"
    line = shown(name=name, width=80, total=750e6, completed=123e6, unit="bytes")
    assert line.startswith("uploading mode")
    assert "2-of-00003.gguf " in line
