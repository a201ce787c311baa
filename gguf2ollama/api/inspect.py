"""Show what a GGUF is and what a build would make; needs no server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.memory.hardware import free_memory_bytes
from gguf2ollama.planning.options import ModelOptions
from gguf2ollama.planning.plan import Inspection, plan_model
from gguf2ollama.planning.target import Target
from gguf2ollama.sources.model import SourceSelection
from gguf2ollama.sources.resolve import resolve

if TYPE_CHECKING:
    from gguf2ollama.modelfiles import Parameter

__all__ = ["inspect", "inspect_for"]


def inspect(
    source: str | os.PathLike[str],
    *,
    quant: str | None = None,
    file: str | None = None,
    revision: str | None = None,
    context: int | str = "auto",
    parameters: Sequence[Parameter] = (),
    system: str | None = None,
    template: str | None = None,
    chat_template: str | None = None,
    licenses: Sequence[str] = (),
    projectors: Sequence[str | os.PathLike[str]] = (),
    verify: bool = True,
) -> Inspection:
    """Read the header of a GGUF, detect its family, select its template, and plan its recipe.

    Args:
        source: A GGUF file, any shard of one, a folder, a repository on Hugging Face (``owner/repo``,
            ``owner/repo:QUANT``, ``hf://owner/repo/path@revision`` or the URL of a page), the same on
            ModelScope (``ms://``), or the URL of a GGUF.
        quant: Of a repository: the quantization, in any case.
        file: Of a repository: a file, any shard of one, or a folder.
        revision: Of a repository: a branch, a tag or a commit.
        context: Tokens of the context, ``"auto"`` or ``"max"``.
        parameters: PARAMETER values; ``stop`` may repeat.
        system: The SYSTEM text; ``""`` for none, ``None`` for the family's own.
        template: The TEMPLATE text.
        chat_template: A Jinja text that replaces the chat template in the header; ``"upstream"`` for the
            current one of the base model.
        licenses: LICENSE texts, instead of those in the GGUF.
        projectors: Files of projectors (mmproj), instead of the one in the folder or repository.
        verify: Whether prompts are compared with the model's chat template to choose what renders its chats,
            which takes up to a second; otherwise the detected family decides.

    Raises:
        InvalidGguf: A file is not a GGUF, or is broken.
        InvalidInput: The chat template in the file is invalid, or rejects every conversation.
        InvalidShards: The shards are not one complete set.
        NotFound: There is no such file, repository or model.
        ServerProblem: The site cannot be reached, or refuses.
        UsageProblem: The source has several models, the file is not a model of its own, or an option is
            invalid.
    """
    return inspect_for(
        source,
        selection=SourceSelection(quant=quant, file=file, revision=revision),
        options=ModelOptions(
            context=context,
            parameters=tuple(parameters),
            system=system,
            template=template,
            chat_template=chat_template,
            licenses=tuple(licenses),
            projectors=tuple(projectors),
            verify=verify,
        ),
    )


def inspect_for(
    source: str | os.PathLike[str],
    *,
    selection: SourceSelection,
    options: ModelOptions,
    target: Target | None = None,
) -> Inspection:
    """Inspect a model for a certain Ollama, or for any; see :func:`inspect`."""
    options.check()
    free_bytes = free_memory_bytes()
    ref = resolve(
        source,
        selection=selection,
        projectors=options.projectors,
        free_bytes=free_bytes,
        digests=DigestCache(),
    )
    return plan_model(ref.files, options=options, target=target, free_bytes=free_bytes)
