"""The options of a build, checked as far as that needs neither a source nor a server."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import UsageProblem
from gguf2ollama.memory.parse import parse_context
from gguf2ollama.names import ModelName
from gguf2ollama.planning.target import Via
from gguf2ollama.sources.model import SourceSelection

if TYPE_CHECKING:
    from gguf2ollama.modelfiles import Message, Parameter

__all__ = [
    "UPSTREAM",
    "BuildKeywords",
    "BuildOptions",
    "ModelKeywords",
    "ModelOptions",
    "read_keywords",
]

_Options = TypeVar("_Options", bound="ModelOptions")

UPSTREAM = "upstream"
"""Stands for the current chat template of the base model, instead of a text."""


class ModelKeywords(TypedDict, total=False):
    """The keywords of ``inspect``, ``modelfile`` and ``build``: which model, and what it is to be.

    What is given precedes what the GGUF, its publishers and its family's profile say.

    Attributes:
        quant: Of a repository: the quantization, in any case.
        file: Of a repository: a file, any shard of one, or a folder.
        revision: Of a repository: a branch, a tag or a commit.
        context: Tokens of the context, ``"auto"`` (the default), ``"max"``, or ``"server"``, which leaves it
            to that.
        parameters: PARAMETER values; ``stop`` may repeat.
        system: The SYSTEM text; ``""`` for none, ``None`` for the family's own.
        template: The TEMPLATE text.
        chat_template: A Jinja text that replaces the chat template in the header, or :data:`UPSTREAM`.
        pooling: How an embedding model makes one vector of a text: ``"mean"``, ``"cls"`` or ``"last"``;
            ``"none"`` for a model that generates text. Found out when not given.
        fim: Whether filling in the middle (``suffix`` of ``/api/generate``) goes before how chats and tools
            are rendered, where one excludes the other.
        licenses: LICENSE texts, instead of those in the GGUF.
        messages: MESSAGE values, which go before every chat.
        projectors: Files of projectors (mmproj), here or in the repository, instead of the one that lies
            beside the model.
        no_projector: Whether no projector is used, though one lies beside the model.
        exact: Whether prompts are to be exact even where that takes a copy of the weights for chats that
            hardly anybody has.
        draft: A file that predicts tokens for the model to check (MTP or DFlash), here or in the repository,
            instead of the one that lies beside the model.
        no_draft: Whether none is used, nor what the model has of its own.
        verify: Whether prompts are compared with the model's chat template to choose what renders its chats,
            which takes up to a second (the default); otherwise the detected family decides.
    """

    quant: str | None
    file: str | None
    revision: str | None
    context: int | str
    parameters: Sequence[Parameter]
    system: str | None
    template: str | None
    chat_template: str | None
    pooling: str | None
    fim: bool
    licenses: Sequence[str]
    messages: Sequence[Message]
    projectors: Sequence[str | os.PathLike[str]]
    no_projector: bool
    exact: bool
    draft: str | os.PathLike[str] | None
    no_draft: bool
    verify: bool


class BuildKeywords(ModelKeywords, total=False):
    """The keywords of ``build`` and ``plan_build``: those of the model, and how it gets to Ollama.

    Attributes:
        name: The model's name; made from the file's name when not given.
        via: How the files reach Ollama: ``"link"`` into its model directory, ``"pull"`` by the server from
            us, ``"upload"`` through its API, or ``"auto"`` (the default) for the first of these that works.
        stream: Whether files are passed through from their repository to the server, with no copy here.
        rehash: Whether files are hashed even if their digests are cached.
        load: Whether the model is loaded once, so that what the server cannot run is found now, and prompts
            are compared on the server (the default).
        allow_mismatch: Whether a model that differs from the plan is kept.
        replace: Whether a model with other weights is replaced although no name was given.
        symlink: Whether files are linked symbolically into the model directory where it is on another file
            system; they have to stay where they are then.
        discard_download: Whether what was downloaded is removed from the cache once Ollama has a copy of it.
    """

    name: str | None
    via: Via
    stream: bool
    rehash: bool
    load: bool
    allow_mismatch: bool
    replace: bool
    symlink: bool
    discard_download: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Options of the model itself; see :class:`ModelKeywords`."""

    context: int | str = "auto"
    parameters: tuple[Parameter, ...] = ()
    system: str | None = None
    template: str | None = None
    chat_template: str | None = None
    pooling: str | None = None
    fim: bool = False
    licenses: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    projectors: tuple[str | os.PathLike[str], ...] = ()
    no_projector: bool = False
    exact: bool = False
    draft: str | os.PathLike[str] | None = None
    no_draft: bool = False
    verify: bool = True

    @property
    def context_tokens(self) -> int | str:
        """The context as tokens, ``"auto"``, ``"max"`` or ``"server"``.

        Raises:
            UsageProblem: It is invalid.
        """
        return parse_context(self.context) if isinstance(self.context, str) else self.context

    def check(self) -> None:
        """Check what needs no source.

        Raises:
            InvalidModelfile: The TEMPLATE doesn't parse.
            UsageProblem: The context, or the chat template, is invalid, the TEMPLATE is Jinja, or options
                contradict each other.
        """
        _ = self.context_tokens
        if self.no_projector and self.projectors:
            raise UsageProblem("--mmproj and --no-mmproj exclude each other", hint="use only one of them")
        if self.no_draft and self.draft is not None:
            raise UsageProblem("--draft and --no-draft exclude each other", hint="use only one of them")
        if self.pooling is not None:
            from gguf2ollama.planning.pooling import POOLING_CHOICES  # noqa: PLC0415 - with --pooling alone

            if self.pooling not in POOLING_CHOICES:
                raise UsageProblem(
                    f"invalid --pooling {self.pooling!r}", hint=f"use one of {', '.join(POOLING_CHOICES)}"
                )
        if self.template is not None and self.chat_template is not None:
            raise UsageProblem(
                "--template and --chat-template exclude each other: only one of them renders chats",
                hint="use --template for a Go TEMPLATE, --chat-template for Jinja",
            )
        if self.fim and self.template is not None:
            raise UsageProblem(
                "--fim and --template exclude each other",
                hint="leave out --fim, and use {{ .Suffix }} in your TEMPLATE",
            )
        if self.template is not None:
            from gguf2ollama.planning.templates.given_template import require_template  # noqa: PLC0415 - seldom given

            require_template(self.template)
        if self.chat_template is not None and self.chat_template != UPSTREAM:
            from gguf2ollama.planning.templates.template_patch import require_chat_template  # noqa: PLC0415 - as above

            require_chat_template(self.chat_template)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions(ModelOptions):
    """Options of a build: those of the model, and how it gets to Ollama; see :class:`BuildKeywords`."""

    name: str | None = None
    via: Via = "auto"
    stream: bool = False
    rehash: bool = False
    load: bool = True
    allow_mismatch: bool = False
    replace: bool = False
    symlink: bool = False
    discard_download: bool = False

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


def read_keywords(
    verb: str, options: type[_Options], keywords: Mapping[str, Any]
) -> tuple[SourceSelection, _Options]:
    """Return which model is meant, and its options.

    Args:
        verb: Whose keywords they are, for the error.
        options: Their class.
        keywords: As :class:`ModelKeywords` or :class:`BuildKeywords` describe them.

    Raises:
        TypeError: The verb has no such keyword.
    """
    chosen = {"quant", "file", "revision"}
    known = chosen | {field.name for field in fields(options)}
    for name in keywords:
        if name not in known:
            from difflib import get_close_matches  # noqa: PLC0415 - for a mistake alone

            similar = get_close_matches(name, known, n=1)
            hint = f"; did you mean '{similar[0]}'?" if similar else ""
            raise TypeError(f"{verb}() got an unexpected keyword argument '{name}'{hint}")
    several = {"parameters", "licenses", "messages", "projectors"}
    values: dict[str, Any] = {
        name: tuple(value) if name in several else value for name, value in keywords.items()
    }
    selection = SourceSelection(**{name: values.pop(name) for name in chosen & values.keys()})
    return selection, options(**values)
