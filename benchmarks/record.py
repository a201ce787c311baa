"""Record what the README shows: the real program in a real terminal, a real Ollama, and a Hub on loopback.

The machine that records has neither the network nor the disk for a model of 7 billion parameters. So under
the name of its repository stands SmolLM2-135M-Instruct, 98 MB in two shards, from a Hub that sends each
connection 4 MB a second: what is printed, and when, is the program's own; sizes, seconds and answer are
those of that model. ``uvx`` is printed and not run: it would install the program from PyPI first.

Run: ``make recording``; it writes ``docs/recording.svg``, which plays once and then shows the end.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pyte

from examples.demo import own_server
from gguf2ollama import split
from tests.fakes.hub_server import FakeHub
from tests.live import parts

REPOSITORY = "Qwen/Qwen2.5-7B-Instruct-GGUF"
COMMAND = f'gguf2ollama build {REPOSITORY} --quant q4_k_m --run "Say hi"'
RECORDING = Path(__file__).parents[1] / "docs" / "recording.svg"

_COLUMNS, _LINES = 90, 40
_RATE = 4_000_000  # bytes that a connection of the Hub sends in a second
_FRAME = 0.1  # seconds
_CELL, _LINE, _TOP, _SIDE = 8.4, 20, 44, 16  # pixels; a cell of 14 pixels of a monospace font is 8.4 wide
_COLOURS = {
    "default": "#d6dbe1",
    "black": "#6b7280",
    "red": "#f28b82",
    "green": "#8fd19e",
    "brown": "#e8c47c",
    "blue": "#8ab4f8",
    "magenta": "#d7a6f2",
    "cyan": "#7fd4d9",
    "white": "#ffffff",
}  # pyte calls yellow brown

Run = tuple[int, str, str, bool]
"""Of a line: the column that it begins at, its text, its colour, and whether it is bold."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A line that stood on the screen from a second on, until another; ``None``: until the end."""

    row: int
    runs: tuple[Run, ...]
    begin: float
    end: float | None


def main() -> None:
    """Write the recording."""
    with tempfile.TemporaryDirectory() as name, FakeHub(rate=_RATE) as hub:
        folder = Path(name)
        shards = split(parts.model_path(), folder / "qwen2.5-7b-instruct-q4_k_m", max_bytes=60_000_000)
        hub.add(REPOSITORY, {path.name: path.read_bytes() for path in shards})
        with own_server(str(parts.OLLAMAS[0].prefix / "bin" / "ollama"), folder) as environment:
            environment |= {
                "HF_ENDPOINT": hub.url,
                "HF_HOME": str(folder / "hub"),
                "XDG_CACHE_HOME": str(folder / "cache"),
                "TERM": "xterm-256color",
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            }
            frames = list(_frames(environment))
    RECORDING.write_text(_svg(list(_lines(frames)), rows=len(frames[-1][1]) + 1), encoding="utf-8")


def _frames(environment: Mapping[str, str]) -> Iterator[tuple[float, tuple[tuple[Run, ...], ...]]]:
    """Run the command in a terminal; yield the second and the lines of each frame."""
    screen = pyte.Screen(_COLUMNS, _LINES)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
    own_port, usual_port = environment["OLLAMA_HOST"].rpartition(":")[2], "11434"
    with subprocess.Popen(
        shlex.split(COMMAND), env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as program:
        os.close(theirs)
        begin = time.monotonic()
        shown = -_FRAME
        while chunk := _read(ours):
            stream.feed(chunk)
            second = time.monotonic() - begin
            if second - shown >= _FRAME:
                yield second, _rows(screen, {own_port: usual_port})
                shown = second
        yield time.monotonic() - begin, _rows(screen, {own_port: usual_port})
    if program.returncode:
        sys.exit(f"the program ended with {program.returncode}:\n" + "\n".join(screen.display))


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # what Linux says when the program has ended
        return b""


def _rows(screen: pyte.Screen, replacements: Mapping[str, str]) -> tuple[tuple[Run, ...], ...]:
    """Return the lines of the screen, down to the last that is not empty."""
    rows = []
    for row in range(screen.lines):
        cells = [screen.buffer[row][column] for column in range(screen.columns)]
        runs = []
        column = 0
        for (colour, is_bold), group in itertools.groupby(cells, key=lambda cell: (cell.fg, cell.bold)):
            text = "".join(cell.data for cell in group)
            width = len(text)
            for old, new in replacements.items():
                text = text.replace(old, new)
            if text.strip():
                runs.append((column, text.rstrip(), colour, is_bold))
            column += width
        rows.append(tuple(runs))
    while rows and not rows[-1]:
        rows.pop()
    return tuple(rows)


def _lines(frames: list[tuple[float, tuple[tuple[Run, ...], ...]]]) -> Iterator[Shown]:
    """Yield each line with the time that it was on the screen."""
    for row in range(max(len(rows) for _, rows in frames)):
        states = [(second, rows[row] if row < len(rows) else ()) for second, rows in frames]
        groups = [(next(group)[0], runs) for runs, group in itertools.groupby(states, key=lambda it: it[1])]
        ends = [*(begin for begin, _ in groups[1:]), None]
        for (begin, runs), end in zip(groups, ends, strict=True):
            if runs:
                yield Shown(row, runs, begin, end)


def _svg(lines: list[Shown], *, rows: int) -> str:
    """Return the picture: lines of the end are hidden until their time, others show in theirs alone."""
    width, height = _COLUMNS * _CELL + 2 * _SIDE, rows * _LINE + _TOP + _SIDE
    parts_of_it = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">',
        f"<title>{escape(COMMAND)}: what the program prints</title>",
        f"<style>{_STYLE}</style>",
        f'<rect x="1" y="1" width="{width - 2:g}" height="{height - 2:g}" rx="8" class="page"/>',
        *(f'<circle cx="{x}" cy="20" r="6" fill="{c}"/>' for x, c in _BUTTONS),
        _text(0, ((0, "$ ", "green", True), (2, f"uvx {COMMAND}", "white", True)), ""),
    ]
    for line in lines:
        if line.end is None:
            mark = f'style="animation:wait {line.begin:.2f}s"'
        else:
            mark = f'class="gone" style="animation:show {line.end - line.begin:.2f}s {line.begin:.2f}s"'
        parts_of_it.append(_text(line.row + 1, line.runs, mark))
    return "\n".join([*parts_of_it, "</svg>\n"])


_STYLE = """\
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}
.page{fill:#1f2430;stroke:#4b5563}
.b{font-weight:700}
.gone{opacity:0}
@keyframes wait{from,to{opacity:0}}
@keyframes show{from,to{opacity:1}}
@media(prefers-reduced-motion:reduce){*{animation:none!important}}
"""
_BUTTONS = ((22, "#f28b82"), (42, "#e8c47c"), (62, "#8fd19e"))


def _text(row: int, runs: tuple[Run, ...], mark: str) -> str:
    """Return the element of a line; ``textLength`` keeps columns where a font is of another width."""
    spans = []
    for column, text, colour, is_bold in runs:
        place = f'x="{_SIDE + column * _CELL:g}" textLength="{len(text) * _CELL:.1f}"'
        fill = _COLOURS.get(colour, f"#{colour}")
        look = f'fill="{fill}" class="b"' if is_bold else f'fill="{fill}"'
        spans.append(f'<tspan {place} lengthAdjust="spacingAndGlyphs" {look}>{escape(text)}</tspan>')
    y = _TOP + row * _LINE + 14
    return f'<text y="{y}" {mark}>' + "".join(spans) + "</text>"


if __name__ == "__main__":
    main()
