"""What is loaded or compiled when it is first used.

A room's ``__init__`` runs whenever anything in the room is imported. Where callers often need only a corner
of it, what it exports is found by :func:`lazy_exports` instead of imported. And of a hundred regular
expressions a call of the program uses a few: :func:`lazy_pattern` compiles those.
"""

from __future__ import annotations

import importlib
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # without the typing module: the process that renders chat templates starts with this
    from collections.abc import Callable, Mapping
    from typing import Any, AnyStr

__all__ = ["lazy_exports", "lazy_pattern"]


def lazy_exports(
    package: str, homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and ``__dir__`` of a package that loads what it exports on first use.

    Args:
        package: Its ``__name__``.
        homes: The names that each of its modules has to export; none that is a module's name, which would
            stand for the module once that is loaded.
    """
    assert homes.keys().isdisjoint(name for names in homes.values() for name in names), package  # noqa: S101

    def load(name: str) -> Any:  # noqa: ANN401 - what the module keeps under that name
        for home, names in homes.items():
            if name in names:
                value = getattr(importlib.import_module(f"{package}.{home}"), name)
                setattr(sys.modules[package], name, value)
                return value
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted(name for names in homes.values() for name in names)

    return load, names


def lazy_pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return a regular expression that is compiled when it is first used; errors come up then."""
    return _Pattern(text, flags)  # type: ignore[return-value]  # it has all that a pattern has


class _Pattern:
    """Stands for a compiled pattern, whose methods become its own when they are first called."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what the pattern has under that name
        value = getattr(re.compile(self._text, self._flags), name)  # re keeps what it has compiled
        setattr(self, name, value)
        return value
