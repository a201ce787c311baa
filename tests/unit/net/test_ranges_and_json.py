"""Content-Range, checked in one place; JSON, parsed in bounded memory."""

import contextlib
import json
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.net import ByteRange, check_content_range, parse_json
from gguf2ollama.net.json_body import MEMORY_FACTOR
from gguf2ollama.net.retry import parse_retry_after


def check(text, *, status=206, start=10, end=20, size=None, length=None):
    headers = {"content-range": text} | ({"content-length": length} if length else {})
    return check_content_range(status, headers, wanted=ByteRange(start=start, end=end), size=size)


def test_the_range_that_was_asked_for_is_taken():
    assert check("bytes 10-19/100") == (ByteRange(start=10, end=20), 100)
    assert check("bytes 10-14/100", length="5") == (ByteRange(start=10, end=15), 100)
    assert check("bytes 10-14/15", size=15) == (ByteRange(start=10, end=15), 15)
    assert check("bytes 10-99/100", end=None) == (ByteRange(start=10, end=100), 100)
    assert check("bytes */8", status=416) == (None, 8)


@pytest.mark.parametrize(
    "text, options",
    [
        ("", {}),
        ("bytes 9-19/100", {}),
        ("bytes 11-19/100", {}),
        ("bytes 10-20/100", {}),
        ("bytes 10-9/100", {}),
        ("bytes 10-19/15", {}),
        ("bytes 10-19/*", {}),
        ("bytes */100", {}),
        ("items 10-19/100", {}),
        ("bytes 10-19/100", {"size": 99}),
        ("bytes 10-19/100", {"length": "9"}),
        ("bytes 10-19/100", {"status": 416}),
        ("bytes */100", {"status": 416}),
        ("bytes 10-19/1000000000000000000000", {}),
    ],
)
def test_any_other_is_refused(text, options):
    with pytest.raises(ValueError, match=r".") as caught:
        check(text, **options)
    assert caught.type is ValueError


@given(st.integers(0, 50), st.integers(1, 60), st.integers(0, 60), st.integers(0, 60), st.integers(1, 60))
def test_what_is_taken_lies_within_what_was_asked_for(start, more, first, last, total):
    end = start + more
    try:
        found, size = check(f"bytes {first}-{last}/{total}", start=start, end=end)
    except ValueError:
        assert not (first == start <= last < min(end, total))
    else:
        assert (found.start, size) == (start, total)
        assert start < found.end <= min(end, total)


@given(st.text(max_size=40))
def test_a_retry_after_is_seconds_and_never_fails(text):
    assert parse_retry_after(text) >= 0


def test_a_retry_after_may_be_a_date():
    assert parse_retry_after("Fri, 31 Dec 2100 23:59:59 GMT") > 1e9
    assert parse_retry_after("Fri, 31 Dec 1999 23:59:59 GMT") == 0
    assert parse_retry_after("120") == 120


SIZE = 3 << 20
UNITS = {
    "empty objects": "{},",
    "empty lists": "[],",
    "nested lists": "[" * 50 + "]" * 50 + ",",
    "objects of one": '{"a":1},',
    "objects of two": '{"a":{},"b":[]},',
    "objects of six": '{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1},',
    "small numbers": "1,",
    "large numbers": "999,",
    "floats": "0.1,",
    "short strings": '"ab",',
    "strings of two letters": '"é",',
    "wide strings": '"€",',
    "null": "null,",
    "escapes": '"\\"\\"",',
}


HOSTILE = {
    **{name: lambda unit=unit: "[" + unit * (SIZE // len(unit)) + "0]" for name, unit in UNITS.items()},
    "keys that differ": lambda: "{" + ",".join(f'"{number:x}":1' for number in range(SIZE // 10)) + "}",
    "one wide letter": lambda: '["😀","' + "x" * SIZE + '"]',
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_takes_ten_times_its_size_at_most(name):
    content = bytearray(HOSTILE[name]().encode())
    size = len(content)
    tracemalloc.start()
    with contextlib.suppress(ValueError):
        parse_json(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= MEMORY_FACTOR * size


def listing(count):
    entry = {"type": "file", "oid": "a" * 40, "size": 1519, "path": "folder/.gitattributes"}
    large = {
        **entry,
        "path": "model-00001-of-00099.gguf",
        "size": 49 << 30,
        "lfs": {"oid": "b" * 64, "size": 49 << 30, "pointerSize": 135},
        "xetHash": "c" * 64,
    }
    return [{**kind, "size": number} for number in range(count) for kind in (entry, large)]


def tags(count):
    details = {"parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"]}
    model = {"name": "smol:latest", "modified_at": "2026-11-30T12:00:00Z", "size": 1, "digest": "d" * 64}
    return {"models": [{**model, "size": number, "details": details} for number in range(count)]}


@pytest.mark.parametrize("make,count", [(listing, 8000), (tags, 15_000)])
def test_large_honest_json_is_parsed(make, count):
    honest = make(count)
    text = json.dumps(honest, separators=(",", ":")).encode()
    assert len(text) > 2 << 20
    assert parse_json(bytearray(text)) == honest


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_small_json_is_what_it_is(value):
    assert parse_json(bytearray(json.dumps(value).encode())) == value


@pytest.mark.slow
def test_the_room_is_imported_without_the_library():
    code = "import gguf2ollama.net, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"httpcore2", "httpx2", "ssl", "http.client", "email"} & set(done.stdout.split())
