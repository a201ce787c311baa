"""Names and addresses against Ollama's own packages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gguf2ollama.errors import UsageProblem
from gguf2ollama.names import ModelName, ServerAddress
from tests.live.ollama_oracle import Oracle, OracleMissing, running_oracle

pytestmark = pytest.mark.live

MANY = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))

# Ollama takes a host that Windows would read as a drive, and any scheme; we refuse both
_DRIVE = re.compile(r"(http://)?[A-Za-z]:")
_names = st.lists(
    st.sampled_from(
        ("a", "B", "9", "_", "-", ".", "..", "/", ":", "http://", "host:5000/", "@", "é", "n/m", "a" * 79)
    ),
    max_size=8,
).map("".join)
_addresses = st.tuples(
    st.sampled_from(("", "http://", "https://", " '")),
    st.sampled_from(
        (
            "",
            "h",
            "1.2.3.4",
            "0.0.0.0",  # noqa: S104 - read, not bound
            "::",
            "[::]",
            "::1",
            "[::1]",
            "0:0::1",
            "ollama.com",
            "::ffff:1.2.3.4",
        )
    ),
    st.sampled_from(("", ":", ":1", ":65535", ":65536", ":-1", ":x")),
    st.sampled_from(("", "/", "/a", "/a/b/")),
    st.sampled_from(("", " ", '"')),
).map("".join)


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    try:
        with running_oracle() as running:
            yield running
    except OracleMissing as reason:
        pytest.skip(f"missing part: {reason}")


@MANY
@given(text=_names)
def test_a_name_is_valid_where_ollama_says_so(text: str, oracle: Oracle) -> None:
    theirs = oracle.ask("name", text.encode())
    try:
        ours = ModelName.parse(text)
    except UsageProblem:
        assert not theirs["valid"] or _DRIVE.match(text) or theirs["scheme"] not in {"http", "https"}
        return
    assert theirs["valid"]
    assert list(ours.manifest_parts) == theirs["parts"]
    assert (ours.short, ours.protocol_scheme) == (theirs["short"], theirs["scheme"])


@MANY
@given(text=_addresses)
def test_an_address_is_read_as_ollama_reads_it(text: str, oracle: Oracle) -> None:
    theirs = oracle.ask("host", text.encode())
    try:
        ours = ServerAddress.parse(text).base_url
    except UsageProblem:
        # several colons outside of brackets are an IPv6 address with us, or nothing
        assert text.count(":") > 2
        return
    assert ours == theirs.replace("://:", "://127.0.0.1:").rstrip("/").replace("[0:0::1]", "[::1]")
