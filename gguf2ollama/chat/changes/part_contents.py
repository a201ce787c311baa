"""Chat templates that take no text as a message, but a list of parts with keys that no client sends.

TranslateGemma's is such a one: each message is a list of one part with two languages. What the keys mean is
for the user to say, in a template that has them; here is what it may begin with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.chat.chat_turns import learn_chat_turns
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.llamacpp import Prediction
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference import ReferenceTemplate
from gguf2ollama.chat.reference_prompt import Authors
from gguf2ollama.gotmpl.write import go_quote

__all__ = ["PartForm", "example_template", "find_part_form"]

_PROBE = "k7Qp2xVd"
_USUAL_VALUE = "en"
_CAP_KEYS, _CAP_VALUES = 24, 24  # that are tried
# what may stand in a hint
_PLAIN = lazy_pattern(r"[A-Za-z][\w./ -]{0,39}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartForm:
    """The form of the parts that a template takes.

    Attributes:
        text_key: The key of the text.
        values: The other keys that it needs, each with a value that it takes.
        roles: The roles whose contents are such lists.
    """

    text_key: str
    values: Mapping[str, str]
    roles: tuple[str, ...]

    def part(self, text: str) -> dict[str, str]:
        """Return a part with a text."""
        return {"type": "text", **self.values, self.text_key: text}


def find_part_form(template: ReferenceTemplate) -> PartForm | None:
    """Find parts with which a template renders a question that it takes in no other form, by trying.

    Raises:
        InvalidInput: The template broke a limit.
    """
    keys = [key for key in sorted(template.keys) if _PLAIN.match(key)][:_CAP_KEYS]
    values = list(dict.fromkeys((_USUAL_VALUE, *_constants(template.text))))[:_CAP_VALUES]
    for text_key in sorted(keys, key=lambda key: key != "text"):
        tried = [part | {text_key: _PROBE} for part in _parts(keys, values)]
        shown = _prompts(template, [[_message("user", part)] for part in tried])
        found = next((number for number, prompt in enumerate(shown) if _PROBE in prompt), None)
        if found is not None:
            return _form(template, keys, text_key=text_key, part=tried[found], prompt=shown[found])
    return None


def _parts(keys: Sequence[str], values: Sequence[str]) -> Iterator[dict[str, str]]:
    """Return parts with one value for all keys, and with another for each."""
    for value in values:
        yield dict.fromkeys(keys, value) | {"type": "text"}
        yield {"type": "text"} | dict.fromkeys(keys, value)
    for shift in range(len(values)):
        yield {key: values[(number + shift) % len(values)] for number, key in enumerate(keys)} | {
            "type": "text"
        }


def _form(
    template: ReferenceTemplate, keys: Sequence[str], *, text_key: str, part: dict[str, str], prompt: str
) -> PartForm:
    """Leave out the keys that a part does not need, and find the roles whose contents are parts."""
    for key in keys:
        if key in {text_key, "type"}:
            continue
        less = {other: value for other, value in part.items() if other != key}
        (without,) = _prompts(template, [[_message("user", less)]])
        # what a template prints of a key is for the user to know
        if _PROBE in without and without.count(part[key]) == prompt.count(part[key]):
            part, prompt = less, without
    values_of = {
        key: value for key, value in part.items() if key != text_key and (key, value) != ("type", "text")
    }
    form = PartForm(text_key=text_key, values=values_of, roles=("user",))
    question, answer = _message("user", part), {"role": "assistant", "content": _PROBE}
    as_text, as_list = _prompts(
        template,
        [[question, answer, question], [question, _message("assistant", part), question]],
    )
    if not as_text and as_list:
        return PartForm(text_key=text_key, values=values_of, roles=("user", "assistant"))
    return form


def example_template(authors: Authors, template: ReferenceTemplate, form: PartForm) -> str:
    """Return a TEMPLATE to begin with, in one line: it prints the parts with the values of the form.

    Raises:
        InvalidInput: The chat template broke a limit.
    """
    tokens = {"bos_token": "" if authors.adds_bos else authors.bos, "eos_token": authors.eos}

    def render(chat: Conversation) -> Prediction:
        messages = [
            _message(said.role, form.part(said.content))
            if said.role in form.roles
            else {"role": said.role, "content": said.content}
            for said in chat.messages
        ]
        given = {"messages": messages, "tools": None, "add_generation_prompt": True}
        return template.render_variables([given | tokens])[0]

    turns = learn_chat_turns(render, think=None)
    return (
        f"{{{{ if .System }}}}{_printed(turns.system)}{{{{ .System }}}}{_printed(turns.question)}"
        f"{{{{ else }}}}{_printed(turns.start)}{{{{ end }}}}"
        '{{ range .Messages }}{{ if eq .Role "user" }}{{ .Content }}{{ else if eq .Role "assistant" }}'
        f"{_printed(turns.answer)}{{{{ .Content }}}}{_printed(turns.next)}{{{{ end }}}}{{{{ end }}}}"
        f"{_printed(turns.opening)}"
    )


def _printed(text: str) -> str:
    return f"{{{{ {go_quote(text)} }}}}" if text else ""


def _message(role: str, part: Mapping[str, str]) -> dict[str, Any]:
    return {"role": role, "content": [dict(part)]}


def _prompts(template: ReferenceTemplate, chats: Sequence[list[dict[str, Any]]]) -> list[str]:
    """Return the prompt of each chat; ``""`` where it is rejected."""
    given = {"tools": None, "add_generation_prompt": True, "bos_token": "", "eos_token": ""}
    outcomes = template.render_variables([{"messages": messages, **given} for messages in chats])
    return [outcome.prompt if isinstance(outcome, Rendered) else "" for outcome in outcomes]


def _constants(text: str) -> Iterator[str]:
    """Return the short strings that a template has in its statements."""
    from jinja2 import nodes  # noqa: PLC0415 - seldom needed

    from gguf2ollama.jinja.syntax import parse_tree  # noqa: PLC0415 - as above

    for node in parse_tree(text).find_all(nodes.Const):
        if isinstance(node.value, str) and _PLAIN.match(node.value):
            yield node.value
