"""llama.cpp in process: the server of llama.cpp without its program, by xllamacpp."""

from __future__ import annotations

import importlib
import json
import secrets
import urllib.request
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from gguf2ollama.engines.backends import BackendError, Emit

__all__ = ["Loaded"]

_ERRORS_ONLY = 2  # of what llama.cpp logs: errors and warnings
_PROMPT_SECONDS = 60


class Loaded:
    """xllamacpp, with one model once :meth:`load` has been called."""

    def __init__(self) -> None:
        self._module: Any = importlib.import_module("xllamacpp")
        self.library = f"xllamacpp {metadata.version('xllamacpp')}"
        found = self._module.get_device_info()
        self.devices = tuple(str(device["description"]) for device in found if _is_gpu(device))
        self._server: Any = None
        self._key = secrets.token_hex()

    def load(self, message: Mapping[str, Any]) -> dict[str, object]:
        """Load a model; of a set of shards, llama.cpp finds the others by the first."""
        params = self._module.CommonParams()
        params.model.path = message["path"]
        params.n_ctx = message["context"]
        params.n_parallel = 1
        layers = message["gpu_layers"]
        params.n_gpu_layers = {"all": -2, "auto": -1}.get(layers, layers)
        params.fit_params = layers == "auto"
        kind = getattr(self._module.ggml_type, f"GGML_TYPE_{message['cache_type'].upper()}")
        params.cache_type_k = params.cache_type_v = kind
        params.verbosity = _ERRORS_ONLY
        if message["threads"] is not None:
            params.cpuparams.n_threads = message["threads"]
        # the server listens on a port of the loopback interface: nobody else is to use it
        params.hostnames = ["127.0.0.1"]
        params.api_keys = [self._key]
        params.cors_origins = "http://localhost"
        params.endpoint_slots = params.ui = False
        try:
            self._server = self._module.Server(params)
        except RuntimeError as error:
            raise BackendError(str(error), kind="load") from error
        return {"context": message["context"], "gpu_layers": None if layers == "auto" else layers}

    def prompt(self, message: Mapping[str, Any]) -> str:
        """Render a chat with llama.cpp's own engine for chat templates."""
        request = urllib.request.Request(  # noqa: S310 - of our own server
            f"{self._server.listening_address}/apply-template",
            data=json.dumps(_chat(message)).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_PROMPT_SECONDS) as response:
            return str(json.load(response)["prompt"])

    def answer(self, message: Mapping[str, Any], emit: Emit) -> dict[str, object]:
        """Answer a chat, or continue a text."""
        options = message["options"]
        request = {
            "stream": True,
            "stream_options": {"include_usage": True},
            "cache_prompt": True,
            "temperature": options["temperature"],
            "top_k": options["top_k"],
            "top_p": options["top_p"],
            "min_p": options["min_p"],
            "repeat_penalty": options["repeat_penalty"],
            "n_predict": options["num_predict"],
            "max_tokens": options["num_predict"],
            "stop": list(options["stop"]),
            **({} if options["seed"] is None else {"seed": options["seed"]}),
        }
        state = _Answer(emit)
        if message["do"] == "chat":
            self._server.handle_chat_completions({**request, **_chat(message)}, state.chat_chunk)
        else:
            self._server.handle_completions({**request, "prompt": message["prompt"]}, state.text_chunk)
        return state.done()


class _Answer:
    """The chunks of one answer."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._last: dict[str, Any] = {}
        self._reason = ""
        self._failure: BaseException | None = None

    def chat_chunk(self, chunk: Mapping[str, Any]) -> bool:
        return self._take(chunk, is_chat=True)

    def text_chunk(self, chunk: Mapping[str, Any]) -> bool:
        return self._take(chunk, is_chat=False)

    def _take(self, chunk: Mapping[str, Any], *, is_chat: bool) -> bool:
        try:  # xllamacpp drops what a callback raises
            if error := chunk.get("error"):
                kind = "context" if error.get("type") == "exceed_context_size_error" else "generate"
                raise BackendError(str(error.get("message")), kind=kind)  # type: ignore[arg-type] # noqa: TRY301
            self._last |= {key: chunk[key] for key in ("usage", "timings") if key in chunk}
            for choice in chunk.get("choices", ()):
                self._reason = choice.get("finish_reason") or self._reason
                part = choice.get("delta", {}) if is_chat else {"content": choice.get("text")}
                if self._emit(part.get("content") or "", part.get("reasoning_content") or ""):
                    self._reason = "cancelled"
                    return True
        except BaseException as error:  # noqa: BLE001 - raised again by `done`
            self._failure = error
            return True
        return False

    def done(self) -> dict[str, object]:
        if self._failure is not None:
            raise self._failure
        usage, timings = self._last.get("usage", {}), self._last.get("timings", {})
        return {
            "reason": self._reason,
            "prompt_tokens": usage.get("prompt_tokens", 0),
            "prompt_seconds": timings.get("prompt_ms", 0) / 1000,
            "answer_tokens": usage.get("completion_tokens", 0),
            "answer_seconds": timings.get("predicted_ms", 0) / 1000,
        }


def _chat(message: Mapping[str, Any]) -> dict[str, object]:
    think = message["think"]
    extra = {} if think is None else {"chat_template_kwargs": {"enable_thinking": think}}
    return {"messages": message["messages"], **extra}


def _is_gpu(device: Mapping[str, Any]) -> bool:
    return str(device["type"].name).endswith(("_GPU", "_IGPU"))
