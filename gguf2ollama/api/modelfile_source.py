"""A Modelfile as a source: what FROM names is the model, and the other instructions are its options."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gguf2ollama.errors import InvalidModelfile, NotFound, UsageProblem
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.ggufio.reader import MAGIC

__all__ = ["expand_modelfile", "find_named_files"]

_CAP_BYTES = 4 << 20
_HUB = ("hf.co/", "huggingface.co/", "https://", "http://")
_UNSUPPORTED = ("ADAPTER", "DRAFT", "RENDERER", "PARSER", "REQUIRES")


def expand_modelfile(
    source: str | os.PathLike[str], keywords: Mapping[str, Any]
) -> tuple[str | os.PathLike[str], Mapping[str, Any]]:
    """Return the source and the keywords of a verb; of a Modelfile, what it names and sets.

    Keywords that are given precede the Modelfile; of the stop strings, those of one of them are used.

    Args:
        source: What the user names.
        keywords: As :class:`gguf2ollama.ModelKeywords` describes them.

    Raises:
        InvalidModelfile: It is a Modelfile that cannot be parsed, or has a value that Ollama refuses.
        NotFound: FROM names a file that does not exist.
        UsageProblem: FROM names a model of the server, or the Modelfile has an instruction that only
            ``ollama create`` supports.
    """
    content = _read(source)
    if content is None:
        return source, keywords
    from gguf2ollama.modelfiles import PARAMETERS, ParameterStatus, parse_modelfile  # noqa: PLC0415 - seldom

    path = Path(source).expanduser()
    try:
        modelfile = parse_modelfile(content)
    except InvalidModelfile as error:
        if "modelfile" not in path.name.lower():
            return source, keywords  # a file that is not a GGUF: whoever reads it says so
        raise InvalidModelfile(f"{source}: {error.message}", hint=error.hint) from None
    for instruction in modelfile.instructions:
        if instruction.keyword in _UNSUPPORTED:
            raise UsageProblem(
                f"{source}, line {instruction.line}: {instruction.keyword} is not supported",
                hint="remove it, or use `ollama create`",
            )
    modelfile.parameters_json()  # it raises for values that Ollama refuses
    model, projectors = _model(modelfile.sources, source=source, folder=path.parent)
    given = tuple(keywords.get("parameters") or ())
    has_stops = any(parameter.name == "stop" for parameter in given)
    parameters = [
        parameter
        for parameter in modelfile.parameters
        if PARAMETERS[parameter.name].status is ParameterStatus.KNOWN
        and not (has_stops and parameter.name == "stop")
    ]
    ours: dict[str, Any] = {
        "system": modelfile.system or None,
        "template": modelfile.template or None,
        "licenses": modelfile.licenses,
        "messages": modelfile.messages,
        "projectors": projectors,
    }
    unset = {name: value for name, value in ours.items() if value and not _is_given(keywords.get(name))}
    return model, {**keywords, **unset, "parameters": (*parameters, *given)}


def _is_given(value: object) -> bool:
    return value is not None and value != ()


def _read(source: str | os.PathLike[str]) -> bytes | None:
    """Return the content of what may be a Modelfile: a file on this machine that is not a GGUF."""
    try:
        path = Path(source).expanduser()
        if path.suffix == ".gguf" or not path.is_file():
            return None
    except (OSError, ValueError, RuntimeError):  # not a path at all
        return None
    with disk_errors(path), path.open("rb") as stream:
        head = stream.read(len(MAGIC))
        return None if head == MAGIC else head + stream.read(_CAP_BYTES)


def _model(
    names: Sequence[str], *, source: str | os.PathLike[str], folder: Path
) -> tuple[str | Path, tuple[Path, ...]]:
    """Return the model that the FROM instructions name, and its projectors."""
    if len(names) == 1 and names[0].startswith(_HUB):
        return names[0], ()
    found: list[Path] = []
    for name in names:
        files = find_named_files(name, folder)
        if not files:
            if name.startswith((".", "/", "~")) or name.endswith(".gguf"):
                raise NotFound(f"FROM {name} in {source}: no such file", hint="correct FROM in the Modelfile")
            raise UsageProblem(
                f"FROM {name} in {source} names a model of the server, and not a GGUF",
                hint=f"use `ollama create NAME -f {source}`, or name a file, a folder or hf.co/owner/repo",
            )
        found += files
    if len(found) == 1:
        return found[0], ()
    from gguf2ollama.ggufio import Role, open_gguf, role_of  # noqa: PLC0415 - where there are several

    headers = {file: open_gguf(file) for file in found if file.is_file()}
    projectors = tuple(file for file, header in headers.items() if role_of(header) is Role.PROJECTOR)
    models = [file for file in found if file not in projectors]
    shards = [file for file in models if file in headers and headers[file].split is not None]
    if not models or (len(models) > 1 and shards != models):
        raise UsageProblem(
            f"FROM in {source} names {len(models)} models",
            hint="name one model: a file, its shards, or a folder",
        )
    return models[0], projectors


def find_named_files(name: str, folder: Path) -> tuple[Path, ...]:
    """Return the files and folders that a FROM names, as Ollama's client finds them (``parser/parser.go``).

    Args:
        name: A path, relative to the folder of the Modelfile, or a pattern such as ``./model-*.gguf``.
        folder: The folder of the Modelfile.
    """
    import glob  # noqa: PLC0415 - for a Modelfile alone

    try:
        path = folder / Path(name).expanduser()
        found = sorted(glob.glob(str(path))) or [str(path)]  # noqa: PTH207 - of any path
        return tuple(Path(file) for file in found if os.path.exists(file))  # noqa: PTH110 - as above
    except (OSError, ValueError, RuntimeError):  # too long a name, or no such user
        return ()
