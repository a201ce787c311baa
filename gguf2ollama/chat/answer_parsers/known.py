"""The parsers that are made use of, and the Ollama that has them."""

from __future__ import annotations

from collections.abc import Callable

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.answer_parsers import flows
from gguf2ollama.chat.answer_parsers.reading import Heard, Unread
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.gotmpl.versions import is_since

__all__ = ["AnswerParser", "known_parsers"]

# The names are older, most of them; this is the oldest Ollama whose parsers were seen to read as told here.
_SINCE = "0.32.15"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerParser:
    """A built-in parser.

    Attributes:
        name: What ``PARSER`` calls it.
        thinks: Whether a model that has it is taken for one that thinks.
        since: The first version of Ollama that has it as told here.
    """

    name: str
    thinks: bool
    flow: Callable[[str, Conversation], Heard]
    since: str = _SINCE

    def read(self, answer: str, *, asked: Conversation) -> Heard | None:
        """Return what a server tells of an answer; ``None`` where it tells an error.

        Args:
            answer: What the model wrote, without the end of its turn.
            asked: What it answers, as the server takes it
                (:func:`gguf2ollama.chat.reference_prompt.as_asked`).
        """
        try:
            return self.flow(answer, asked)
        except Unread:
            return None


# In the order in which they are tried. Of the others, some read no more than is read without one, or the same
# as one of these (ornith, nemotron-3-nano). Two lose what was said: gemma4 takes every answer behind the
# result of a tool for a thought, laguna an answer with JSON in it for a call, and ends it with an error.
_PARSERS = (
    AnswerParser(name="qwen3-coder", thinks=False, flow=flows.qwen_coder),
    AnswerParser(name="qwen3.5", thinks=True, flow=flows.qwen35),
    AnswerParser(name="glm-4.7", thinks=True, flow=flows.glm),
    AnswerParser(name="cohere", thinks=True, flow=flows.cohere),
)


def known_parsers(version: str) -> tuple[AnswerParser, ...]:
    """Return the parsers of a version of Ollama.

    Raises:
        UsageProblem: It is no version.
    """
    return tuple(one for one in _PARSERS if is_since(version, one.since))
