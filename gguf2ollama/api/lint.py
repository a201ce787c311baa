"""Check a Modelfile with the files that it names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.api.modelfile_source import find_named_files
from gguf2ollama.errors import Gguf2OllamaError, InvalidGguf, UsageProblem
from gguf2ollama.families import adds_bos, served_token_text, token_text
from gguf2ollama.ggufio import GgufFile, Role, open_gguf, role_of
from gguf2ollama.ggufio.cursor import CUT, DAMAGED
from gguf2ollama.ggufio.reader import MAGIC
from gguf2ollama.modelfiles import (
    Finding,
    Instruction,
    InvalidLine,
    Modelfile,
    Weights,
    decode_modelfile,
    lint,
    parse_modelfile,
)
from gguf2ollama.names import ModelName

__all__ = ["lint_modelfile"]

_FILE_KEYWORDS = ("FROM", "ADAPTER", "DRAFT")
_MODEL_SUFFIXES = (".gguf", ".bin", ".safetensors")
_SYSTEM, _VERSION = "qzsystem", "0.34.4"


def lint_modelfile(data: bytes, *, folder: Path) -> tuple[Finding, ...]:
    """Check a Modelfile for Ollama 0.34.4, with the headers of the GGUFs that it names; no server is used.

    Args:
        data: The Modelfile.
        folder: Its folder, to which the paths in it are relative.

    Returns:
        The findings in the order of their lines. One that cannot be parsed has no other finding.

    Raises:
        InvalidModelfile: It is too long to be one.
    """
    findings: list[Finding] = []
    text = decode_modelfile(data, replaces_invalid=True)
    if "\ufffd" in text and (line := _first_invalid(data)):
        findings.append(
            Finding(
                level="warning",
                code="invalid-encoding",
                message="invalid bytes, which Ollama replaces by U+FFFD",
                line=line,
                hint="save the file as UTF-8",
            )
        )
    try:
        modelfile = parse_modelfile(text, needs_from=False)
    except InvalidLine as error:
        return (
            *findings,
            Finding(
                level="warning" if error.is_ours else "error",
                code="syntax",
                message=error.reason,
                line=error.line,
                hint=error.hint,
            ),
        )
    files = [_Named.find(instruction, folder) for instruction in modelfile.instructions]
    named = [file for file in files if file is not None]
    for file in named:
        findings += file.check(folder)
    findings += _check_sources([file for file in named if file.instruction.keyword == "FROM"])
    findings += lint(modelfile, weights=_weights(modelfile, named))
    findings += _check_context(modelfile, named)
    return tuple(sorted(findings, key=lambda finding: finding.line or 0))


def _first_invalid(data: bytes) -> int | None:
    """Return the line of the first invalid byte; ``None`` if U+FFFD stands in the text itself."""
    try:
        decode_modelfile(data)
    except Gguf2OllamaError:
        valid = decode_modelfile(data, replaces_invalid=True)
        return valid.count("\n", 0, valid.index("\ufffd")) + 1
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """What FROM, ADAPTER or DRAFT names.

    Attributes:
        instruction: The instruction.
        paths: The files; of a folder, those in it. Empty if there is no such file.
        is_folder: Whether it names a folder.
        headers: The headers of the files that are GGUF.
        problem: Why one of them cannot be read, and the hint.
    """

    instruction: Instruction
    paths: tuple[Path, ...] = ()
    is_folder: bool = False
    headers: tuple[GgufFile, ...] = ()
    problem: tuple[str, str | None] | None = None

    @classmethod
    def find(cls, instruction: Instruction, folder: Path) -> _Named | None:
        """Return what an instruction names, as Ollama's client finds it (``parser/parser.go``)."""
        if instruction.keyword not in _FILE_KEYWORDS:
            return None
        existing = find_named_files(instruction.value, folder)
        is_folder = any(path.is_dir() for path in existing)
        files = [file for path in existing for file in (_files_in(path) if path.is_dir() else [path])]
        headers: list[GgufFile] = []
        problem = None
        for file in files:
            if file.suffix == ".safetensors":
                continue
            try:
                headers.append(open_gguf(file))
            except Gguf2OllamaError as error:
                problem = problem or (error.message, error.hint)
        return cls(
            instruction=instruction,
            paths=tuple(files),
            is_folder=is_folder,
            headers=tuple(headers),
            problem=problem,
        )

    def check(self, folder: Path) -> Iterator[Finding]:
        if self.is_folder and not self.paths:
            yield self._finding(
                "error", "empty-folder", "the folder has no GGUF", hint="name a GGUF, or its folder"
            )
        elif not self.paths:
            yield from self._missing(folder)
        elif self.problem is not None:
            message, hint = self.problem
            # what Ollama may accept, such as a type of tensor that is newer than we are, has other hints
            is_refused = hint in {CUT, DAMAGED} or (not self.is_folder and not _is_gguf(self.paths[0]))
            yield self._finding("error" if is_refused else "warning", "invalid-gguf", message, hint=hint)

    def _missing(self, folder: Path) -> Iterator[Finding]:
        value, keyword = self.instruction.value, self.instruction.keyword
        before, comment, _ = value.partition("#")
        if comment and before[-1:].isspace() and not self.instruction.quotes:
            yield self._finding(
                "error",
                "trailing-comment",
                f"{value[:80]!r} includes the comment: a comment needs a line of its own",
                hint=f"write {keyword} {before.strip()}, and the comment on the line above",
            )
        elif value[:1] + value[-1:] in {"''", "``", "\u201c\u201d", "\u2018\u2019"}:
            yield self._finding(
                "error",
                "kept-quotes",
                f"the quotation marks are part of the name {value[:80]}",
                hint=f"write {keyword} {value[1:-1]}",
            )
        elif keyword != "FROM":
            yield self._finding(
                "error", "missing-file", f"{value[:200]!r}: no such file", hint=self._near(folder)
            )
        elif not _is_name(value):
            yield self._finding(
                "error",
                "missing-file",
                f"{value[:200]!r}: no such file, and not the name of a model",
                hint=self._near(folder),
            )
        elif value.endswith(_MODEL_SUFFIXES):
            yield self._finding(
                "warning",
                "missing-file",
                f"{value[:200]!r}: no such file; Ollama takes it for the name of a model, and pulls that",
                hint=self._near(folder),
            )

    def _near(self, folder: Path) -> str:
        path = folder / self.instruction.value
        try:
            there = [file.name for file in path.parent.iterdir() if file.suffix == ".gguf"]
        except (OSError, ValueError):
            there = []
        if close := get_close_matches(path.name, there, n=1, cutoff=0.5):
            return f"did you mean {self.instruction.value.removesuffix(path.name)}{close[0]}?"
        return "give the path from the folder of the Modelfile, or the name of a model"

    def _finding(self, level: str, code: str, message: str, *, hint: str | None) -> Finding:
        return Finding(
            level="error" if level == "error" else "warning",
            code=code,
            message=f"{self.instruction.keyword} {message}" if message.startswith("'") else message,
            line=self.instruction.line,
            hint=hint,
        )


