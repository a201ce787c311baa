"""How a chat template writes the content of a tool's result down, found from what it renders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.synthesis.text import only_place
from gguf2ollama.chat.synthesis.tool_forms.go_values import GoText, go_value
from gguf2ollama.chat.synthesis.tool_forms.grammar import Refusal
from gguf2ollama.chat.synthesis.tool_forms.probe_tools import ODD_TEXT
from gguf2ollama.chat.synthesis.tool_forms.styles import JSON, PYTHON, RAW, Style

__all__ = ["RenderResults", "ResultForm", "find_result_form"]

RenderResults: TypeAlias = Callable[[Sequence[str]], Sequence[str | None]]

_STYLES = (RAW, JSON, PYTHON, Style(notation="json", escape="json"), Style(notation="json", escape="html"))
_LEARNT = f"rq {ODD_TEXT} qr"
_HELD_OUT = ('{"temperature": 22, "unit": "c"}', "first line\n\tsecond 'line' \\n 🎉", "22", "[1, 2]", "no")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultForm:
    """The content of a result in a style: as it is, or quoted as a text of JSON or of Python."""

    style: Style

    def print(self, content: str) -> str:
        """Write a content down as the chat template does."""
        return self.style.print(content)

    def locate(self, text: str, content: str) -> tuple[int, int] | None:
        """Find where a content stands in a text, or ``None`` where it doesn't, or stands twice."""
        return only_place(text, self.print(content))

    def go(self, expression: str = ".Content") -> GoText:
        """Return the Go text that prints the content of an expression."""
        return go_value(expression, self.style)


def find_result_form(render: RenderResults) -> ResultForm | Refusal:
    """Learn from renders how a chat template writes a result's content down.

    ``render`` takes contents, and gives for each what the template makes of one and the same conversation
    with this result, ``None`` where it raises.
    """
    text, *held_out = render([_LEARNT, *_HELD_OUT])
    if text is None:
        return Refusal(reason="the template rejects the tool result")
    for style in _STYLES:
        form = ResultForm(style=style)
        if (place := form.locate(text, _LEARNT)) is not None:
            before, after = text[: place[0]], text[place[1] :]
            wanted = [f"{before}{form.print(content)}{after}" for content in _HELD_OUT]
            if held_out != wanted:
                return Refusal(reason="the format of results depends on their content")
            return form
    return Refusal(reason="the result is not printed, or in an unknown format")
