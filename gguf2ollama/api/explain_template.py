"""Explain what was learnt of a chat template, and what of it no comparison reaches."""

from __future__ import annotations

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.ollama_input import Path, canonical
from gguf2ollama.chat.reference import Branch, Renderer
from gguf2ollama.chat.reference_prompt import as_asked
from gguf2ollama.chat.synthesis.synthesis import NotSynthesised, Synthesis, synthesise
from gguf2ollama.chat.test_conversations import battery
from gguf2ollama.planning.template_selection import TemplateSelection

__all__ = ["Explanation", "explain_template"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is known of a chat template.

    Attributes:
        learnt: The rules that it was found to follow and the TEMPLATE made of them, or why there are none.
        unreached: Its branches that no conversation reaches whose prompts are compared: what they print is
            not proven.
    """

    learnt: Synthesis | NotSynthesised
    unreached: tuple[Branch, ...]


def explain_template(selection: TemplateSelection) -> Explanation:
    """Learn the rules of a chat template, and find the branches that no compared conversation reaches.

    Raises:
        InvalidInput: The chat template takes more of the machine than it may.
    """
    chosen = selection.choice.chosen
    path: Path = "native" if chosen.go_template is None else "go"
    with Renderer() as renderer:
        template = selection.authors.load(renderer)
        asked = [
            canonical(
                as_asked(one, thinks="thinking" in chosen.capabilities), path=path, version=selection.version
            )
            for one in battery()
            if selection.choice.claims.includes(one)
        ]
        selection.authors.meant(template, asked)
        return Explanation(
            learnt=synthesise(renderer, selection.authors), unreached=template.default.coverage().unreached
        )
