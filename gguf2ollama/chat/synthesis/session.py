"""Ask a chat template probes, and remember what came out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.parity import without_bos
from gguf2ollama.chat.reference import ReferenceTemplate, Request
from gguf2ollama.chat.synthesis.learning import Observed
from gguf2ollama.chat.synthesis.probes import Probe, observe

__all__ = ["Asked", "Session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A probe to ask: with a generation prompt behind it, or without."""

    probe: Probe
    generates: bool = True


class Session:
    """A chat template under probing; nothing is rendered twice.

    Args:
        template: The template.
        bos: The text of BOS where the tokenizer adds it by itself, so that no prompt shall begin with it.
    """

    def __init__(self, template: ReferenceTemplate, *, bos: str = "") -> None:
        self.template = template
        self._bos = bos
        self._prompts: dict[tuple[str, bool], str | None] = {}

    def observe(self, asked: Sequence[Asked]) -> list[Observed]:
        """Ask probes; those that the template refuses are left out."""
        prompts = self.render([one.probe.conversation for one in asked], [one.generates for one in asked])
        return [
            Observed(probe=one.probe, observation=observe(prompt, one.probe.marks), generates=one.generates)
            for one, prompt in zip(asked, prompts, strict=True)
            if prompt is not None
        ]

    def render(
        self, conversations: Sequence[Conversation], generates: Iterable[bool] | None = None
    ) -> list[str | None]:
        """Give the prompt of each conversation, or ``None`` where the template refuses it."""
        flags = list(generates) if generates is not None else [True] * len(conversations)
        keys = [(repr(one), flag) for one, flag in zip(conversations, flags, strict=True)]
        new = {
            key: Request(conversation=one, add_generation_prompt=flag)
            for key, one, flag in zip(keys, conversations, flags, strict=True)
            if key not in self._prompts
        }
        for key, outcome in zip(new, self.template.render(list(new.values())), strict=True):
            told = without_bos(outcome, bos=self._bos) if self._bos else outcome
            self._prompts[key] = told.prompt if isinstance(told, Rendered) else None
        return [self._prompts[key] for key in keys]
