"""Ollama's built-in parsers of answers (``PARSER``), as far as a TEMPLATE can make use of them.

Without one, Ollama reads calls of tools that are JSON behind a tag, and thoughts between tags that the
TEMPLATE shows. With one, it reads what the models of one family write. The TEMPLATE renders as before, and
always: that the chat template in the GGUF may be able to do more is not asked then (``server/routes.go``,
``server/prompt.go`` and ``server/images.go`` of 0.34.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.chat.answer_parsers.known import AnswerParser, known_parsers
    from gguf2ollama.chat.answer_parsers.reading import Heard

__all__ = ["AnswerParser", "Heard", "known_parsers"]

__getattr__, __dir__ = lazy_exports(
    __name__, {"known": ("AnswerParser", "known_parsers"), "reading": ("Heard",)}
)
