"""One model of the zoo on a real server: made by plain ``create`` and by us, asked, and verified.

What counts is that ours does what plain ``ollama create`` of the same file does: a model that says random
letters can't keep the forms that some families answer in, so that a chat may fail on both sides.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx2

from gguf2ollama import build, verify
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from tests.live.servers import RunningOllama
from tests.zoo.models import ZooModel

if TYPE_CHECKING:
    from typing import Self  # typing's own is there from 3.11 on

__all__ = ["R1_NAME", "Built", "Outcome", "Trial", "Verified", "ZooServer"]

R1_NAME = "deepseek-r1"
"""The name whose models Ollama treats like those of family ``qwen3``."""

_PLAIN, _OURS = "zoo-plain", "zoo-ours"
_SECONDS = 120  # for one answer
_QUESTION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello there"},
    {"role": "assistant", "content": "General Kenobi"},
    {"role": "user", "content": "Bye"},
]
_TOOL = {
    "type": "function",
    "function": {
        "name": "get_temperature",
        "description": "Get the current temperature of a city",
        "parameters": {
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["c", "f"]}},
        },
    },
}
_STEADY = {"temperature": 0, "seed": 7, "num_predict": 16, "num_ctx": 8192}
_NO_FORM = "produced output that does not match"  # llama.cpp, where an answer has not its family's form
_SAID = re.compile(r"\bplain conversations\b|\brenderer\b")  # a warning of usual prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How something went.

    Attributes:
        state: ``made``, ``answered`` or ``embedded`` where it went well; ``failed`` where a server refused,
            ``refused`` where we did.
        code: The HTTP status of a failure, or the exit code of a refusal; 0 where it went well.
        detail: What the server or we said of it, or what the model said.
        tokens: Of the prompt; 0 where there was none.
    """

    state: Literal["made", "answered", "embedded", "failed", "refused"]
    code: int = 0
    detail: str = ""
    tokens: int = 0

    @property
    def is_well(self) -> bool:
        """Whether it went well."""
        return self.state not in {"failed", "refused"}

    def __str__(self) -> str:
        return f"{self.state} {self.code}" if self.code else self.state


class _Failed(Exception):
    """A request that the server refused."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What ``verify`` found.

    Attributes:
        prompts: The counts by feature, such as ``plain 30/30, tools 31/31``; why there are none otherwise.
        way: What renders the prompts: ``native``, ``TEMPLATE`` or ``RENDERER``; empty where none are.
        plain_faults: Plain conversations that aren't exact.
        passed_checks: The names of what the model itself was asked and passed.
        failed_checks: What failed of it, with how.
        code: The exit code that the command line would end with.
    """

    prompts: str
    way: str = ""
    plain_faults: tuple[str, ...] = ()
    passed_checks: tuple[str, ...] = ()
    failed_checks: tuple[str, ...] = ()
    code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """One build of ours, and what came of it.

    Attributes:
        made: How the build went.
        asked: How a chat with the model went, or embedding with it; ``None`` where there is no model.
        verified: What ``verify`` found; ``None`` where it wasn't asked.
        capabilities: What the server takes it to be able to do.
        warnings: What the build warned of.
    """

    made: Outcome
    asked: Outcome | None = None
    capabilities: frozenset[str] = frozenset()
    verified: Verified | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """All that was tried with one model.

    Attributes:
        model: The model.
        created: How plain ``create`` went.
        asked: How a chat with what it made went, or embedding with it; ``None`` where it made none.
        capabilities: What the server takes that to be able to do.
        builds: Our builds by way (``link``, ``pull``, ``upload``), with the name where that is another.
    """

    model: ZooModel
    created: Outcome
    asked: Outcome | None
    capabilities: frozenset[str]
    builds: dict[str, Built]

    @property
    def answers_plainly(self) -> bool:
        """Whether plain ``create`` makes a model that answers."""
        return self.asked is not None and self.asked.is_well

    @property
    def runs_plainly(self) -> bool:
        """Whether plain ``create`` makes a model that runs, even if it can't keep the form of its answers."""
        return self.answers_plainly or (self.asked is not None and _NO_FORM in self.asked.detail)

    def faults(self) -> Iterator[str]:
        """Return what is worse than plain ``create``, or not as the authors mean without a word of it."""
        for way, built in self.builds.items():
            if self.runs_plainly and not built.made.is_well:
                yield f"{way}: {built.made}, and what plain create makes runs: {built.made.detail}"
            elif self.answers_plainly and built.asked is not None and not built.asked.is_well:
                yield f"{way}: {built.asked}, and what plain create makes answers: {built.asked.detail}"
            if built.verified is not None:
                yield from (f"{way}: {one}" for one in self._unverified(built, built.verified))

    def losses(self) -> Iterator[str]:
        """Return which capabilities a plain ``create`` gives it, and ours lacks."""
        for way, built in self.builds.items():
            if built.made.is_well and (lost := self.capabilities - built.capabilities):
                yield f"{way}: {', '.join(sorted(lost))}"

    def _unverified(self, built: Built, found: Verified) -> Iterator[str]:
        if self.model.embeds:
            if found.code or "embeds" not in found.passed_checks:
                yield f"verify ends with {found.code}: {'; '.join(found.failed_checks) or found.prompts}"
        elif not found.way:
            yield f"verify ends with {found.code}: {found.prompts}"
        elif found.plain_faults and not any(_SAID.search(warning) for warning in built.warnings):
            yield f"prompts differ, and nothing is said of it: {', '.join(found.plain_faults)}"


