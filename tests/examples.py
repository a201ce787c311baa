"""How many examples a property is tried with."""

from hypothesis import settings

__all__ = ["examples"]


def examples(times: float) -> int:
    """Return so many times as many as the profile has (``tests/conftest.py``): more of what takes no time."""
    return round(times * settings().max_examples)
