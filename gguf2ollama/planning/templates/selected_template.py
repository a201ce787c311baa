"""What was found to render the chats of a model: light, since a plan that is repeated selects nothing."""

from __future__ import annotations

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.choice.candidate import TemplateChoice
from gguf2ollama.chat.reference_prompt import Authors
from gguf2ollama.planning.ends import Ends

__all__ = ["TemplateSelection", "Unsupported"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSelection:
    """What renders the chats of a model best.

    Attributes:
        authors: What the prompts are compared with.
        choice: The candidate that was chosen, and how well it matches.
        version: The version of Ollama that it was chosen for.
        ends: How its answers end.
        expected_system: The system prompt expected where a conversation has none; ``""`` for the chat
            template's own.
    """

    authors: Authors
    choice: TemplateChoice
    version: str
    ends: Ends
    expected_system: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsupported:
    """That an Ollama cannot render the chats of a model.

    Attributes:
        version: The version of Ollama.
        remarks: Why not, one phrase each.
        refusal: Why it does not even load the model; ``""`` where it does, or that cannot be predicted.
        is_unknown: Whether it may well render them, and only the expected prompts are not known.
    """

    version: str
    remarks: tuple[str, ...]
    refusal: str = ""
    is_unknown: bool = False

    def __str__(self) -> str:
        if self.is_unknown:
            return f"no prompts can be compared: {'; '.join(self.remarks)}"
        return f"nothing is known to render its chats on Ollama {self.version}: {'; '.join(self.remarks)}"
