"""What a progress bar shows."""

import io
import logging
import re

import pytest
from rich.console import Console

from gguf2ollama.cli.render.bars import make_display
from gguf2ollama.cli.render.output import Output
from gguf2ollama.events import Update


def shown(*, name="work", width=200, **task):
    """Return what is shown of a task."""
    display = make_display()
    display.add_task(name, **task)
    console = Console(file=io.StringIO(), width=width)
    console.print(display.get_renderable())
    return console.file.getvalue()


@pytest.mark.parametrize("unit,amount", [("bytes", "3/10 bytes"), ("items", "3/10")])
def test_items_are_counted_and_bytes_have_a_unit(unit, amount):
    line = shown(total=10, completed=3, unit=unit)
    assert amount in line
    assert ("bytes" in line) == (unit == "bytes")


def test_the_number_of_items_may_be_unknown():
    assert "3/?" in shown(total=None, completed=3, unit="items")


@pytest.mark.parametrize("width", [200, 80, 60, 40])
@pytest.mark.parametrize("name", ["hashing", "uploading model-of-a-long-name-Q4_K_M-00002-of-00003.gguf"])
def test_a_task_takes_one_line(name, width):
    lines = shown(name=name, width=width, total=750e6, completed=123e6, unit="bytes").splitlines()
    assert len(lines) == 1
    assert "123.0/750.0 MB" in lines[0]


def test_shards_can_be_distinguished_by_the_end_of_their_names():
    name = "uploading model-of-a-long-name-Q4_K_M-00002-of-00003.gguf"
    line = shown(name=name, width=80, total=750e6, completed=123e6, unit="bytes")
    assert line.startswith("uploading mode")
    assert "2-of-00003.gguf " in line


class Terminal(io.StringIO):
    def isatty(self):
        return True


def one_terminal(monkeypatch):
    """Let both streams be one terminal, and bars appear at once."""
    screen = Terminal()
    screen.buffer = Bytes(screen)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr("gguf2ollama.cli.render.output._SHOWN_AFTER", -1)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return screen


class Bytes(io.RawIOBase):
    """What is written as bytes goes past every wrapper of the stream."""

    def __init__(self, screen):
        self.screen = screen

    def write(self, data):
        self.screen.write(bytes(data).decode())
        return len(data)


def rows(text):
    """Return the rows of the screen: a bar that is drawn again takes the place of the one before."""
    shown, row = [""], 0
    for part in re.split(r"(\n|\r|\x1b\[1A|\x1b\[2K)", re.sub(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]", "", text)):
        if part == "\n":
            row += 1
            shown += [""] * (row + 1 - len(shown))
        elif part == "\x1b[1A":
            row -= 1
        elif part == "\x1b[2K":
            shown[row] = ""
        elif part and part != "\r":
            assert shown[row] == "" or part.startswith(shown[row][:4]), f"{part!r} crosses {shown[row]!r}"
            shown[row] = part
    return shown


def test_no_line_crosses_a_bar(monkeypatch):
    terminal = one_terminal(monkeypatch)
    output = Output(as_json=False, quiet=False, verbose=True)
    with output.log_messages(), output.progress() as progress:
        progress(Update(task="hashing", done=1, total=10))
        output.note("a note")
        output.warn("[bold]careful[/bold] \x1b[2J")
        logging.getLogger("gguf2ollama.net").debug("a retry")
        progress(Update(task="hashing", done=10, total=10))
        output.text("a result")
        progress(Update(task="copying", done=1, total=10))
    shown = [line.rstrip() for line in rows(terminal.getvalue()) if line.strip()]
    assert shown[:3] == ["a note", "warning: [bold]careful[/bold] \\x1b[2J", "net: a retry"]
    assert [line.split()[0] for line in shown[3:]] == ["hashing", "a", "copying"]
