"""The Ollama that a model is built for: what it supports, and how files get there."""

from __future__ import annotations

from typing import Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import UsageProblem
from gguf2ollama.ollama.versions import ServerFeatures, ServerVersion, llama_cpp_build

__all__ = [
    "NEWEST_TESTED",
    "Destination",
    "Rendering",
    "Target",
    "TransportName",
    "Via",
    "parse_version",
    "require_uploads",
    "target_of",
]

NEWEST_TESTED = "0.34.4"
"""The newest Ollama that everything was tested with."""


TransportName: TypeAlias = Literal["link", "pull", "upload", "store"]
"""How a model gets to Ollama: linked into a server's model directory, pulled from us, uploaded, or written
to a model directory without a server."""

Via: TypeAlias = Literal["auto", "link", "pull", "upload"]
"""The transport that the user requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the Ollama that will run a model does with it.

    Attributes:
        version: Its version; ``None`` for any.
        native_templates: Whether it can render the chat template in a GGUF.
        create_replaces_template: Whether it may use a template of its own instead, as ``create`` does.
        header_is_editable: Whether the header of the GGUF may be changed.
        patch_copies: Whether a changed header makes its store copy the weights, which it would share with the
            file otherwise.
        takes_templates: Whether a TEMPLATE can render chats.
        has_companions: Whether a model may have a TEMPLATE over which its chat template takes precedence.
        model_name: The model part of the model's name; ``""`` where it is not known.
        llama_cpp_build: The build of llama.cpp that it runs models with; ``None`` where it is not known.
    """

    version: str | None = None
    native_templates: bool = True
    create_replaces_template: bool = True
    header_is_editable: bool = False
    patch_copies: bool = True
    takes_templates: bool = True
    has_companions: bool = False
    model_name: str = ""
    llama_cpp_build: int | None = None

    @property
    def runs_drafts(self) -> bool:
        """Whether it runs a draft beside a model."""
        return self.version is None or ServerFeatures.of(parse_version(self.version)).runs_drafts

    @property
    def runs_llama_server(self) -> bool:
        """Whether llama-server runs the models, as since 0.30; it does not print control tokens."""
        return self.version is None or ServerFeatures.of(parse_version(self.version)).native_templates


def parse_version(text: str) -> ServerVersion:
    """Parse a version that the user gave.

    Raises:
        UsageProblem: It is invalid.
    """
    try:
        return ServerVersion.parse(text)
    except ValueError as error:
        raise UsageProblem(f"invalid Ollama version {text!r}", hint="use a version such as 0.34.4") from error


def require_uploads(version: ServerVersion) -> None:
    """Check that an Ollama supports uploads.

    Raises:
        UsageProblem: It is too old.
    """
    if not ServerFeatures.of(version).takes_files:
        raise UsageProblem(
            f"Ollama {version} is too old for uploads, which need 0.5.5 or later",
            hint="update Ollama, or build on its own machine with --via link or --via pull",
        )


Rendering: TypeAlias = Literal["by capabilities", "TEMPLATE", "chat template"]
"""What a server renders chats with if a model has both a chat template and a TEMPLATE.

The one with more capabilities, or always the same one: where ``OLLAMA_GO_TEMPLATE`` is 1 or 0 in the server's
environment (``shouldPreferChatTemplate`` in ``server/images.go`` of 0.34.4 and 0.32.15).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a model is built, and by which transport.

    Attributes:
        location: The server's address, or the model directory.
        version: The version of Ollama that will run it.
        transport: How it gets there.
        reason: Why that transport was chosen.
        runs_locally: Whether this machine will run it.
        rendering: What the server is known to render with.
        patch_copies: Whether a changed header makes its store copy the weights, as a link does where the file
            system cannot share bytes.
    """

    location: str
    version: ServerVersion
    transport: TransportName
    reason: str = ""
    runs_locally: bool = True
    rendering: Rendering = "by capabilities"
    patch_copies: bool = True

    @property
    def by_upload(self) -> bool:
        """Whether ``create`` makes the model there, which looks for a template of its own."""
        return self.transport == "upload"

    @property
    def features(self) -> ServerFeatures:
        """What that Ollama supports."""
        return ServerFeatures.of(self.version)

    def target(self, *, model_name: str, header_is_editable: bool) -> Target:
        """Return what that Ollama does with a GGUF.

        Args:
            model_name: The model part of the model's name.
            header_is_editable: Whether the header of the GGUF may be changed.
        """
        # an upload ends with `create`, which may use a template of its own
        return target_of(
            self.version,
            create_replaces_template=self.by_upload,
            header_is_editable=header_is_editable,
            patch_copies=self.patch_copies,
            rendering=self.rendering,
            model_name=model_name,
        )


def target_of(
    version: ServerVersion,
    *,
    create_replaces_template: bool = False,
    header_is_editable: bool = True,
    patch_copies: bool = True,
    rendering: Rendering = "by capabilities",
    model_name: str = "",
) -> Target:
    """Return what an Ollama does with a GGUF.

    Args:
        version: Its version.
        create_replaces_template: Whether ``create`` makes the model, which may use its own template.
        header_is_editable: Whether the header of the GGUF may be changed.
        patch_copies: Whether a changed header makes the store copy the weights.
        rendering: What the server is configured to render with.
        model_name: The model part of the model's name; ``""`` where it is not known.
    """
    has_native = ServerFeatures.of(version).native_templates
    if rendering == "TEMPLATE" and create_replaces_template:
        has_native = False  # `create` may add a TEMPLATE, which would be rendered: only ours is certain
    return Target(
        version=version.rules,
        native_templates=has_native,
        create_replaces_template=create_replaces_template and has_native and rendering == "by capabilities",
        header_is_editable=header_is_editable,
        patch_copies=patch_copies,
        takes_templates=not has_native or rendering != "chat template",
        has_companions=has_native and rendering == "by capabilities",
        model_name=model_name,
        llama_cpp_build=llama_cpp_build(version),
    )
