"""Models that come with a companion template in each way that there is, and what a server says of them.

For chats each carries a chat template in a body of the architecture that it belongs to, where the zoo has it.
For ``/api/generate`` it is a scripted llama that thinks, or answers at once where its question asks for that;
under a grammar that forbids what it would say it falls back on a JSON object, as real models do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

import httpx2

from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.companion import Companion, companion
from gguf2ollama.chat.conversation import Conversation, Message, Think
from gguf2ollama.chat.llamacpp import read_native
from gguf2ollama.chat.outcome import Outcome, Rendered
from gguf2ollama.families import adds_bos, token_text
from gguf2ollama.ggufio import open_gguf
from gguf2ollama.oci import Digest
from gguf2ollama.ollama_template.given_renderers import GIVEN_RENDERERS
from tests.live.rendering import BOS, EOS, RenderingServer, Told
from tests.scripted_llama import scripted_llama
from tests.zoo.models import model_of_template

__all__ = [
    "ANSWER",
    "AT_ONCE",
    "CHATS",
    "CONVERSATIONS",
    "FALLBACK",
    "FORMATS",
    "QUESTION",
    "REQUESTS",
    "SHORT_ANSWER",
    "THOUGHT",
    "WAYS",
    "Body",
    "CompanionServer",
    "Generated",
    "Request",
    "Seen",
    "Way",
    "broken_promises",
    "companion_of",
    "own_body",
    "scripted_body",
    "unlike",
]

Way: TypeAlias = Literal["native", "plain", "link", "upload"]
"""How a model is made: by link without a TEMPLATE, by ``create`` with nothing else, or with a companion."""
WAYS: tuple[Way, ...] = ("plain", "link", "upload")

THOUGHT, ANSWER, SHORT_ANSWER, FALLBACK = "Hm, hm.", "Sure, a one.", "Plainly a two.", '{"n": 3}'
QUESTION = "How many are there?"
AT_ONCE = f"{QUESTION} Answer at once!"
FORMATS: dict[str, object] = {
    "no format": None,
    "json": "json",
    "schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
}
_NOW = datetime(2026, 3, 7, 12, 30, tzinfo=UTC)
_OPENING, _CLOSING = "<think>", "</think>"
_TOKENS = 64  # more than any of the answers has
_TOOL = {
    "type": "function",
    "function": {"name": "count", "parameters": {"type": "object", "properties": {}}},
}
_ASKED = (Message(role="user", content=QUESTION),)
CHATS = (
    Conversation(name="asked", messages=_ASKED),
    Conversation(name="not to think", messages=_ASKED, think=False),
    Conversation(name="tools", messages=_ASKED, tools=(_TOOL,)),
)
"""What models are asked for whole answers."""
CONVERSATIONS = battery()
"""Whose prompts they are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A model that carries a chat template.

    Attributes:
        gguf: The file.
        family: Its architecture.
        made: What is put beside the chat template.
    """

    gguf: bytes
    family: str
    made: Companion


def scripted_body(chat_template: str, *, version: str, hides_tags: bool = False) -> Body:
    """Return a chat template in a llama that thinks before it answers, unless it is asked :data:`AT_ONCE`.

    Args:
        chat_template: Jinja; a thought that it opens is not opened once more.
        version: Ollama's, for which the prompt is predicted.
        hides_tags: Whether the tags are control tokens.
    """
    made = companion_of(chat_template, version=version)
    gguf = _thinker(chat_template, version=version, hides_tags=hides_tags)
    return Body(gguf=gguf, family="llama", made=made)


def own_body(name: str, chat_template: str, *, version: str) -> Body | None:
    """Return a chat template of the corpus in a body of its own architecture, where the zoo has it."""
    model = model_of_template(name)
    if model is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = model.make(Path(folder) / "own.gguf", chat_template=chat_template)
        with open_gguf(path) as file:
            native = read_native(
                chat_template,
                version=version,
                now=_NOW,
                bos=token_text(file.metadata, "bos"),
                eos=token_text(file.metadata, "eos"),
                adds_bos=adds_bos(file.metadata),
                family=model.architecture,
            )
            made = companion(chat_template, metadata=file.metadata, version=version, render=native.render)
        return Body(gguf=path.read_bytes(), family=model.architecture, made=made)


def companion_of(chat_template: str, *, version: str) -> Companion:
    """Return what is put beside a chat template in a scripted llama."""
    native = _native(chat_template, version=version)
    return companion(chat_template, metadata={}, version=version, render=native.render)


@functools.lru_cache(maxsize=4)
def _thinker(chat_template: str, *, version: str, hides_tags: bool) -> bytes:
    asked = Conversation(name="asked", messages=(Message(role="user", content=QUESTION),))
    prompt = _native(chat_template, version=version).render(asked)
    opens = isinstance(prompt, Rendered) and prompt.prompt.rstrip().endswith(_OPENING)
    tags = (_CLOSING,) if opens else (_OPENING, _CLOSING)
    with tempfile.TemporaryDirectory() as folder:
        path = scripted_llama(
            Path(folder) / "thinker.gguf",
            f"{'' if opens else _OPENING}\n{THOUGHT}\n{_CLOSING}\n\n{ANSWER}",
            after={AT_ONCE: SHORT_ANSWER},
            instead=FALLBACK,
            chat_template=chat_template,
            special_tokens=(BOS, EOS),
            hidden=tags if hides_tags else (),
            whole=() if hides_tags else tags,
        )
        return path.read_bytes()


def _native(chat_template: str, *, version: str) -> Any:
    return read_native(chat_template, version=version, now=_NOW, bos=BOS, eos=EOS)


def _without(name: str, outcome: Outcome) -> Outcome:
    """Return an outcome that does not name the model."""
    if isinstance(outcome, Rendered):
        return outcome
    return dataclasses.replace(outcome, reason=outcome.reason.replace(name, "NAME"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """What ``/api/generate`` answers; ``error`` where it refuses."""

    thinking: str = ""
    response: str = ""
    error: str = ""

    @property
    def shows_thought(self) -> bool:
        """Whether a thought, or a part of one, is in the response."""
        return any(text in self.response for text in (_OPENING, _CLOSING, THOUGHT))

    @property
    def is_formatted(self) -> bool:
        """Whether the response is what :data:`FORMATS` ask for."""
        try:
            value = json.loads(self.response)
        except ValueError:
            return False
        return isinstance(value, dict) and isinstance(value.get("n"), int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a server says of a model: of its prompts, of what it can do, and of its chats."""

    prompts: Sequence[Outcome]
    capabilities: frozenset[str]
    parameters: str
    answers: Sequence[Told]

    @property
    def is_loaded(self) -> bool:
        """Whether the server renders anything at all with the model."""
        return any(isinstance(one, Rendered) for one in self.prompts)


