"""Which Ollama it is, and how that Ollama treats a GGUF.

The boundaries were read in Ollama's source and tried on real servers; they are the "regimes" of the
project's design. A server is always asked for its version, never assumed to have one.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import total_ordering

__all__ = ["Regime", "ServerVersion", "regime"]

_VERSION = re.compile(r"v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?:-([0-9A-Za-z.-]{1,64}))?(?:\+\S{0,64})?\Z")
_UNSTAMPED = (0, 0, 0)


@total_ordering
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServerVersion:
    """The version that a server reports; versions compare as releases do.

    Attributes:
        text: What the server said, as it said it.
        release: Major, minor and patch.
        prerelease: What follows a hyphen (``rc1``), or nothing.
    """

    text: str
    release: tuple[int, int, int]
    prerelease: str = ""

    @classmethod
    def parse(cls, text: str) -> ServerVersion:
        """Parse ``0.34.4``, ``v0.34.4`` or ``0.34.4-rc1``.

        Raises:
            ValueError: It is no such version.
        """
        match = _VERSION.match(text.strip())
        if match is None:
            raise ValueError(f"{text[:80]!r} is not a version")
        major, minor, patch, prerelease = match.groups()
        return cls(
            text=text.strip(), release=(int(major), int(minor), int(patch or 0)), prerelease=prerelease or ""
        )

    @property
    def is_unstamped(self) -> bool:
        """Whether the server was built from source without a version: it then reports ``0.0.0``."""
        return self.release == _UNSTAMPED

    @property
    def note(self) -> str | None:
        """What a person should know of this version, if anything."""
        if self.is_unstamped:
            return f"the server reports version {self.text} (built from source): it is taken for the newest"
        return None

    def _key(self) -> tuple[bool, tuple[int, int, int], bool, str]:
        return self.is_unstamped, self.release, not self.prerelease, self.prerelease

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, ServerVersion) else NotImplemented

    def __lt__(self, other: ServerVersion) -> bool:
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __str__(self) -> str:
        return self.text


class Regime(enum.Enum):
    """One way of taking a GGUF at ``create`` and of running it.

    A: before 0.5.5. B: up to 0.29. C: 0.30 to 0.34.0. D: from 0.34.1.
    """

    A = "A"
    B = "B"
    C = "C"
    D = "D"

    @property
    def takes_files(self) -> bool:
        """Whether ``/api/create`` takes ``files`` (uploaded blobs by name) rather than a Modelfile's text."""
        return self is not Regime.A

    @property
    def takes_shards(self) -> bool:
        """Whether a sharded GGUF may be handed over as it is; elsewhere it is merged first."""
        return self in {Regime.C, Regime.D}

    @property
    def keeps_shards(self) -> bool:
        """Whether each shard stays a layer of its own, with the digest of its file."""
        return self is Regime.D

    @property
    def rewrites_gguf(self) -> bool:
        """Whether ``create`` writes the GGUF anew: two copies on disk, and another digest."""
        return self is Regime.C

    @property
    def copies_of_upload(self) -> int:
        """How many copies of an uploaded model are in the store at once while it is made.

        Where it is rewritten: what was uploaded, what ``llama-quantize`` writes, and the blob that this is
        copied to (``rewriteLayerWithLlamaQuantize``, server/create.go of 0.32.15).
        """
        return 3 if self.rewrites_gguf else 1

    @property
    def native_templates(self) -> bool:
        """Whether the GGUF's own Jinja template can render a chat (``llama-server --jinja``)."""
        return self in {Regime.C, Regime.D}

    @property
    def takes_adapters(self) -> bool:
        """Whether LoRA adapters are taken at ``create``."""
        return self is not Regime.D


_STARTS = ((Regime.D, (0, 34, 1)), (Regime.C, (0, 30, 0)), (Regime.B, (0, 5, 5)))


def regime(version: ServerVersion) -> Regime:
    """Tell the regime of a version; an unstamped build counts as the newest, a candidate as its release."""
    if version.is_unstamped:
        return Regime.D
    return next((regime for regime, start in _STARTS if version.release >= start), Regime.A)
