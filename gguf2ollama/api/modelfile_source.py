"""A Modelfile as a source: what FROM names is the model, and the other instructions are its options."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gguf2ollama.errors import InvalidModelfile, NotFound, UsageProblem
from gguf2ollama.events import ignore
from gguf2ollama.fs.errors import open_file
from gguf2ollama.fs.homes import expand_home
from gguf2ollama.ggufio.reader import MAGIC
from gguf2ollama.names import ModelName, OllamaSource

if TYPE_CHECKING:
    from gguf2ollama.modelfiles import Modelfile, Parameter

__all__ = ["expand_modelfile", "find_named_files"]

_CAP_BYTES = 4 << 20
_HUB = ("hf.co/", "huggingface.co/", "https://", "http://")
_UNSUPPORTED = ("RENDERER", "PARSER", "REQUIRES")
# the keyword of each instruction, and the option of it
_OPTIONS = {
    "system": ("SYSTEM", "--system"),
    "template": ("TEMPLATE", "--template"),
    "licenses": ("LICENSE", "--license"),
    "messages": ("MESSAGE", "--message"),
    "projectors": ("the projector in FROM", "--mmproj"),
    "draft": ("DRAFT", "--draft"),
}


def expand_modelfile(
    source: str | os.PathLike[str], keywords: Mapping[str, Any], *, notify: Callable[[str], None] = ignore
) -> tuple[str | os.PathLike[str], Mapping[str, Any]]:
    """Return the source and the keywords of a verb; of a Modelfile, what it names and sets.

    Keywords that are given precede the Modelfile; of the stop strings, those of one of them are used.

    Args:
        source: What the user names.
        keywords: As :class:`gguf2ollama.ModelKeywords` describes them.
        notify: Called with a line for each instruction that a keyword replaces.

    Raises:
        InvalidModelfile: It is a Modelfile that cannot be parsed, or has a value that Ollama refuses.
        NotFound: FROM names a file that does not exist.
        UsageProblem: FROM names another Modelfile, or several models, or the Modelfile has an instruction
            that is not supported.
    """
    content = _read(source)
    if content is None:
        return source, keywords
    from gguf2ollama.modelfiles import parse_modelfile  # noqa: PLC0415 - seldom

    path = expand_home(source)
    try:
        modelfile = parse_modelfile(content)
    except InvalidModelfile as error:
        if "modelfile" not in path.name.lower():
            return source, keywords  # a file that is not a GGUF: whoever reads it says so
        raise InvalidModelfile(f"{source}: {error.message}", hint=error.hint) from None
    _require_supported(modelfile, source=source, folder=path.parent)
    modelfile.parameters_json()  # it raises for values that Ollama refuses
    model, projectors = _model(modelfile.sources, source=source, folder=path.parent)
    ours: dict[str, Any] = {
        "system": modelfile.system or None,
        "template": modelfile.template or None,
        "licenses": modelfile.licenses,
        "messages": modelfile.messages,
        "projectors": projectors,
        "draft": _draft(modelfile.drafts, source=source, folder=path.parent),
    }
    found = {name: value for name, value in ours.items() if value}
    replaced = [name for name in found if _is_given(keywords.get(name))]
    if "template" in found and _is_given(keywords.get("chat_template")):
        del found["template"]
        notify(f"--chat-template replaces TEMPLATE of {source}")
    for name in replaced:
        instruction, option = _OPTIONS[name]
        notify(f"{option} replaces {instruction} of {source}")
    parameters = _parameters(modelfile, keywords, source=source, notify=notify)
    unset = {name: value for name, value in found.items() if name not in replaced}
    return model, {**keywords, **unset, "parameters": parameters}


def _require_supported(modelfile: Modelfile, *, source: str | os.PathLike[str], folder: Path) -> None:
    for instruction in modelfile.instructions:
        if instruction.keyword == "ADAPTER":
            raise _adapter_problem(
                f"{source}, line {instruction.line}: ADAPTER", find_named_files(instruction.value, folder)
            )
        if instruction.keyword in _UNSUPPORTED:
            raise UsageProblem(
                f"{source}, line {instruction.line}: {instruction.keyword} is not supported",
                hint="remove it, or use `ollama create`",
            )


def _adapter_problem(where: str, files: Sequence[Path]) -> UsageProblem:
    from gguf2ollama.ggufio import open_gguf  # noqa: PLC0415 - seldom
    from gguf2ollama.sources.adapters import adapter_refusal  # noqa: PLC0415 - seldom

    for file in files:
        if file.is_file() and _is_gguf(file):
            found = adapter_refusal(file, open_gguf(file).metadata)
            return UsageProblem(f"{where}: {found.message}", hint=found.hint)
    return UsageProblem(
        f"{where} is not supported: Ollama has not supported adapters since 0.34.1",
        hint="convert it with llama.cpp's convert_lora_to_gguf.py, and merge it with llama-export-lora",
    )


def _parameters(
    modelfile: Modelfile,
    keywords: Mapping[str, Any],
    *,
    source: str | os.PathLike[str],
    notify: Callable[[str], None],
) -> tuple[Parameter, ...]:
    """Return the PARAMETER values of the Modelfile that the caller does not replace, then the caller's."""
    from gguf2ollama.modelfiles import PARAMETERS, ParameterStatus  # noqa: PLC0415 - seldom

    given = tuple(keywords.get("parameters") or ())
    options = {parameter.name: f"--param {parameter.name}" for parameter in given}
    if keywords.get("context") not in {None, "auto"}:
        options.setdefault("num_ctx", "--ctx")
    known = [
        parameter
        for parameter in modelfile.parameters
        if PARAMETERS[parameter.name].status is ParameterStatus.KNOWN
    ]
    for name in dict.fromkeys(parameter.name for parameter in known if parameter.name in options):
        notify(f"{options[name]} replaces PARAMETER {name} of {source}")
    return (*(parameter for parameter in known if parameter.name not in options), *given)


