"""Write the companion template: a TEMPLATE that Ollama passes over, and that yet counts.

From 0.30 on Ollama takes the chat template in a GGUF instead of a TEMPLATE that shows fewer capabilities
(``shouldPreferChatTemplate`` in ``server/images.go``). A TEMPLATE that names no tools, beside a chat template
that does, therefore leaves the prompts as they are, on every transport. It does two things all the same:

- ``create`` adds no TEMPLATE of its own to a model that comes with one;
- ``/api/generate``, and with it ``ollama run NAME "…"``, takes thoughts out of an answer by the tags that
  the TEMPLATE shows (``thinking.InferTags(m.Template)`` in ``server/routes.go``), whatever made the prompt.

Tags also change what ``format`` does on ``/api/generate`` while the model is asked to think (sources of
0.30.0, 0.31.1, 0.32.15, 0.33.0 to 0.33.3 and 0.34.0 to 0.34.4):

- Before 0.34.4 the answer has the format from its first token on. Where the prompt opens a thought, all of
  it is then taken for the thought, and the response is empty.
- From 0.34.4 on it has the format from the closing tag on (``thinkingGrammar`` in ``llm/gbnf.go``). A model
  that does not think is not constrained at all.

So tags are declared only where the model surely thinks, on any version since models stay when a server is
updated, and before 0.34.4 only where the model opens its thoughts itself. Nor are they where a tag is a
control token: llama-server does not print it, and an answer that is searched for its end in vain is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gguf2ollama import ollama_template
from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.chat.chat_turns import ChatTurns, learn_chat_turns, rendered_prompt
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.llamacpp import Prediction
from gguf2ollama.chat.special_cases import thinks_by_family
from gguf2ollama.chat.synthesis.go_writer import GoWriter
from gguf2ollama.gotmpl.versions import is_since
from gguf2ollama.jinja.facts import shows_thinking, shows_tools

__all__ = ["REASONING_SHOWS", "Companion", "companion", "spoils_format"]

_OPENING, _CLOSING = "<think>", "</think>"
_CLOSED_THOUGHT = lazy_pattern(r"<think>\s*</think>\s*\Z")
_FIRST_PASSED_OVER = "0.30.0"
_FIRST_WITH_FORMAT_BEHIND_THOUGHTS = "0.34.4"
# a TEMPLATE of a family with harmony is taken where it holds `<|start|>` and this (see `special_cases`)
_HARMONY_END = "<|end|>"
_CONTROL = 3  # llama.cpp's type of tokens that are not printed

REASONING_SHOWS = 'reasoning is part of the output of /api/generate and `ollama run NAME "…"`'
_WITHOUT_TOOLS = f"{REASONING_SHOWS}: think tags can be declared only for chat templates with tools"
_UNSURE = (
    f"{REASONING_SHOWS} if the model thinks: its chat template leaves that open, and with declared think tags"
    " an answer without reasoning would not follow a requested `format`"
)
_HIDDEN = (
    f"{REASONING_SHOWS}: {_OPENING} and {_CLOSING} are control tokens of this model, which llama-server does"
    " not print, so Ollama would not see the end of the reasoning"
)
_SPOILS_FORMAT = (
    f"{REASONING_SHOWS}: the prompt ends with an open think tag, and with declared think tags Ollama before"
    f" {_FIRST_WITH_FORMAT_BEHIND_THOUGHTS} takes an answer in a requested `format` for reasoning"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """The TEMPLATE to put beside a chat template.

    Attributes:
        text: The TEMPLATE; ``""`` where the server would render with any that there is.
        has_tags: Whether it declares the tags around thoughts. One that does not is of use only where
            ``create`` makes the model.
        note: Why thoughts will show in ``/api/generate``, one sentence; ``""`` where they will not.
    """

    text: str
    has_tags: bool = False
    note: str = ""


def companion(
    chat_template: str,
    *,
    metadata: Mapping[str, Any],
    version: str,
    render: Callable[[Conversation], Prediction],
    system: str = "",
) -> Companion:
    """Decide whether a chat template can have a TEMPLATE beside it that is passed over, and write it.

    Args:
        chat_template: The Jinja text of ``tokenizer.chat_template``, as it will be in the GGUF.
        metadata: The metadata of the GGUF: its architecture and its tokens.
        version: The version of Ollama that will serve it.
        render: Predicts the prompts that this chat template makes, such as ``NativeTemplate.render``. The
            text holds parts of them: with a clock that stands still it is the same on every day.
        system: The system message that the model will have; with some templates it turns thinking off.

    Raises:
        UsageProblem: The version is none.
    """
    if not is_since(version, _FIRST_PASSED_OVER):
        return Companion(text="")
    thinks = shows_thinking(chat_template)
    if not shows_tools(chat_template):
        return Companion(text="", note=_WITHOUT_TOOLS if thinks else "")
    note = ""
    if thinks:
        is_hidden = _hides_tags(metadata)
        note = _why_without_tags(render, version=version, system=system, is_hidden=is_hidden)
    has_tags = thinks and not note
    turns = learn_chat_turns(render, think=has_tags if thinks else None)
    text = _write(
        turns,
        has_tags=has_tags,
        shows_thinking=thinks,
        is_harmony=thinks_by_family(str(metadata.get("general.architecture", "")), version=version),
    )
    assert not ollama_template.takes_precedence(text, chat_template, version=version)  # noqa: S101 - it names no tools
    return Companion(text=text, has_tags=has_tags, note=note)


def spoils_format(
    metadata: Mapping[str, Any],
    *,
    version: str,
    render: Callable[[Conversation], Prediction],
    system: str = "",
) -> bool:
    """Return whether declared think tags do harm on ``/api/generate``, in whatever TEMPLATE they stand.

    Args:
        metadata: As for :func:`companion`, and so are the others.
        version: The version of Ollama.
        render: Predicts the prompts of the chat template.
        system: The system message of the model.
    """
    is_hidden = _hides_tags(metadata)
    return bool(_why_without_tags(render, version=version, system=system, is_hidden=is_hidden))


def _hides_tags(metadata: Mapping[str, Any]) -> bool:
    """Return whether a tag is a control token."""
    tokens, types = (metadata.get(f"tokenizer.ggml.{key}") for key in ("tokens", "token_type"))
    if not isinstance(tokens, Sequence) or not isinstance(types, Sequence):
        return False
    # few tokens are control tokens, and to decode all takes long
    control = [number for number, type_ in enumerate(types[: len(tokens)]) if type_ == _CONTROL]
    return any(tokens[number] in (_OPENING, _CLOSING) for number in control)


def _why_without_tags(
    render: Callable[[Conversation], Prediction], *, version: str, system: str, is_hidden: bool
) -> str:
    """Return why no tags may be declared, one sentence; ``""`` where they may."""
    if is_hidden:
        return _HIDDEN
    before = (Message(role="system", content=system),) if system else ()
    asked = (*before, Message(role="user", content="Hello"))
    thinking = rendered_prompt(render, asked, think=True).rstrip()
    plain = rendered_prompt(render, asked, think=False)
    opens = thinking.endswith(_OPENING)
    if not opens and (thinking.endswith(_CLOSING) or not _CLOSED_THOUGHT.search(plain)):
        return _UNSURE
    if opens and not is_since(version, _FIRST_WITH_FORMAT_BEHIND_THOUGHTS):
        return _SPOILS_FORMAT
    return ""


def _write(turns: ChatTurns, *, has_tags: bool, shows_thinking: bool, is_harmony: bool) -> str:
    """Write the TEMPLATE; results of tools are printed as questions are."""
    writer = GoWriter()

    def print_marks(text: str) -> None:
        first, *others = text.split(_HARMONY_END) if is_harmony else [text]
        writer.print(first)
        for part in others:
            writer.value('print "<|end" "|>"')
            writer.print(part)

    writer.do("if .System")
    print_marks(turns.system)
    writer.value(".System")
    print_marks(turns.question)
    writer.do("else")
    print_marks(turns.start)
    writer.do("end")
    with writer.block("range .Messages"):
        writer.do('if eq .Role "assistant"')
        print_marks(turns.answer)
        if has_tags:
            with writer.block("if .Thinking"):
                writer.print(f"{_OPENING}\n")
                writer.value(".Thinking")
                writer.print(f"\n{_CLOSING}\n\n")
        writer.value(".Content")
        print_marks(turns.next)
        writer.do('else if ne .Role "system"')
        writer.value(".Content")
        writer.do("end")
    print_marks(turns.opening)
    return f"{_comment(has_tags=has_tags, shows_thinking=shows_thinking)}{writer}"


def _comment(*, has_tags: bool, shows_thinking: bool) -> str:
    """Return what a reader of the Modelfile should know.

    Ollama looks for texts such as ``tool_response`` in a whole TEMPLATE: none of them may stand here.
    """
    tags = f", and has /api/generate take thoughts between {_OPENING} and {_CLOSING} out" if has_tags else ""
    thinking = (
        f" print .Thinking between {_OPENING} and {_CLOSING} in a range over .Messages,"
        if shows_thinking
        else ""
    )
    return (
        "{{- /* gguf2ollama: Ollama 0.30 and later passes this over and renders chats with the chat template"
        f" in the GGUF. It keeps `create` from adding another one{tags}."
        " A TEMPLATE of your own (FROM this model) is taken if it declares as much: name .Tools and"
        f' .ToolCalls,{thinking} and hold the text eq .Role followed by "tool". */}}}}'
    )
