"""Check what a model writes: whether Ollama reads calls and thoughts, and stops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gguf2ollama import ollama_template
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.chat.answers.model_output import THOUGHT, Answer
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.ollama_input import canonical
from gguf2ollama.chat.outcome import Heard, Misread, Rendered
from gguf2ollama.chat.reference_prompt import as_asked

if TYPE_CHECKING:
    from gguf2ollama.chat.answers.ollama_parsers import AnswerParser
    from gguf2ollama.chat.llamacpp import NativeTemplate
    from gguf2ollama.chat.llamacpp.server import AnswerReader

__all__ = [
    "are_calls_read",
    "continues_answers",
    "first_that_reads",
    "misread_natively",
    "misses_calls_natively",
    "stops_that_cut",
]

_CAP_CHARACTERS = 16 << 10  # of an answer of the test; real chat templates write less than 2 kB
_CAP_END = 256  # characters, behind an answer, within which its turn ends
_NO_THOUGHT = lazy_pattern(r"<think>\s*</think>\s*\Z")
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
    readers: Iterable[AnswerReader], answers: Sequence[Answer], *, thinks: bool, version: str
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
        reader.shows_calls
        and not any(_comes_out(reader, answer, _calls_are_read, version=version) for answer in plainest)
        for reader in readers
    )


def misread_natively(
    native: NativeTemplate, answers: Sequence[Answer], *, thinks: bool, version: str
) -> tuple[Misread, ...]:
    """Return what of a model's answers is misread by a server that renders with the chat template.

    Plain answers and thoughts are asked for where the server prompts for them as the authors do. Something is
    misread where no answer with it comes out, wherever its turn may end.

    Args:
        native: How the server treats the chat template.
        answers: The answers of the model.
        thinks: Whether the server takes the model for one that thinks.
        version: The version of Ollama.
    """
    if not native.reads_answers:
        return ("contents",)
    met = [answer for answer in answers if (answer.asked.think is None) != thinks]
    plain = [one for one in met if not one.calls and one.goes_on and _is_prompted_alike(native, one)]
    found: list[Misread] = []

    def fails(asked: Sequence[Answer], is_right: Callable[[Heard, Answer], bool], *, tools: bool) -> bool:
        readers = native.answer_readers(with_tools=tools) if asked else []
        return any(
            not any(_comes_out(reader, one, is_right, version=version) for one in asked)
            for reader in readers
            if reader.shows_calls or not any(one.calls for one in asked)
        )

    for offers_tools in (False, True):
        said = [one for one in plain if not one.thought and bool(one.asked.tools) is offers_tools]
        if fails(said, _is_said, tools=offers_tools):
            found.append("contents")
        elif offers_tools and fails([_in_braces(one) for one in said], _is_said, tools=True):
            found.append("braces")
    thought = [one for one in plain if one.thought and not one.asked.tools]
    if fails(thought or list(_begun_thoughts(native, plain)), _is_thought, tools=False):
        found.append("thoughts")
    single = [one for one in met if len(one.calls) == 1 and len(one.calls[0].arguments) == 1]
    several = [one for one in met if len(one.calls) > 1 and _are_written(one)]
    if fails(several, _calls_are_read, tools=True) and not fails(single, _calls_are_read, tools=True):
        found.append("several calls")
    return tuple(dict.fromkeys(found))


def _is_prompted_alike(native: NativeTemplate, answer: Answer) -> bool:
    """Return whether the server begins the answer as the authors do."""
    outcome = native.render(answer.asked)
    return isinstance(outcome, Rendered) and outcome.prompt.endswith(answer.opening)


def _begun_thoughts(native: NativeTemplate, answers: Iterable[Answer]) -> Iterator[Answer]:
    """Return answers behind a thought that the model itself begins.

    It does so where a prompt has an empty thought only if it is not to think.
    """
    for answer in answers:
        prompts = [native.render(replace(answer.asked, think=think)) for think in (False, True)]
        ends = [isinstance(one, Rendered) and bool(_NO_THOUGHT.search(one.prompt)) for one in prompts]
        if answer.asked.think is True and not answer.asked.tools and ends == [True, False]:
            text = f"<think>\n{THOUGHT}\n</think>\n\n{answer.text}"
            added = len(text) - len(answer.text)
            yield replace(answer, text=text, thought=THOUGHT, end=answer.end + added)


def _are_written(answer: Answer) -> bool:
    """Return whether the template shows every call: some show the first one only."""
    return all(answer.text.count(call.name) >= len(answer.calls) for call in answer.calls)


def _in_braces(answer: Answer) -> Answer:
    said = f"{{{answer.said}}}"
    text = answer.text.replace(answer.said, said)
    return replace(answer, text=text, said=said, end=answer.end + len(text) - len(answer.text))


def _is_said(heard: Heard, answer: Answer) -> bool:
    return answer.said in heard.said


def _is_thought(heard: Heard, answer: Answer) -> bool:
    return answer.thought in heard.thought and answer.thought not in heard.said and _is_said(heard, answer)


def _calls_are_read(heard: Heard, answer: Answer) -> bool:
    return heard.calls == [(call.name, dict(call.arguments)) for call in answer.calls]


def _comes_out(
    reader: AnswerReader, answer: Answer, is_right: Callable[[Heard, Answer], bool], *, version: str
) -> bool:
    """Return whether an answer is read rightly, wherever behind it the turn may end.

    With a thought before it or without, as a model may write one that the template does not show.
    """
    if answer.calls and reader.holds_to_form(answer.text):
        return True
    if len(answer.text) > _CAP_CHARACTERS:
        return True  # nobody's call is that long, and to try takes long
    asked = canonical(answer.asked, path="native", version=version)
    closing = reader.loaded.reasoning.end
    thoughts = ("", f"Hm.{closing}") if closing else ("",)
    ends = range(answer.end, min(len(answer.text), answer.end + _CAP_END) + 1)
    texts = (thought + answer.text[:end] for thought in thoughts for end in ends)
    return any(heard is not None and is_right(heard, answer) for heard in reader.read_all(texts, asked=asked))