def _is_given(value: object) -> bool:
    return value is not None and value != ()


def _read(source: str | os.PathLike[str]) -> bytes | None:
    """Return the content of what may be a Modelfile: a file on this machine that is not a GGUF."""
    try:
        path = expand_home(source)
        if path.suffix == ".gguf" or not path.is_file():
            return None
    except (OSError, ValueError):  # not a path at all
        return None
    with open_file(path) as stream:
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
            if len(names) > 1:
                raise UsageProblem(
                    f"FROM in {source} names the model {name} of the server and other files",
                    hint="name the model alone",
                )
            return str(OllamaSource(name=ModelName.parse(name))), ()
        found += files
    for file in found:
        if file.is_file() and not _is_gguf(file):
            raise _not_a_model(file, source=source)
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
        path = folder / expand_home(name)
        found = sorted(glob.glob(str(path))) or [str(path)]  # noqa: PTH207 - of any path
        return tuple(Path(file) for file in found if os.path.exists(file))  # noqa: PTH110 - as above
    except (OSError, ValueError, RuntimeError):  # too long a name, or no such user
        return ()


def _draft(names: Sequence[str], *, source: str | os.PathLike[str], folder: Path) -> Path | None:
    if not names:
        return None
    found = [file for name in names for file in find_named_files(name, folder)]
    if not found:
        raise NotFound(f"DRAFT {names[0]} in {source}: no such file", hint="correct DRAFT in the Modelfile")
    if len(found) > 1:
        raise UsageProblem(
            f"DRAFT in {source} names {len(found)} files",
            hint="name one; merge shards with `gguf2ollama merge`",
        )
    return found[0]


def _not_a_model(file: Path, *, source: str | os.PathLike[str]) -> UsageProblem:
    from gguf2ollama.modelfiles import parse_modelfile  # noqa: PLC0415 - seldom

    try:
        with open_file(file) as stream:
            inner = parse_modelfile(stream.read(_CAP_BYTES))
    except InvalidModelfile:
        return UsageProblem(
            f"FROM in {source} names {file}, which is not a GGUF",
            hint="name a GGUF, a folder or hf.co/owner/repo",
        )
    return UsageProblem(
        f"FROM in {source} names {file}, which is a Modelfile itself",
        hint=f"name what that is made from: FROM {inner.sources[0]}",
    )


def _is_gguf(path: Path) -> bool:
    with open_file(path) as stream:
        return stream.read(len(MAGIC)) == MAGIC
