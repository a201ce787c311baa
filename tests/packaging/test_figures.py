"""Figures in documents are those of the benchmarks: a new run of these shows what has to be changed."""

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
RESULTS = (CHECKOUT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
PARITY = (CHECKOUT / "benchmarks" / "PARITY.md").read_text(encoding="utf-8")
WAYS = ("`gguf2ollama build`", "`ollama create`, with what it detects", "`@huggingface/ollama-utils`")
COLUMNS = {"plain": 1, "thinking": 2, "tools": 3}
MERGED = "llama-gguf-split --merge, then ollama create"
CREATE = "ollama create, FROM the folder"

ROWS = {
    "README.md": {
        "plain": "plain chats exact",
        "tools": "tools exact",
        "thinking": "thinking on, off and unset",
        "seconds": "2 GB in shards",
        "bytes": "bytes written",
        "small": "98 MB, where",
    },
    "README.zh-CN.md": {
        "plain": "普通对话",
        "tools": "工具调用",
        "thinking": "思考开、关、未设",
        "seconds": "2 GB 分片",
        "bytes": "写入的字节",
        "small": "98 MB 的模型",
    },
}
ROWS["docs/comparison.md"] = ROWS["README.md"]


def cells(text, name):
    """Return the cells of the first row of a table with a name."""
    (line, *_) = (line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def section(size):
    return RESULTS.partition(f"\n## {size}\n")[2].partition("\n## ")[0]


def exact(way, column):
    """Return how many templates are exact or JSON-equal, of how many: ``73/87``."""
    cell = cells(PARITY, way)[COLUMNS[column]]
    count, total = re.match(r"(\d+) of (\d+)", cell).groups()
    if equal := re.search(r"; (\d+)", cell):
        count = equal[1]
    return f"{count}/{total}"


def seconds(size, name):
    return cells(section(size), name)[1]


def written(name):
    """Return what was written for 2 GB, by the program and by the server: ``0.2 MB``, ``2,141 MB``."""
    megabytes = sum(float(re.sub("[, MB]", "", cell)) for cell in cells(section("2 GB"), name)[3:5])
    return f"{megabytes:,.0f} MB" if megabytes >= 1 else f"{megabytes:.1f} MB"


def expected():
    """Return the figures of each row of the table, from left to right."""
    found = {column: [exact(way, column) for way in WAYS] for column in COLUMNS}
    names = ("build --via link", "build --via link, digests known", CREATE, MERGED)
    found["seconds"] = [seconds("2 GB", name) for name in names]
    found["bytes"] = [written(name) for name in ("build --via link", CREATE, MERGED)]
    found["small"] = [seconds("98 MB", name) for name in ("build --via link", CREATE)]
    return found


@pytest.mark.parametrize("document", ROWS)
def test_the_table_of_a_document_has_the_figures_of_the_benchmarks(document):
    text = (CHECKOUT / document).read_text(encoding="utf-8")
    figures = {}
    for row, words in ROWS[document].items():
        (line,) = (line for line in text.splitlines() if line.startswith("| ") and words in line)
        figures[row] = re.findall(r"\d+/\d+|[\d.]+ s\b|[\d,.]+ MB", line.partition(" | ")[2])
    assert figures == expected()


@pytest.mark.parametrize("document", ROWS)
def test_what_is_slower_has_the_figures_of_the_benchmarks(document):
    text = (CHECKOUT / document).read_text(encoding="utf-8")
    median, most = cells(PARITY, WAYS[0])[-1].split(", ")
    assert f"{float(median):.1f} s" in text
    assert f"{float(most):.1f} s" in text
    for name in ("build by pull, digests unknown", "build by upload, digests unknown"):
        ratio = float(cells(section("2 GB"), name)[2])
        assert f"{1 / ratio:.2f}" in text, name


def test_the_recording_is_of_the_command_that_the_readme_has():
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    picture = (CHECKOUT / "docs" / "recording.svg").read_text(encoding="utf-8")
    (command,) = re.findall(r"^\$ (uvx .*)$", readme, re.MULTILINE)
    assert command.replace('"', "&quot;") in picture
    assert set(re.findall(r'https?://[^"<\s]+', picture)) == {
        "http://www.w3.org/2000/svg",  # the name of the format
        "http://127.0.0.1:11434",  # in what the program prints
    }
