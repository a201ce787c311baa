"""Explain the rules learnt from a chat template, and which of its branches no comparison reaches."""

from __future__ import annotations

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.battery.content_switches import find_switches
from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.reference import Branch, Renderer
from gguf2ollama.chat.reference_prompt import as_asked
from gguf2ollama.chat.synthesis.synthesis import NotSynthesised, Synthesis, synthesise
from gguf2ollama.planning.templates.selected_template import TemplateSelection

__all__ = ["Explanation", "explain_template"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The explanation of a chat template.

    Attributes:
        learnt: Its rules and the TEMPLATE made from them, or why there are none.
        unreached: Its branches that no compared conversation reaches: their output is not verified.
    """

    learnt: Synthesis | NotSynthesised
    unreached: tuple[Branch, ...]


def explain_template(selection: TemplateSelection) -> Explanation:
    """Learn the rules of a chat template, and find the branches that no compared conversation reaches.

    Raises:
        InvalidInput: The chat template exceeds its limits of time or memory.
    """
    chosen = selection.choice.chosen
    with Renderer() as renderer:
        template = selection.authors.load(renderer)
        asked = [
            as_asked(conversation, thinks="thinking" in chosen.capabilities)
            for conversation in (*battery(), *find_switches(template))
            if selection.choice.claims.includes(conversation)
        ]
        selection.authors.meant(template, asked)
        return Explanation(
            learnt=synthesise(renderer, selection.authors), unreached=template.default.coverage().unreached
        )