def _files_in(folder: Path) -> Sequence[Path]:
    """Return the files of a folder that Ollama takes for its model (``filesForModel``)."""
    for pattern in ("model*.safetensors", "consolidated*.safetensors", "*.gguf", "*.bin"):
        if files := sorted(folder.glob(pattern)):
            return files
    return ()


def _is_gguf(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _is_name(text: str) -> bool:
    try:
        ModelName.parse(text)
    except UsageProblem:
        return False
    return True


def _check_sources(sources: Sequence[_Named]) -> Iterator[Finding]:
    """Check what the FROM instructions name together."""
    names = [source for source in sources if not source.paths and not source.is_folder]
    if names and len(sources) > 1:
        last = names[-1].instruction
        for source in sources:
            if source is not names[-1]:
                yield Finding(
                    level="warning",
                    code="repeated-instruction",
                    message=f"FROM has no effect: FROM {last.value[:80]!r} names a model, which is"
                    " used alone",
                    line=source.instruction.line,
                    hint="keep one FROM; several are for the shards of one model",
                )
    headers = [header for source in sources for header in source.headers]
    if names or not headers:
        return
    line = sources[0].instruction.line
    if any(role_of(header) is Role.ADAPTER for header in headers):
        yield Finding(
            level="error",
            code="adapter",
            message="FROM names a LoRA adapter, which Ollama 0.34.1 and later refuse",
            line=line,
            hint="merge the adapter into the model's weights with llama.cpp's llama-export-lora",
        )
    elif all(role_of(header) is Role.PROJECTOR for header in headers):
        yield Finding(
            level="warning",
            code="missing-weights",
            message="FROM names a projector only, and no model",
            line=line,
            hint="add a FROM line for the model itself",
        )
    shards = [header for header in headers if header.split is not None]
    if shards and (count := max(header.split.count for header in shards if header.split)) > len(shards):
        yield Finding(
            level="error",
            code="missing-shards",
            message=f"FROM names {len(shards)} of {count} shards",
            line=line,
            hint="name them all with one FROM: the folder, or a pattern such as ./model-*.gguf",
        )


def _weights(modelfile: Modelfile, named: Sequence[_Named]) -> Weights:
    """Return what the header of the model in FROM says."""
    header = next(
        (
            header
            for file in named
            if file.instruction.keyword == "FROM"
            for header in file.headers
            if role_of(header) is Role.MODEL
        ),
        None,
    )
    if header is None:
        return Weights()
    metadata = header.metadata
    chat_template = metadata.get("tokenizer.chat_template")
    architecture = str(metadata.get("general.architecture", ""))
    context = metadata.get(f"{architecture}.context_length")
    text = chat_template if isinstance(chat_template, str) else ""
    is_native = not (modelfile.template or modelfile.renderer or modelfile.parser)
    return Weights(
        chat_template=text,
        bos=token_text(metadata, "bos") if adds_bos(metadata) else "",
        architecture=architecture,
        context_tokens=context if isinstance(context, int) else 0,
        ends=_ends(metadata, modelfile),
        prints_system=not (is_native and modelfile.system and text) or _prints_system(header, text),
    )


def _check_context(modelfile: Modelfile, named: Sequence[_Named]) -> Iterator[Finding]:
    """Check whether ``num_ctx`` fits the system prompt, and this machine; lint compares it with the model."""
    parameters = [parameter for parameter in modelfile.parameters if parameter.name == "num_ctx"]
    headers = [header for file in named if file.instruction.keyword == "FROM" for header in file.headers]
    models = [header for header in headers if role_of(header) is Role.MODEL]
    if not parameters or not isinstance(tokens := parameters[-1].value, int) or tokens <= 0:
        return
    from gguf2ollama.memory import Model, find_hardware, judge_context  # noqa: PLC0415 - with num_ctx alone

    model = None
    if models:
        with contextlib.suppress(InvalidGguf):
            model = Model.read(
                models[0].metadata,
                [tensor for header in models for tensor in header.tensors],
                projector=[tensor for header in headers if header not in models for tensor in header.tensors],
            )
    hardware = find_hardware()
    for problem in judge_context(
        tokens,
        source="PARAMETER",
        model=model,
        room=hardware.room if hardware is not None else None,
        system=modelfile.system or "",
    ):
        if problem.kind != "beyond-training":
            yield Finding(
                level="warning",
                code=f"context-{problem.kind}",
                message=problem.text,
                line=parameters[-1].line,
                hint="lower num_ctx, or use a smaller quantization"
                if problem.kind == "beyond-memory"
                else "raise num_ctx, or shorten SYSTEM",
            )


def _ends(metadata: Mapping[str, Any], modelfile: Modelfile) -> tuple[str, ...]:
    """Return the tokens that end an answer, and the stops of the Modelfile that are tokens."""
    ends = [text for name in ("eos", "eot", "eom") if (text := token_text(metadata, name))]
    tokens = metadata.get("tokenizer.ggml.tokens", ())
    return tuple(dict.fromkeys([*ends, *(stop for stop in modelfile.stops if stop in tokens)]))


def _prints_system(header: GgufFile, chat_template: str) -> bool:
    """Whether llama.cpp prints a system message with a chat template; so if that cannot be predicted."""
    # 50 ms that only a SYSTEM without TEMPLATE needs
    from gguf2ollama.chat.conversation import Conversation, Message  # noqa: PLC0415
    from gguf2ollama.chat.llamacpp import read_native  # noqa: PLC0415
    from gguf2ollama.chat.outcome import Rendered  # noqa: PLC0415

    metadata = header.metadata
    template = read_native(
        chat_template,
        version=_VERSION,
        bos=served_token_text(metadata, "bos"),
        eos=served_token_text(metadata, "eos"),
        adds_bos=adds_bos(metadata),
        family=str(metadata.get("general.architecture", "")),
    )
    messages = (Message(role="system", content=_SYSTEM), Message(role="user", content="Hi"))
    outcome = template.render(Conversation(name="system", messages=messages))
    return not isinstance(outcome, Rendered) or _SYSTEM in outcome.prompt
