"""A model on an Ollama server, as an engine: loaded with a number of layers and a context of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Mapping

from gguf2ollama.engines.engine import EngineMemory, LoadedModel, LoadReport, Texts
from gguf2ollama.engines.fit import choose_layers, context_of
from gguf2ollama.engines.process_memory import process_memory, sum_memory
from gguf2ollama.engines.settings import EngineSettings, sampling
from gguf2ollama.errors import NotFound, UsageProblem
from gguf2ollama.ggufio import ShardSet
from gguf2ollama.memory.hardware import Hardware
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.responses import Chunk, RunningModel

__all__ = ["ServedModel", "load_on_server"]

_KEPT = "30m"  # longer than a person thinks, and not for ever if this program is killed
_RUNNERS = ("llama-server", "ollama")


def load_on_server(
    client: Client,
    name: ModelName | str,
    *,
    model: ShardSet,
    settings: EngineSettings,
    hardware: Hardware | None,
    ending: contextlib.ExitStack,
) -> ServedModel:
    """Have a server load one of its models, which it takes out of memory first if it is there.

    Args:
        client: The server.
        name: The model.
        model: The files that it was made of.
        settings: How it is loaded.
        hardware: The memory of this machine.
        ending: What is to be done once it is unloaded.

    Raises:
        NotFound: The server has no such model.
        ServerProblem: The server cannot be reached, or cannot run it.
        UsageProblem: A setting is the server's own.
    """
    if settings.cache_type != "f16":
        raise UsageProblem(
            "the type of the KV cache is a setting of the Ollama server",
            hint=f"restart it with OLLAMA_KV_CACHE_TYPE={settings.cache_type}, and leave out --cache-type",
        )
    options: dict[str, object] = {"num_ctx": context_of(model.metadata, settings)}
    if settings.gpu_layers != "auto":
        options["num_gpu"] = choose_layers(model, settings, engine="ollama", hardware=hardware)
    if settings.threads is not None:
        options["num_thread"] = settings.threads
    client.unload(name)
    started = time.monotonic()
    client.load(name, options=options, keep_alive=_KEPT)
    seconds = time.monotonic() - started
    return ServedModel(client, str(name), options=options, seconds=seconds, ending=ending)


class ServedModel(LoadedModel):
    """A model in the memory of an Ollama server; see :class:`gguf2ollama.engines.Engine`."""

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        options: Mapping[str, object],
        seconds: float,
        ending: contextlib.ExitStack,
    ) -> None:
        self._client = client
        self._name = name
        self._options = dict(options)
        self._ending = ending
        self._weights = _weights_path(client.show(name).modelfile)
        running = self._running()
        self._report = LoadReport(
            engine="ollama",
            library=f"Ollama {client.version()}",
            context=running.context_length or int(str(options["num_ctx"])),
            gpu_layers=None if "num_gpu" not in options else int(str(options["num_gpu"])),
            devices=("GPU",) if running.size_vram else (),
            seconds=seconds,
            before=EngineMemory(resident=0, own=0, gpu=0),
            after=self.memory(),
            reported=running.size,
        )

    def prompt(self, messages: Texts, *, think: bool | None = None) -> str:
        """Return the prompt that a chat becomes on the server."""
        return self._client.render(self._name, messages, think=think)

    def chat(
        self, messages: Texts, *, options: Mapping[str, object] | None = None, think: bool | None = None
    ) -> Generator[Chunk, None, None]:
        """Generate the next message of a chat; see :meth:`gguf2ollama.engines.Engine.chat`."""
        given = self._sampling(options)
        with self._client.chat(self._name, messages, options=given, think=think, keep_alive=_KEPT) as chunks:
            yield from chunks

    def generate(
        self, prompt: str, *, options: Mapping[str, object] | None = None
    ) -> Generator[Chunk, None, None]:
        """Generate what follows a text, which is not put into a template."""
        given = self._sampling(options)
        with self._client.generate(self._name, prompt, raw=True, options=given, keep_alive=_KEPT) as chunks:
            yield from chunks

    def memory(self) -> EngineMemory:
        """Return the memory of its process, where that is on this machine, else what the server reports."""
        found = [process_memory(pid) for pid in _runners(self._weights)]
        if found:
            return sum_memory(found)
        running = self._running()
        return EngineMemory(resident=running.size - running.size_vram, gpu=running.size_vram)

    def unload(self) -> None:
        """Take it out of the server's memory, and remove it if it was made for this."""
        with self._ending:
            self._client.unload(self._name)

    def _running(self) -> RunningModel:
        wanted = str(ModelName.parse(self._name).short)
        for running in self._client.ps():
            if running.name == wanted:
                return running
        raise NotFound(f"the server has taken {wanted} out of memory", hint="load it again")

    def _sampling(self, options: Mapping[str, object] | None) -> dict[str, object]:
        given = {key: value for key, value in sampling(options or {}).items() if value is not None}
        return {**self._options, **given, "stop": list(given["stop"])}  # type: ignore[call-overload]


def _weights_path(modelfile: str) -> str:
    """Return the file of the weights, as the server's Modelfile names it; ``""`` if it names none."""
    for line in modelfile.splitlines():
        if line.startswith("FROM "):
            return line.removeprefix("FROM ").strip()
    return ""


def _runners(weights: str) -> Iterator[int]:
    """Yield the processes on this machine that were started with a file of weights."""
    import psutil  # noqa: PLC0415 - 24 ms that other calls do not need

    for process in psutil.process_iter(["name", "cmdline"]):
        name, command = process.info["name"] or "", process.info["cmdline"] or ()
        if weights and name.startswith(_RUNNERS) and weights in command:
            yield process.pid
