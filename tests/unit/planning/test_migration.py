"""Which uploads Ollama 0.40 would double; the rules were read in its source, no 0.40 was tried."""

import pytest

from gguf2ollama.ggufio import ShardSet
from gguf2ollama.ollama import ServerVersion
from gguf2ollama.planning.migration import is_migrated, warn_of_second_copy
from tests.builders import build_gguf

TOKENS = ["x"] * 128_009 + ["<|eot_id|>"]
LLAMA = {
    "general.architecture": "llama",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.eos_token_id": 128_009,
    "tokenizer.ggml.pre": "llama-bpe",
}


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, False),
        ({"tokenizer.ggml.eos_token_id": 128_001}, True),
        ({"tokenizer.ggml.pre": None}, True),
        ({"tokenizer.ggml.pre": "default"}, True),
        ({"tokenizer.ggml.eos_token_id": 128_001, "tokenizer.ggml.tokens": TOKENS[:-1]}, False),
        ({"tokenizer.ggml.eos_token_id": 128_001, "tokenizer.ggml.tokens": ["x"] * 128_010}, False),
        ({"tokenizer.ggml.eos_token_id": 128_001, "tokenizer.ggml.tokens": None}, False),
        ({"tokenizer.ggml.eos_token_id": 128_001, "general.architecture": "qwen3"}, False),
        ({"general.architecture": "gptoss"}, True),
        ({"general.architecture": "gpt-oss"}, False),
        ({"general.architecture": ["llama"]}, False),
        ({"tokenizer.ggml.pre": ["default"]}, False),
    ],
)
def test_what_is_rewritten_follows_from_the_header(changes, expected):
    metadata = {key: value for key, value in (LLAMA | changes).items() if value is not None}
    assert is_migrated(metadata) is expected


@pytest.mark.parametrize(
    "version, warns", [("0.34.4", False), ("0.35.1", False), ("0.40.0", True), ("dev", True)]
)
def test_the_warning_says_the_version_and_the_bytes(tmp_path, version, warns):
    path = build_gguf(tmp_path / "old.gguf", architecture="gptoss")
    found = warn_of_second_copy(ServerVersion.reported(version), ShardSet.discover(path))
    assert len(found) == warns
    for warning in found:
        assert f"Ollama {version} " in warning
        assert f"{path.stat().st_size:,} bytes" in warning


def test_a_model_as_most_are_is_not_warned_of(gguf):
    assert warn_of_second_copy(ServerVersion.parse("0.40.2"), ShardSet.discover(gguf)) == ()
