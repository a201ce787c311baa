"""Record what the README shows: the real program, a real Ollama, and a Hub on loopback.

The machine that records has neither the network nor the disk for a model of 7 billion parameters. So under
the name of its repository stands SmolLM2-135M-Instruct, 98 MB in two shards: what is printed is the program's
own, sizes and answer are those of that model.

Run: ``make recording``; it writes ``docs/recording.svg``.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from examples.demo import own_server
from gguf2ollama import split
from tests.fakes.hub_server import FakeHub
from tests.live import parts

REPOSITORY = "Qwen/Qwen2.5-7B-Instruct-GGUF"
COMMAND = f'gguf2ollama build {REPOSITORY} --quant q4_k_m --run "Say hi"'
RECORDING = Path(__file__).parents[1] / "docs" / "recording.svg"
_COLUMNS = 116


def main() -> None:
    """Write the recording."""
    with tempfile.TemporaryDirectory() as name, FakeHub() as hub:
        folder = Path(name)
        shards = split(parts.model_path(), folder / "qwen2.5-7b-instruct-q4_k_m", max_bytes=60_000_000)
        hub.add(REPOSITORY, {path.name: path.read_bytes() for path in shards})
        with own_server(str(parts.OLLAMAS[0].prefix / "bin" / "ollama"), folder) as environment:
            environment |= {
                "HF_ENDPOINT": hub.url,
                "HF_HOME": str(folder / "hub"),
                "XDG_CACHE_HOME": str(folder / "cache"),
                "COLUMNS": str(_COLUMNS),
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            }
            done = subprocess.run(
                shlex.split(COMMAND),
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=True,
            )
    said = done.stdout.replace(name, "~").replace(environment["OLLAMA_HOST"], "127.0.0.1:11434")
    console = Console(record=True, width=_COLUMNS, file=io.StringIO())
    console.print(Text.assemble(("$ ", "bold green"), (COMMAND, "bold")))
    console.print(Text(said))
    # the fonts of the reader's machine: no request to another one
    svg = re.sub(r"@font-face \{.*?\}\n", "", console.export_svg(title="gguf2ollama"), flags=re.DOTALL)
    RECORDING.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
