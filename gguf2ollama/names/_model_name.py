"""Names of models as Ollama reads them: ``[host[:port]/][namespace/]model[:tag]``."""

from __future__ import annotations

import dataclasses
import re

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import UsageProblem
from gguf2ollama.names._shown import shown

__all__ = ["TEMPORARY_NAMESPACE", "ModelName"]

TEMPORARY_NAMESPACE = "gguf2ollama-temporary"
"""The namespace of models being built, which users do not use."""

_DEFAULT_HOST = "registry.ollama.ai"
_DEFAULT_NAMESPACE = "library"
_DEFAULT_TAG = "latest"
_SCHEMES = ("http", "https")
_LONGEST_PART = 80
_EXAMPLE = "use a name such as mymodel, mymodel:q4 or me/mymodel:latest"
_DRIVE = lazy_pattern(r"[A-Za-z]:")
_TOKEN = lazy_pattern(r"[0-9][0-9-]{0,15}")


@dataclass(frozen=True)
class _Part:
    """What Ollama allows in one part of a name."""

    pattern: re.Pattern[str]
    longest: int
    allowed: str


_PARTS = {
    "host": _Part(lazy_pattern(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*"), 350, "letters, digits and _ . - :"),
    "namespace": _Part(lazy_pattern(r"[A-Za-z0-9_][A-Za-z0-9_-]*"), _LONGEST_PART, "letters, digits and _ -"),
    "model": _Part(lazy_pattern(r"[A-Za-z0-9_][A-Za-z0-9_.-]*"), _LONGEST_PART, "letters, digits and _ . -"),
    "tag": _Part(lazy_pattern(r"[A-Za-z0-9_][A-Za-z0-9_.-]*"), _LONGEST_PART, "letters, digits and _ . -"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """A model's full name; every part is present and valid.

    Letters keep their case, but a server considers names that differ only in case the same: see ``is_same``.
    The rules are those of Ollama's ``types/model/name.go``, with one exception: a host of one letter and a
    colon is rejected, since Windows would read it as a drive in the manifest's path.

    Raises:
        UsageProblem: A part is empty, too long, or contains a character that Ollama rejects.
    """

    host: str = _DEFAULT_HOST
    namespace: str = _DEFAULT_NAMESPACE
    model: str
    tag: str = _DEFAULT_TAG
    protocol_scheme: str = "https"

    def __post_init__(self) -> None:
        for name in _PARTS:
            _check(name, getattr(self, name))
        if self.protocol_scheme not in _SCHEMES:
            raise UsageProblem(
                f"unsupported registry scheme {shown(self.protocol_scheme)}", hint="use http:// or https://"
            )

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """Parse a name as a user writes it; omitted parts have Ollama's defaults.

        ``http://`` or ``https://`` may precede the host, as for ``pull``.

        Raises:
            UsageProblem: The text is not a valid name; the message says which part is wrong.
        """
        given: dict[str, str] = {}
        rest = text.strip()
        if rest.rfind(":") > rest.rfind("/"):
            rest, _, given["tag"] = rest.rpartition(":")
        rest, slash, given["model"] = rest.rpartition("/")
        if slash:
            rest, slash, given["namespace"] = rest.rpartition("/")
        if slash:
            scheme, separator, host = rest.partition("://")
            if separator:
                given["protocol_scheme"] = scheme.lower()
            given["host"] = host if separator else rest
        return cls(**given)

    @property
    def full(self) -> str:
        """All four parts: ``registry.ollama.ai/library/model:tag``."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def short(self) -> str:
        """The name as ``ollama list`` shows it: without default host and namespace, always with the tag."""
        if self.host.lower() != _DEFAULT_HOST:
            return self.full
        if self.namespace.lower() != _DEFAULT_NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"

    @property
    def manifest_parts(self) -> tuple[str, str, str, str]:
        """The path segments below ``manifests/``: host, namespace, model, tag."""
        return (self.host, self.namespace, self.model, self.tag)

    @property
    def has_reserved_tag(self) -> bool:
        """Whether servers since 0.34 interpret the tag as where to run the model (``internal/modelref``).

        Such a model can be created, but requests with this name go elsewhere.
        """
        tag = self.tag.lower()
        return tag in {"cloud", "local"} or tag.endswith("-cloud")

    def is_same(self, other: ModelName) -> bool:
        """Whether a server considers both names the same: they may differ in case."""
        return self.full.lower() == other.full.lower()

    def with_tag(self, tag: str) -> ModelName:
        """Return the same model under another tag.

        Raises:
            UsageProblem: The tag is invalid.
        """
        return dataclasses.replace(self, tag=tag)

    def temporary(self, token: str) -> ModelName:
        """Return a name in ``TEMPORARY_NAMESPACE`` under which this model can be built and then copied.

        It contains model part and tag, since some prompts depend on them: ``deepseek-r1`` is handled
        specially (``filterThinkTags`` in ``server/routes.go`` of 0.34.4), and Gemma 4 by a size such as
        ``e2b`` in the model part or the tag (``gemma4RendererFromName`` in
        ``server/renderer_resolution.go``).

        Args:
            token: A prefix of the tag that makes the name unique: at most 16 digits and ``-``. Letters
                could be read as a size.

        Raises:
            UsageProblem: The token contains anything else.
        """
        if not _TOKEN.fullmatch(token):
            raise UsageProblem(f"invalid prefix {shown(token)} for a tag")
        return ModelName(
            namespace=TEMPORARY_NAMESPACE,
            model=self.model,
            tag=f"{token}-{self.tag[: _LONGEST_PART - len(token) - len('--old')]}",
        )

    def __str__(self) -> str:
        """Return text that ``parse`` reads back to an equal name."""
        if self.protocol_scheme != "https":
            return f"{self.protocol_scheme}://{self.full}"
        return self.short if ModelName.parse(self.short) == self else self.full


def _check(name: str, value: str) -> None:
    part = _PARTS[name]
    if not value:
        raise UsageProblem(f"invalid model name: the {name} is missing", hint=_EXAMPLE)
    if len(value) > part.longest:
        raise UsageProblem(
            f"the {name} {shown(value)} in the model name is longer than {part.longest} characters",
            hint=_EXAMPLE,
        )
    if not part.pattern.fullmatch(value):
        raise UsageProblem(
            f"invalid {name} {shown(value)} in a model name",
            hint=f"start with a letter, a digit or _ and use {part.allowed}; {_EXAMPLE}",
        )
    if name == "host" and _DRIVE.match(value):
        raise UsageProblem(f"the host {shown(value)} in the model name looks like a drive", hint=_EXAMPLE)
