"""The reference renderer: what the authors of a chat template mean a conversation to become."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from gguf2ollama.chat.reference.limits import MAX_TEMPLATE_BYTES, Limits
from gguf2ollama.chat.reference.process import LimitBroken, WorkerProcess
from gguf2ollama.chat.reference.template import HINT, ReferenceTemplate, encode
from gguf2ollama.errors import InvalidInput

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Renderer"]


class Renderer:
    """Renders chat templates as transformers does, in a process of its own with limits.

    ::

        with Renderer() as renderer:
            template = renderer.load(text, bos="<s>", eos="</s>")
            outcomes = template.render([Request(conversation=one) for one in battery()])

    One process serves any number of templates, and is started again where one of them broke it. Threads may
    share a renderer; they wait for one another.
    """

    def __init__(self, *, limits: Limits | None = None) -> None:
        self._worker = WorkerProcess(limits or Limits())
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self) -> None:
        """Start the process without waiting for it, so that it is ready when it is first asked."""
        with self._lock:
            self._worker.begin()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._worker.close()

    def load(
        self,
        text: str,
        *,
        bos: str | None = None,
        eos: str | None = None,
        tokens: Mapping[str, str] | None = None,
        now: datetime | None = None,
        name: str = "the chat template",
    ) -> ReferenceTemplate:
        """Compile a chat template.

        Args:
            text: Jinja.
            bos: The text of the token that begins a text; ``None`` where the model has none.
            eos: The text of the token that ends one; as above.
            tokens: More such, by the names that transformers gives them: ``unk_token``, ``pad_token``, ….
            now: What the template takes for the local time; ``None`` for the clock.
            name: What an error calls the template.

        Raises:
            InvalidInput: It is empty, too long, no UTF-8, no Jinja, or breaks a limit.
        """
        _check_text(text, name=name)
        given = {"bos_token": bos, "eos_token": eos} | dict(tokens or {})
        source = {"do": "load", "text": text, "now": now.isoformat() if now else None}
        key = hashlib.sha256(encode(source).encode()).hexdigest()
        message = encode(source | {"key": key})
        return ReferenceTemplate(
            self._ask,
            text=text,
            name=name,
            key=key,
            load=message,
            tokens={token: value for token, value in given.items() if value is not None},
            facts=self._ask_to_load(message, name=name),
            has_clock=now is None,
        )

    def _ask_to_load(self, message: str, *, name: str) -> dict[str, Any]:
        try:
            with self._lock:
                facts = self._worker.ask(message)[0]
        except LimitBroken as error:
            raise InvalidInput(f"{name} {error} while being compiled", hint=HINT) from None
        if "invalid" in facts:
            raise InvalidInput(f"{name} is not valid Jinja for transformers: {facts['invalid']}", hint=HINT)
        return facts

    def _ask(self, message: str, *, load: str) -> list[dict[str, Any]]:
        """Ask about a template, which is loaded again where the worker no longer has it."""
        with self._lock:
            found = self._worker.ask(message)
            if "missing" in found[0]:
                self._worker.ask(load)
                found = self._worker.ask(message)
        return found


def _check_text(text: str, *, name: str) -> None:
    if not text.strip():
        raise InvalidInput(f"{name} is empty", hint=HINT)
    if len(text) > MAX_TEMPLATE_BYTES:
        raise InvalidInput(
            f"{name} is too long: {len(text):,} characters, the limit is {MAX_TEMPLATE_BYTES:,} bytes",
            hint=HINT,
        )
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{name} is not valid UTF-8 at character {error.start:,}", hint=HINT) from None
    if size > MAX_TEMPLATE_BYTES:
        raise InvalidInput(
            f"{name} is too long: {size:,} bytes, the limit is {MAX_TEMPLATE_BYTES:,}", hint=HINT
        )
