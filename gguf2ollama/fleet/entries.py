"""What a file of models says, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import UsageProblem
from gguf2ollama.fleet.nodes import Place
from gguf2ollama.fs.homes import expand_home
from gguf2ollama.names import ModelName, ServerAddress
from gguf2ollama.planning.target import Via

__all__ = [
    "CONTEXT_KEYS",
    "DEFAULT_FILE",
    "HOST_KEYS",
    "MODEL_KEYS",
    "POLICIES",
    "TEXT_KEYS",
    "TOP_KEYS",
    "Fleet",
    "HostEntry",
    "ModelEntry",
    "Secret",
    "State",
    "TextFile",
    "Update",
]

DEFAULT_FILE = "ollama.models.yaml"
State: TypeAlias = Literal["present", "absent"]
Update: TypeAlias = Literal["when-changed", "never", "always"]
POLICIES: Mapping[str, Update] = {
    **{policy: policy for policy in get_args(Update)},
    # of Spring AI (spring.ai.ollama.init.pull-model-strategy) and of Compose (pull_policy)
    **dict.fromkeys(("when_missing", "missing", "if_not_present"), "never"),
}
TOP_KEYS = ("models", "hosts", "prune", "environment")
CONTEXT_KEYS = ("context", "num_ctx", "context_size")
TEXT_KEYS = ("system", "template", "chat_template")  # a text, or {file: PATH}
MODEL_KEYS = (
    *("source", "quant", "file", "revision", "pull", "modelfile"),
    *CONTEXT_KEYS,
    *(
        "parameters",
        *TEXT_KEYS,
        "license",
        "messages",
        "mmproj",
        "draft",
        "pooling",
        "fim",
        "exact",
        "verify",
    ),
    *("hosts", "state", "update"),
)
HOST_KEYS = ("url", "token", "user", "password", "ca", "via")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """Where a credential is: in a variable of the environment, or in a file; never in a file of models."""

    env: str = ""
    file: str = ""
    place: Place

    def read(self, environ: Mapping[str, str], *, folder: Path) -> str:
        """Return the credential; no message shows it.

        Raises:
            UsageProblem: There is none, or it holds what no header can carry.
        """
        if self.env:
            where, value = f"the variable {self.env}", environ.get(self.env, "")
        else:
            where = self.file
            try:
                value = (folder / expand_home(self.file)).read_text("utf-8")[: 64 << 10]
            except (OSError, UnicodeError) as error:
                raise UsageProblem(
                    f"{self.place}: cannot read {self.file}: {getattr(error, 'strerror', None) or error}",
                    hint="name a file that holds nothing but the credential",
                ) from None
        value = value.strip()
        if not value:
            raise UsageProblem(f"{self.place}: {where} is not set", hint=f"set it, e.g. export {self.env}=…")
        if not value.isprintable():
            raise UsageProblem(f"{self.place}: {where} contains invalid characters", hint="copy it again")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A text that is in a file of its own; the path is relative to the folder of the file of models."""

    path: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEntry:
    """An Ollama server.

    Attributes:
        name: Its name in the file.
        address: Its address.
        token: A bearer token; ``None`` for none.
        user, password: Basic authentication, in place of a token.
        ca: A file of certificates (PEM) to trust.
        via: How files reach it.
        place: Where it is in the file; ``None`` if it is not from a file.
    """

    name: str
    address: ServerAddress
    token: Secret | None = None
    user: str | None = None
    password: Secret | None = None
    ca: str | None = None
    via: Via = "auto"
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model that hosts should have, or not.

    Attributes:
        name: Its name.
        source: What it is built from: a source or a Modelfile; empty if it is pulled or absent.
        pull: The name under which the server pulls it from a registry; ``None`` if it is built.
        keywords: What ``build`` is called with, as :class:`gguf2ollama.BuildKeywords`.
        texts: Keywords whose texts are in files.
        hosts: The names of its hosts; empty for all.
        state, update: Whether it should be there, and when it is made again.
        place: Where it is in the file.
    """

    name: ModelName
    source: str = ""
    pull: ModelName | None = None
    keywords: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, TextFile] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    state: State = "present"
    update: Update = "when-changed"
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What a file of models says.

    Attributes:
        file: Its name, as the user gave it.
        folder: Where relative paths in it begin.
        text: Its text.
        models, hosts: Its models and hosts; no hosts stand for the one that ``OLLAMA_HOST`` names.
        prune: Whether models that are not in the file are deleted.
    """

    file: str
    folder: Path
    text: str
    models: tuple[ModelEntry, ...]
    hosts: tuple[HostEntry, ...]
    prune: bool = False

    def models_of(self, host: HostEntry) -> tuple[ModelEntry, ...]:
        """Return the models that are for a host."""
        return tuple(model for model in self.models if not model.hosts or host.name in model.hosts)
