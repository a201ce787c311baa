"""What went wrong in the server or on the connection to it, as one of our errors with what to do next.

Ollama's errors differ only in their text. The texts were read in its source (``server/routes.go``,
``create.go``, ``create_split_gguf.go``, ``images.go``, ``sched.go``, ``llm/llama_server.go``,
``llm/status.go`` of 0.34.4 and 0.32.15, ``llm/server.go`` of 0.17.4).
"""

from __future__ import annotations

import re
from dataclasses import replace

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import (
    Gguf2OllamaError,
    InvalidGguf,
    InvalidInput,
    InvalidModelfile,
    InvalidShards,
    NotEnoughSpace,
    NotFound,
    RunnerStopped,
    ServerProblem,
    ServerRefused,
    ServerStalled,
    ServerUnreachable,
    UsageProblem,
)
from gguf2ollama.names import TEMPORARY_NAMESPACE
from gguf2ollama.net import Failure, FailureKind, explain, failures

__all__ = ["ApiCall", "explain_failure", "explain_refusal", "printable"]

_TEXT_LIMIT = 1500
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_NOT_FOUND = 404
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """What was call of which server, to name it in an error.

    Attributes:
        address: The server's base URL.
        method: The HTTP method.
        path: The endpoint, such as ``/api/show``.
        subject: The model or file that it was about, or nothing.
        has_key: Whether credentials were sent.
    """

    address: str
    method: str
    path: str
    subject: str = ""
    has_key: bool = False

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
        passes: Whether nothing was done, and the same request succeeds a moment later.
    """

    text: str
    error: type[Gguf2OllamaError]
    message: str
    hint: str
    paths: tuple[str, ...]
    passes: bool

    def fits(self, call: ApiCall, *, said: str) -> bool:
        is_here = not self.paths or call.path in self.paths
        return is_here and re.search(self.text, said, re.IGNORECASE) is not None

    def apply(self, call: ApiCall, *, said: str, status: int) -> Gguf2OllamaError:
        message = self.message.format(address=call.address, subject=call.subject, said=said)
        if issubclass(self.error, ServerRefused):
            refused = self.error(message, hint=self.hint, status=status)
            refused.retry_after = 0.0 if self.passes else None
            return refused
        return self.error(message, hint=self.hint)


def _rule(
    text: str,
    error: type[Gguf2OllamaError],
    message: str,
    hint: str,
    *,
    paths: tuple[str, ...] = (),
    passes: bool = False,
) -> _Rule:
    return _Rule(text=text, error=error, message=message, hint=hint, paths=paths, passes=passes)


_SMALLER = (
    "choose a smaller context (--ctx) or a smaller quantization, or free memory: `gguf2ollama ps` lists what"
    " is loaded, `gguf2ollama stop NAME` unloads it"
)
_SERVER_LOG = "see the server's log (Linux: `journalctl -u ollama`; elsewhere ~/.ollama/logs/server.log)"
_NAMES = (
    "use NAME, NAME:TAG or NAMESPACE/NAME:TAG: letters, digits, `_`, `-` and `.`, not starting with"
    " `-` or `.`, at most 80 in each part"
)
_TEMPORARY = lazy_pattern(rf"{TEMPORARY_NAMESPACE}/(?P<name>[^/:\s]+):[0-9]{{1,16}}-")
"""What stands before the tag of a model while it is being made; the user knows its own name."""
_TRANSFERS = ("/api/pull", "/api/push")
_RUNS = ("/api/chat", "/api/generate", "/api/embed")
_UPDATE = "update Ollama on that machine, then run the same command again"

# llama.cpp's own reason stands behind what it was at: error loading model hyperparameters: key …
_REASON = r"error loading model(?: [a-z]+)*: (?!error loading model)"

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
        "the Ollama server at {address} does not have enough memory for {subject}: {said}",
        _SMALLER,
    ),
    _rule(
        r"^model ['\"].*['\"] not found|/manifests/.*: (?:no such file|the system cannot find)",
        NotFound,
        "Ollama at {address} has no model {subject}",
        "`gguf2ollama list` shows its models",
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
        "pass --insecure to use that registry all the same",
    ),
    _rule(
        r"no Location header in response",
        ServerRefused,
        "Ollama cannot pull {subject}: the registry sends blobs itself, and Ollama requires a redirect",
        "use a registry that redirects to its storage (Ollama issue 7244), or build from the files",
    ),
    _rule(
        r"^unauthorized|not authorized|access denied|unknown ollama key",
        ServerRefused,
        "the registry denied access to {subject}: {said}",
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
        "the Ollama server at {address} does not have the model and cannot pull it: {said}",
        "`gguf2ollama list` shows its models",
        paths=("/api/create",),
    ),
    _rule(
        r"file must be downloaded again",
        ServerRefused,
        "checksum mismatch: the registry sent different bytes of {subject} than its manifest lists: {said}",
        "pull it again; if that does not help, the registry's copy is damaged",
        paths=_TRANSFERS,
    ),
    _rule(
        r"permission denied|access is denied|read-only file system",
        ServerRefused,
        "the Ollama server at {address} cannot write its model directory: {said}",
        "check owner and permissions of the directory that OLLAMA_MODELS names there",
    ),
    _rule(
        r"digest mismatch",
        InvalidInput,
        "checksum mismatch: {subject} does not match its digest: {said}",
        "the file changed while it was being read, or its cached digest is stale: run again with --rehash",
    ),
    _rule(
        r"split GGUF|has \d+ shards, expected \d+|invalid split file|illegal split file|missing first shard",
        InvalidShards,
        "Ollama at {address} does not accept these shards as one model: {said}",
        "pass all shards of one model, named NAME-00001-of-0000N.gguf, or merge them first"
        " (`gguf2ollama merge`)",
    ),
    _rule(
        r"not in GGUF format|invalid file magic|unsupported model format|no files provided to convert"
        r"|^unknown type$|mixed model file types|exceeds file size|^unsupported file type"
        r"|^error reading GGUF|failed to validate GGUF|EOF$",
        InvalidGguf,
        "Ollama at {address} does not accept the file as GGUF: {said}",
        "`gguf2ollama inspect FILE` shows what is wrong with it",
        paths=("/api/create",),
    ),
    _rule(
        r"unable to generate parser for this template",
        ServerRefused,
        "llama.cpp cannot use the chat template of {subject} and does not start: {said}",
        "build it with a Go template (--template FILE), which Ollama uses instead",
    ),
    _rule(
        r"unknown (?:model )?architecture|unsupported (?:model )?architecture|unknown pre-tokenizer type"
        r"|unknown tokenizer",
        ServerRefused,
        "the llama.cpp of the Ollama server at {address} cannot run this model: {said}",
        "update the server: a newer Ollama may support it",
    ),
    _rule(
        r"LoRA adapters are no longer supported|is a LoRA adapter|only one adapter is currently supported",
        UsageProblem,
        "Ollama at {address} does not accept LoRA adapters: {said}",
        "merge the adapter into the model first (llama.cpp's llama-export-lora)",
    ),
    _rule(
        r"failed to load image or audio file",
        UsageProblem,
        "Ollama at {address} cannot read the image or sound: {said}",
        "send a PNG, a JPEG or a WAV file",
    ),
    _rule(
        r"quantization is only supported|unsupported quantiz",
        UsageProblem,
        "Ollama cannot quantize GGUF files: {said}",
        "quantize it first (`gguf2ollama quantize IN OUT TYPE`), or choose another quantization of the model",
    ),
    _rule(
        # no word of the runner itself, as where Ollama killed it, and not while it was loading
        r"^llama-server apply-template error: Post |^do embedding request: Post |^health resp: Get "
        r"|^connection refused$|^model runner has unexpectedly stopped,[^:]*$"
        r"|^llama(?:-server| runner) process no longer running: (?:unknown|-1)\s*$",
        RunnerStopped,
        "the process that ran {subject} ended during a request on the Ollama server at {address}: {said}",
        "the model may have been unloaded by another program at that moment: run the same command again; if"
        f" it ends again, memory may be short (a smaller --ctx or quantization needs less); {_SERVER_LOG}",
        paths=_RUNS,
        passes=True,  # the next request starts another
    ),
    _rule(
        r"template error|^template: ",
        InvalidModelfile,
        "invalid TEMPLATE: {said}",
        "TEMPLATE is a Go template: see Go's text/template and Ollama's list of functions",
    ),
    _rule(
        r"invalid requires version|license must be",
        InvalidModelfile,
        "invalid value in the Modelfile: {said}",
        "REQUIRES is a version such as 0.34.1, LICENSE a text",
    ),
    _rule(
        r"is no longer supported|unknown parameter|option \"\w+\" must be|invalid (?:int|float|bool) value",
        UsageProblem,
        "Ollama at {address} does not accept a parameter: {said}",
        "`gguf2ollama modelfile SOURCE` shows all parameters; correct that one or leave it out",
    ),
    _rule(
        r"invalid model name|^(?:name|source|destination) \".*\" is invalid|unqualified name",
        UsageProblem,
        "invalid model name {subject}: {said}",
        _NAMES,
    ),
    _rule(
        r"^model is required",
        ServerRefused,
        "the Ollama server at {address} could not find {subject} for a moment: {said}",
        "another model may have been removed at the same time: run the same command again",
        passes=True,  # the list of all models failed (getExistingName in server/routes.go of 0.34.4)
    ),
    _rule(
        r"request entity too large|content too large",
        ServerRefused,
        "a proxy in front of {address} does not accept uploads of this size: {said}",
        "raise its limit (nginx: client_max_body_size), or connect to the server without it",
    ),
    _rule(
        r"does not support|think value",
        UsageProblem,
        "Ollama at {address} cannot do that with {subject}: {said}",
        "`gguf2ollama show NAME` lists its capabilities",
    ),
    _rule(
        r"server busy",
        ServerRefused,
        "the Ollama server at {address} is busy: too many requests are waiting",
        "try again later, or raise OLLAMA_MAX_QUEUE on the server",
    ),
    _rule(
        r"llama-server binary not found|unable to find llama-server",
        ServerRefused,
        "the Ollama server at {address} is installed without llama-server and cannot run models: {said}",
        "reinstall Ollama on that machine, with its whole lib/ollama directory",
    ),
    _rule(
        r"path or Modelfile are required",
        ServerRefused,
        "the Ollama server at {address} is too old to create models from uploaded files: {said}",
        "update Ollama on that machine to 0.5.5 or newer",
    ),
    _rule(
        r"^neither 'from' or 'files' was specified",
        UsageProblem,
        "no source to create {subject} from",
        "pass a GGUF, or the name of an existing model",
    ),
    _rule(
        r"blob not found|sha256[-:][0-9a-f]{64}: (?:no such file|the system cannot find)",
        ServerRefused,
        "a blob has disappeared from the store of the Ollama server at {address}: {said}",
        "it was removed, or the server was restarted: run the same command again",
    ),
    _rule(
        r"timed out waiting for llama",
        ServerRefused,
        "loading {subject} timed out on the Ollama server at {address}: {said}",
        "raise OLLAMA_LOAD_TIMEOUT on the server; its log shows how far loading had come",
    ),
    _rule(
        r"signal: (?:segmentation fault|illegal instruction)",
        ServerRefused,
        "llama-server crashed with {subject} on the Ollama server at {address}: {said}",
        "this is a bug in llama.cpp with this processor or this model: update Ollama; in a virtual machine"
        f" with AMX, start the server with LLAMA_ARG_REPACK=0; {_SERVER_LOG}",
    ),
    _rule(
        rf"{_REASON}(?!llama_model_loader: failed to load|.*(?:memory|alloc))\S",
        ServerRefused,
        "llama-server cannot load {subject} on the Ollama server at {address}: {said}",
        "the file is damaged, or made for another program or version: get the model from another source,"
        " or update Ollama on that machine",
    ),
    _rule(
        r"unexpected EOF|\bEOF$|process has terminated|no longer running|unexpectedly stopped"
        r"|unable to load model|error loading model|failed to load model",
        ServerRefused,
        "llama-server failed with {subject} on the Ollama server at {address}: {said}",
        f"most often memory is short (a smaller --ctx or quantization needs less); {_SERVER_LOG}",
    ),
)


def explain_refusal(text: str, *, status: int, call: ApiCall) -> Gguf2OllamaError:
    """Return the error for what the server reports.

    Args:
        text: The error's text; empty where the response had none.
        status: The HTTP status code, or 0 for an error in the middle of a stream.
        call: The request.
    """
    said = _TEMPORARY.sub(r"\g<name>:", printable(text))
    subject = _TEMPORARY.sub(r"\g<name>:", call.subject)
    named = replace(call, subject=subject or "the model")
    if status == _UNAUTHORIZED and call.path not in _TRANSFERS:
        return _unauthorized(call, said=said)
    for rule in _RULES:
        if rule.fits(call, said=said):
            return rule.apply(named, said=said, status=status)
    if status == _FORBIDDEN and not said:
        return ServerRefused(
            f"{call.origin} returned HTTP 403: Ollama on loopback answers only to the machine's own names",
            hint="use an IP address or `localhost` in OLLAMA_HOST",
            status=status,
        )
    if status == _NOT_FOUND:
        return ServerRefused(
            f"{call.origin} returned HTTP 404: not an Ollama server, or an unsupported version",
            hint="check OLLAMA_HOST (or --host), and the server's version with `ollama --version`",
            status=status,
        )
    outcome = f"returned HTTP {status}" if status else "failed"
    return ServerRefused(
        f"{call.origin} {outcome}: {said or 'no reason given'}",
        hint=_SERVER_LOG if status >= _SERVER_ERROR or not status else None,
        status=status,
    )


def _unauthorized(call: ApiCall, *, said: str) -> ServerRefused:
    reason = f": {said}" if said else ""
    if call.has_key:
        return ServerRefused(
            f"{call.address} rejected the API key (HTTP 401){reason}",
            hint="check OLLAMA_API_KEY",
            status=_UNAUTHORIZED,
        )
    return ServerRefused(
        f"{call.address} requires authentication (HTTP 401){reason}",
        hint="set OLLAMA_API_KEY to the key of that server",
        status=_UNAUTHORIZED,
    )


def printable(text: str) -> str:
    """Make a text of a server safe for a terminal; Ollama quotes long ones of llama-server."""
    return failures.printable(text, limit=_TEXT_LIMIT)


_START = "start it with `ollama serve`, or set its address with OLLAMA_HOST or --host"
_AGAIN = "check that the server is running (`ollama serve`) and its log, then run the same command again"

_FAILURES: dict[FailureKind, tuple[type[ServerProblem], str, str]] = {
    FailureKind.CONNECT: (ServerUnreachable, "cannot connect to Ollama at {address}: {detail}", _START),
    FailureKind.CONNECT_TIMEOUT: (
        ServerUnreachable,
        "cannot connect to Ollama at {address}: no response within {seconds:g} s",
        _START,
    ),
    FailureKind.CERTIFICATE: (
        ServerUnreachable,
        "the certificate of {address} cannot be verified: {detail}",
        "if you trust its authority, name the authority's certificate: --ca FILE, or SSL_CERT_FILE=FILE",
    ),
    FailureKind.STALLED: (ServerStalled, "{origin} timed out: no data for {seconds:g} s", _AGAIN),
    FailureKind.NOT_TAKEN: (
        ServerStalled,
        "{origin} timed out: the server accepted no data for {seconds:g} s",
        _AGAIN,
    ),
    FailureKind.LOST: (ServerUnreachable, "connection lost during {origin}: {detail}", _AGAIN),
    FailureKind.PROTOCOL: (
        ServerUnreachable,
        "invalid HTTP response to {origin}: {detail}",
        "check that OLLAMA_HOST (or --host) leads to Ollama and not to another server",
    ),
}


def explain_failure(failure: Failure, *, call: ApiCall) -> ServerProblem:
    """Return the error for a request that failed before its response was complete."""
    if failure.kind not in _FAILURES:
        return explain(failure)
    kind, message, hint = _FAILURES[failure.kind]
    text = message.format(
        address=call.address, origin=call.origin, detail=failure.detail, seconds=failure.seconds
    )
    return kind(text, hint=hint)
