"""Context lengths as users write them."""

import pytest

from gguf2ollama.errors import UsageProblem
from gguf2ollama.memory.parse import parse_context


@pytest.mark.parametrize(
    "text,value",
    [
        ("8192", 8192),
        ("8k", 8192),
        ("32K", 32768),
        ("auto", "auto"),
        (" MAX ", "max"),
        ("Server", "server"),
    ],
)
def test_context_lengths_are_read(text, value):
    assert parse_context(text) == value


@pytest.mark.parametrize("text", ["", "0", "-5", "k", "1.5k", "lots", "9999999999", "9" * 5000, "٣"])
def test_what_is_not_a_context_length_is_refused(text):
    with pytest.raises(UsageProblem, match="invalid --ctx"):
        parse_context(text)
