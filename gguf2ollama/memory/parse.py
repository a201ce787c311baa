"""Read the context length that a user asks for; imports little, since a wrong one is refused at once."""

from __future__ import annotations

from gguf2ollama.errors import UsageProblem

__all__ = ["parse_context"]


def parse_context(text: str) -> int | str:
    """Parse the value of ``--ctx``: tokens (``8192``, ``8k``), ``auto``, ``max`` or ``server``.

    Raises:
        UsageProblem: It is none of these.
    """
    lowered = text.strip().lower()
    if lowered in {"auto", "max", "server"}:
        return lowered
    digits, factor = (lowered[:-1], 1024) if lowered.endswith("k") else (lowered, 1)
    # its length first: int() refuses thousands of digits with an error of its own
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= len(str(1 << 31))
    if not is_number or not 0 < int(digits) * factor < 1 << 31:
        raise UsageProblem(
            f"invalid --ctx {text!r}", hint="use a token count (8192 or 8k), auto, max or server"
        )
    return int(digits) * factor
