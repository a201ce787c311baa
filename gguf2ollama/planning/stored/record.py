"""What a model says of what it was made of: one line behind its licences, before that of its context.

Licences are the only texts of a model that change nothing in a chat, that every server returns (``/api/show``
of 0.32.15 and 0.34.4), and that stay when the model is copied, pushed and pulled, or made a variant of. The
line has neither tokens nor the query of a URL, which may be a signature; of a file on this machine it has the
name, not the folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern

if TYPE_CHECKING:
    from typing import Self

    from gguf2ollama.ggufio import HeaderPatch
    from gguf2ollama.modelfiles import Modelfile
    from gguf2ollama.oci import Digest
    from gguf2ollama.planning.options import ModelOptions
    from gguf2ollama.planning.target import TransportName
    from gguf2ollama.sources.model import ModelFiles

__all__ = ["BuildRecord", "joined_digest", "recipe_digest", "weights_digest"]

_LINE = lazy_pattern(
    r"gguf2ollama: made by (?P<transport>link|pull|upload|store) from (?P<source>[!-~]{1,30000})"
    r"(?: at commit (?P<commit>[0-9A-Za-z]{1,64}))?; weights (?P<file>[!-~]{1,30000})"
    r"(?: and (?P<more>[1-9][0-9]{0,5}) more)? sha256:(?P<digest>[0-9a-f]{64})"
    r"(?:; given (?P<given>[a-z_]{1,40}(?: [a-z_]{1,40}){0,99}))?; recipe sha256:(?P<recipe>[0-9a-f]{64})"
)
# of the options: those that are listed one by one, and those of how it gets to Ollama
_NOT_GIVEN = {
    *("parameters", "verify", "name", "via", "stream", "rehash", "load", "allow_mismatch", "replace"),
    *("symlink", "discard_download"),
}
_SAFE = "/:@+,=~()[]!$&'*"  # of a source, beside letters and digits: no blank, no semicolon


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecord:
    """What a model was made of.

    Attributes:
        source: ``hf://owner/repo/path@revision``, a URL without its query, or the name of a file.
        commit: The commit of the repository; empty if it has none.
        file: The first file of its weights: its path in the repository, or its name.
        count: How many files there are, projectors included.
        digest: See :func:`weights_digest`; empty until that is known.
        transport: How it got to the server.
        given: The options that the user gave, by the names of :class:`gguf2ollama.ModelKeywords`; of
            parameters, their own names.
        recipe: See :func:`recipe_digest`.
    """

    source: str
    commit: str
    file: str
    count: int
    digest: str
    transport: TransportName
    given: tuple[str, ...]
    recipe: str

    @classmethod
    def of(
        cls,
        files: ModelFiles,
        *,
        modelfile: Modelfile,
        patch: HeaderPatch,
        options: ModelOptions,
        transport: TransportName,
    ) -> Self:
        """Return the record of a planned model; its digest is known if a site reports that of each file."""
        origin = files.origin
        reported = origin.files if origin is not None else ()
        first = reported[0].path if reported else files.paths[0].name
        known = [file.sha256 for file in reported if file.sha256]
        return cls(
            source=first if origin is None else origin.source,
            commit=origin.commit if origin is not None else "",
            file=first,
            count=len(reported) or len(files.paths),
            digest=joined_digest(known) if known and len(known) == len(reported) else "",
            transport=transport,
            given=tuple(_given(options)),
            recipe=recipe_digest(modelfile, patch=patch),
        )

    def with_digests(self, digests: Iterable[Digest]) -> Self:
        """Return it with the digest of the weights, given those of their layers in order."""
        return dataclasses.replace(
            self, digest=self.digest or joined_digest(digest.hex for digest in digests)
        )

    def __str__(self) -> str:
        commit = f" at commit {self.commit}" if self.commit else ""
        more = f" and {self.count - 1} more" if self.count > 1 else ""
        given = f"; given {' '.join(self.given)}" if self.given else ""
        return (
            f"gguf2ollama: made by {self.transport} from {_quote(self.source)}{commit};"
            f" weights {_quote(self.file)}{more} sha256:{self.digest}{given}; recipe sha256:{self.recipe}"
        )

    @classmethod
    def find(cls, licenses: str) -> Self | None:
        """Return the last record among the licences of a model; ``None`` for none."""
        for line in reversed(licenses.splitlines()):
            if (match := _LINE.fullmatch(line)) is not None:
                return cls(
                    source=urllib.parse.unquote(match["source"], errors="surrogateescape"),
                    commit=match["commit"] or "",
                    file=urllib.parse.unquote(match["file"], errors="surrogateescape"),
                    count=1 + int(match["more"] or 0),
                    digest=match["digest"],
                    transport=cast("TransportName", match["transport"]),
                    given=tuple((match["given"] or "").split()),
                    recipe=match["recipe"],
                )
        return None


def weights_digest(record: BuildRecord, digests: Iterable[Digest]) -> str:
    """Return what identifies the weights of a planned model, as 64 hexadecimal digits.

    It is the sha256 of the file; of several files, that of the lines of their sha256. Of a repository these
    are what its site reports; of files on this machine, those of the layers that are made of them.

    Args:
        record: The record of the plan.
        digests: The digests of its layers, in order; used if no site reports any.
    """
    return record.with_digests(digests).digest


def recipe_digest(modelfile: Modelfile, *, patch: HeaderPatch) -> str:
    """Return the sha256 of all that a model is but its weights, as 64 hexadecimal digits.

    That is its template, system prompt, parameters, licences, messages, renderer and parser, and the changes
    of its header.
    """
    values: dict[str, Any] = {
        "template": modelfile.template,
        "system": modelfile.system or None,
        "parameters": modelfile.parameters_json(),
        "licenses": list(modelfile.licenses),
        "messages": [[message.role, message.content] for message in modelfile.messages],
        "renderer": modelfile.renderer,
        "parser": modelfile.parser,
        "header": {key: None if value is None else repr(value) for key, value in patch.changes.items()},
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _given(options: ModelOptions) -> Iterator[str]:
    """Yield the names of the options that differ from their defaults."""
    yield from sorted({parameter.name for parameter in options.parameters})
    for field in dataclasses.fields(options):
        if field.name in _NOT_GIVEN:
            continue
        if getattr(options, field.name) != field.default:
            yield field.name


def joined_digest(digests: Iterable[str]) -> str:
    """Return the sha256 of one file as it is; of several, that of the lines of them."""
    listed = list(digests)
    if len(listed) == 1:
        return listed[0]
    return hashlib.sha256("".join(f"{digest}\n" for digest in listed).encode()).hexdigest()


def _quote(text: str) -> str:
    return urllib.parse.quote(text, safe=_SAFE, errors="surrogateescape")
