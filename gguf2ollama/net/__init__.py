"""The one HTTP core: everything that asks a server for something over HTTP goes through here.

It does I/O and knows neither Ollama nor the sites that keep models. The door is :class:`HttpClient`: a pool
of connections for one service, with the rules that hold for all of them:

- what failed for the moment is tried again in one loop (:mod:`~gguf2ollama.net.retry`),
- a file's ranges are checked in one place (:mod:`~gguf2ollama.net.ranges`),
- credentials go to their own origin, never along a redirect,
- answers are bounded in bytes, time, pages and memory,
- :meth:`HttpClient.close`, from any thread, ends every wait at once.

It is built on httpcore2, the engine of httpx2: httpx2's client on top of it would cost 22 ms more to import
at every start, for redirects, credentials and limits that have to be stricter here. Plain connections to
Ollama, which nearly every command makes, do without httpcore2, too (:mod:`~gguf2ollama.net.plain`).
"""

from gguf2ollama.net.client import HttpClient
from gguf2ollama.net.failures import ClientClosed, Failure, FailureKind, explain
from gguf2ollama.net.json_body import MEMORY_FACTOR, parse_json
from gguf2ollama.net.proxies import is_loopback, proxy_for
from gguf2ollama.net.ranges import ByteRange, check_content_range, content_length
from gguf2ollama.net.response import Response, refusal
from gguf2ollama.net.retry import RETRY_PAUSES, Budget
from gguf2ollama.net.urls import host_of, origin_of, public_url
from gguf2ollama.net.wait import Wait

__all__ = [
    "MEMORY_FACTOR",
    "RETRY_PAUSES",
    "Budget",
    "ByteRange",
    "ClientClosed",
    "Failure",
    "FailureKind",
    "HttpClient",
    "Response",
    "Wait",
    "check_content_range",
    "content_length",
    "explain",
    "host_of",
    "is_loopback",
    "origin_of",
    "parse_json",
    "proxy_for",
    "public_url",
    "refusal",
]
