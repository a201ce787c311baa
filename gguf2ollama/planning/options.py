"""The options of a build, checked as far as that needs neither a source nor a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import UsageProblem
from gguf2ollama.memory.context import parse_context
from gguf2ollama.names import ModelName
from gguf2ollama.planning.target import Via

if TYPE_CHECKING:
    from gguf2ollama.modelfiles import Parameter

__all__ = ["UPSTREAM", "BuildOptions", "ModelOptions"]

UPSTREAM = "upstream"
"""Stands for the current chat template of the base model, instead of a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Options of the model itself; they precede what the GGUF, its publishers and its family's profile say.

    Attributes:
        context: Tokens of the context, ``"auto"`` or ``"max"``.
        parameters: PARAMETER values; ``stop`` may repeat.
        system: The SYSTEM text; ``""`` for none, ``None`` for the family's own.
        template: The TEMPLATE text.
        chat_template: A Jinja text that replaces the chat template in the header, or :data:`UPSTREAM`.
        licenses: LICENSE texts, instead of those in the GGUF.
        projectors: Files of projectors (mmproj), instead of the one in the folder or repository.
        verify: Whether prompts are compared with the model's chat template to choose what renders its chats,
            which takes up to a second; otherwise the detected family decides.
    """

    context: int | str = "auto"
    parameters: tuple[Parameter, ...] = ()
    system: str | None = None
    template: str | None = None
    chat_template: str | None = None
    licenses: tuple[str, ...] = ()
    projectors: tuple[str | os.PathLike[str], ...] = ()
    verify: bool = True

    @property
    def context_tokens(self) -> int | str:
        """The context as tokens, ``"auto"`` or ``"max"``.

        Raises:
            UsageProblem: It is invalid.
        """
        return parse_context(self.context) if isinstance(self.context, str) else self.context

    def check(self) -> None:
        """Check what needs no source.

        Raises:
            InvalidModelfile: The TEMPLATE doesn't parse.
            UsageProblem: The context, or the chat template, is invalid.
        """
        _ = self.context_tokens
        if self.template is not None:
            from gguf2ollama.gotmpl.parse import parse  # noqa: PLC0415 - with --template alone

            parse(self.template)
        if self.chat_template is not None and self.chat_template != UPSTREAM:
            from gguf2ollama.planning.template_patch import require_chat_template  # noqa: PLC0415 - as above

            require_chat_template(self.chat_template)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions(ModelOptions):
    """Options of a build: those of the model, and how it gets to Ollama.

    Attributes:
        name: The model's name; ``None`` for the default, from the file's name.
        via: The transport to the server, or ``"auto"`` for the first that works.
        stream: Whether files are passed through from their repository to the server, with no copy here.
        rehash: Whether files are hashed even if their digests are cached.
        load: Whether the model is loaded once, to find out now what the server cannot run.
        allow_mismatch: Whether a model that differs from the plan is kept.
    """

    name: str | None = None
    via: Via = "auto"
    stream: bool = False
    rehash: bool = False
    load: bool = True
    allow_mismatch: bool = False

    @property
    def model_name(self) -> ModelName | None:
        """The name that was given.

        Raises:
            UsageProblem: It is invalid, or has a tag that Ollama reserves.
        """
        if self.name is None:
            return None
        name = ModelName.parse(self.name)
        if name.has_reserved_tag:
            raise UsageProblem(
                f"{name.short}: the tag ':{name.tag}' is reserved by Ollama",
                hint="choose another tag",
            )
        return name

    def check(self) -> None:
        """Check what needs neither a source nor a server; see :meth:`ModelOptions.check`."""
        super(BuildOptions, self).check()  # noqa: UP008 - the short form fails in a class with slots
        _ = self.model_name
        if self.stream and self.via not in {"auto", "upload"}:
            raise UsageProblem("--stream is an upload to a server", hint="leave out --via")
