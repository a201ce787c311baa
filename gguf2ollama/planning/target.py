"""Return what matters of an Ollama from its version."""

from __future__ import annotations

from typing import Literal, TypeAlias

from gguf2ollama.errors import UsageProblem
from gguf2ollama.ollama.versions import ServerFeatures, ServerVersion
from gguf2ollama.planning.options import Target

__all__ = ["NEWEST_TESTED", "Rendering", "parse_version", "require_uploads", "target_of"]

NEWEST_TESTED = "0.34.4"
"""The newest Ollama that everything was tried with."""


def parse_version(text: str) -> ServerVersion:
    """Parse the version that a user names.

    Raises:
        UsageProblem: It is none.
    """
    try:
        return ServerVersion.parse(text)
    except ValueError as error:
        raise UsageProblem(f"invalid Ollama version {text!r}", hint="use a version such as 0.34.4") from error


def require_uploads(version: ServerVersion) -> None:
    """Check that models can be made over the interface of an Ollama.

    Raises:
        UsageProblem: It is too old for that.
    """
    if not ServerFeatures.of(version).takes_files:
        raise UsageProblem(
            f"Ollama {version} is too old: models are made over its interface from 0.5.5 on",
            hint="update Ollama, or build on its own machine, where it can pull the model or have it linked",
        )


Rendering: TypeAlias = Literal["by capabilities", "TEMPLATE", "chat template"]
"""What a server renders a chat with where a model has both a chat template and a TEMPLATE.

The one that shows more, or always the same: so it is where ``OLLAMA_GO_TEMPLATE`` is 1 or 0 in the server's
environment (``shouldPreferChatTemplate`` in ``server/images.go`` of 0.34.4 and 0.32.15).
"""


def target_of(
    version: ServerVersion,
    *,
    create_replaces_template: bool = False,
    header_is_editable: bool = True,
    rendering: Rendering = "by capabilities",
) -> Target:
    """Return what an Ollama does with a GGUF that is built for it.

    Args:
        version: Its version.
        create_replaces_template: Whether ``create`` makes the model, which looks for a template of its own.
        header_is_editable: Whether the header of the GGUF may be changed on the way.
        rendering: What the server is set up to render with.
    """
    has_native = ServerFeatures.of(version).native_templates
    if (
        rendering == "TEMPLATE" and create_replaces_template
    ):  # as `create` adds one where it can, only ours is sure
        has_native = False
    return Target(
        version=version.rules,
        native_templates=has_native,
        create_replaces_template=create_replaces_template and has_native and rendering == "by capabilities",
        header_is_editable=header_is_editable,
        takes_templates=not has_native or rendering != "chat template",
        has_companions=has_native and rendering == "by capabilities",
    )
