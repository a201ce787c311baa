"""The version of an Ollama server, and what that version supports.

The versions at which a feature came or went were read in Ollama's source and tried on real servers up to
0.34.4; what is said of 0.35 and 0.40 rests on release notes and on tests against fakes. The version is
always requested, never assumed.
"""

from __future__ import annotations

from dataclasses import fields
from functools import total_ordering

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern

__all__ = ["NEWEST_KNOWN", "ServerFeatures", "ServerVersion"]

NEWEST_KNOWN = (0, 40, 2)
"""The newest release whose features are known; newer ones are treated as this one."""

_VERSION = lazy_pattern(
    r"v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?:-([0-9A-Za-z.-]{1,64}))?(?:\+[0-9A-Za-z.+-]{0,64})?\Z"
)
_UNSTAMPED = (0, 0, 0)
_LONGEST = 64  # characters of a version that does not name a release


@total_ordering
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServerVersion:
    """The version that a server reports; versions compare as releases do.

    Attributes:
        text: As the server reports it.
        release: Major, minor and patch; ``(0, 0, 0)`` where the text names no release.
        prerelease: What follows a hyphen (``rc1``), or nothing.
    """

    text: str
    release: tuple[int, int, int]
    prerelease: str = ""

    @classmethod
    def parse(cls, text: str) -> ServerVersion:
        """Parse ``0.34.4``, ``v0.34.4`` or ``0.34.4-rc1``.

        Raises:
            ValueError: The text is not such a version.
        """
        match = _VERSION.match(text.strip())
        if match is None:
            raise ValueError(f"{text[:80]!r} is not a version")
        major, minor, patch, prerelease = match.groups()
        return cls(
            text=text.strip(), release=(int(major), int(minor), int(patch or 0)), prerelease=prerelease or ""
        )

    @classmethod
    def reported(cls, text: str) -> ServerVersion:
        """Read what a server reports; a build of one's own may call itself anything (``dev``).

        Raises:
            ValueError: The text is empty.
        """
        try:
            return cls.parse(text)
        except ValueError:
            printable = "".join(char if char.isprintable() else "?" for char in text.strip()[:_LONGEST])
            if not printable:
                raise ValueError("the version is empty") from None
            return cls(text=printable, release=_UNSTAMPED)

    @property
    def is_unstamped(self) -> bool:
        """Whether it names no release: a server built from source reports ``0.0.0``, or a name."""
        return self.release == _UNSTAMPED

    @property
    def rules(self) -> str:
        """The version by whose rules templates are read; ``0.0.0`` stands for the newest known."""
        return "0.0.0" if self.is_unstamped else self.text

    @property
    def note(self) -> str | None:
        """What a user should know about this version, if anything."""
        newest = ".".join(map(str, NEWEST_KNOWN))
        if self.is_unstamped:
            return (
                f"the server reports version {self.text}, which is not a release (built from source?); "
                f"treating it as Ollama {newest}, the newest known version"
            )
        if self.release > NEWEST_KNOWN:
            return f"Ollama {self.text} is newer than {newest}, the newest known version; treating it as that"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFeatures:
    """What an Ollama server supports, by its version; see :meth:`of`.

    Attributes:
        takes_files: ``/api/create`` takes ``files`` (uploaded blobs by name) instead of a Modelfile's text.
        shows_prompts: ``/api/chat`` returns the rendered prompt (``_debug_render_only``).
        native_templates: The GGUF's own Jinja template can render a chat (``llama-server --jinja``).
        takes_shards: A sharded GGUF is accepted as it is; older servers need it merged first.
        rewrites_gguf: ``create`` rewrites the GGUF: two copies on disk, and another digest.
        keeps_shards: Each shard stays a layer of its own, with the digest of its file.
        takes_adapters: LoRA adapters are accepted at ``create``.
        runs_drafts: A draft layer (``draft_files`` at ``create``) is run, be it MTP layers or DFlash.
        refuses_typical_p: The parameter ``typical_p`` is an error at ``create``.
        manifests_v2: Models are links in ``manifests-v2/``, and a manifest may be a list of others.
        migrates_models: A model whose manifest doesn't say ``runner: llamacpp`` may be rewritten into a
            second file after its first chat.
    """

    takes_files: bool
    shows_prompts: bool
    native_templates: bool
    takes_shards: bool
    rewrites_gguf: bool
    keeps_shards: bool
    takes_adapters: bool
    runs_drafts: bool
    refuses_typical_p: bool
    manifests_v2: bool
    migrates_models: bool

    @classmethod
    def of(cls, version: ServerVersion) -> ServerFeatures:
        """Return the features of a version.

        A release candidate counts as its release; a build without a version, and any release that is newer
        than :data:`NEWEST_KNOWN`, as that one (``ServerVersion.note`` says so).
        """
        release = NEWEST_KNOWN if version.is_unstamped else min(version.release, NEWEST_KNOWN)
        return cls(**{name: first <= release < end for name, (first, end) in _FEATURES.items()})

    @property
    def copies_of_upload(self) -> int:
        """How many copies of an uploaded model are in the store at once while it is made.

        Where it is rewritten: what was uploaded, what ``llama-quantize`` writes, and the blob that this is
        copied to (``rewriteLayerWithLlamaQuantize``, server/create.go of 0.32.15).
        """
        return 3 if self.rewrites_gguf else 1


def llama_cpp_build(version: ServerVersion) -> int | None:
    """Return a build of llama.cpp that takes as much memory as that of an Ollama; ``None`` before 0.30.

    From ``LLAMA_CPP_VERSION`` in its source: what it brings or an older one, never a newer one. Later ones
    than the newest known are taken for that.
    """
    release = NEWEST_KNOWN if version.is_unstamped else version.release
    return next((build for first, build in _LLAMA_CPP if release >= first), None)


_LLAMA_CPP = (((0, 34, 0), 11081), ((0, 31, 0), 9840), ((0, 30, 0), 9452))

_ALWAYS, _NEVER = (0, 0, 0), (1 << 30, 0, 0)
# the first release that has a feature, and the first one that no longer has it
_FEATURES = {
    "takes_files": ((0, 5, 5), _NEVER),
    "shows_prompts": ((0, 11, 5), _NEVER),
    "native_templates": ((0, 30, 0), _NEVER),
    "takes_shards": ((0, 30, 0), _NEVER),
    "rewrites_gguf": ((0, 30, 0), (0, 34, 1)),
    "keeps_shards": ((0, 34, 1), _NEVER),
    "takes_adapters": (_ALWAYS, (0, 34, 1)),
    "runs_drafts": ((0, 32, 15), _NEVER),  # 0.30 takes MTP layers, 0.31.1 no DFlash yet; between: not seen
    "refuses_typical_p": ((0, 34, 1), (0, 35, 0)),
    "manifests_v2": ((0, 40, 0), _NEVER),
    "migrates_models": ((0, 40, 0), _NEVER),
}
assert _FEATURES.keys() == {field.name for field in fields(ServerFeatures)}  # noqa: S101 - one row each
