"""What a model says of what it was made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.oci import Digest
from gguf2ollama.planning.stored.record import BuildRecord, weights_digest

HEX = "0123456789abcdef" * 4
RECORD = BuildRecord(
    source="hf://owner/repo/model-Q8_0.gguf@main",
    commit="a" * 40,
    file="model-Q8_0.gguf",
    count=2,
    digest=HEX,
    transport="upload",
    given=("temperature", "system"),
    recipe=HEX[::-1],
)
texts = st.text(min_size=1, max_size=40)
records = st.builds(
    BuildRecord,
    source=texts,
    commit=st.sampled_from(["", "a" * 40, "v1"]),
    file=texts,
    count=st.integers(1, 999_999),
    digest=st.just(HEX),
    transport=st.sampled_from(["link", "pull", "upload", "store"]),
    given=st.lists(st.sampled_from(["system", "top_k", "num_ctx"]), unique=True).map(tuple),
    recipe=st.just(HEX),
)


@given(records)
def test_a_record_is_one_line_and_is_found_as_it_was_written(record):
    assert len(f"{record}".splitlines()) == 1
    assert BuildRecord.find(f"Apache License\n\nof the authors\n{record}\n") == record


def test_a_person_can_read_it():
    assert str(RECORD) == (
        f"gguf2ollama: made by upload from hf://owner/repo/model-Q8_0.gguf@main at commit {'a' * 40};"
        f" weights model-Q8_0.gguf and 1 more sha256:{HEX}; given temperature system;"
        f" recipe sha256:{HEX[::-1]}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MIT",
        f" {RECORD}",
        str(RECORD).replace("upload", "mail"),
        str(RECORD).replace(HEX, HEX[1:]),
        str(RECORD).replace("1 more", "0 more"),
        f"{RECORD} and more",
    ],
)
def test_what_is_not_a_record_is_none(text):
    assert BuildRecord.find(text) is None


@given(st.text())
def test_any_licence_can_be_searched(text):
    BuildRecord.find(text)


def test_weights_are_known_by_their_file_or_by_all_of_them():
    unknown = BuildRecord(
        source="x.gguf",
        commit="",
        file="x.gguf",
        count=1,
        digest="",
        transport="link",
        given=(),
        recipe=HEX,
    )
    first, second = Digest.of(b"1"), Digest.of(b"2")
    assert weights_digest(unknown, [first]) == first.hex
    assert weights_digest(unknown, [first, second]) == Digest.of(f"{first.hex}\n{second.hex}\n".encode()).hex
    assert weights_digest(RECORD, [first]) == HEX
