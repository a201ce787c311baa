"""Responses of Ollama, as values.

They are parsed leniently: unknown keys are ignored, missing ones are empty values, and only a key of the
wrong type is an error (see ``fields``). Source: ``api/types.go`` of Ollama 0.34.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.modelfiles import parse_modelfile
from gguf2ollama.ollama.fields import Fields
from gguf2ollama.ollama.parameters import parse_parameters

__all__ = [
    "Chunk",
    "Embeddings",
    "LocalModel",
    "Metrics",
    "ModelDetails",
    "ModelInfo",
    "RunningModel",
    "Status",
    "ToolCall",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetails:
    """Format, architecture and size of a model.

    Attributes:
        format: ``gguf`` or ``safetensors``.
        family: The architecture, such as ``llama``.
        families: All architectures in it; a vision model has several.
        parameter_size: For a person: ``134.52M``.
        quantization_level: Such as ``Q4_K_M``.
        parent_model: The model that it was made from, where that is known.
        runner: What runs it (``llamacpp``, ``ggml``, ``mlx``); empty before 0.40.
    """

    format: str
    family: str
    families: tuple[str, ...]
    parameter_size: str
    quantization_level: str
    parent_model: str
    runner: str

    @classmethod
    def parse(cls, fields: Fields) -> ModelDetails:
        """Read the ``details`` of a response."""
        return cls(
            format=fields.text("format"),
            family=fields.text("family"),
            families=fields.texts("families"),
            parameter_size=fields.text("parameter_size"),
            quantization_level=fields.text("quantization_level"),
            parent_model=fields.text("parent_model"),
            runner=fields.text("runner"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """A model in the server's store (``GET /api/tags``).

    Attributes:
        name: Its name with the tag.
        size: Bytes of all its blobs.
        digest: The sha256 of its manifest, in hexadecimal.
        modified: When its manifest was written.
        details: Format, architecture and size.
        capabilities: What it can do, such as ``completion`` and ``tools``; empty on older servers.
        remote_host: For a model that runs elsewhere: where.
    """

    name: str
    size: int
    digest: str
    modified: datetime | None
    details: ModelDetails
    capabilities: tuple[str, ...]
    remote_host: str

    @classmethod
    def parse(cls, fields: Fields) -> LocalModel:
        """Read one of the ``models`` of a response."""
        return cls(
            name=fields.text("name") or fields.text("model"),
            size=fields.integer("size"),
            digest=fields.text("digest"),
            modified=fields.moment("modified_at"),
            details=ModelDetails.parse(fields.inner("details")),
            capabilities=fields.texts("capabilities"),
            remote_host=fields.text("remote_host"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningModel:
    """A model in memory (``GET /api/ps``).

    Attributes:
        name: Its name with the tag.
        digest: The sha256 of its manifest, in hexadecimal.
        size: Bytes it takes in all memory.
        size_vram: Bytes of these that are on a GPU.
        context_length: Tokens of the context it was loaded with; 0 where the server does not say.
        expires: When it will be unloaded.
        details: Format, architecture and size.
    """

    name: str
    digest: str
    size: int
    size_vram: int
    context_length: int
    expires: datetime | None
    details: ModelDetails

    @classmethod
    def parse(cls, fields: Fields) -> RunningModel:
        """Read one of the ``models`` of a response."""
        return cls(
            name=fields.text("name") or fields.text("model"),
            digest=fields.text("digest"),
            size=fields.integer("size"),
            size_vram=fields.integer("size_vram"),
            context_length=fields.integer("context_length"),
            expires=fields.moment("expires_at"),
            details=ModelDetails.parse(fields.inner("details")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """All that the server returns about one model (``POST /api/show``).

    Attributes:
        template: The template that will be used: the Go TEMPLATE, or, from 0.30 on, the GGUF's own Jinja
            where that is preferred.
        system: The default system message.
        parameters: PARAMETER by name; ``stop`` and whatever is given several times is a tuple.
        messages: Messages that go before every chat: pairs of role and content.
        license: The licenses, joined.
        modelfile: A Modelfile that would make the model again.
        details: Format, architecture and size.
        metadata: The GGUF's metadata without the large arrays (all of it with ``verbose``).
        projector_metadata: The same of the projector, if it has one.
        tensors: With ``verbose``: names, types and shapes.
        capabilities: What it can do, such as ``completion``, ``tools``, ``vision``, ``embedding``.
        requires: The oldest Ollama that runs it, if the model says so.
        renderer: The built-in renderer in place of a template, or nothing.
        parser: The built-in parser of its answers, or nothing.
        modified: When its manifest was written; 0.34 may remember an equal one from before.
        remote_host: For a model that runs elsewhere: where.
    """

    template: str
    system: str
    parameters: Mapping[str, object]
    messages: tuple[tuple[str, str], ...]
    license: str
    modelfile: str
    details: ModelDetails
    metadata: Mapping[str, object]
    projector_metadata: Mapping[str, object]
    tensors: tuple[Mapping[str, object], ...]
    capabilities: tuple[str, ...]
    requires: str
    renderer: str
    parser: str
    modified: datetime | None
    remote_host: str

    @classmethod
    def parse(cls, fields: Fields) -> ModelInfo:
        """Read the whole response. Up to 0.34.4, renderer and parser stand in the Modelfile alone."""
        modelfile = fields.text("modelfile")
        return cls(
            template=fields.text("template"),
            system=fields.text("system"),
            parameters=parse_parameters(fields.text("parameters")),
            messages=tuple((m.text("role"), m.text("content")) for m in fields.inners("messages")),
            license=fields.text("license"),
            modelfile=modelfile,
            details=ModelDetails.parse(fields.inner("details")),
            metadata=fields.mapping("model_info"),
            projector_metadata=fields.mapping("projector_info"),
            tensors=tuple(tensor.content for tensor in fields.inners("tensors")),
            capabilities=fields.texts("capabilities"),
            requires=fields.text("requires"),
            renderer=fields.text("renderer") or _instruction(modelfile, "RENDERER"),
            parser=fields.text("parser") or _instruction(modelfile, "PARSER"),
            modified=fields.moment("modified_at"),
            remote_host=fields.text("remote_host"),
        )


def _instruction(modelfile: str, keyword: Literal["RENDERER", "PARSER"]) -> str:
    """Return the value of an instruction in the Modelfile that a server writes of a model."""
    try:
        return getattr(parse_modelfile(modelfile), keyword.lower()) or ""
    except InvalidModelfile:  # a text in it has three quotation marks in a row, which no Modelfile can carry
        return next(reversed(re.findall(rf"^{keyword} (\S+)$", modelfile, re.MULTILINE)), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One line of a create, pull or push.

    Attributes:
        text: ``pulling manifest``, ``writing manifest``, at the end ``success``.
        digest: The blob that it is about, or nothing.
        total: Bytes of that blob; 0 when the line is about none.
        completed: Bytes of it transferred so far.
    """

    text: str
    digest: str = ""
    total: int = 0
    completed: int = 0

    @classmethod
    def parse(cls, fields: Fields) -> Status:
        """Read one line."""
        return cls(
            text=fields.text("status"),
            digest=fields.text("digest"),
            total=fields.integer("total"),
            completed=fields.integer("completed"),
        )

    @property
    def is_success(self) -> bool:
        """Whether this is the last line of work that was done."""
        return self.text == "success"

    @property
    def is_transfer(self) -> bool:
        """Whether bytes are under way, so that the next line will come soon."""
        return self.total > self.completed > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool call by the model; ``arguments`` by name, as JSON has them."""

    name: str
    arguments: Mapping[str, object]
    id: str = ""

    @classmethod
    def parse(cls, fields: Fields) -> ToolCall:
        """Read one of the ``tool_calls`` of a message."""
        function = fields.inner("function")
        return cls(name=function.text("name"), arguments=function.mapping("arguments"), id=fields.text("id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What a response took: durations in seconds, counts in tokens."""

    total_duration: float
    load_duration: float
    prompt_eval_count: int
    prompt_eval_duration: float
    eval_count: int
    eval_duration: float

    @classmethod
    def parse(cls, fields: Fields) -> Metrics:
        """Read them from the last line of a chat or generate."""
        return cls(
            total_duration=fields.seconds("total_duration"),
            load_duration=fields.seconds("load_duration"),
            prompt_eval_count=fields.integer("prompt_eval_count"),
            prompt_eval_duration=fields.seconds("prompt_eval_duration"),
            eval_count=fields.integer("eval_count"),
            eval_duration=fields.seconds("eval_duration"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """The response of ``POST /api/embed``.

    Attributes:
        vectors: A vector for each text.
        tokens: The tokens of all texts that were embedded; 0 where the server does not say.
    """

    vectors: tuple[tuple[float, ...], ...]
    tokens: int

    @classmethod
    def parse(cls, fields: Fields) -> Embeddings:
        """Read the response."""
        return cls(vectors=fields.vectors("embeddings"), tokens=fields.integer("prompt_eval_count"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A chunk of the response of chat or generate.

    Attributes:
        content: Text of the answer.
        thinking: Reasoning before it.
        tool_calls: Calls that are whole.
        done: Whether this is the last chunk.
        done_reason: Why it ended: ``stop``, ``length``, ``load``, ``unload``.
        metrics: What it took; only in the last chunk.
        rendered_template: The rendered prompt, where only rendering was requested.
    """

    content: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    done: bool = False
    done_reason: str = ""
    metrics: Metrics | None = None
    rendered_template: str | None = None

    @classmethod
    def parse_chat(cls, fields: Fields) -> Chunk:
        """Read one line of ``POST /api/chat``."""
        message = fields.inner("message")
        return cls._parse(fields, message, content=message.text("content"))

    @classmethod
    def parse_generate(cls, fields: Fields) -> Chunk:
        """Read one line of ``POST /api/generate``."""
        return cls._parse(fields, fields, content=fields.text("response"))

    @classmethod
    def _parse(cls, fields: Fields, message: Fields, *, content: str) -> Chunk:
        rendered = fields.content.get("_debug_info") is not None
        done = fields.flag("done")
        return cls(
            content=content,
            thinking=message.text("thinking"),
            tool_calls=tuple(ToolCall.parse(call) for call in message.inners("tool_calls")),
            done=done,
            done_reason=fields.text("done_reason"),
            metrics=Metrics.parse(fields) if done else None,
            rendered_template=fields.inner("_debug_info").text("rendered_template") if rendered else None,
        )

    @property
    def is_last(self) -> bool:
        """Whether nothing comes after it."""
        return self.done or self.rendered_template is not None
