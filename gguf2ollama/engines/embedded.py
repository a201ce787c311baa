"""Load a model into an engine that runs in a process of ours, and talk to it there."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from gguf2ollama.chat.reference_prompt import Authors, read_authors
from gguf2ollama.engines.engine import EngineMemory, LoadedModel, LoadReport, Texts
from gguf2ollama.engines.fit import choose_layers, context_of, estimate_need
from gguf2ollama.engines.install_lines import install_line
from gguf2ollama.engines.process import EngineProcess
from gguf2ollama.engines.process_memory import process_memory
from gguf2ollama.engines.prompts import ThoughtSplitter, render_prompt
from gguf2ollama.engines.settings import EmbeddedName, EngineSettings, sampling
from gguf2ollama.errors import NotFound, UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.families import Vocabulary, adds_bos
from gguf2ollama.ggufio import ShardSet, merge
from gguf2ollama.memory.hardware import Hardware, find_hardware
from gguf2ollama.ollama.responses import Chunk, Metrics

__all__ = ["EmbeddedModel", "load_embedded"]


def load_embedded(
    model: ShardSet,
    *,
    engine: EmbeddedName,
    settings: EngineSettings,
    force: bool = False,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> EmbeddedModel:
    """Load a model of this machine into an engine.

    Args:
        model: Its files.
        engine: The engine.
        settings: How it is loaded.
        force: Whether it is loaded though the memory that is free now is too little.
        progress: Called with the bytes of a merge, where the engine reads no shards.
        notify: Called with a line about each step.

    Raises:
        Gguf2OllamaError: The engine cannot be started, or its process ended.
        InvalidInput: The engine cannot read the file.
        NotEnoughSpace: The memory is too little, or the disk for a merge.
        NotFound: The engine's library is not installed.
        UsageProblem: A setting does not go with the model, the engine or the machine.
    """
    if engine == "transformers" and settings.cache_type != "f16":
        raise UsageProblem(
            f"transformers has no cache of type {settings.cache_type}", hint="use --engine llama.cpp"
        )
    hardware = find_hardware()
    layers = choose_layers(model, settings, engine=engine, hardware=hardware)
    need = estimate_need(model, engine=engine, settings=settings, layers=layers, hardware=hardware)
    if need.note:
        notify(f"{need.note[0].upper()}{need.note[1:]}")
    if not force:
        need.check(hardware, subject=model.name)
    with contextlib.ExitStack() as stack:
        process = EngineProcess(engine, subject=model.name)
        stack.callback(process.close)
        library, devices = _start(process, engine=engine)
        if settings.gpu_layers not in {0, "auto"} and not devices:
            raise _no_gpu(engine, hardware)
        path = model.shards[0].path
        if engine == "transformers" and model.is_split:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gguf2ollama-"))
            notify(f"Merging {len(model.shards)} shards, since transformers reads no shards")
            path = merge(model, Path(folder) / f"{model.name}.gguf", progress=progress)
        before = process_memory(process.pid)
        started = time.monotonic()
        loaded = process.ask(
            {
                "do": "load",
                "path": str(path),
                "context": context_of(model.metadata, settings),
                "gpu_layers": _wanted_layers(engine, settings, layers, devices=devices),
                "cache_type": settings.cache_type,
                "threads": settings.threads,
            },
            doing="loading",
        )
        report = LoadReport(
            engine=engine,
            library=library,
            context=int(loaded["context"]),
            gpu_layers=loaded["gpu_layers"],
            devices=devices,
            seconds=time.monotonic() - started,
            before=before,
            after=process_memory(process.pid),
        )
        return EmbeddedModel(process, model=model, report=report, ending=stack.pop_all())
    raise AssertionError  # the stack suppresses nothing


class EmbeddedModel(LoadedModel):
    """A model in a process of ours; see :class:`gguf2ollama.engines.Engine`."""

    def __init__(
        self,
        process: EngineProcess,
        *,
        model: ShardSet,
        report: LoadReport,
        ending: contextlib.ExitStack,
    ) -> None:
        self._process = process
        self._authors: Authors | None = read_authors(model.metadata)
        self._adds_bos = adds_bos(model.metadata)
        self._ends = list(Vocabulary(model.metadata).end_tokens())
        self._report = report
        self._ending = ending

    def prompt(self, messages: Texts, *, think: bool | None = None) -> str:
        """Return the prompt that a chat becomes, without the BOS token that the tokenizer adds.

        Raises:
            InvalidInput: The chat template rejects the chat.
        """
        if self._renders_itself:
            message = {"do": "prompt", "messages": list(map(dict, messages)), "think": think}
            return str(self._process.ask(message, doing="rendering a chat for")["text"])
        return render_prompt(self._authors, messages, think=think)

    def chat(
        self, messages: Texts, *, options: Mapping[str, object] | None = None, think: bool | None = None
    ) -> Generator[Chunk, None, None]:
        """Generate the next message of a chat; see :meth:`gguf2ollama.engines.Engine.chat`."""
        if not self._renders_itself:
            prompt = render_prompt(self._authors, messages, think=think)
            yield from _without_tags(self.generate(prompt, options=options), prompt)
            return
        message = {"do": "chat", "messages": list(map(dict, messages)), "think": think}
        yield from self._answer(message, options)

    def generate(
        self, prompt: str, *, options: Mapping[str, object] | None = None
    ) -> Generator[Chunk, None, None]:
        """Generate what follows a text; the tokenizer adds BOS where the file says so."""
        message = {"do": "generate", "prompt": prompt, "adds_bos": self._adds_bos, "eog": self._ends}
        yield from self._answer(message, options)

    def memory(self) -> EngineMemory:
        """Return the memory of the process now."""
        return process_memory(self._process.pid)

    def unload(self) -> None:
        """End the process, and remove what was merged for it."""
        self._ending.close()

    @property
    def _renders_itself(self) -> bool:
        return self._report.engine == "llama.cpp" and self._authors is not None

    def _answer(
        self, message: Mapping[str, object], options: Mapping[str, object] | None
    ) -> Generator[Chunk, None, None]:
        started = time.monotonic()
        with contextlib.closing(
            self._process.stream({**message, "options": sampling(options or {})}, doing="answering with")
        ) as events:
            for event in events:
                if event["event"] == "text":
                    yield Chunk(content=str(event["content"]), thinking=str(event["thinking"]))
                elif event["event"] == "done":
                    yield Chunk(
                        done=True,
                        done_reason=str(event["reason"]),
                        metrics=_metrics(event, total=time.monotonic() - started),
                    )


def _start(process: EngineProcess, *, engine: EmbeddedName) -> tuple[str, tuple[str, ...]]:
    """Wait until the library is imported; return its name with the version, and the GPUs that it sees."""
    event = process.ask(doing="starting for")
    if event["event"] == "missing":
        raise NotFound(
            f"the library of the engine {engine} cannot be used: {event['message']}",
            hint=f"install it: {install_line(engine)}",
        )
    return str(event["library"]), tuple(map(str, event["devices"]))


def _wanted_layers(
    engine: EmbeddedName, settings: EngineSettings, layers: int, *, devices: tuple[str, ...]
) -> int | str:
    """Return the layers to ask for: llama.cpp itself counts how many fit, by what is free on any GPU."""
    if not devices:
        return 0
    return layers if engine != "llama.cpp" or settings.gpu_layers != "auto" else "auto"


def _no_gpu(engine: EmbeddedName, hardware: Hardware | None) -> UsageProblem:
    if hardware is not None and hardware.gpus:
        return UsageProblem(
            f"--gpu-layers: the installed library of {engine} cannot use the GPU"
            f" ({', '.join(gpu.name for gpu in hardware.gpus)})",
            hint=f"install one that can: {install_line(engine)}",
        )
    return UsageProblem(
        f"--gpu-layers: {engine} finds no GPU on this machine", hint="use --gpu-layers 0, or leave it out"
    )


def _without_tags(chunks: Generator[Chunk, None, None], prompt: str) -> Generator[Chunk, None, None]:
    splitter = ThoughtSplitter(prompt)
    for chunk in chunks:
        content, thinking = splitter.rest() if chunk.done else splitter.feed(chunk.content)
        if content or thinking:
            yield Chunk(content=content, thinking=thinking)
        if chunk.done:
            yield chunk


def _metrics(event: Mapping[str, Any], *, total: float) -> Metrics:
    return Metrics(
        total_duration=total,
        load_duration=0.0,
        prompt_eval_count=int(event["prompt_tokens"]),
        prompt_eval_duration=float(event["prompt_seconds"]),
        eval_count=int(event["answer_tokens"]),
        eval_duration=float(event["answer_seconds"]),
    )
