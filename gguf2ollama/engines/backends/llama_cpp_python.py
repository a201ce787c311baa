"""llama.cpp by llama-cpp-python."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from gguf2ollama.engines.backends import BackendError, Emit

__all__ = ["Loaded"]


class Loaded:
    """llama-cpp-python, with one model once :meth:`load` has been called."""

    def __init__(self) -> None:
        self._module: Any = importlib.import_module("llama_cpp")
        self.library = f"llama-cpp-python {metadata.version('llama-cpp-python')}"
        # of the devices themselves its interface has only pointers
        self.devices = ("GPU",) if self._module.llama_supports_gpu_offload() else ()
        self._model: Any = None

    def load(self, message: Mapping[str, Any]) -> dict[str, object]:
        """Load a model; of a set of shards, llama.cpp finds the others by the first."""
        kind = getattr(self._module, f"GGML_TYPE_{message['cache_type'].upper()}")
        try:
            self._model = self._module.Llama(
                model_path=message["path"],
                n_ctx=message["context"],
                n_batch=2048,
                n_gpu_layers=message["gpu_layers"],
                n_threads=message["threads"],
                type_k=kind,
                type_v=kind,
                flash_attn=True,
                verbose=True,
            )
        except ValueError as error:
            raise BackendError(str(error), kind="load") from error
        return {"context": self._model.n_ctx(), "gpu_layers": message["gpu_layers"]}

    def prompt(self, message: Mapping[str, Any]) -> str:
        """Leave rendering to the other process: this library has an engine of its own for chat templates."""
        raise NotImplementedError

    def answer(self, message: Mapping[str, Any], emit: Emit) -> dict[str, object]:
        """Continue a text; or quantize a file, of which the log is the answer."""
        if message["do"] == "quantize":
            return self._quantize(message, emit)
        options, model = message["options"], self._model
        tokens = model.tokenize(message["prompt"].encode(), add_bos=message["adds_bos"], special=True)
        if len(tokens) >= model.n_ctx():
            raise BackendError(
                f"the prompt has {len(tokens)} tokens, and the context {model.n_ctx()}", kind="context"
            )
        chunks = model.create_completion(
            prompt=tokens,
            max_tokens=options["num_predict"],
            temperature=options["temperature"],
            top_k=options["top_k"],
            top_p=options["top_p"],
            min_p=options["min_p"],
            repeat_penalty=options["repeat_penalty"],
            stop=list(options["stop"]),
            seed=options["seed"],
            stream=True,
        )
        reason = ""
        for chunk in chunks:
            (choice,) = chunk["choices"]
            reason = choice["finish_reason"] or reason
            if emit(choice["text"], ""):
                reason = "cancelled"
                break
        chunks.close()
        # counted since the start of this answer, which resets the counters
        counts = self._module.llama_perf_context(model.ctx)
        return {
            "reason": reason,
            "prompt_tokens": len(tokens),
            "prompt_seconds": counts.t_p_eval_ms / 1000,
            "answer_tokens": counts.n_eval + 1,
            "answer_seconds": counts.t_eval_ms / 1000,
        }

    def _quantize(self, message: Mapping[str, Any], emit: Emit) -> dict[str, object]:
        module = self._module
        log = module.llama_log_callback(lambda _level, text, _data: emit(text.decode("utf-8", "replace"), ""))
        module.llama_log_set(log, None)
        params = module.llama_model_quantize_default_params()
        params.ftype = message["type"]
        params.nthread = message["threads"]
        params.allow_requantize = True
        params.dry_run = message["is_dry"]
        files = (message["source"].encode(), message["target"].encode())
        code = module.llama_model_quantize(*files, ctypes.byref(params))
        if code:
            raise BackendError("it cannot be quantized so", kind="generate")
        return {"reason": "stop"}
