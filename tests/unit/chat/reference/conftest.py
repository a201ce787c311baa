"""One renderer for all tests that break no limit: to start one takes a tenth of a second."""

import pytest

from gguf2ollama.chat.reference import Renderer


@pytest.fixture(scope="session")
def renderer():
    with Renderer() as one:
        yield one
