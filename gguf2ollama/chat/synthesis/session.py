"""Ask a chat template probes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.comparison import without_bos
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.outcome import Rendered
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
    """A chat template under probing.

    Args:
        template: The template.
        bos: The text of BOS where the tokenizer adds it by itself, so that no prompt shall begin with it.
    """

    def __init__(self, template: ReferenceTemplate, *, bos: str = "") -> None:
        self.template = template
        self._bos = bos

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
        """Return the prompt of each conversation, or ``None`` where the template refuses it."""
        flags = list(generates) if generates is not None else [True] * len(conversations)
        asked = [
            Request(conversation=one, add_generation_prompt=flag)
            for one, flag in zip(conversations, flags, strict=True)
        ]
        told = [without_bos(one, bos=self._bos) for one in self.template.render(asked)]
        return [one.prompt if isinstance(one, Rendered) else None for one in told]
