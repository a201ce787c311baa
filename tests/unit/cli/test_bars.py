"""What a progress bar tells."""

import io

import pytest
from rich.console import Console

from gguf2ollama.cli._bars import make_display


def shown(**task):
    """Give what is shown of a task."""
    display = make_display()
    display.add_task("work", **task)
    console = Console(file=io.StringIO(), width=200)
    console.print(display.get_renderable())
    return console.file.getvalue()


@pytest.mark.parametrize("unit,told", [("bytes", "3/10 bytes"), ("things", "3/10")])
def test_things_are_numbered_and_bytes_have_a_unit(unit, told):
    line = shown(total=10, completed=3, unit=unit)
    assert told in line
    assert ("bytes" in line) == (unit == "bytes")


def test_a_number_of_things_may_not_be_known():
    assert "3/?" in shown(total=None, completed=3, unit="things")
