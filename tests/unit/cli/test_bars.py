"""What a progress bar tells."""

import io

import pytest
from rich.console import Console

from gguf2ollama.cli._bars import make_display


@pytest.mark.parametrize("unit,told,untold", [("bytes", "3/10 bytes", "None"), ("things", "3/10", "bytes")])
def test_things_are_numbered_and_bytes_have_a_unit(unit, told, untold):
    display = make_display()
    display.console = Console(file=io.StringIO(), width=200)
    display.add_task("work", total=10, completed=3, unit=unit)
    display.console.print(display.get_renderable())
    shown = display.console.file.getvalue()
    assert told in shown
    assert untold not in shown


def test_a_number_of_things_may_not_be_known():
    display = make_display()
    display.console = Console(file=io.StringIO(), width=200)
    display.add_task("work", total=None, completed=3, unit="things")
    display.console.print(display.get_renderable())
    assert "3/?" in display.console.file.getvalue()
