"""Which branches of a template were reached."""

from __future__ import annotations

from gguf2ollama._dataclass import dataclass

__all__ = ["Branch", "Coverage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A way that a template can take.

    Attributes:
        line: Of the template, from 1.
        kind: ``if``, ``elif``, ``else``, ``for``, ``for if``, ``for else``, ``macro``, ``inline if``,
            ``inline else``, or ``and`` and ``or`` for the right side of one.
        text: As Jinja, the condition or what is looped over; of an ``else``, the conditions that must fail.
    """

    line: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The branches of a template, in the order in which they stand in it."""

    reached: tuple[Branch, ...]
    unreached: tuple[Branch, ...]
