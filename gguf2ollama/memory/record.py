"""What a model says of how its context length was chosen: one line behind its licences.

That is the only text of a model that changes nothing in a chat, that every server returns, and that stays
when the model is copied, pushed and pulled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ContextRecord"]

_LINE = lazy_pattern(
    r"gguf2ollama: num_ctx (?P<tokens>[1-9][0-9]{0,9}|unset) by --ctx (?P<requested>[a-z0-9]{1,10})"
    r" for (?P<weights>[0-9]{1,18}) bytes of weights: (?P<reason>[^\n]{1,300})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRecord:
    """How the context length of a model was chosen.

    Attributes:
        tokens: Its tokens; ``None`` leaves it to the server.
        requested: What it was chosen by: ``auto``, ``max``, ``server``, or tokens.
        reason: Why it is that one.
        weights: Bytes of the weights that it was chosen for.
    """

    tokens: int | None
    requested: str
    reason: str
    weights: int

    def __str__(self) -> str:
        tokens = "unset" if self.tokens is None else self.tokens
        return (
            f"gguf2ollama: num_ctx {tokens} by --ctx {self.requested} for {self.weights} bytes of weights:"
            f" {self.reason}"
        )

    @classmethod
    def find(cls, licenses: str) -> Self | None:
        """Return the last record among the licences of a model; ``None`` for none."""
        for line in reversed(licenses.splitlines()):
            if (match := _LINE.fullmatch(line)) is not None:
                tokens = match["tokens"]
                return cls(
                    tokens=None if tokens == "unset" else int(tokens),
                    requested=match["requested"],
                    reason=match["reason"],
                    weights=int(match["weights"]),
                )
        return None