def unlike(one: Seen, other: Seen) -> list[str]:
    """Return the names of what two models of one file do not have in common."""
    names = [field.name for field in dataclasses.fields(Seen)]
    return [name for name in names if getattr(one, name) != getattr(other, name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What ``/api/generate`` is asked; ``form`` is one of :data:`FORMATS`."""

    prompt: str
    form: str
    think: Think
    is_streamed: bool

    @property
    def expects_thought(self) -> bool:
        """Whether the model thinks, and the server looks for tags around that."""
        return self.prompt == QUESTION and self.think is not False


REQUESTS = tuple(
    Request(prompt=prompt, form=form, think=think, is_streamed=is_streamed)
    for prompt, form, think, is_streamed in itertools.product(
        (QUESTION, AT_ONCE), FORMATS, (None, True, False), (False, True)
    )
)


def broken_promises(
    made: Companion, *, plain: Mapping[Request, Generated], ours: Mapping[Request, Generated]
) -> Iterator[str]:
    """Say what is worse with a companion template than after a plain ``create``, of the same file.

    Where tags are declared an answer without a thought may lose its format: that the model thinks is sure.
    """
    for request, got in ours.items():
        before = plain[request]
        is_sure = request.expects_thought or request.think is False
        if got.error != before.error:
            yield f"{request}: {got.error or 'no error'}, not {before.error or 'none'}"
        if (not made.has_tags or request.think is False) and got != before:
            yield f"{request}: {got}, not {before}"
        if made.has_tags and request.expects_thought and got.shows_thought:
            yield f"{request}: the thought is in {got.response!r}"
        if request.form != "no format" and before.is_formatted and is_sure and not got.is_formatted:
            yield f"{request}: {got} has no format, {before} has"


class CompanionServer(RenderingServer):
    """A running server with models that come with a companion template."""

    @contextlib.contextmanager
    def made(self, body: Body, way: Way, *, template: str | None = None) -> Iterator[str]:
        """Return the name of a model that is there for as long as the block runs.

        Args:
            body: The file, and what goes with it.
            way: How it is made.
            template: A TEMPLATE in place of the companion.
        """
        template = template or body.made.text if way in {"link", "upload"} else None
        if way in {"native", "link"}:
            with self.model(body.gguf, go_template=template, family=body.family) as name:
                yield name
            return
        name = "uploaded"
        digest = Digest.of(body.gguf)
        self._client.post(f"/api/blobs/{digest}", content=body.gguf).raise_for_status()
        asked: dict[str, Any] = {"model": name, "files": {"model.gguf": str(digest)}, "stream": False}
        if template is not None:
            asked |= {"template": template, "parameters": {"stop": []}}
        self._client.post("/api/create", json=asked).raise_for_status()
        try:
            yield name
        finally:
            self._client.post("/api/generate", json={"model": name, "keep_alive": 0})
            self._client.request("DELETE", "/api/delete", json={"model": name})

    def compare_chats(
        self, body: Body, *, ways: Sequence[Way], conversations: Sequence[Conversation] = CONVERSATIONS
    ) -> dict[Way, list[str]]:
        """Return what differs from the same file by link without a TEMPLATE, for each way.

        Nothing where the server cannot load the file; and of the ways link alone where ``create`` would give
        the model a renderer of Ollama's own.
        """
        with self.made(body, "native") as name:
            native = self.see(name, conversations, chats=CHATS)
        found: dict[Way, list[str]] = {}
        for way in ways if native.is_loaded else ():
            if way == "link" or body.family not in GIVEN_RENDERERS:
                with self.made(body, way) as name:
                    found[way] = unlike(self.see(name, conversations, chats=CHATS), native)
        return found

    def see(self, name: str, conversations: Sequence[Conversation], *, chats: Sequence[Conversation]) -> Seen:
        """Return what the server says of a model."""
        shown = self._client.post("/api/show", json={"model": name}).raise_for_status().json()
        return Seen(
            prompts=[_without(name, self._ask(name, one)) for one in conversations],
            capabilities=frozenset(shown["capabilities"]),
            parameters=shown.get("parameters", ""),
            answers=[self._chat(name, one) for one in chats],
        )

    def _chat(self, name: str, conversation: Conversation) -> Told:
        """Return a whole answer; an error is the reason for its end."""
        try:
            return self.answer(name, conversation, options={"temperature": 0, "num_predict": _TOKENS})
        except AssertionError as error:
            return Told(reason=str(error).replace(name, "NAME"))

    def show(self, name: str) -> dict[str, Any]:
        """Return the whole answer of ``/api/show``."""
        shown: dict[str, Any] = self._client.post("/api/show", json={"model": name}).raise_for_status().json()
        return shown

    def generate_all(self, name: str) -> dict[Request, Generated]:
        """Ask ``/api/generate`` all of :data:`REQUESTS`."""
        return {
            one: self.generate(
                name, one.prompt, form=FORMATS[one.form], think=one.think, is_streamed=one.is_streamed
            )
            for one in REQUESTS
        }

    def generate(
        self,
        name: str,
        prompt: str,
        *,
        form: object = None,
        think: Think = None,
        is_streamed: bool = False,
        **others: object,
    ) -> Generated:
        """Ask ``/api/generate``; ``form`` is its ``format``."""
        body = {"model": name, "prompt": prompt, "stream": is_streamed, **others}
        body |= {"options": {"temperature": 0, "num_predict": _TOKENS}}
        body |= {key: value for key, value in (("format", form), ("think", think)) if value is not None}
        answer: httpx2.Response = self._client.post("/api/generate", json=body)
        if not answer.is_success:
            return Generated(error=f"{answer.status_code}: {answer.json()['error']}".replace(name, "NAME"))
        lines = [json.loads(line) for line in answer.text.splitlines()]
        return Generated(
            thinking="".join(line.get("thinking", "") for line in lines),
            response="".join(line.get("response", "") for line in lines),
            error=next((line["error"] for line in lines if "error" in line), ""),
        )
