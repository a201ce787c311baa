"""Tell what matters of an Ollama from its version."""

from __future__ import annotations

from gguf2ollama.errors import UsageProblem
from gguf2ollama.ollama.versions import ServerFeatures, ServerVersion
from gguf2ollama.wishes import Target

__all__ = ["NEWEST_TESTED", "parse_version", "require_uploads", "target_of"]

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
        raise UsageProblem(f"{text!r} is no version of Ollama", hint="one reads 0.34.4") from error


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


def target_of(version: ServerVersion, *, displaces: bool = False, takes_patches: bool = True) -> Target:
    """Tell what an Ollama does with a GGUF that is built for it.

    Args:
        version: Its version.
        displaces: Whether the model may be made by ``create``, which looks for a template of its own.
        takes_patches: Whether the header of the GGUF may be changed on the way.
    """
    has_native = ServerFeatures.of(version).native_templates
    return Target(
        version=version.rules,
        native_templates=has_native,
        displaces=displaces and has_native,
        takes_patches=takes_patches,
    )
