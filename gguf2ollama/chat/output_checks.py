"""Check what a model writes: whether Ollama reads calls and thoughts, and stops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gguf2ollama import ollama_template
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.model_output import Answer
from gguf2ollama.chat.ollama_input import canonical
from gguf2ollama.chat.reference_prompt import as_asked

if TYPE_CHECKING:
    from gguf2ollama.chat.llamacpp.server import CallReader
    from gguf2ollama.chat.ollama_parsers import AnswerParser, Heard

__all__ = [
    "are_calls_read",
    "continues_answers",
    "first_that_reads",
    "misses_calls_natively",
    "stops_that_cut",
]

_CAP_CHARACTERS = 16 << 10  # of an answer of the test; real chat templates write less than 2 kB
_CAP_END = 256  # characters, behind an answer, within which its turn ends
_BEGUN = Conversation(
    name="begun",
    messages=(Message(role="user", content="Where?"), Message(role="assistant", content="It is")),
    think=True,
)


def are_calls_read(answers: Iterable[Answer], *, tag: str, closing: str = "") -> bool:
    """Return whether every call in the answers that a model writes is read without a PARSER.

    Args:
        answers: The answers; those without calls do not matter.
        tag: What the server takes for the opening of a call (``gotmpl.read(…).tool_tag``); ``""`` for
            whatever it may be.
        closing: What it takes for the end of a thought; ``""`` where it reads none.
    """
    written = [answer for answer in answers if answer.calls]
    return bool(written) and all(
        ollama_template.read_calls(
            _behind_thought(answer, closing=closing), tag=tag, names=[call.name for call in answer.calls]
        )[: len(answer.calls)]
        == [(call.name, dict(call.arguments)) for call in answer.calls]
        for answer in written
    )


def first_that_reads(
    parsers: Iterable[AnswerParser], answers: Sequence[Answer], *, thinks: bool
) -> AnswerParser | None:
    """Return the first parser that takes all answers of a model apart as they were meant.

    Args:
        parsers: The parsers.
        answers: The answers.
        thinks: Whether the TEMPLATE alone lets the server take the model for one that thinks.
    """
    return next((one for one in parsers if _reads_all(one, answers, thinks=thinks or one.thinks)), None)


def continues_answers(parser: AnswerParser) -> bool:
    """Return whether a parser takes what continues an answer for that, and for no thought."""
    heard = parser.read(" there.", asked=_BEGUN)
    return heard is not None and heard.said.strip() == "there."


def stops_that_cut(stops: Iterable[str], *, answers: Iterable[Answer]) -> tuple[str, ...]:
    """Return the stop strings that stand within one of the answers that a model writes, before it is over."""
    texts = [answer.text[: answer.end] for answer in answers]
    return tuple(stop for stop in stops if stop and any(stop in text for text in texts))


def _reads_all(parser: AnswerParser, answers: Sequence[Answer], *, thinks: bool) -> bool:
    # think=None equals True for thinking models
    met = [answer for answer in answers if (answer.asked.think is None) != thinks]
    has_call = any(answer.calls for answer in met)
    return has_call and all(_reads(parser, answer, thinks=thinks) for answer in met)


def _reads(parser: AnswerParser, answer: Answer, *, thinks: bool) -> bool:
    heard = parser.read(answer.text, asked=as_asked(answer.asked, thinks=thinks))
    if heard is None or heard.calls[: len(answer.calls)] != [
        (call.name, dict(call.arguments)) for call in answer.calls
    ]:
        return False
    # with think=False, dropping reasoning is fine
    is_apart = heard.thought == answer.thought or (answer.asked.think is False and not heard.thought)
    return is_apart and _says(heard, answer)


def _says(heard: Heard, answer: Answer) -> bool:
    """Return whether the content is what is said, maybe with the end of the turn, where a server stops."""
    said = heard.said.strip()
    return (
        said.startswith(answer.said) and said.removeprefix(answer.said).strip() in answer.text[answer.end :]
    )


def _behind_thought(answer: Answer, *, closing: str) -> str:
    _, found, behind = answer.text.partition(closing) if closing else ("", "", "")
    return behind if found else answer.text


def misses_calls_natively(
    readers: Iterable[CallReader], answers: Sequence[Answer], *, thinks: bool, version: str
) -> bool:
    """Return whether a server that renders with the chat template reads none of the model's plainest calls.

    Those with several arguments, of several types, are not asked for: where the server sees the beginning of
    a call, a grammar holds the model to a form that it reads, which may not be the template's.

    Args:
        readers: What reads them, one for each build of llama.cpp that may; none where it is not known. Where
            the chat template shows no calls, there are none to be missed.
        answers: The answers of the model.
        thinks: Whether the server takes the model for one that thinks.
        version: The version of Ollama.
    """
    plainest = [
        answer
        for answer in answers
        if (answer.asked.think is None) != thinks
        and len(answer.calls) == 1
        and len(answer.calls[0].arguments) == 1
    ]
    return any(
        reader.shows_calls and not any(_is_read(reader, answer, version=version) for answer in plainest)
        for reader in readers
    )


def _is_read(reader: CallReader, answer: Answer, *, version: str) -> bool:
    """Return whether a call is read, wherever behind it the turn may end, and with a thought or without."""
    asked = canonical(answer.asked, path="native", version=version)
    expected = [(call.name, dict(call.arguments)) for call in answer.calls]
    if reader.holds_to_form(answer.text):
        return True
    if len(answer.text) > _CAP_CHARACTERS:
        return True  # nobody's call is that long, and to try takes long
    closing = reader.loaded.reasoning.end
    thoughts = ("", f"Hm.{closing}") if closing else ("",)
    ends = range(answer.end, min(len(answer.text), answer.end + _CAP_END) + 1)
    return any(
        reader.read(thought + answer.text[:end], asked=asked) == expected
        for thought in thoughts
        for end in ends
    )
