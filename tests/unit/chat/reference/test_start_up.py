"""The process in which templates run starts for every call of the program: it loads what it needs."""

import subprocess
import sys

import pytest

from gguf2ollama.chat import reference


def test_the_worker_loads_nothing_of_the_end_that_asks_it():
    code = "import gguf2ollama.chat.reference.worker, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "jinja2" in loaded
    assert not {"subprocess", "gguf2ollama.chat.conversation", "gguf2ollama.oci"} & loaded


@pytest.mark.parametrize("name", reference.__all__)
def test_what_the_room_offers_is_there(name):
    assert getattr(reference, name) is not None
    assert name in dir(reference)


def test_what_it_does_not_offer_is_no_attribute():
    with pytest.raises(AttributeError, match="nonsense"):
        reference.nonsense  # noqa: B018
