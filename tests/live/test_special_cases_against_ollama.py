"""What is cut from answers given earlier, against the parser that Ollama cuts it with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.special_cases import filter_think_tags
from tests.live import parts
from tests.live.conftest import missing
from tests.live.ollama_oracle import Oracle, OracleMissing, running_oracle
from tests.unit.chat.test_special_cases import ANSWERS

pytestmark = pytest.mark.live

_QUESTION = Message(role="user", content="Why?")
_SPACES = "\t\n\v\f\r \x1c\x1f\x85\xa0\u1680\u180e\u2000\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
_PIECES = st.one_of(
    st.sampled_from(["<think>", "</think>", "<th", "</", "think>", "<Think>", "a"]),
    st.sampled_from(_SPACES),
    st.characters(exclude_categories=["Cs"]),
)


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    """Return Ollama's own parser."""
    try:
        with running_oracle() as running:
            yield running
    except OracleMissing as error:
        missing(f"oracle: {error}")


@given(pieces=st.lists(_PIECES, max_size=8))
@example(pieces=list(_SPACES))
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_cut_as_by_ollama(oracle: Oracle, pieces: list[str]) -> None:
    _require_same(oracle, "".join(pieces))


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_examples_of_the_unit_tests_are_ollamas(oracle: Oracle, answer: str) -> None:
    _require_same(oracle, answer)


def _require_same(oracle: Oracle, answer: str) -> None:
    messages = (_QUESTION, Message(role="assistant", content=answer), _QUESTION)
    asked = Conversation(name="asked", messages=messages)
    told = filter_think_tags(asked, family="qwen3", model_name="", version=parts.OLLAMAS[0].version)
    _, content = oracle.ask("thought", answer.encode())
    assert told.messages[1].content == content
