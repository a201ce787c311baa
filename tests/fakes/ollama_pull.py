"""How a fake Ollama pulls from a registry over plain http: step by step as the real one does.

The order and the texts are those of ``server/images.go`` and ``server/download.go`` of Ollama 0.34.4.
"""

from __future__ import annotations

import hashlib
import itertools
import socket
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urlsplit

from gguf2ollama.names import ModelName
from gguf2ollama.oci import Manifest
from tests.fakes.ollama_store import FakeStore, Refusal, model_of, valid_name

_PARTS = 3
_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


def pull_over_http(store: FakeStore, name: str, *, insecure: bool) -> Iterator[dict[str, object]]:
    """Fetch a model; give the lines of the answer.

    Raises:
        Refusal: The registry cannot be reached, lacks something, or sends other bytes than it promised.
    """
    if not insecure:
        raise Refusal(500, "insecure protocol http")
    parsed = ModelName.parse(name)
    base = f"http://{parsed.host}/v2/{parsed.namespace}/{parsed.model}"
    try:
        with _Answer("GET", f"{base}/manifests/{parsed.tag}", {"Accept": _MANIFEST_TYPE}) as answer:
            if answer.status == 404:
                raise Refusal(500, "pull model manifest: file does not exist")
            manifest = Manifest.parse(answer.read())
        for layer in manifest.blobs:
            digest = str(layer.digest)
            step = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": layer.size}
            yield step
            if not store.has_blob(digest):
                _fetch(store, f"{base}/blobs/{digest}", digest)
            yield step | {"completed": layer.size}
    except (OSError, HTTPException) as error:
        raise Refusal(500, f"max retries exceeded: {error}") from error
    yield {"status": "verifying sha256 digest"}
    yield {"status": "writing manifest"}
    store.keep(valid_name(name), model_of(manifest, read=store.read_blob), manifest=manifest)
    yield {"status": "success"}


def _fetch(store: FakeStore, url: str, digest: str) -> None:
    with _Answer("HEAD", url) as answer:
        size = int(answer.headers["Content-Length"])
    with _Answer("GET", url) as answer:
        if answer.status not in {200, 307}:
            raise Refusal(500, f"unexpected status code {answer.status}")
        direct = answer.headers.get("Location")
    if direct is None or urlsplit(direct).hostname == urlsplit(url).hostname:
        raise Refusal(500, "http: no Location header in response")
    bounds = [size * part // _PARTS for part in range(_PARTS + 1)]
    content = b""
    for start, end in itertools.pairwise(bounds):
        if start < end:
            with _Answer("GET", direct, {"Range": f"bytes={start}-{end - 1}"}) as answer:
                content += answer.read(end - start)
    actual = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if actual != digest:
        raise Refusal(500, f"digest mismatch, file must be downloaded again: want {digest}, got {actual}")
    store.add_blob(digest, content)


class _Answer:
    """One request on a connection of its own; redirects are not followed."""

    def __init__(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        self._connection = HTTPConnection(_address(parts.hostname or "", parts.port), parts.port, timeout=30)
        self._request = (method, parts.path, None, dict(headers or {}))

    def __enter__(self) -> HTTPResponse:
        self._connection.request(*self._request)
        return self._connection.getresponse()

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _address(host: str, port: int | None) -> str:
    """Return the address of a host on a machine where ``localhost`` is ``::1`` as soon as that is taken."""
    if host != "localhost":
        return host
    try:
        socket.create_connection(("::1", port or 80)).close()
    except OSError:
        return "127.0.0.1"
    return "::1"
