"""What a fake Ollama answers to each request."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from tests.fakes.ollama_pull import pull_over_http
from tests.fakes.ollama_render import render
from tests.fakes.ollama_store import FakeStore, Model, Refusal, Row, details, valid_name

_DEFAULT_BATCH = 2048  # of a model that embeds
_DEFAULT_CONTEXT = 4096

Line: TypeAlias = Mapping[str, Any]
Reply: TypeAlias = Sequence[Line]
Answered: TypeAlias = "Iterator[Line] | Line | int | None"


def answer_to(store: FakeStore, reply: Reply, endpoint: str, content: Any) -> Answered:
    """Answer one request as Ollama does: lines, an object, only a status, or nothing where it has no page.

    Args:
        store: What the server keeps; it may be changed.
        reply: The pieces of the message that every chat gets.
        endpoint: ``METHOD /path``.
        content: The JSON of the request, or the bytes of a blob.

    Raises:
        Refusal: Ollama would refuse it; from the first line on also while the lines are read.
    """
    method, _, path = endpoint.partition(" ")
    if path.startswith("/api/blobs/"):
        digest = path.removeprefix("/api/blobs/")
        return _status(store.has_blob(digest)) if method == "HEAD" else store.add_blob(digest, content)
    if endpoint in {"POST /api/chat", "POST /api/generate"}:
        return _spoken(store, reply, content, is_chat=path.endswith("chat"))
    answer = _ROUTES.get(endpoint)
    return answer(store, content) if answer else None


def _status(is_there: bool) -> int:  # noqa: FBT001 - one value, nothing to mistake it for
    return 200 if is_there else 404


def _name(content: Line) -> str:
    return str(content.get("model") or content.get("name") or "")


def merged(lines: Sequence[Line]) -> Line:
    """Return what ``"stream": false`` gives for these lines."""
    last = dict(lines[-1])
    spoken = [line["message"] for line in lines if "message" in line]
    if spoken:
        last["message"] = {"role": "assistant", "content": "".join(m["content"] for m in spoken)}
    elif "response" in last:
        last["response"] = "".join(str(line["response"]) for line in lines)
    return last


def _list(store: FakeStore, _: Line) -> Line:
    newest_first = sorted(store.rows(), key=lambda row: row.model.modified, reverse=True)
    return {"models": [_listed(store, row) for row in newest_first]}


def _listed(store: FakeStore, row: Row) -> Line:
    return {
        "name": row.name,
        "model": row.name,
        "modified_at": row.model.modified.isoformat(),
        "size": row.model.size,
        "digest": row.digest,
        "details": row.details,
        "capabilities": store.capabilities(row.model),
    }


def _running(store: FakeStore, name: str, context: int) -> Line:
    model = store.models[name]
    expires = datetime.now(UTC) + timedelta(minutes=5)
    return {
        "name": name,
        "model": name,
        "size": model.size,
        "digest": model.digest,
        "details": details(model),
        "expires_at": expires.isoformat(),
        "size_vram": 0,
        **({"context_length": context} if store.is_from("0.10.0") else {}),
    }


def _load(store: FakeStore, name: str, model: Model, options: Mapping[str, Any]) -> None:
    asked = options.get("num_ctx") or model.parameters.get("num_ctx") or _DEFAULT_CONTEXT
    store.loaded[name] = int(str(asked))


def _copy(store: FakeStore, content: Line) -> int:
    store.copy(content["source"], content["destination"])
    return 200


def _delete(store: FakeStore, content: Line) -> int:
    store.delete(_name(content))
    return 200


def _spoken(store: FakeStore, reply: Reply, content: Line, *, is_chat: bool) -> Iterator[Line]:
    """Answer chat or generate: load, unload, render, or say the reply."""
    name = _name(content)
    if not name:
        raise Refusal(400, "model is required")
    known, model = store.find(name)
    options = content.get("options") or {}
    is_empty = not content.get("messages" if is_chat else "prompt")
    if is_empty and content.get("keep_alive") == 0:
        store.loaded.pop(known, None)
        yield _line({}, is_chat=is_chat, done_reason="unload")
        return
    _require_capabilities(store.capabilities(model), name, content, is_chat=is_chat)
    _load(store, known, model, options)
    if is_empty:
        yield _line({}, is_chat=is_chat, done_reason="load")
    elif content.get("_debug_render_only") and store.is_from("0.11.5"):
        yield {"_debug_info": {"rendered_template": render(store, known, model, content)}, "done": False}
    else:
        limit = int(options.get("num_predict", -1))
        pieces = reply if limit < 0 else reply[:limit]
        for piece in pieces:
            yield _line(piece, is_chat=is_chat)
        if is_chat:  # a real one does that in the background
            store.after_chat(known)
        yield _line({}, is_chat=is_chat, done_reason="stop" if pieces == reply else "length")


def _require_capabilities(capabilities: Sequence[str], name: str, content: Line, *, is_chat: bool) -> None:
    if "completion" not in capabilities:
        raise Refusal(400, f'"{name}" does not support {"chat" if is_chat else "generate"}')
    if content.get("think") and "thinking" not in capabilities:
        raise Refusal(400, f'"{name}" does not support thinking')
    for key, capability in {"suffix": "insert", "tools": "tools"}.items():
        if content.get(key) and capability not in capabilities:
            raise Refusal(400, f"{name} does not support {capability}")


def _line(piece: Line, *, is_chat: bool, done_reason: str = "") -> Line:
    line: dict[str, object] = {"model": "fake", "created_at": datetime.now(UTC).isoformat()}
    if is_chat:
        line["message"] = {"role": "assistant", "content": "", **piece}
    else:
        line |= {"response": piece.get("content", ""), **{k: v for k, v in piece.items() if k != "content"}}
    line["done"] = bool(done_reason)
    if done_reason:
        line["done_reason"] = done_reason
    if done_reason in {"stop", "length"}:
        line |= {"total_duration": 3_000_000, "load_duration": 1_000_000, "prompt_eval_count": 5}
        line |= {"prompt_eval_duration": 1_000_000, "eval_count": 3, "eval_duration": 1_000_000}
    return line


def _embed(store: FakeStore, content: Line) -> Line:
    """Embed texts, a word a token; what exceeds a batch is cut off."""
    known, model = store.find(_name(content))
    _load(store, known, model, {})
    given = content.get("input") or []
    batch = int(str(model.parameters.get("num_batch") or _DEFAULT_BATCH))
    limit = min(batch, store.loaded[known])
    kept = [text.split()[:limit] for text in ([given] if isinstance(given, str) else given)]
    width = int(str(model.metadata.get(f"{model.architecture}.embedding_length", 8)))
    vectors = [_vector(" ".join(words), width) for words in kept]
    return {"model": known, "embeddings": vectors, "prompt_eval_count": sum(map(len, kept))}


def _vector(text: str, width: int) -> list[float]:
    """Return a vector of length 1 that depends on the text alone."""
    noise = random.Random(text)  # noqa: S311 - the same every time
    numbers = [noise.uniform(-1, 1) for _ in range(width)]
    norm = math.sqrt(sum(number * number for number in numbers))
    return [number / norm for number in numbers]


def _pull(store: FakeStore, content: Line) -> Iterator[Line]:
    name = _name(content)
    short = valid_name(name)
    yield {"status": "pulling manifest"}
    if name.startswith("http://"):
        yield from pull_over_http(store, name, insecure=bool(content.get("insecure")))
        return
    if name not in store.registry:
        raise Refusal(500, "pull model manifest: file does not exist")
    model = store.registry[name]
    for layer in model.layers:
        step = {"status": f"pulling {layer.digest[7:19]}", "digest": layer.digest, "total": layer.size}
        for completed in (0, layer.size // 2, layer.size):
            yield step | {"completed": completed}
    yield {"status": "verifying sha256 digest"}
    yield {"status": "writing manifest"}
    store.keep(short, model)
    yield {"status": "success"}


def _push(store: FakeStore, content: Line) -> Iterator[Line]:
    name = _name(content)
    short = valid_name(name)
    yield {"status": "retrieving manifest"}
    if short not in store.models:
        yield {"status": "couldn't retrieve manifest"}
        raise Refusal(500, f"open /models/manifests/{short.replace(':', '/')}: no such file or directory")
    for layer in store.models[short].layers:
        step = {"status": f"pushing {layer.digest[7:19]}", "digest": layer.digest, "total": layer.size}
        for completed in (1, layer.size):
            yield step | {"completed": completed}
    yield {"status": "pushing manifest"}
    store.registry[name] = store.models[short]
    yield {"status": "success"}


_ROUTES: Mapping[str, Callable[[FakeStore, Any], Answered]] = {
    "GET /api/version": lambda store, _: {"version": store.version},
    "GET /api/tags": _list,
    "GET /api/ps": lambda store, _: {"models": [_running(store, *item) for item in store.loaded.items()]},
    "POST /api/show": lambda store, content: store.show(_name(content), verbose=bool(content.get("verbose"))),
    "POST /api/create": lambda store, content: store.create(content),
    "POST /api/copy": _copy,
    "DELETE /api/delete": _delete,
    "POST /api/embed": _embed,
    "POST /api/pull": _pull,
    "POST /api/push": _push,
}
