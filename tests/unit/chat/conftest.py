"""One renderer for all tests that break no limit, and what tests of changed chat templates share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.reference import Renderer, Request


@pytest.fixture(scope="session")
def renderer() -> Iterator[Renderer]:
    with Renderer() as renderer:
        yield renderer


@pytest.fixture(scope="session")
def require_same(renderer: Renderer) -> Callable[[str, str | None], None]:
    """Hold a changed chat template to the one that it was: it is changed, and means the same."""

    def require(text: str, changed: str | None) -> None:
        assert changed is not None
        assert changed != text
        requests = [Request(conversation=one) for one in battery()]
        assert renderer.load(changed).render(requests) == renderer.load(text).render(requests)

    return require
