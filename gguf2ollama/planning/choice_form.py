"""How what was chosen for a model is stored: its family, and the template that was selected."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from gguf2ollama.ggufio import TypedValue, ValueType
from gguf2ollama.planning.value_json import Form, Forms

if TYPE_CHECKING:
    from gguf2ollama.families import Detection
    from gguf2ollama.planning.selected_template import TemplateSelection, Unsupported

    Choice: TypeAlias = tuple[Detection, TemplateSelection | Unsupported | None]

__all__ = ["choice_form"]


def choice_form() -> Form:
    """Return the form of a choice; what compares chats is imported only where chats were compared."""
    return Form(_write, _read)


def _write(choice: Choice) -> list[object]:
    detection, found = choice
    return [_detection_form().write(detection), None if found is None else _found_form().write(found)]


def _read(stored: Any) -> Choice:  # noqa: ANN401 - whatever is in the file
    detection, found = stored
    return _detection_form().read(detection), None if found is None else _found_form().read(found)


@cache
def _detection_form() -> Form:
    from gguf2ollama.families import Detection  # noqa: PLC0415 - for plans, and not for help

    return Forms().of(Detection)


@cache
def _found_form() -> Form:
    """Return the form of a selection: test conversations and built-in parsers are stored by their names.

    Of values for a header there are whole numbers alone: tokens.
    """
    from gguf2ollama.chat.conversation import Conversation  # noqa: PLC0415 - if chats are compared
    from gguf2ollama.chat.test_conversations import battery  # noqa: PLC0415
    from gguf2ollama.planning.selected_template import TemplateSelection, Unsupported  # noqa: PLC0415

    class Parser:
        """Stands for the class of parsers, which few models need."""

    conversations = {conversation.name: conversation for conversation in battery()}
    own = {
        Conversation: _by_name(conversations.__getitem__),
        Parser: _by_name(_find_parser),
        TypedValue: Form(_write_number, _read_number),
    }
    return Forms(own, names={"AnswerParser": Parser}).of(TemplateSelection | Unsupported)


def _by_name(find: Callable[[str], Any]) -> Form:
    """Return the form of values that are stored by their names."""

    def write(value: Any) -> str:  # noqa: ANN401 - checked
        name = str(value.name)
        if find(name) != value:
            raise ValueError(f"{name} is another one")
        return name

    return Form(write, find)


def _find_parser(name: str) -> object:
    from gguf2ollama.chat.answer_parsers import known_parsers  # noqa: PLC0415 - for few models
    from gguf2ollama.gotmpl.versions import NEWEST  # noqa: PLC0415

    return {parser.name: parser for parser in known_parsers(NEWEST)}[name]


def _write_number(value: TypedValue) -> list[int]:
    if type(value.value) is not int or value.element_type is not None:
        raise TypeError("not a whole number")
    return [value.type, value.value]


def _read_number(stored: Any) -> TypedValue:  # noqa: ANN401 - whatever is in the file
    kind, number = stored
    if type(kind) is not int or type(number) is not int:
        raise TypeError("not whole numbers")
    return TypedValue(ValueType(kind), number)
