"""What the Hub of the tests holds: repositories, their commits, and files as they are stored."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

POINTER_BYTES = 134  # of a Git LFS pointer


@dataclass(frozen=True)
class Hollow:
    """A file of so many bytes that begins with what is given, and then holds nothing but zeros.

    Its digest is made up: nobody hashes gigabytes for a test.
    """

    size: int
    head: bytes = b""


Content: TypeAlias = "bytes | Path | Hollow"


@dataclass(frozen=True)
class StoredFile:
    """A file of a commit.

    Attributes:
        content: Its bytes, or where they are.
        size: How many they are.
        sha256: Its digest, for a file in LFS; else ``None``.
        oid: Its Git object's digest.
        digest: Its sha256, whether it is in LFS or not.
    """

    content: Content
    size: int
    sha256: str | None
    oid: str
    digest: str

    @classmethod
    def of(cls, path: str, content: Content) -> StoredFile:
        """Store a file; weights go to LFS, as ``.gitattributes`` of every repository has it."""
        size = content.stat().st_size if isinstance(content, Path) else _size(content)
        sha256 = _sha256(content)
        is_large = path.endswith((".gguf", ".safetensors", ".bin", ".dat")) or ".gguf." in path
        kept = content if isinstance(content, bytes) and not is_large else sha256.encode()  # or a pointer
        oid = hashlib.sha1(f"blob {len(kept)}\0".encode() + kept).hexdigest()  # noqa: S324 - as Git names things
        return cls(content=content, size=size, sha256=sha256 if is_large else None, oid=oid, digest=sha256)

    @property
    def etag(self) -> str:
        return self.sha256 or self.oid

    def open(self) -> BinaryIO:
        if isinstance(self.content, Path):
            return self.content.open("rb")
        if isinstance(self.content, bytes):
            return io.BytesIO(self.content)
        return _HollowStream(self.content)


@dataclass
class Repository:
    """A model repository.

    Attributes:
        commits: From a commit's digest to its files.
        refs: From the name of a branch or a tag to a commit.
        access: Who may read it: ``"public"``, ``"gated"`` (listed for all, files for some) or ``"private"``.
        readers: Tokens that may read what is gated or private.
        facts: What else the Hub tells of it: ``tags``, ``cardData``, ``gguf``.
        is_xet: Whether its files are listed as kept in Xet; they are sent over plain HTTP all the same.
        announces_xet: Whether answers for files tell the way to Xet, which there is none here.
    """

    commits: dict[str, dict[str, StoredFile]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    access: str = "public"
    readers: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    is_xet: bool = False
    announces_xet: bool = False

    def commit(self, files: Mapping[str, Content], *, branch: str = "main") -> str:
        """Add a commit with these files beside those of the branch; give its digest."""
        before = self.commits.get(self.refs.get(branch, ""), {})
        now = before | {path: StoredFile.of(path, content) for path, content in files.items()}
        seed = repr((len(self.commits), sorted((path, file.oid) for path, file in now.items())))
        digest = hashlib.sha1(seed.encode()).hexdigest()  # noqa: S324 - as Git names things
        self.commits[digest] = now
        self.refs[branch] = digest
        return digest

    def resolve(self, revision: str) -> str | None:
        """Return the commit that a branch, a tag or a commit's digest names."""
        return revision if revision in self.commits else self.refs.get(revision)


class _HollowStream(io.RawIOBase):
    def __init__(self, hollow: Hollow) -> None:
        super().__init__()
        self._hollow = hollow
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._hollow.size}[whence] + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        count = max(min(len(buffer), self._hollow.size - self._at), 0)
        piece = self._hollow.head[self._at : self._at + count]
        buffer[:count] = piece.ljust(count, b"\0")
        self._at += count
        return count


def _size(content: bytes | Hollow) -> int:
    return content.size if isinstance(content, Hollow) else len(content)


def _sha256(content: Content) -> str:
    if isinstance(content, Hollow):
        return hashlib.sha256(f"hollow {content.size}".encode() + content.head).hexdigest()
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    state = hashlib.sha256()
    with content.open("rb") as stream:
        while piece := stream.read(1 << 20):
            state.update(piece)
    return state.hexdigest()
