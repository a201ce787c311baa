"""What becomes of chats with one chat template, in each way in which a model can come to its prompts."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.parity_npm import Converted
from benchmarks.parity_server import NAME, Model, PromptServer
from benchmarks.parity_subjects import Subject
from gguf2ollama.api.build import build
from gguf2ollama.chat.battery.content_switches import find_switches
from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.comparison import Parity, Verdict, compare, without_bos
from gguf2ollama.chat.outcome import Outcome, Refused
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import as_asked, claims_of
from gguf2ollama.errors import Gguf2OllamaError

__all__ = ["WAYS", "Answer", "Trial"]

WAYS: Mapping[str, str] = {
    "gguf2ollama": "`gguf2ollama build`",
    "native": "native: the chat template in the GGUF, no TEMPLATE",
    "create": "`ollama create`, with what it detects",
    "ollama-utils": "`@huggingface/ollama-utils`",
}
"""What the tables call each way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one way.

    Attributes:
        parity: Each prompt of the server's, compared with what the authors mean.
        expected: What was predicted of it with no server; ``None`` where nobody does.
        is_native: Whether the server rendered the chat template in the GGUF, and no TEMPLATE.
        has_template: Whether there was a TEMPLATE, rendered or not.
        seconds: What it took to find what renders; ``None`` where nothing has to be found.
    """

    parity: Parity
    expected: Parity | None = None
    is_native: bool
    has_template: bool
    seconds: float | None = None

    @property
    def broken(self) -> tuple[str, ...]:
        """The conversations that were predicted to come out exactly, and did not."""
        if self.expected is None:
            return ()
        pairs = zip(self.expected.cases, self.parity.cases, strict=True)
        return tuple(
            got.conversation.name
            for told, got in pairs
            if told.verdict is Verdict.exact and got.verdict is not Verdict.exact
        )


class Trial:
    """One chat template on one server.

    Args:
        subject: The chat template.
        server: What renders.
        renderer: What renders as the authors mean.
        converted: What ``@huggingface/ollama-utils`` makes of it, where that is compared.

    Raises:
        InvalidInput: The chat template is none, or takes more of the machine than it may.
    """

    def __init__(
        self, subject: Subject, *, server: PromptServer, renderer: Renderer, converted: Converted | None
    ) -> None:
        self._subject = subject
        self._server = server
        self._converted = converted
        self._authors = subject.authors
        self._template = self._authors.load(renderer)
        claims = claims_of(self._template)
        self._conversations = [
            *(conversation for conversation in battery() if claims.includes(conversation)),
            *find_switches(self._template),
        ]
        self._meant: dict[bool, Sequence[Outcome]] = {}
        self._native: Answer | None = None

    def answer(self, way: str) -> Answer:
        """Go one of the :data:`WAYS`."""
        ways: Mapping[str, Callable[[], Answer]] = {
            "gguf2ollama": self._by_gguf2ollama,
            "native": self._by_native,
            "create": self._by_create,
            "ollama-utils": self._by_ollama_utils,
        }
        return ways[way]()

    def _by_gguf2ollama(self) -> Answer:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.gguf"
            path.write_bytes(self._subject.gguf(title="gguf2ollama"))
            start = time.perf_counter()
            try:
                built = build(path, name=str(NAME), store=self._server.store, for_ollama=self._server.version)
            except Gguf2OllamaError as error:
                return self._without_model(error, seconds=time.perf_counter() - start)
            seconds = time.perf_counter() - start
        selection = built.plan.inspection.selection
        chosen = selection.choice.chosen if selection is not None else None
        with self._server.made() as model:
            carried = chosen.chat_template if chosen is not None else None
            answer = self._asked(model, carried=carried, bos="", seconds=seconds)
        return dataclasses.replace(answer, expected=chosen.parity if chosen is not None else None)

    def _by_native(self) -> Answer:
        if self._native is None:
            self._server.write(self._subject.gguf(title="native"))
            with self._server.made() as model:
                self._native = self._asked(model)
        return self._native

    def _by_create(self) -> Answer:
        gguf = self._subject.gguf(title="create")
        start = time.perf_counter()
        try:
            self._server.create(gguf)
        except Gguf2OllamaError as error:
            return self._without_model(error, seconds=time.perf_counter() - start)
        seconds = time.perf_counter() - start
        with self._server.made() as model:
            if model.has_template:
                return self._asked(model, seconds=seconds)
        # nothing was added to it: but for its title it is the native one
        return dataclasses.replace(self._by_native(), seconds=seconds)

    def _by_ollama_utils(self) -> Answer:
        converted = self._converted
        assert converted is not None
        if converted.go_template is None:
            return dataclasses.replace(self._by_native(), seconds=converted.seconds)
        gguf = self._subject.gguf(title="ollama-utils")
        self._server.write(gguf, go_template=converted.go_template)
        with self._server.made() as model:
            return self._asked(model, seconds=converted.seconds)

    def _asked(
        self,
        model: Model,
        *,
        carried: str | None = None,
        bos: str | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """Ask for the prompts of the model that is on the server.

        Args:
            model: What the server tells of it.
            carried: The chat template in its GGUF, where it is not the authors' own.
            bos: What is ignored at the start of a prompt; ``None`` for the BOS of the model.
            seconds: What it took to find what renders.
        """
        is_native = model.renders == (carried or self._subject.text)
        ignored = self._subject.bos if bos is None else bos
        got = [without_bos(one, bos=ignored) for one in self._server.prompts(self._conversations)]
        meant = self._wanted(thinks="thinking" in model.capabilities)
        return Answer(
            parity=self._compared(got, meant=meant),
            is_native=is_native,
            has_template=model.has_template,
            seconds=seconds,
        )

    def _without_model(self, error: Gguf2OllamaError, *, seconds: float) -> Answer:
        """Return the answer of a way that comes to no model, and so to no prompt."""
        return Answer(
            parity=self._compared(
                [Refused(error.message)] * len(self._conversations),
                meant=self._wanted(thinks=False),
            ),
            is_native=True,
            has_template=False,
            seconds=seconds,
        )

    def _compared(self, got: Sequence[Outcome], *, meant: Sequence[Outcome]) -> Parity:
        return Parity(
            tuple(
                compare(conversation, want=want, got=made)
                for conversation, want, made in zip(self._conversations, meant, got, strict=True)
            )
        )

    def _wanted(self, *, thinks: bool) -> Sequence[Outcome]:
        """Return what the authors mean by what the client sends, rendered once."""
        if thinks not in self._meant:
            asked = [as_asked(conversation, thinks=thinks) for conversation in self._conversations]
            self._meant[thinks] = self._authors.meant(self._template, asked)
        return self._meant[thinks]
