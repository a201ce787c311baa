"""transformers, which dequantizes most GGUFs when it loads them."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from gguf2ollama.engines.backends import BackendError, Emit

__all__ = ["Loaded"]


class Loaded:
    """transformers with torch, with one model once :meth:`load` has been called."""

    def __init__(self) -> None:
        self._torch: Any = importlib.import_module("torch")
        self._module: Any = importlib.import_module("transformers")
        importlib.import_module("accelerate")
        self.library = f"transformers {metadata.version('transformers')}, torch {metadata.version('torch')}"
        self.devices = _devices(self._torch)
        self._model: Any = None
        self._tokenizer: Any = None
        self._context = 0

    def load(self, message: Mapping[str, Any]) -> dict[str, object]:
        """Load a model; all of it goes to one device, as GGUFs have no layers of their own there."""
        path = Path(message["path"])
        has_gpu = message["gpu_layers"] != 0
        device = ("cuda" if self._torch.cuda.is_available() else "mps") if has_gpu else "cpu"
        if message["threads"] is not None:
            self._torch.set_num_threads(message["threads"])
        try:
            source = {"gguf_file": path.name, "local_files_only": True}
            self._tokenizer = self._module.AutoTokenizer.from_pretrained(path.parent, **source)
            model = self._module.AutoModelForCausalLM.from_pretrained(
                path.parent, device_map={"": device}, **source
            )
        except ValueError as error:
            raise BackendError(str(error), kind="load") from error
        self._model = model.eval()
        self._context = message["context"]
        return {"context": self._context, "gpu_layers": message["gpu_layers"]}

    def prompt(self, message: Mapping[str, Any]) -> str:
        """Leave rendering to the other process, which does it as this library does, within limits."""
        raise NotImplementedError

    def answer(self, message: Mapping[str, Any], emit: Emit) -> dict[str, object]:
        """Continue a text."""
        options, tokenizer = message["options"], self._tokenizer
        ids = tokenizer(message["prompt"], add_special_tokens=False).input_ids
        if message["adds_bos"] and tokenizer.bos_token_id is not None:
            ids = [tokenizer.bos_token_id, *ids]
        room = self._context - len(ids)
        if room <= 0:
            raise BackendError(
                f"the prompt has {len(ids)} tokens, and the context {self._context}", kind="context"
            )
        wanted = options["num_predict"]
        answer = _Answer(tokenizer, emit, stops=options["stop"])
        if options["seed"] is not None:
            self._torch.manual_seed(options["seed"])
        started = time.monotonic()
        with self._torch.inference_mode():
            self._model.generate(
                self._torch.tensor([ids], device=self._model.device),
                max_new_tokens=min(wanted, room) if wanted > 0 else room,
                streamer=answer,
                stopping_criteria=[answer.is_over],
                eos_token_id=message["eog"] or None,
                **_sampling(options),
            )
        ended = time.monotonic()
        first = answer.first or ended
        return {
            "reason": answer.reason(message["eog"]),
            "prompt_tokens": len(ids),
            "prompt_seconds": first - started,
            "answer_tokens": len(answer.tokens),
            "answer_seconds": ended - first,
        }


class _Answer:
    """The tokens of an answer, as ``generate`` hands them to a streamer: behind the prompt, one by one."""

    def __init__(self, tokenizer: Any, emit: Emit, *, stops: Sequence[str]) -> None:  # noqa: ANN401
        self._tokenizer = tokenizer
        self._emit = emit
        self._stops = stops
        self._has_prompt = False
        self._text = ""  # all of it
        self._sent = 0  # characters
        self._is_stopped = self._is_cancelled = False
        self.tokens: list[int] = []
        self.first: float | None = None

    def put(self, tokens: Any) -> None:  # noqa: ANN401 - a tensor
        if not self._has_prompt:
            self._has_prompt = True
            return
        self.first = self.first or time.monotonic()
        self.tokens += tokens.flatten().tolist()
        self._text = self._tokenizer.decode(self.tokens, skip_special_tokens=True)
        found = [place for stop in self._stops if (place := self._text.find(stop, self._sent)) >= 0]
        if found:
            self._text, self._is_stopped = self._text[: min(found)], True
        # what could be the beginning of a stop string, or of a character, waits
        kept = 0 if self._is_stopped else max((len(stop) - 1 for stop in self._stops), default=0)
        self._send(len(self._text) - kept if not self._text.endswith("\ufffd") else self._sent)

    def end(self) -> None:
        self._send(len(self._text))

    def is_over(self, input_ids: Any, _scores: Any, **_: Any) -> Any:  # noqa: ANN401 - tensors
        over = self._is_stopped or self._is_cancelled
        return input_ids.new_full((input_ids.shape[0],), over, dtype=bool)

    def reason(self, ends: Sequence[int]) -> str:
        if self._is_cancelled:
            return "cancelled"
        is_ended = self._is_stopped or (bool(self.tokens) and self.tokens[-1] in ends)
        return "stop" if is_ended else "length"

    def _send(self, end: int) -> None:
        text, self._sent = self._text[self._sent : end], max(self._sent, end)
        self._is_cancelled = self._emit(text, "") or self._is_cancelled


def _sampling(options: Mapping[str, Any]) -> dict[str, object]:
    penalty = {"repetition_penalty": options["repeat_penalty"]}
    if options["temperature"] <= 0:
        return {"do_sample": False, **penalty}
    return {
        "do_sample": True,
        "temperature": options["temperature"],
        "top_k": options["top_k"],
        "top_p": options["top_p"],
        "min_p": options["min_p"],
        **penalty,
    }


def _devices(torch: Any) -> tuple[str, ...]:  # noqa: ANN401 - a module without types
    if torch.cuda.is_available():
        return tuple(str(torch.cuda.get_device_name(index)) for index in range(torch.cuda.device_count()))
    return ("Metal",) if torch.backends.mps.is_available() else ()
