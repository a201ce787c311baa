"""A chat template that was compiled: renders conversations, and tells which of its branches they reached."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.outcome import Cause, Outcome, Refused, Rendered
from gguf2ollama.chat.reference.coverage import Branch, Coverage
from gguf2ollama.chat.reference.forms import Forms, find_forms
from gguf2ollama.chat.reference.process import LimitBroken
from gguf2ollama.chat.reference.request import (
    Request,
    cut_at_continuation,
    mark_continuation,
    thinking_variables,
)
from gguf2ollama.errors import InvalidInput

__all__ = ["HINT", "Ask", "ReferenceTemplate", "encode"]

HINT = "the template is damaged or malicious: use another source of the model, or pass --chat-template FILE"

Ask: TypeAlias = Callable[..., list[dict[str, Any]]]
"""Takes a message, and the one that loads its template."""

_BATCH, _BATCH_CHARACTERS = 64, 1 << 20
_THINKING_KEYS = ("reasoning_content", "reasoning", "thinking")
_CAUSES: dict[str, Cause] = {"raised": "raised", "failed": "failed", "forbidden": "forbidden"}


class ReferenceTemplate:
    """A chat template as its authors meant it; made by :meth:`Renderer.load`, and alive as long as that is.

    A template that breaks a limit on one conversation is rendered no more: every call raises the same error.

    Attributes:
        text: The Jinja text.
        name: What errors call it.
        variables: The names that it looks up in what it is given, such as ``enable_thinking``.
        keys: The names that it looks up in values, such as ``content`` or ``reasoning_content``.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        text: str,
        name: str,
        key: str,
        load: str,
        tokens: Mapping[str, str],
        facts: Mapping[str, Any],
        has_clock: bool,
    ) -> None:
        self.text = text
        self.name = name
        self.variables = frozenset[str](facts["variables"])
        self.keys = frozenset[str](facts["keys"])
        self._ask = ask
        self._key = key
        self._load = load
        self._tokens = dict(tokens)
        self._broken: str | None = None
        self._has_clock = has_clock
        self._outcomes: dict[str, Outcome] = {}
        self._covered: set[str] = set()
        self._reached: set[int] = set()

    @property
    def thinking_key(self) -> str:
        """The key under which the template is told the thinking of an earlier turn.

        The first that it looks up of three that are in use: one told it twice could print it twice.
        """
        return next((key for key in _THINKING_KEYS if key in self.keys), _THINKING_KEYS[0])

    @cached_property
    def forms(self) -> Forms:
        """In which form it takes contents and arguments; found by trying, when it is first needed.

        Raises:
            InvalidInput: As for :meth:`render`.
        """

        def attempt(conversation: Conversation, forms: Forms) -> Outcome:
            told = encode(self._told(Request(conversation=conversation), forms=forms))
            return self._render_encoded([told])[0]

        return find_forms(attempt, keys=self.keys)

    def render(self, requests: Sequence[Request]) -> list[Outcome]:
        """Render conversations; each comes to a prompt or a refusal.

        Raises:
            InvalidInput: The template broke a limit.
        """
        outcomes = self._render_all([self._told(one, forms=self.forms) for one in requests])
        return [
            cut_at_continuation(outcome, content=one.conversation.messages[-1].content)
            if one.is_continued
            else outcome
            for one, outcome in zip(requests, outcomes, strict=True)
        ]

    def render_raw(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Render with exactly what is given: no token, no ``documents``, and no ``tools`` where ``None``.

        Raises:
            InvalidInput: As for :meth:`render`.
        """
        given: dict[str, Any] = {"messages": messages}
        if tools is not None:
            given["tools"] = tools
        return self.render_variables([given | dict(variables or {})])[0]

    def render_variables(self, requests: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """Render once for each set of variables, with exactly these.

        Raises:
            InvalidInput: As for :meth:`render`.
        """
        return self._render_all(requests)

    def coverage(self) -> Coverage:
        """Return which branches were reached by whatever was rendered so far.

        Raises:
            InvalidInput: As for :meth:`render`.
        """
        waiting = [one for one in self._outcomes if one not in self._covered]
        branches: tuple[Branch, ...] = ()
        for batch in _batches(waiting) if waiting else [[]]:
            (answer,) = self._ask_for("cover", batch)
            branches = tuple(
                Branch(line=one["line"], kind=one["kind"], text=one["text"]) for one in answer["branches"]
            )
            self._reached |= {number for number, one in enumerate(answer["branches"]) if one["is_reached"]}
            self._covered |= set(batch)
        return Coverage(
            reached=tuple(one for number, one in enumerate(branches) if number in self._reached),
            unreached=tuple(one for number, one in enumerate(branches) if number not in self._reached),
        )

    def _told(self, request: Request, *, forms: Forms) -> dict[str, Any]:
        """Return the variables of a conversation, as ``apply_chat_template`` would."""
        conversation = request.conversation
        messages = conversation.for_jinja(
            thinking_key=self.thinking_key,
            typed_roles=forms.typed_roles,
            text_arguments=forms.text_arguments,
            tool_responses=forms.tool_responses,
        )
        if request.is_continued:
            mark_continuation(messages)
        told = {
            "messages": messages,
            "tools": [dict(tool) for tool in conversation.tools] or None,
            "documents": None,
            "add_generation_prompt": request.add_generation_prompt and not request.is_continued,
        }
        switches = thinking_variables(conversation.think, known=self.variables)
        return told | self._tokens | switches | dict(request.variables)

    def _render_all(self, requests: Iterable[Mapping[str, Any]]) -> list[Outcome]:
        """Render what was not rendered before, and all where a clock goes on that the template may read."""
        encoded = [encode(one) for one in requests]
        known = () if self._has_clock else self._outcomes
        new = [one for one in dict.fromkeys(encoded) if one not in known]
        self._outcomes.update(zip(new, self._render_encoded(new), strict=True))
        return [self._outcomes[one] for one in encoded]

    def _render_encoded(self, requests: Sequence[str]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for batch in _batches(requests):
            outcomes += map(_outcome, self._ask_for("render", batch))
        return outcomes

    def _ask_for(self, what: str, requests: Sequence[str]) -> list[dict[str, Any]]:
        """Send a message; an error is raised again by every later call."""
        if self._broken is None:
            head = encode({"do": what, "key": self._key})[:-1]
            message = f'{head}, "requests": [{", ".join(requests)}]}}'
            try:
                return self._ask(message, load=self._load)
            except LimitBroken as error:
                self._broken = f"{self.name} {error} while rendering a chat"
        raise InvalidInput(self._broken, hint=HINT)


_encoder = json.JSONEncoder(ensure_ascii=False)


def encode(value: Mapping[str, Any]) -> str:
    """Write a message to the worker, in one line."""
    return _encoder.encode(value)


def _batches(requests: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split requests into batches; long ones apart, since what a batch prints has one limit."""
    batch: list[str] = []
    characters = 0
    for request in requests:
        if batch and (len(batch) == _BATCH or characters + len(request) > _BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(request)
        characters += len(request)
    if batch:
        yield batch


def _outcome(answer: Mapping[str, Any]) -> Outcome:
    if "prompt" in answer:
        return Rendered(str(answer["prompt"]))
    return Refused(str(answer.get("reason")), _CAUSES.get(str(answer.get("cause")), "failed"))
