"""What a model says of how its context was chosen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.memory.record import ContextRecord

RECORD = ContextRecord(tokens=8192, requested="auto", reason="it fits: 1.0 GiB of 2.0 GiB", weights=1234)
records = st.builds(
    ContextRecord,
    tokens=st.none() | st.integers(1, (1 << 31) - 1),
    requested=st.sampled_from(["auto", "max", "server", "8192"]),
    reason=st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=300),
    weights=st.integers(0, 1 << 50),
)


@given(records)
def test_a_record_is_found_as_it_was_written(record):
    assert ContextRecord.find(f"Apache License\n\nof the authors\n{record}\n") == record


def test_the_last_record_counts():
    old = ContextRecord(tokens=None, requested="server", reason="left to the server", weights=1)
    assert ContextRecord.find(f"{old}\n{RECORD}") == RECORD
    assert str(old).startswith("gguf2ollama: num_ctx unset by --ctx server")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MIT",
        f" {RECORD}",
        str(RECORD).replace("8192", "0"),
        str(RECORD).replace("8192", "99999999999"),
        str(RECORD).replace("auto", "AUTO"),
        str(RECORD).replace("1234", "1" * 19),
        f"{RECORD}{'x' * 300}",
    ],
)
def test_what_is_not_a_record_is_none(text):
    assert ContextRecord.find(text) is None


@given(st.text())
def test_any_licence_can_be_searched(text):
    ContextRecord.find(text)
