"""Values that Ollama reads otherwise than they look: comments, quotes, escapes, lost lines and characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.modelfiles._finding import Finding
from gguf2ollama.modelfiles._value import Instruction, Modelfile

__all__ = ["COMMENT", "ESCAPES_HINT", "check_texts", "has_escapes"]

COMMENT = lazy_pattern(r"\s#(?!#)")
"""What begins a comment to a reader, and is part of the value to Ollama; ``##`` is a heading."""
ESCAPES_HINT = 'a Modelfile has no escapes: break the line itself, within """'

_TEXTS = frozenset({"SYSTEM", "TEMPLATE", "LICENSE", "MESSAGE"})
_FILES = frozenset({"FROM", "ADAPTER", "DRAFT"})
# a backslash and an n in the middle of a word is LaTeX (\nabla) or a path; at a word's edge it is meant
_ESCAPE_IN_TEXT = lazy_pattern(r"\\n(?![a-z])|[.:!?>]\\n")
_ESCAPED_QUOTE = lazy_pattern(r"\\\"")
_ESCAPE_IN_STOP = lazy_pattern(r"\\(?:[nrtbfav0\"'\\]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})")
_OTHER_QUOTES = ("''", "``", "\u201c\u201d", "\u2018\u2019", "\u00ab\u00bb", "\u201e\u201c")
_INSTRUCTION = lazy_pattern(
    r"^[ \t]*(FROM|PARAMETER|TEMPLATE|SYSTEM|ADAPTER|LICENSE|MESSAGE|RENDERER|PARSER|REQUIRES|DRAFT)[ \t]+\S",
    re.MULTILINE,
)


def check_texts(modelfile: Modelfile) -> Iterator[Finding]:
    """Find the values that Ollama reads otherwise than they look, in a Modelfile read from a text."""
    for instruction in modelfile.instructions:
        yield from _check_comment(instruction)
        yield from _check_quotes(instruction)
        yield from _check_escapes(instruction)
        yield from _check_lines(instruction)
        yield from _check_characters(instruction)


def has_escapes(stop: str) -> bool:
    """Whether a stop string holds what other formats read as an escape."""
    return _ESCAPE_IN_STOP.search(stop) is not None


def _check_comment(instruction: Instruction) -> Iterator[Finding]:
    is_number = instruction.keyword == "PARAMETER" and instruction.name != "stop"  # has no such value
    if instruction.quotes or instruction.keyword in _FILES or is_number:
        return
    match = COMMENT.search(instruction.value)
    if match is None:
        return
    is_text = instruction.keyword in _TEXTS
    if is_text and not instruction.value[match.end() : match.end() + 1].isspace():
        return
    yield Finding(
        level="note" if is_text else "warning",
        code="trailing-comment",
        message=f"the value of {instruction.title} includes"
        f" {instruction.value[match.start() :].strip()[:40]!r}: a comment needs a line of its own",
        line=instruction.line,
        hint="move the comment to the line above",
    )


def _check_quotes(instruction: Instruction) -> Iterator[Finding]:
    value = instruction.value
    pair = value[:1] + value[-1:]
    is_quoted = pair in _OTHER_QUOTES and bool(value.strip(pair))
    if instruction.quotes or instruction.keyword in _FILES or not is_quoted:
        return
    yield Finding(
        level="warning",
        code="kept-quotes",
        message=f"the quotation marks {pair[0]} {pair[1]} are part of the value of {instruction.title}",
        line=instruction.line,
        hint='use "…" or """…""", or no quotation marks',
    )


def _check_escapes(instruction: Instruction) -> Iterator[Finding]:
    if instruction.keyword not in _TEXTS:
        return
    value = instruction.value
    if instruction.keyword == "TEMPLATE":
        value = _without_actions(value)  # Go's strings have escapes
    for pattern, message, hint in (
        (_ESCAPE_IN_TEXT, "\\n in the value of {} stays a backslash and an n", ESCAPES_HINT),
        (
            _ESCAPED_QUOTE,
            'the backslash of \\" stays in the value of {}',
            'a Modelfile has no escapes: write " without it',
        ),
    ):
        if (pattern is _ESCAPE_IN_TEXT or instruction.quotes == '"') and (match := pattern.search(value)):
            yield Finding(
                level="warning",
                code="escape",
                message=message.format(instruction.title),
                line=instruction.line + value.count("\n", 0, match.start()),
                hint=hint,
            )


def _without_actions(template: str) -> str:
    """Return the text of a template without its actions, on the same lines."""
    first, *others = template.split("{{")
    parts = [first]
    for other in others:
        action, end, text = other.partition("}}")
        parts.append("\n" * action.count("\n") + (text if end else ""))
    return "".join(parts)


def _check_lines(instruction: Instruction) -> Iterator[Finding]:
    """Find the instructions within a value whose closing quotes do not end their line."""
    value, quotes = instruction.value, instruction.quotes
    # a text in single quotation marks has rarely several lines; in three, it goes on after others in it
    start = 0 if quotes == '"' else value.find(quotes) if quotes else -1
    match = _INSTRUCTION.search(value, value.find("\n", start) + 1 or len(value)) if start >= 0 else None
    if match is not None:
        yield Finding(
            level="warning",
            code="swallowed-instruction",
            message=f"this {match[1]} is part of the text of {instruction.title}, which begins at line"
            f" {instruction.line}",
            line=instruction.line + value.count("\n", 0, match.start(1)),
            hint=f"put the {quotes} that ends {instruction.title} at the end of a line",
        )
    if "\r\n" in value and (instruction.keyword == "TEMPLATE" or instruction.name == "stop"):
        yield Finding(
            level="warning",
            code="carriage-return",
            message=f"the lines of {instruction.title} end with a carriage return, which the model gets too"
            if instruction.keyword == "TEMPLATE"
            else "the stop contains a carriage return, which a model rarely writes",
            line=instruction.line,
            hint="save the file with line ends as on Linux (LF)",
        )


def _check_characters(instruction: Instruction) -> Iterator[Finding]:
    if not (character := instruction.dropped):
        return
    name = unicodedata.name(character, "")
    yield Finding(
        level="warning",
        code="dropped-character",
        message=f"Ollama drops U+{ord(character):04X}{f' ({name})' if name else ''} from the value of"
        f" {instruction.title}",
        line=instruction.line,
        hint="remove it, or use `gguf2ollama build`, which can pass any text to the server",
    )
