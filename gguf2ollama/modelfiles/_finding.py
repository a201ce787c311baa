"""What the linter says, and what it may know of the model besides the Modelfile."""

from __future__ import annotations

from typing import Literal, TypeAlias

from gguf2ollama._dataclass import dataclass

__all__ = ["Finding", "Level", "Weights"]

Level: TypeAlias = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A finding of the linter.

    Attributes:
        level: An error is what ``ollama create`` of 0.34.4 refuses; a warning what it accepts and what has no
            effect, or not the intended one; a note what is probably intended.
        code: The name of the rule, which is stable.
        message: What is wrong.
        line: The line in the file, from 1; ``None`` if the Modelfile was not read from one.
        hint: What to do.
    """

    level: Level
    code: str
    message: str
    line: int | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What is known of the model in FROM; the defaults stand for what is not known.

    Attributes:
        chat_template: The Jinja text in the GGUF.
        bos: The text of the BOS token, if the tokenizer puts it before each prompt; else ``""``.
        architecture: ``general.architecture``.
        context_tokens: The context that the model was trained for, in tokens.
        ends: The texts of the tokens that end an answer, and of stops that are tokens.
        prints_system: Whether the chat template in the GGUF prints a system message.
    """

    chat_template: str = ""
    bos: str = ""
    architecture: str = ""
    context_tokens: int = 0
    ends: tuple[str, ...] = ()
    prints_system: bool = True
