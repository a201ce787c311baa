"""A model on this machine that was cut into pieces: bytes of one file, which are no shards."""

from __future__ import annotations

import dataclasses
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import FileChanged, UsageProblem
from gguf2ollama.events import Progress
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.sources.catalogue.gguf_files import (
    FileSet,
    Kind,
    RepositoryFile,
    collect_sets,
)

if TYPE_CHECKING:
    from gguf2ollama.ggufio import Shard

__all__ = ["LocalPieces", "find_pieces"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPieces:
    """The pieces of one file.

    Attributes:
        folder: Their folder.
        cut: Their names, in order.
        stamps: For each, when it was modified last, in nanoseconds.
    """

    folder: Path
    cut: FileSet
    stamps: tuple[int, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Their paths, in order."""
        return tuple(self.folder / file.name for file in self.cut.files)

    @property
    def whole(self) -> str:
        """The name of the file."""
        return f"{self.cut.name}.gguf"

    @property
    def joined_folder(self) -> Path:
        """The folder in which :meth:`join` writes."""
        from gguf2ollama.sources.downloads.joined import joined_folder  # noqa: PLC0415 - for pieces alone

        return joined_folder(self.folder / self.cut.files[0].name)

    def read_header(self) -> Shard:
        """Read the header of the file; nothing is written.

        Raises:
            InvalidGguf: It is not a GGUF, or is broken.
            UsageProblem: A piece is missing.
        """
        from gguf2ollama.ggufio import Shard, open_gguf  # noqa: PLC0415 - for pieces alone
        from gguf2ollama.sources.downloads.joined import JoinedReader  # noqa: PLC0415

        if self.cut.missing:
            raise UsageProblem(
                f"{self.folder} has {len(self.cut.files)} pieces of {self.whole}, and lacks"
                f" {', '.join(self.cut.missing)}",
                hint="get all pieces first",
            )

        def open_piece(number: int) -> io.RawIOBase:
            with disk_errors(path := self.paths[number]):
                return path.open("rb", buffering=0)

        with io.BufferedReader(JoinedReader([file.size for file in self.cut.files], open_piece)) as stream:
            return Shard(path=self.folder / self.whole, gguf=open_gguf(stream, name=self.whole))

    def write(self, target: Path, *, replace: bool, progress: Progress) -> None:
        """Join them into a file of the user's; raises as :meth:`join` does, and if it exists."""
        from gguf2ollama.sources.downloads.joined import write_joined  # noqa: PLC0415 - for pieces alone

        self.read_header()
        write_joined(target, self.paths, replace=replace, progress=progress)

    def join(self, *, progress: Progress) -> Path:
        """Join them into one file and return its path.

        Raises:
            FileChanged: A piece changed since the pieces were found.
            NotEnoughSpace: The disk has too little space.
        """
        from gguf2ollama.sources.downloads.joined import join_pieces, remove_joined  # noqa: PLC0415

        identity = [
            (os.path.abspath(path), file.size, stamp)  # noqa: PTH100 - links are not followed
            for path, file, stamp in zip(self.paths, self.cut.files, self.stamps, strict=True)
        ]
        joined = join_pieces(self.whole, self.paths, identity=identity, progress=progress)
        if tuple(path.stat().st_mtime_ns for path in self.paths) != self.stamps:
            remove_joined(joined)
            raise FileChanged(f"the pieces of {self.whole} in {self.folder} changed while they were joined")
        return joined


def find_pieces(path: Path) -> LocalPieces | None:
    """Find the pieces that a file is one of, or of the only model in a folder; ``None`` if there are none.

    Raises:
        UsageProblem: A folder holds the pieces of several models.
    """
    folder = path if path.is_dir() else path.parent
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    except OSError:  # said where the file is opened
        return None
    sets = collect_sets(RepositoryFile(path=name, size=0) for name in names)
    cuts = [cut for cut in sets if cut.is_cut]
    if not path.is_dir():
        cuts = [cut for cut in cuts if path.name in {file.name for file in cut.files}]
    elif cuts and len(cuts) < len(sets):
        from gguf2ollama.sources.catalogue.classification import group_files  # noqa: PLC0415 - for this alone

        listed = [RepositoryFile(path=name, size=(folder / name).stat().st_size) for name in names]
        if any(variant.kind is Kind.MODEL and not variant.is_cut for variant in group_files(listed)):
            return None
    if not cuts:
        return None
    if len(cuts) > 1:
        whole = ", ".join(f"{cut.name}.gguf" for cut in cuts)
        raise UsageProblem(f"{folder} has the pieces of several files: {whole}", hint="give a piece of one")
    stats = [(folder / file.name).stat() for file in cuts[0].files]
    sized = [
        RepositoryFile(path=file.path, size=stat.st_size)
        for file, stat in zip(cuts[0].files, stats, strict=True)
    ]
    return LocalPieces(
        folder=folder,
        cut=dataclasses.replace(cuts[0], files=tuple(sized)),
        stamps=tuple(stat.st_mtime_ns for stat in stats),
    )