class ZooServer:
    """A running server that has one model of the zoo at a time. A context manager; not for several threads.

    Args:
        ollama: The server.
    """

    def __init__(self, ollama: RunningOllama) -> None:
        self.ollama = ollama
        self._client = Client(ollama.url)
        self._http = httpx2.Client(base_url=ollama.url, timeout=_SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._client.close()

    def create(self, path: Path, *, name: str = _PLAIN) -> Outcome:
        """Do what ``ollama create`` does with a Modelfile of one line, ``FROM ./model.gguf``."""
        digest = Digest.of(path.read_bytes())
        try:
            self._client.upload_blob(path, digest=digest, size=path.stat().st_size)
            with self._client.create(name, files={"model.gguf": digest}) as stream:
                for _ in stream:
                    pass
        except Gguf2OllamaError as error:
            return Outcome(state="failed", code=getattr(error, "status", 0), detail=error.message)
        return Outcome(state="made")

    def build(self, path: Path, *, via: str, name: str = _OURS) -> tuple[Outcome, tuple[str, ...]]:
        """Build with all defaults; return how it went, and the warnings."""
        try:
            built = build(path, name=name, host=self.ollama.url, via=via)  # type: ignore[arg-type]  # a Via
        except Gguf2OllamaError as error:
            return Outcome(state="refused", code=error.exit_code, detail=error.message), ()
        return Outcome(state="made", detail=built.plan.destination.transport), (
            *built.plan.inspection.warnings,
            *built.warnings,
        )

    def ask(self, name: str, *, embeds: bool) -> Outcome:
        """Ask for embeddings or for answers, with tools where the model may have them, and unload it.

        A chat goes first, then ``/api/generate``, then a chat with a tool; what fails first is told.
        """
        asked = {"model": name, "options": _STEADY, "stream": False}
        try:
            if embeds:
                vectors = self._post("/api/embed", {**asked, "input": ["Hello there", "Bye"]})["embeddings"]
                return Outcome(state="embedded", detail=f"{len(vectors)} x {len(vectors[0])}")
            chat = self._post("/api/chat", {**asked, "messages": _QUESTION})
            self._post("/api/generate", {**asked, "prompt": "Hello there"})
            if "tools" in self._capabilities(name):
                self._post("/api/chat", {**asked, "messages": _QUESTION, "tools": [_TOOL]})
        except _Failed as failure:
            return failure.outcome
        finally:
            with contextlib.suppress(Gguf2OllamaError):
                self._client.unload(name)
        said = chat["message"]["content"] or chat["message"].get("thinking", "")
        return Outcome(state="answered", detail=said, tokens=chat.get("prompt_eval_count", 0))

    def _post(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        response = self._http.post(path, json=content)
        if not response.is_success:
            raise _Failed(
                Outcome(state="failed", code=response.status_code, detail=f"{path}: {_error(response)}")
            )
        answer: dict[str, Any] = response.json()
        return answer

    def verify(self, name: str) -> Verified:
        """Verify a model."""
        try:
            found = verify(name, host=self.ollama.url)
        except Gguf2OllamaError as error:
            return Verified(prompts=error.message, code=error.exit_code)
        plain = [case for case in found.parity.faults if case.conversation.feature == "plain"]
        return Verified(
            prompts=str(found.parity),
            way=found.rendered_by or "",
            plain_faults=tuple(case.conversation.name for case in plain),
            passed_checks=tuple(one.name for one in found.checks if one.state == "passed"),
            failed_checks=tuple(f"{one.name}: {one.detail}" for one in found.checks if one.state == "failed"),
            code=0 if found.is_verified else 6,
        )

    def try_model(
        self,
        model: ZooModel,
        path: Path,
        *,
        ways: tuple[str, ...] = ("link", "upload"),
        names: tuple[str, ...] = (_OURS,),
        verified: Collection[str] = (),
    ) -> Trial:
        """Make a model plainly and in all these ways under all these names, and ask each.

        Args:
            model: The model.
            path: Its file.
            ways: How it is built.
            names: What it is called.
            verified: The ways in which what is built is verified, too.
        """
        created = self.create(path)
        asked = self.ask(_PLAIN, embeds=model.embeds) if created.is_well else None
        capabilities = self._capabilities(_PLAIN) if created.is_well else frozenset()
        self._remove(_PLAIN)
        builds = {}
        for name in names:
            for way in ways:
                label = way if name == _OURS else f"{way} as {name}"
                builds[label] = self._try_build(model, path, via=way, name=name, with_verify=way in verified)
                self._remove(name)
        return Trial(model=model, created=created, asked=asked, capabilities=capabilities, builds=builds)

    def _try_build(self, model: ZooModel, path: Path, *, via: str, name: str, with_verify: bool) -> Built:
        made, warnings = self.build(path, via=via, name=name)
        if not made.is_well:
            return Built(made=made)
        return Built(
            made=made,
            asked=self.ask(name, embeds=model.embeds),
            capabilities=self._capabilities(name),
            verified=self.verify(name) if with_verify else None,
            warnings=warnings,
        )

    def _capabilities(self, name: str) -> frozenset[str]:
        return frozenset(self._client.show(name).capabilities)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(Gguf2OllamaError):
            self._client.unload(name)
        with contextlib.suppress(Gguf2OllamaError):
            self._client.delete(name)


def _error(response: httpx2.Response) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(response.json()["error"])
    return response.text
