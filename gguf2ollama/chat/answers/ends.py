"""Find the marks at which a model's turns end, in what its chat template writes there."""

from __future__ import annotations

from collections.abc import Iterator

from gguf2ollama.chat.answers.turns import PROBE, Finish, Turns
from gguf2ollama.families.vocabulary import End, Mark, Vocabulary

__all__ = ["find_ends", "turn_marks"]

_BRACKETS = {"<": ">", "[": "]"}
# end tokens that are printed, and what a template holds then
_PRINTED = (
    (("<|END_OF_TURN_TOKEN|>",), ("<|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>")),
    (("<|eot_id|>", "<|eom_id|>"), ("set has_code_interpreter = tools | selectattr(",)),
)
_LONGEST = 64  # characters of a mark; the longest known has 24


def find_ends(turns: Turns, vocabulary: Vocabulary, *, chat_template: str = "") -> tuple[End, ...]:
    """Return the marks at which a model's turns end, without those that end an answer anyway.

    Of these, those are returned that llama.cpp prints all the same when it renders the chat template.
    A template without any such mark begins the next turn behind an answer, and so does a model then, if it
    does not end it by its end token: the mark is the beginning of the next turn.
    """
    if not vocabulary:
        return ()
    answer = _end_of_answer(turns.answer, vocabulary)
    call = _end_of_call(turns.call, vocabulary, known=answer)
    printed = _printed_ends(turns, vocabulary, chat_template=chat_template)
    return (*(end for end in (answer, call) if end is not None), *printed)


def turn_marks(turns: Turns, vocabulary: Vocabulary) -> tuple[str, ...]:
    """Return the marks by which a template ends and begins turns, none of which stands within an answer."""
    followed, opened = (_marks(text, vocabulary) for text in (turns.answer.followed, turns.opened))
    closed = _marks(turns.answer.closed, vocabulary)
    begins = opened[1:2] if opened[:1] == followed[:1] else opened[:1]
    return tuple(
        dict.fromkeys(
            mark
            for mark in (*closed[:1], *followed[:2], *begins)
            if mark not in turns.answer.written + turns.call.written
        )
    )


def _end_of_answer(finish: Finish, vocabulary: Vocabulary) -> End | None:
    text = _ending(finish, vocabulary)
    if (found := _first(text, vocabulary)) is None:
        return None
    is_ended = _has_end(finish.closed or finish.followed, vocabulary)
    if isinstance(found, Mark) and not found.is_printed:
        return None if is_ended else _token(found, what="the chat template ends answers with it")
    # what the model writes around its answer is left to the server's parser, unless nothing else ends it
    if is_ended and finish.written.strip():
        return None
    return End(text=_text(found), what="the chat template ends answers with it")


def _ending(finish: Finish, vocabulary: Vocabulary) -> str:
    """Return the text with which a template ends an answer, or with which it begins the next turn.

    Where a chat ends, some templates write what is no part of the answer: a mark that does not stand there
    before a next message, too, counts only if it is a token.
    """
    closed, followed = (_first(text, vocabulary) for text in (finish.closed, finish.followed))
    is_followed_alike = followed is not None and (closed is None or _text(closed) == _text(followed))
    if is_followed_alike or (finish.followed and not isinstance(closed, Mark)):
        return finish.followed
    return finish.closed


def _end_of_call(finish: Finish, vocabulary: Vocabulary, *, known: End | None) -> End | None:
    """Return the mark at which a turn with a tool call ends, unless it is that of answers or ends anyway.

    llama.cpp takes a mark that stands behind calls alone for a part of their form: its grammar has the model
    write it, and its parser expects the text.
    """
    whole = finish.closed + finish.followed
    if not whole or _has_end(whole, vocabulary) or (known and known.text in whole):
        return None
    what = "the chat template ends tool calls with it"
    for last in list(_all(finish.closed, vocabulary))[-1:]:
        if _text(last).startswith(tuple(_BRACKETS)) and _text(last) not in finish.written:
            number = last.number if isinstance(last, Mark) and not last.is_printed else None
            return End(text=_text(last), number=number, what=what, is_parsed=True)
    if not finish.followed.startswith(finish.closed):
        return None
    found = _first(finish.followed[len(finish.closed) :], vocabulary)
    if isinstance(found, Mark) and not found.is_printed:
        return _token(found, what=what)
    if found is None or _text(found) in finish.written or PROBE in _text(found):
        return None
    return End(text=_text(found), what=what)


def _printed_ends(turns: Turns, vocabulary: Vocabulary, *, chat_template: str) -> Iterator[End]:
    """Yield the end tokens whose text is printed as llama.cpp's parser expects it.

    That is known of some templates (``workarounds`` in llama.cpp's ``common/chat-diff-analyzer.cpp``), and
    happens where a call has such a token more than once, as that of DeepSeek-R1-Distill-Qwen.
    """
    texts = [turns.answer.closed, turns.answer.followed, turns.call.closed, turns.call.followed]
    ends = {
        mark.text for text in texts for mark in vocabulary.marks_in(text) if mark.ends and not mark.is_printed
    }
    for end in sorted(ends):
        others = [others for texts, others in _PRINTED if end in texts]
        is_known = any(all(other in chat_template for other in marks) for marks in others)
        if is_known or turns.call.closed.count(end) > 1:
            yield End(text=end, what="an end token that llama.cpp prints with this template", is_parsed=True)


def _token(mark: Mark, *, what: str) -> End | None:
    return None if mark.number is None else End(text=mark.text, number=mark.number, what=what)


def _has_end(text: str, vocabulary: Vocabulary) -> bool:
    return any(mark.ends for mark in vocabulary.marks_in(text))


def _marks(text: str, vocabulary: Vocabulary) -> list[str]:
    return [_text(found) for found in _all(text, vocabulary)]


def _text(found: Mark | str) -> str:
    return found.text if isinstance(found, Mark) else found


def _first(text: str, vocabulary: Vocabulary) -> Mark | str | None:
    return next(_all(text, vocabulary), None)


def _all(text: str, vocabulary: Vocabulary) -> Iterator[Mark | str]:
    """Yield the marks in a text: special tokens, and what is written where there is none."""
    tokens = list(vocabulary.marks_in(text))
    position = 0
    while position < len(text):
        token = next((mark for mark in tokens if mark.start >= position), None)
        before = text[position : token.start if token else None]
        if written := _written_mark(before):
            yield written
            position += before.index(written) + len(written)
        elif token is None:
            return
        else:
            yield token
            position = token.start + len(token.text)


def _written_mark(text: str) -> str:
    """Return the mark with which a text begins after white space: what is in brackets, or its first line.

    A mark without brackets has the white space before it, so that it does not match within a line. A line
    without letters and digits is none.
    """
    lines = (line.strip() for line in text.splitlines())
    mark = next((line for line in lines if any(map(str.isalnum, line))), "")
    closing = _BRACKETS.get(mark[:1], "")
    if closing and closing in mark:
        return mark[: mark.index(closing) + 1]
    if not mark or len(mark) > _LONGEST:
        return ""
    place = text.index(mark)
    return (text[place - 1] if place and text[place - 1].isspace() else "") + mark
