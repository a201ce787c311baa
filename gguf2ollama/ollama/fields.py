"""Read the fields of a JSON response without trusting it.

A missing key or a null gives the empty value of its type, since servers of other versions leave fields
out. A key of another type is a response that breaks the interface: it is refused by name, and never
becomes a ``TypeError`` later on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TypeVar

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import ServerRefused
from gguf2ollama.net import MEMORY_FACTOR, parse_json

__all__ = ["Fields"]

_HINT = "check that OLLAMA_HOST (or --host) leads to Ollama, and not to another server or a proxy"
_LARGEST = 1 << 63
_T = TypeVar("_T")
_KINDS = {str: "a text", bool: "true or false", dict: "an object", list: "a list"}

_TIMESTAMP = lazy_pattern(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?(?:Z|([+-])(\d\d):(\d\d))\Z", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object of a response.

    Attributes:
        content: The object.
        origin: Where it came from, for errors: ``POST /api/show at http://127.0.0.1:11434``.
    """

    content: Mapping[str, object]
    origin: str

    @classmethod
    def parse(cls, content: bytes | bytearray, *, origin: str, memory_factor: int = MEMORY_FACTOR) -> Fields:
        """Parse one JSON object; a ``bytearray`` is empty afterwards.

        Raises:
            ServerRefused: It is not JSON, not an object, or would take too much memory.
        """
        is_page = content[:64].lstrip()[:1] == b"<"
        try:
            value = parse_json(bytearray(content) if isinstance(content, bytes) else content, memory_factor)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            looks = "an HTML page" if is_page else "not a JSON object"
            raise ServerRefused(
                f"unexpected response to {origin}: {looks}",
                hint=_HINT,
            )
        return cls(value, origin)

    def text(self, key: str) -> str:
        """Return a text, or an empty one."""
        return self._typed(key, str, "")

    def flag(self, key: str) -> bool:
        """Return true or false; false when it is not there."""
        return self._typed(key, bool, default=False)

    def integer(self, key: str) -> int:
        """Return a whole number, or 0."""
        value = self.content.get(key)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST <= value < _LARGEST:
            raise self._ill_typed(key, "a whole number")
        return int(value)

    def seconds(self, key: str) -> float:
        """Return a duration, which Ollama sends in nanoseconds, in seconds."""
        return self.integer(key) / 1e9

    def moment(self, key: str) -> datetime | None:
        """Return a point in time, or nothing when it is missing, Go's zero or not written as in RFC 3339."""
        match = _TIMESTAMP.match(self.text(key))
        if match is None or match[1].startswith("0001"):
            return None
        second, fraction, sign, hours, minutes = match.groups()
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        try:
            zone = timezone(-offset if sign == "-" else offset)
            moment = datetime.fromisoformat(second).replace(tzinfo=zone)
        except ValueError:
            return None
        return moment.replace(microsecond=int((fraction or "").ljust(6, "0")))

    def mapping(self, key: str) -> Mapping[str, object]:
        """Return an object as it came, or an empty one."""
        return self._typed(key, dict, {})

    def inner(self, key: str) -> Fields:
        """Return an object to read on in, or an empty one."""
        return Fields(self.mapping(key), f"{self.origin}, {key}")

    def inners(self, key: str) -> tuple[Fields, ...]:
        """Return a list of objects to read on in."""
        items: list[object] = self._typed(key, list, [])
        if not all(isinstance(item, dict) for item in items):
            raise self._ill_typed(key, "a list of objects")
        return tuple(Fields(item, f"{self.origin}, {key}") for item in items if isinstance(item, dict))

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        items: list[object] = self._typed(key, list, [])
        texts = tuple(item for item in items if isinstance(item, str))
        if len(texts) != len(items):
            raise self._ill_typed(key, "a list of texts")
        return texts

    def vectors(self, key: str) -> tuple[tuple[float, ...], ...]:
        """Return a list of lists of numbers."""
        lists: list[object] = self._typed(key, list, [])
        vectors = tuple(
            tuple(float(number) for number in numbers if type(number) in {int, float})
            for numbers in lists
            if isinstance(numbers, list)
        )
        lengths = [len(numbers) if isinstance(numbers, list) else -1 for numbers in lists]
        if lengths != [len(vector) for vector in vectors]:
            raise self._ill_typed(key, "a list of lists of numbers")
        return vectors

    def _typed(self, key: str, kind: type[_T], default: _T) -> _T:
        value = self.content.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise self._ill_typed(key, _KINDS[kind])
        return value

    def _ill_typed(self, key: str, wanted: str) -> ServerRefused:
        return ServerRefused(
            f"unexpected response to {self.origin}: {key!r} is {self.content.get(key)!r:.80},"
            f" expected {wanted}",
            hint=_HINT,
        )
