"""Write the Modelfile for a GGUF."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from gguf2ollama.api.inspect import inspect_for
from gguf2ollama.api.modelfile_source import expand_modelfile
from gguf2ollama.modelfiles import render_modelfile
from gguf2ollama.planning.inspection import Inspection
from gguf2ollama.planning.options import ModelOptions, read_keywords
from gguf2ollama.planning.target import Target, parse_version, target_of

if TYPE_CHECKING:
    from typing import Unpack

    from gguf2ollama.planning.options import ModelKeywords

__all__ = ["modelfile"]


def modelfile(
    source: str | os.PathLike[str], *, for_ollama: str | None = None, **keywords: Unpack[ModelKeywords]
) -> str:
    """Write the Modelfile for a GGUF, each value with its source.

    Args:
        source: As for :func:`gguf2ollama.inspect`.
        for_ollama: The version of Ollama that ``ollama create`` will be run with; when not given, the
            Modelfile is for any.
        keywords: Which model, and what it is to be: see :class:`gguf2ollama.ModelKeywords`.

    Raises:
        InvalidModelfile: A value holds what a Modelfile cannot carry.
        TypeError: There is no such keyword.
        UsageProblem: ``for_ollama`` is not a version.
        Gguf2OllamaError: As :func:`gguf2ollama.inspect` does.
    """
    source, expanded = expand_modelfile(source, keywords)
    selection, options = read_keywords("modelfile", ModelOptions, expanded)
    target = Target()
    if for_ollama is not None:
        target = target_of(parse_version(for_ollama), create_replaces_template=True, header_is_editable=False)
    inspection = inspect_for(source, selection=selection, options=options, target=target)
    return render_modelfile(inspection.recipe.modelfile, comments=_comments(inspection))


def _comments(inspection: Inspection) -> dict[str, str]:
    recipe = inspection.recipe
    comments = {name: parameter.source for name, parameter in recipe.parameters.items() if name != "stop"}
    comments |= {f"stop={stop}": origin for stop, origin in recipe.stop_sources.items()}
    comments |= {"SYSTEM": recipe.system.source, "TEMPLATE": recipe.template.source}
    comments |= {"PARSER": recipe.parser.source, "REQUIRES": "the oldest Ollama with the parser below"}
    if recipe.companion is not None:
        comments |= {
            "TEMPLATE": f"{recipe.companion_source}. Chats are rendered with {recipe.template.source}",
            "REQUIRES": "an older Ollama would render chats with the TEMPLATE below",
        }
    notes = [f"NOTE: {warning}" for warning in inspection.warnings]
    if (selection := inspection.selection) is not None:
        parity = selection.choice.chosen.parity
        notes.insert(0, f"Predicted prompt match on Ollama {selection.version}: {parity}.")
    if (origin := inspection.files.origin) is not None and not inspection.files.are_local:
        notes.append(
            f"NOTE: `gguf2ollama download {origin.source} --local-dir .` puts the files where FROM is."
        )
    if (pieces := inspection.files.pieces) is not None:
        first = shlex.quote(str(pieces.paths[0]))
        notes.append(
            f"NOTE: `gguf2ollama merge {first} -o {shlex.quote(pieces.whole)}` makes the file of FROM."
        )
    if inspection.model.is_split:
        notes.append("NOTE: Ollama supports shards from 0.30 on; merge them for an older one.")
    if inspection.patch:
        notes.append(
            "NOTE: this is for a file with the changed chat template: write it with"
            " `gguf2ollama patch-template`, and put it into FROM."
        )
    return comments | {"": "\n".join(["Made by gguf2ollama.", *notes])}
