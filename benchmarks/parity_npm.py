"""Go templates by npm's ``@huggingface/ollama-utils``, as the Hub gives them to ``ollama pull hf.co/…``."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.parity_subjects import Subject
from tests.live.parts import cache_dir

__all__ = ["PACKAGE", "Converted", "convert_all", "is_available"]

_HERE = Path(__file__).with_name("ollama_utils")
_NEEDED = json.loads((_HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]
PACKAGE = " ".join("@".join(one) for one in _NEEDED.items())
_SECONDS = 600  # for all templates; one of them may never come to an end


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What came of one chat template.

    Attributes:
        go_template: The TEMPLATE; ``None`` where the package gives none.
        stops: The stop texts that go with it.
        source: The model whose TEMPLATE it is, ``custom-matching`` or ``auto-conversion``.
        seconds: What the conversion took, in a process that is already there.
    """

    go_template: str | None
    stops: tuple[str, ...]
    source: str
    seconds: float


def is_available() -> bool:
    """Whether Node and npm are on PATH."""
    return all(shutil.which(program) for program in ("node", "npm"))


def convert_all(subjects: Iterable[Subject]) -> list[Converted]:
    """Convert chat templates, one after another in one process of Node.

    The package is taken from npm's registry once, into the cache of the live tests.
    """
    folder = _installed()
    lines = [
        json.dumps({"chat_template": one.text, "bos_token": one.bos, "eos_token": one.eos})
        for one in subjects
    ]
    done = subprocess.run(
        ["node", _HERE / "convert.mjs", folder],
        input="".join(f"{line}\n" for line in lines),
        check=True,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        timeout=_SECONDS,
    )
    return [_converted(line) for line in done.stdout.split("\n") if line]


def _converted(line: str) -> Converted:
    told = json.loads(line)
    return Converted(
        go_template=told.get("template"),
        stops=tuple(told.get("stop", ())),
        source=told.get("model", ""),
        seconds=told["seconds"],
    )


def _installed() -> Path:
    """Return the folder with the package, which is fetched where it is not there yet."""
    folder = cache_dir() / PACKAGE.rpartition("/")[2]
    if not (folder / "node_modules").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(_HERE / "package.json", folder)
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(install, cwd=folder, check=True)
    return folder
