"""What is refused before anything of a model is fetched."""

import pytest

from tests.builders import tiny_llama
from tests.fakes.hub_content import Hollow
from tests.fakes.hub_server import FakeHub
from tests.refused_builds import NAME, REFUSALS


@pytest.fixture
def head(tmp_path):
    """The header of a model with a vocabulary of usual size."""
    tokens = [f"token{number:05}" for number in range(49_152)]
    vocabulary = {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": [1] * len(tokens)}
    path = tiny_llama(tmp_path / "tiny.gguf", metadata=vocabulary)
    return path.read_bytes()


@pytest.fixture
def hub(head, monkeypatch, tmp_path):
    with FakeHub() as hub:
        hub.add("o/r", {NAME: Hollow(50_000_000, head)})
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        yield hub


@pytest.mark.parametrize("case", REFUSALS)
def test_no_byte_of_the_file_is_fetched_for_what_is_refused(call, hub, head, tmp_path, case):
    def run(*arguments):
        done = call(*arguments)
        return done.code, done.err

    REFUSALS[case].check(run, hub, tmp_path, header_bytes=len(head))
