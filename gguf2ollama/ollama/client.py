"""The client: one method for each endpoint of Ollama's REST interface."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, final

from gguf2ollama.errors import ServerRefused, UsageProblem
from gguf2ollama.events import Progress, ignore
from gguf2ollama.names import ModelName, ServerAddress
from gguf2ollama.oci import Digest
from gguf2ollama.ollama.blob_body import PiecesBody, body, opener
from gguf2ollama.ollama.responses import Chunk, Embeddings, LocalModel, ModelInfo, RunningModel, Status
from gguf2ollama.ollama.rest import RestApi, Stream
from gguf2ollama.ollama.sendfile import BlobPiece
from gguf2ollama.ollama.versions import ServerFeatures, ServerVersion

__all__ = ["STALL_TIMEOUT", "Client"]

STALL_TIMEOUT = 60.0
"""Seconds of silence after which a server is probed, and in which it has to respond."""

_RETRY_PAUSES = (0.5, 2.0)


@final
class Client:
    """A connection to one Ollama server.

    Nothing is sent before a method is called. All methods may be called from several threads. A method that
    returns a ``Stream`` has sent its request when it returns; the others return when the work is done.

    Every method raises, besides what it names itself: ``ServerUnreachable`` when nothing answers or the
    connection is lost, ``ServerStalled`` when it goes silent, ``ServerRefused`` (or the class that fits
    better) for an error of the server's own; each with a hint.

    Args:
        address: Where the server is; as ``OLLAMA_HOST`` says when it is not given.
        api_key: Sent to that server as ``Authorization: Bearer``; ``OLLAMA_API_KEY`` by default, empty: none.
        basic: User and password, sent to that server as ``Authorization: Basic`` in place of a key.
        ca_file: Certificates (PEM) to trust in place of the system's and those of ``SSL_CERT_FILE``.
        stall_timeout: Seconds of silence before the server is probed.
        retry_pauses: Seconds before each new attempt of a request that may be repeated, uploads included.
        notify: Called with a sentence when something takes longer than a user would expect.

    Raises:
        UsageProblem: The address, or the certificates or proxy that the environment names, cannot be used.
    """

    def __init__(
        self,
        address: ServerAddress | str | None = None,
        *,
        api_key: str | None = None,
        basic: tuple[str, str] | None = None,
        ca_file: Path | None = None,
        stall_timeout: float = STALL_TIMEOUT,
        retry_pauses: Sequence[float] | None = None,
        notify: Callable[[str], None] = ignore,
    ) -> None:
        if address is None:
            address = ServerAddress.from_environment(os.environ)
        elif isinstance(address, str):
            address = ServerAddress.parse(address)
        self.address = address
        self._api = RestApi(
            address,
            authorization=_authorization(
                api_key=_api_key(os.environ) if api_key is None and basic is None else api_key, basic=basic
            ),
            ca_file=ca_file,
            stall_timeout=stall_timeout,
            retry_pauses=_RETRY_PAUSES if retry_pauses is None else retry_pauses,
            notify=notify,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; what is under way on them ends."""
        self._api.close()

    # the server

    def version(self) -> ServerVersion:
        """Return the server's version; a build that names no release counts as the newest known.

        Raises:
            ServerRefused: It answers, but is not an Ollama server.
        """
        fields = self._api.version()
        try:
            return ServerVersion.reported(fields.text("version"))
        except ValueError as error:
            raise ServerRefused(
                f"{fields.origin} did not return a version: {error}",
                hint="check that OLLAMA_HOST (or --host) leads to Ollama and not to another server",
            ) from error

    def features(self) -> ServerFeatures:
        """Return what the server supports, by its version."""
        return ServerFeatures.of(self.version())

    def clock(self) -> datetime | None:
        """Return the time by the server's own clock, to the second; ``None`` if the response has no date."""
        return self._api.date("/api/version")

    # blobs

    def has_blob(self, digest: Digest) -> bool:
        """Return whether a blob is in the server's store."""
        return self._api.exists(f"/api/blobs/{digest}")

    def upload_blob(
        self,
        source: Path | Callable[[], BinaryIO] | Sequence[BlobPiece],
        *,
        digest: Digest,
        size: int,
        label: str | None = None,
        progress: Progress = ignore,
    ) -> bool:
        """Send a blob, unless the server has it; return whether it was sent.

        When the connection is lost, the blob is sent again from its start, after each of the client's
        ``retry_pauses``. Ollama verifies the digest itself and keeps nothing of an incomplete upload.

        Args:
            source: A file, a function that opens the bytes from their start each time it is called, or pieces
                of files and bytes: those of files are sent fastest over a plain connection.
            digest: Its sha256, under which it is kept.
            size: Its length in bytes.
            label: What to call it in progress and errors; the file's name when it is not given.
            progress: Called with the bytes sent.

        Raises:
            InvalidInput: The source has other bytes than its digest says, or another length than ``size``.
            NotFound: The file does not exist.
            NotEnoughSpace: The server's disk is full.
        """
        label = label or (source.name if isinstance(source, Path) else str(digest))
        task = f"uploading {label}"
        if self.has_blob(digest):
            return False
        self._api.upload(
            f"/api/blobs/{digest}",
            lambda: (
                PiecesBody(source, task=task, progress=progress)
                if isinstance(source, Sequence)
                else body(opener(source), size=size, task=task, progress=progress)
            ),
            size=size,
            subject=label,
        )
        return True

    # models

    def create(
        self,
        name: ModelName | str,
        *,
        files: Mapping[str, Digest] | None = None,
        draft_files: Mapping[str, Digest] | None = None,
        from_: ModelName | str | None = None,
        template: str | None = None,
        system: str | None = None,
        parameters: Mapping[str, object] | None = None,
        messages: Sequence[Mapping[str, object]] = (),
        licenses: Sequence[str] = (),
        renderer: str | None = None,
        parser: str | None = None,
        requires: str | None = None,
        family: str | None = None,
        quantization: str | None = None,
    ) -> Stream[Status]:
        """Create a model from uploaded blobs, or a variant of an existing one (servers from 0.5.5 on).

        Args:
            name: Its name; a model of that name is replaced.
            files: The blobs by file name; the server distinguishes weights from projectors by their contents,
                and shards by names of the form ``NAME-00001-of-00003.gguf``.
            draft_files: The same of its draft (servers from 0.30 on).
            from_: The model to make a variant of, instead of ``files``.
            template: A Go template; without one the server may choose one, or use the GGUF's own.
            system: The default system message.
            parameters: PARAMETER by name, as JSON values; ``stop`` is a list.
            messages: Messages that go before every chat, with ``role`` and ``content``.
            licenses: Their texts.
            renderer: A built-in renderer in place of a template.
            parser: A built-in parser of the model's answers.
            requires: The oldest Ollama that runs it.
            family: The architecture it goes by, where that is not what the GGUF says; some are treated apart.
            quantization: What it is shown as, where that is not what the GGUF says.

        Raises:
            InvalidShards: The shards are not one whole set.
            InvalidGguf: A file is not a GGUF.
            InvalidModelfile: The template is invalid.
            NotEnoughSpace: The server's disk is full.
            UsageProblem: The server does not accept the name, a parameter or an adapter.
        """
        wanted = {
            "from": None if from_ is None else str(from_),
            "files": {path: str(digest) for path, digest in files.items()} if files else None,
            "draft_files": {path: str(digest) for path, digest in draft_files.items()}
            if draft_files
            else None,
            "template": template,
            "system": system,
            "parameters": dict(parameters) if parameters else None,
            "messages": [dict(message) for message in messages] or None,
            "license": list(licenses) or None,
            "renderer": renderer,
            "parser": parser,
            "requires": requires,
            "info": _given({"model_family": family, "quantization_level": quantization}) or None,
        }
        return self._api.stream(
            "/api/create",
            {"model": str(name), **_given(wanted)},
            subject=str(name),
            parse=Status.parse,
            is_last=_is_success,
        )

    def list(self) -> tuple[LocalModel, ...]:
        """List the models in the server's store in its own order: the newest first, to the second."""
        return tuple(LocalModel.parse(model) for model in self._api.get("/api/tags").inners("models"))

    def show(self, name: ModelName | str, *, verbose: bool = False) -> ModelInfo:
        """Return all about one model.

        Args:
            name: The model.
            verbose: Include the large arrays of the metadata (megabytes) and the tensors.

        Raises:
            NotFound: The server has no such model.
        """
        content = {"model": str(name), "verbose": verbose}
        fields = self._api.post("/api/show", content, subject=str(name), is_vocabulary=verbose)
        return ModelInfo.parse(fields)

    def copy(self, source: ModelName | str, *, to: ModelName | str) -> None:
        """Return a model a second name; no weights are copied, and a model of that name is replaced.

        Raises:
            NotFound: The server has no such model.
            UsageProblem: The server does not accept the name.
        """
        names = {"source": str(source), "destination": str(to)}
        self._api.send("POST", "/api/copy", names, subject=str(source))

    def delete(self, name: ModelName | str) -> None:
        """Remove a model, and the blobs that no other model uses.

        Raises:
            NotFound: The server has no such model.
        """
        self._api.send("DELETE", "/api/delete", {"model": str(name)}, subject=str(name))

    def pull(self, name: ModelName | str, *, insecure: bool = False) -> Stream[Status]:
        """Let the server fetch a model from a registry.

        Args:
            name: The model, with the registry's host where it is not Ollama's own.
            insecure: Allow a registry over plain http, or with a certificate that is not trusted.

        Raises:
            NotFound: The registry has no such model.
            NotEnoughSpace: The server's disk is full.
        """
        return self._transfer("/api/pull", name, insecure=insecure)

    def push(self, name: ModelName | str, *, insecure: bool = False) -> Stream[Status]:
        """Let the server send a model to the registry that its name says.

        Args:
            name: The model.
            insecure: Allow a registry over plain http, or with a certificate that is not trusted.

        Raises:
            NotFound: The server has no such model.
        """
        return self._transfer("/api/push", name, insecure=insecure)

    # running

    def chat(
        self,
        name: ModelName | str,
        messages: Sequence[Mapping[str, object]],
        *,
        tools: Sequence[Mapping[str, object]] = (),
        options: Mapping[str, object] | None = None,
        think: bool | str | None = None,
        answer_format: str | Mapping[str, object] | None = None,
        keep_alive: str | float | None = None,
    ) -> Stream[Chunk]:
        """Generate the next message of a chat; the model is loaded if it is not yet.

        Args:
            name: The model.
            messages: The chat so far, as the API takes it: ``role``, ``content`` and what else there is.
            tools: Tools that the model may call, as the API takes them.
            options: Parameters for this answer, before those of the model.
            think: Whether, or how much, to reason first; the server decides when it is not given.
            answer_format: ``json``, or a JSON schema that the answer is to follow.
            keep_alive: How long the model stays loaded afterwards: ``5m``, or seconds; -1 is for ever.

        Raises:
            NotFound: The server has no such model.
            NotEnoughSpace: It does not fit the memory.
            UsageProblem: The model cannot do that.
        """
        fields = _options(
            tools=tools, options=options, think=think, keep_alive=keep_alive, form=answer_format
        )
        return self._api.stream(
            "/api/chat",
            {"model": str(name), "messages": [dict(message) for message in messages], **fields},
            subject=str(name),
            parse=Chunk.parse_chat,
            is_last=_is_last_chunk,
        )

    def render(
        self,
        name: ModelName | str,
        messages: Sequence[Mapping[str, object]],
        *,
        tools: Sequence[Mapping[str, object]] = (),
        think: bool | str | None = None,
    ) -> str:
        """Return the rendered prompt of a chat, without generating (servers from 0.11.5 on).

        The model is loaded all the same, and nothing of the chat is cut off to fit its context.

        Raises:
            NotFound: The server has no such model.
            ServerRefused: The template fails, or the server renders nothing.
        """
        # an older server answers the chat instead, which is not to take long
        wanted = _options(tools=tools, options={"num_predict": 1}, think=think, keep_alive=None, form=None)
        chat = {
            "model": str(name),
            "messages": [dict(message) for message in messages],
            "stream": False,
            "truncate": False,
            "_debug_render_only": True,
            **wanted,
        }
        answer = self._api.post("/api/chat", chat, subject=str(name), is_long=True)
        return _rendered(Chunk.parse_chat(answer), answer.origin, name)

    def generate(
        self,
        name: ModelName | str,
        prompt: str,
        *,
        suffix: str | None = None,
        system: str | None = None,
        raw: bool = False,
        options: Mapping[str, object] | None = None,
        think: bool | str | None = None,
        answer_format: str | Mapping[str, object] | None = None,
        keep_alive: str | float | None = None,
    ) -> Stream[Chunk]:
        """Generate the continuation of a prompt; the model is loaded if it is not yet.

        Args:
            name: The model.
            prompt: The text; put into the model's template.
            suffix: The text behind what is generated.
            system: A system message in place of the model's own.
            raw: Send the prompt as it is, without a template.
            options: Parameters for this answer, before those of the model.
            think: Whether, or how much, to reason first; the server decides when it is not given.
            answer_format: ``json``, or a JSON schema that the answer is to follow.
            keep_alive: How long the model stays loaded afterwards: ``5m``, or seconds; -1 is for ever.

        Raises:
            NotFound: The server has no such model.
            NotEnoughSpace: It does not fit the memory.
            UsageProblem: The model cannot do that.
        """
        wanted = _options(tools=(), options=options, think=think, keep_alive=keep_alive, form=answer_format)
        return self._api.stream(
            "/api/generate",
            {
                "model": str(name),
                "prompt": prompt,
                "raw": raw,
                **_given({"suffix": suffix, "system": system}),
                **wanted,
            },
            subject=str(name),
            parse=Chunk.parse_generate,
            is_last=_is_last_chunk,
        )

    def render_suffix(self, name: ModelName | str, prompt: str, *, suffix: str) -> str:
        """Return the rendered prompt that fills in between two texts, without generating.

        Raises:
            NotFound: The server has no such model.
            ServerRefused: The template fails, or the server renders nothing.
            UsageProblem: The model cannot fill in the middle.
        """
        content = {
            "model": str(name),
            "prompt": prompt,
            "suffix": suffix,
            "stream": False,
            "options": {"num_predict": 1},  # as in `render`
            "_debug_render_only": True,
        }
        answer = self._api.post("/api/generate", content, subject=str(name), is_long=True)
        return _rendered(Chunk.parse_generate(answer), answer.origin, name)

    def embed(self, name: ModelName | str, texts: Sequence[str]) -> Embeddings:
        """Embed texts; the model is loaded if it is not yet, and what does not fit its context is cut off.

        Raises:
            NotFound: The server has no such model.
            NotEnoughSpace: It does not fit the memory.
            ServerRefused: The model cannot embed.
        """
        content = {"model": str(name), "input": list(texts)}
        return Embeddings.parse(self._api.post("/api/embed", content, subject=str(name), is_long=True))

    def ps(self) -> tuple[RunningModel, ...]:
        """List the models in memory."""
        return tuple(RunningModel.parse(model) for model in self._api.get("/api/ps").inners("models"))

    def load(
        self,
        name: ModelName | str,
        *,
        tokens: int = 0,
        options: Mapping[str, object] | None = None,
        keep_alive: str | float | None = None,
    ) -> None:
        """Load a model into memory, also one that only makes embeddings; however long that takes.

        Args:
            name: The model.
            tokens: How many tokens to have it generate, to see that it runs; nobody reads them.
            options: Parameters to load it with, before those of the model.
            keep_alive: How long it stays loaded: ``5m``, or seconds. With 0 nothing is loaded.

        Raises:
            NotFound: The server has no such model.
            NotEnoughSpace: It does not fit the memory.
            ServerRefused: The server cannot run it.
        """
        wanted = {"model": str(name), **_given({"keep_alive": keep_alive})}
        running = {"prompt": "1", "raw": True} if tokens else {}
        limits = {**(options or {}), **({"num_predict": tokens} if tokens else {})}
        content = {**wanted, **running, "options": limits, "stream": False}
        try:
            self._api.post("/api/generate", content, subject=str(name), is_long=True)
        except UsageProblem:
            # "does not support generate": a model for embeddings is loaded by embedding something
            content = {**wanted, "input": "1" if tokens else [], "options": dict(options or {})}
            self._api.post("/api/embed", content, subject=str(name), is_long=True)

    def unload(self, name: ModelName | str) -> None:
        """Take a model out of memory as soon as it has nothing to do; no error if it is not there.

        Raises:
            NotFound: The server has no such model.
        """
        content = {"model": str(name), "keep_alive": 0, "stream": False}
        self._api.post("/api/generate", content, subject=str(name), is_long=True)

    def _transfer(self, path: str, name: ModelName | str, *, insecure: bool) -> Stream[Status]:
        return self._api.stream(
            path,
            {"model": str(name), "insecure": insecure},
            subject=str(name),
            parse=Status.parse,
            is_last=_is_success,
            is_flowing=_is_transfer,
        )


