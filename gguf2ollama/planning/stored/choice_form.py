"""How what was chosen for a model is stored: its family, and the template that was selected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from gguf2ollama.ggufio import TypedValue, ValueType
from gguf2ollama.planning.stored.value_json import Form, Forms

if TYPE_CHECKING:
    from gguf2ollama.chat.conversation import Conversation
    from gguf2ollama.families import Detection
    from gguf2ollama.planning.templates.selected_template import TemplateSelection, Unsupported

    Choice: TypeAlias = tuple[Detection, TemplateSelection | Unsupported | None]

__all__ = ["choice_form", "fill_in_form"]


def fill_in_form() -> Form:
    """Return the form of how a model fills in the middle, or that it does not."""
    from gguf2ollama.families.fill_in import FillIn  # noqa: PLC0415 - for plans, and not for help

    return Forms().of(FillIn | None)


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
    from gguf2ollama.chat.battery.test_conversations import battery  # noqa: PLC0415
    from gguf2ollama.chat.conversation import Conversation  # noqa: PLC0415 - if chats are compared
    from gguf2ollama.planning.templates.selected_template import TemplateSelection, Unsupported  # noqa: PLC0415

    class Parser:
        """Stands for the class of parsers, which few models need."""

    conversations = {conversation.name: conversation for conversation in battery()}
    own = {
        Conversation: _conversation_form(conversations),
        Parser: _by_name(_find_parser),
        TypedValue: Form(_write_number, _read_number),
    }
    return Forms(own, names={"AnswerParser": Parser}).of(TemplateSelection | Unsupported)


def _conversation_form(known: Mapping[str, Conversation]) -> Form:
    """Return the form of test conversations: the name of one that is known, else its feature and texts."""
    from gguf2ollama.chat.conversation import (  # noqa: PLC0415 - if chats are compared
        Conversation,
        Feature,
        Message,
        Role,
    )

    def write(value: Any) -> Any:  # noqa: ANN401 - checked
        if known.get(value.name) == value:
            return value.name
        texts = [[message.role, message.content] for message in value.messages]
        stored = [value.name, value.feature, texts]
        if read(stored) != value:
            raise ValueError(f"{value.name} has more than texts")
        return stored

    def read(stored: Any) -> Conversation:  # noqa: ANN401 - whatever is in the file
        if isinstance(stored, str):
            return known[stored]
        name, feature, texts = stored
        if not isinstance(name, str) or feature not in get_args(Feature):
            raise TypeError("not a conversation")
        messages = []
        for role, content in texts:
            if role not in get_args(Role) or not isinstance(content, str):
                raise TypeError("not a message")
            messages.append(Message(role=role, content=content))
        return Conversation(name=name, feature=feature, messages=tuple(messages))

    return Form(write, read)


def _by_name(find: Callable[[str], Any]) -> Form:
    """Return the form of values that are stored by their names."""

    def write(value: Any) -> str:  # noqa: ANN401 - checked
        name = str(value.name)
        if find(name) != value:
            raise ValueError(f"{name} is another one")
        return name

    return Form(write, find)


def _find_parser(name: str) -> object:
    from gguf2ollama.chat.answers.ollama_parsers import known_parsers  # noqa: PLC0415 - for few models
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
