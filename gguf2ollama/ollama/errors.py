"""What went wrong on the way to the server or in it, as one of our errors with what to do next.

Ollama tells its errors apart only by their text. The texts were read in its source (``server/routes.go``,
``create.go``, ``create_split_gguf.go``, ``images.go``, ``sched.go``, ``llm/llama_server.go``,
``llm/status.go`` of 0.34.4 and 0.32.15, ``llm/server.go`` of 0.17.4).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gguf2ollama.errors import (
    Gguf2OllamaError,
    InvalidGguf,
    InvalidInput,
    InvalidModelfile,
    InvalidShards,
    NotEnoughSpace,
    NotFound,
    ServerProblem,
    ServerRefused,
    ServerStalled,
    ServerUnreachable,
    UsageProblem,
)

__all__ = ["Asked", "foreign_errors", "printable", "refusal"]

_LIBRARIES = {"httpx", "httpcore"}
_TEXT_LIMIT = 1500
_FORBIDDEN = 403
_NOT_FOUND = 404
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked of which server, to name it in an error.

    Attributes:
        address: The server's base URL.
        method: The HTTP method.
        path: The endpoint, such as ``/api/show``.
        subject: The model or file that it was about, or nothing.
    """

    address: str
    method: str
    path: str
    subject: str = ""

    @property
    def origin(self) -> str:
        """Where an answer came from: ``POST /api/show at http://127.0.0.1:11434``."""
        return f"{self.method} {self.path} at {self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """A text of the server, and what it means.

    Attributes:
        text: A pattern of what the server says, or of a part of it; compiled when an error is explained.
        error: The class of ours that it becomes.
        message: The sentence, which may name ``{address}``, ``{subject}`` and what was ``{said}``.
        hint: What to try next.
        paths: The endpoints where it means that; everywhere, if empty.
    """

    text: str
    error: type[Gguf2OllamaError]
    message: str
    hint: str
    paths: tuple[str, ...]

    def fits(self, asked: Asked, *, said: str) -> bool:
        is_here = not self.paths or asked.path in self.paths
        return is_here and re.search(self.text, said, re.IGNORECASE) is not None

    def apply(self, asked: Asked, *, said: str, status: int) -> Gguf2OllamaError:
        message = self.message.format(address=asked.address, subject=asked.subject, said=said)
        if issubclass(self.error, ServerRefused):
            return self.error(message, hint=self.hint, status=status)
        return self.error(message, hint=self.hint)


def _rule(
    text: str, error: type[Gguf2OllamaError], message: str, hint: str, *, paths: tuple[str, ...] = ()
) -> _Rule:
    return _Rule(text=text, error=error, message=message, hint=hint, paths=paths)


_SMALLER = (
    "choose a smaller context (--ctx) or a smaller quantization, or free memory: `gguf2ollama ps` lists what"
    " is loaded, `gguf2ollama stop NAME` unloads it"
)
_SERVER_LOG = (
    "the server's log says more (Linux: `journalctl -u ollama`; elsewhere ~/.ollama/logs/server.log)"
)
_NAMES = (
    "a name reads NAME, NAME:TAG or NAMESPACE/NAME:TAG: letters, digits, `_`, `-` and `.`, not starting with"
    " `-` or `.`, at most 80 in each part"
)
_TRANSFERS = ("/api/pull", "/api/push")
_UPDATE = "update Ollama on that machine, then run the same command again"

_RULES = (
    _rule(
        r"no space left on device|not enough space on the disk|disk quota exceeded",
        NotEnoughSpace,
        "the disk of the Ollama server at {address} is full: {said}",
        "free space where it keeps its models (OLLAMA_MODELS), for example with `gguf2ollama rm NAME`",
    ),
    _rule(
        r"requires more system memory|out[- ]of[- ](?:device )?memory|(?:cuda|hip)Malloc failed"
        r"|not enough memory|insufficient memory|failed to allocate|allocation failed"
        r"|failed to reserve graph|out_of_device_memory|ErrorOutOfMemory",
        NotEnoughSpace,
        "the Ollama server at {address} has not enough memory for {subject}: {said}",
        _SMALLER,
    ),
    _rule(
        r"^model ['\"].*['\"] not found|/manifests/.*: (?:no such file|the system cannot find)",
        NotFound,
        "Ollama at {address} has no model {subject}",
        "`gguf2ollama list` shows the models that it has",
    ),
    _rule(
        r"pull model manifest: (?:file does not exist|404)",
        NotFound,
        "the registry has no model {subject}",
        "check the name and the tag",
    ),
    _rule(
        r"pull model manifest: 412|requires a newer version of ollama|compatible with your version of ollama",
        ServerRefused,
        "{subject} needs another version of Ollama than the one at {address}: {said}",
        _UPDATE,
    ),
    _rule(
        r"insecure protocol http",
        UsageProblem,
        "{subject} names a registry over plain http, which Ollama refuses",
        "pass --insecure if that registry is meant",
    ),
    _rule(
        r"no Location header in response",
        ServerRefused,
        "Ollama cannot pull {subject}: the registry sends blobs itself, and Ollama insists on a redirect",
        "use a registry that redirects to its storage (Ollama issue 7244), or build from the files",
    ),
    _rule(
        r"^unauthorized|not authorized|access denied|unknown ollama key",
        ServerRefused,
        "the registry does not let this server do that with {subject}: {said}",
        "run `ollama signin` on the server's machine, or add its public key to your account",
    ),
    _rule(
        r"max retries exceeded|dial tcp|no such host|connection refused|tls: |x509: |EOF$",
        ServerRefused,
        "the Ollama server at {address} cannot reach the registry: {said}",
        "check the network and the proxy settings of the server's machine",
        paths=_TRANSFERS,
    ),
    _rule(
        r"^pull model manifest: ",
        ServerRefused,
        "the Ollama server at {address} neither has the model nor gets it from the registry: {said}",
        "`gguf2ollama list` shows the models that it has",
        paths=("/api/create",),
    ),
    _rule(
        r"file must be downloaded again",
        ServerRefused,
        "the registry sent other bytes of {subject} than its manifest promises: {said}",
        "pull it again; if that does not help, the registry's copy is damaged",
        paths=_TRANSFERS,
    ),
    _rule(
        r"permission denied|access is denied|read-only file system",
        ServerRefused,
        "the Ollama server at {address} may not write its own store: {said}",
        "check the owner and the permissions of its models folder (OLLAMA_MODELS)",
    ),
    _rule(
        r"digest mismatch",
        InvalidInput,
        "{subject} does not have the bytes that its digest promises: {said}",
        "the file changed while it was read, or its known digest is stale: run it again with --rehash",
    ),
    _rule(
        r"split GGUF|has \d+ shards, expected \d+|invalid split file|illegal split file|missing first shard",
        InvalidShards,
        "Ollama at {address} does not take these shards as one model: {said}",
        "hand over all shards of one model under the names NAME-00001-of-0000N.gguf, or merge them first"
        " (`gguf2ollama merge`)",
    ),
    _rule(
        r"not in GGUF format|invalid file magic|unsupported model format|no files provided to convert"
        r"|^unknown type$|mixed model file types|exceeds file size|^unsupported file type"
        r"|^error reading GGUF|failed to validate GGUF|EOF$",
        InvalidGguf,
        "Ollama at {address} does not take the file as a GGUF: {said}",
        "`gguf2ollama inspect FILE` tells what is wrong with it",
        paths=("/api/create",),
    ),
    _rule(
        r"unable to generate parser for this template",
        ServerRefused,
        "llama.cpp cannot work with the chat template of {subject}, and so does not start: {said}",
        "build it with a Go template (--template FILE), which Ollama then uses instead",
    ),
    _rule(
        r"unknown (?:model )?architecture|unsupported (?:model )?architecture|unknown pre-tokenizer type"
        r"|unknown tokenizer",
        ServerRefused,
        "the llama.cpp of the Ollama server at {address} cannot run this model: {said}",
        "a newer Ollama may know it: update the server",
    ),
    _rule(
        r"LoRA adapters are no longer supported|is a LoRA adapter|only one adapter is currently supported",
        UsageProblem,
        "Ollama at {address} takes no LoRA adapter: {said}",
        "merge the adapter into the model first (llama.cpp's llama-export-lora)",
    ),
    _rule(
        r"quantization is only supported|unsupported quantiz",
        UsageProblem,
        "Ollama does not quantize a GGUF when it takes it in: {said}",
        "quantize it first with llama.cpp's llama-quantize, or take another quantization of the model",
    ),
    _rule(
        r"template error|^template: ",
        InvalidModelfile,
        "Ollama does not take the TEMPLATE: {said}",
        "TEMPLATE is a Go template: see Go's text/template and Ollama's list of functions",
    ),
    _rule(
        r"invalid requires version|license must be",
        InvalidModelfile,
        "Ollama does not take a value of the Modelfile: {said}",
        "REQUIRES is a version such as 0.34.1, LICENSE a text",
    ),
    _rule(
        r"is no longer supported|unknown parameter|option \"\w+\" must be|invalid (?:int|float|bool) value",
        UsageProblem,
        "Ollama at {address} does not take a parameter: {said}",
        "`gguf2ollama modelfile SOURCE` shows all parameters; leave that one out or correct it",
    ),
    _rule(
        r"invalid model name|^(?:name|source|destination) \".*\" is invalid|unqualified name",
        UsageProblem,
        "Ollama takes no such name for a model ({subject}): {said}",
        _NAMES,
    ),
    _rule(
        r"^model is required",
        ServerRefused,
        "the Ollama server at {address} lost sight of {subject} for a moment: {said}",
        "another model may have been removed at that moment: run the same command again",
    ),
    _rule(
        r"request entity too large|content too large",
        ServerRefused,
        "a proxy before the Ollama server at {address} takes no body of this size: {said}",
        "raise its limit (nginx: client_max_body_size), or go to the server without it",
    ),
    _rule(
        r"does not support|think value",
        UsageProblem,
        "Ollama at {address} cannot do that with {subject}: {said}",
        "`gguf2ollama show NAME` lists what the model can do",
    ),
    _rule(
        r"server busy",
        ServerRefused,
        "the Ollama server at {address} has too many requests waiting",
        "try again later, or raise OLLAMA_MAX_QUEUE on the server",
    ),
    _rule(
        r"llama-server binary not found|unable to find llama-server",
        ServerRefused,
        "the Ollama server at {address} is installed without llama-server and can run no model: {said}",
        "install Ollama again on that machine, with its whole lib/ollama folder",
    ),
    _rule(
        r"path or Modelfile are required",
        ServerRefused,
        "the Ollama server at {address} is too old to take uploaded files: {said}",
        "update Ollama on that machine to 0.5.5 or newer",
    ),
    _rule(
        r"^neither 'from' or 'files' was specified",
        UsageProblem,
        "there is nothing to make {subject} of",
        "name a GGUF, or a model that is there",
    ),
    _rule(
        r"blob not found|sha256[-:][0-9a-f]{64}: (?:no such file|the system cannot find)",
        ServerRefused,
        "a blob that was there is gone from the store of the Ollama server at {address}: {said}",
        "something else removed it or the server was restarted: run the same command again",
    ),
    _rule(
        r"timed out waiting for llama",
        ServerRefused,
        "the Ollama server at {address} gave up loading {subject}: {said}",
        "raise OLLAMA_LOAD_TIMEOUT on the server; its log says how far the load had come",
    ),
    _rule(
        r"signal: (?:segmentation fault|illegal instruction)",
        ServerRefused,
        "the program that runs the model for the Ollama server at {address} crashed with {subject}: {said}",
        "that is a fault of llama.cpp with this processor or this model: update Ollama; in a virtual machine"
        f" with AMX, start the server with LLAMA_ARG_REPACK=0; {_SERVER_LOG}",
    ),
    _rule(
        r"unexpected EOF|\bEOF$|process has terminated|no longer running|unexpectedly stopped"
        r"|unable to load model|error loading model|failed to load model",
        ServerRefused,
        "the program that runs the model for the Ollama server at {address} failed with {subject}: {said}",
        f"memory is the commonest cause (a smaller --ctx or quantization needs less); {_SERVER_LOG}",
    ),
)


def refusal(text: str, *, status: int, asked: Asked) -> Gguf2OllamaError:
    """Explain an error that the server told.

    Args:
        text: The error's text; empty where the answer had none.
        status: The HTTP status code, or 0 for an error in the middle of a stream.
        asked: The request.
    """
    said = printable(text)
    named = asked if asked.subject else replace(asked, subject="the model")
    for rule in _RULES:
        if rule.fits(asked, said=said):
            return rule.apply(named, said=said, status=status)
    if status == _FORBIDDEN and not said:
        return ServerRefused(
            f"{asked.origin} is forbidden: Ollama on loopback answers only to the machine's own names",
            hint="use an IP address or `localhost` in OLLAMA_HOST",
            status=status,
        )
    if status == _NOT_FOUND:
        return ServerRefused(
            f"{asked.origin} is not there ({said or 'no reason given'}): not Ollama, or one of another age",
            hint="check OLLAMA_HOST (or --host), and the server's version with `ollama --version`",
            status=status,
        )
    answered = f"answered with status {status}" if status else "ended with an error"
    return ServerRefused(
        f"{asked.origin} {answered}: {said or 'it gave no reason'}",
        hint=_SERVER_LOG if status >= _SERVER_ERROR or not status else None,
        status=status,
    )


def printable(text: str) -> str:
    """Make a text of a server safe for a terminal and of bounded length; its lines become one."""
    one_line = " ".join(text[: 4 * _TEXT_LIMIT].split())
    kept = "".join(letter if letter.isprintable() else "�" for letter in one_line)
    return kept if len(kept) <= _TEXT_LIMIT else f"{kept[:_TEXT_LIMIT]}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    error: type[Gguf2OllamaError]
    message: str
    hint: str


_START = "start it with `ollama serve`, or say where it is with OLLAMA_HOST or --host"
_AGAIN = "see whether the server still runs (`ollama serve`) and what its log says, then run the same again"
_OURS = "this is a fault of gguf2ollama: please report it with the command that you ran"

_LOST = _Meaning(
    error=ServerUnreachable, message="the connection broke off during {origin}: {detail}", hint=_AGAIN
)
_STALLED = _Meaning(
    error=ServerStalled,
    message="{origin} stalled: nothing came from the server for too long",
    hint=_AGAIN,
)
_FAULT = _Meaning(error=ServerProblem, message="{origin} failed: {name}: {detail}", hint=_OURS)
_ADDRESS = _Meaning(
    error=UsageProblem,
    message="{address} cannot be used as an address: {detail}",
    hint="OLLAMA_HOST reads HOST, HOST:PORT or http(s)://HOST:PORT/PATH",
)

_MEANINGS = {
    "ConnectError": _Meaning(
        error=ServerUnreachable, message="no Ollama server answers at {address}: {detail}", hint=_START
    ),
    "ConnectTimeout": _Meaning(
        error=ServerUnreachable, message="no Ollama server answers at {address} in time", hint=_START
    ),
    "ReadTimeout": _STALLED,
    "WriteTimeout": _Meaning(
        error=ServerStalled, message="{origin} stalled: the server takes no more bytes", hint=_AGAIN
    ),
    "TimeoutException": _STALLED,
    "PoolTimeout": _FAULT,
    "ReadError": _LOST,
    "WriteError": _LOST,
    "CloseError": _LOST,
    "NetworkError": _LOST,
    "RemoteProtocolError": _LOST,
    "ProxyError": _Meaning(
        error=ServerUnreachable,
        message="the proxy does not lead to {address}: {detail}",
        hint="check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, or name the host in NO_PROXY",
    ),
    "UnsupportedProtocol": _ADDRESS,
    "InvalidURL": _ADDRESS,
    "DecodingError": _Meaning(
        error=ServerRefused,
        message="{origin} sent an answer that cannot be decompressed: {detail}",
        hint="look at the proxy between here and the server",
    ),
    "TooManyRedirects": _FAULT,
    "HTTPStatusError": _FAULT,
    "LocalProtocolError": _FAULT,
    "ProtocolError": _FAULT,
    "ConnectionNotAvailable": _FAULT,
    "TransportError": _FAULT,
    "RequestError": _FAULT,
    "HTTPError": _FAULT,
    "CookieConflict": _FAULT,
    "StreamError": _FAULT,
    "StreamConsumed": _FAULT,
    "StreamClosed": _FAULT,
    "ResponseNotRead": _FAULT,
    "RequestNotRead": _FAULT,
}
# by class name, since httpx and httpcore name theirs alike; a test walks both trees for a missing one


@contextlib.contextmanager
def foreign_errors(asked: Asked) -> Iterator[None]:
    """Turn exceptions of httpx and httpcore into ours, with the original as the cause."""
    try:
        yield
    except Exception as error:
        if not any(kind.__module__.partition(".")[0] in _LIBRARIES for kind in type(error).__mro__):
            raise
        raise _explained(error, asked=asked) from error


def _explained(error: Exception, *, asked: Asked) -> Gguf2OllamaError:
    detail = printable(str(error)) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in detail:
        return ServerUnreachable(
            f"the certificate of {asked.address} is not trusted: {detail}",
            hint="name your own authority's certificate in SSL_CERT_FILE",
        )
    found = next(
        (_MEANINGS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _MEANINGS), _FAULT
    )
    fields = {
        "address": asked.address,
        "origin": asked.origin,
        "detail": detail,
        "name": type(error).__name__,
    }
    return found.error(found.message.format(**fields), hint=found.hint)