def _api_key(environ: Mapping[str, str]) -> str | None:
    """Read ``OLLAMA_API_KEY``.

    Raises:
        UsageProblem: It holds what no header can carry; the message does not show it.
    """
    key = environ.get("OLLAMA_API_KEY", "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageProblem("OLLAMA_API_KEY contains invalid characters", hint="copy the key again")
    return key or None


def _authorization(*, api_key: str | None, basic: tuple[str, str] | None) -> str | None:
    """Return the header ``Authorization`` (RFC 6750; RFC 7617, in UTF-8), or ``None``."""
    if basic is not None:
        import base64  # noqa: PLC0415 - for a server behind a proxy alone

        return f"Basic {base64.b64encode(':'.join(basic).encode()).decode()}"
    return f"Bearer {api_key}" if api_key else None


def _rendered(chunk: Chunk, origin: str, name: ModelName | str) -> str:
    if chunk.rendered_template is None:
        raise ServerRefused(
            f"{origin} did not return the prompt of {name}", hint="Ollama 0.11.5 or newer is required"
        )
    return chunk.rendered_template


def _is_success(status: Status) -> bool:
    return status.is_success


def _is_transfer(status: Status) -> bool:
    return status.is_transfer


def _is_last_chunk(chunk: Chunk) -> bool:
    return chunk.is_last


def _given(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _options(
    *,
    tools: Sequence[Mapping[str, object]],
    options: Mapping[str, object] | None,
    think: bool | str | None,
    keep_alive: str | float | None,
    form: str | Mapping[str, object] | None,
) -> dict[str, object]:
    """Return the fields that chat and generate share."""
    return _given(
        {
            "tools": [dict(tool) for tool in tools] or None,
            "options": dict(options) if options else None,
            "think": think,
            "keep_alive": keep_alive,
            "format": form,
        }
    )
