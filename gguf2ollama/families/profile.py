"""A profile: what is known about a model family."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass

if TYPE_CHECKING:
    from gguf2ollama.jinja.facts import ChatTemplate

__all__ = [
    "DIFFERENCES",
    "DefaultSystem",
    "Difference",
    "Features",
    "ParameterDefault",
    "Profile",
    "ProfileEvidence",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Features of a chat template beyond plain turns.

    Attributes:
        tools: It renders tool definitions.
        thinking: It supports reasoning separate from the content.
    """

    tools: bool = False
    thinking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterDefault:
    """A PARAMETER recommended by the authors of a family, and where they publish it."""

    name: str
    value: float | int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultSystem:
    """The system prompt of chats without one, and where it comes from."""

    text: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileEvidence:
    """How a GGUF of the family is recognized.

    Attributes:
        contains: Marks that must be in its chat template, as ``normalize_mark`` returns them.
        lacks: Marks that must not be in it.
        transforms: All filters and methods that the chat template applies to messages.
        unreached: Texts of the chat template that no chat through Ollama reaches (in branches for
            documents, or for typed content), so our TEMPLATE does not need them.
        optional_transforms: Filters and methods that may be in it as well: in such branches, or where a
            switch distinguishes them.
        is_loose: Whether the chat template prints whitespace between its tags.
        architectures: Values of ``general.architecture``.
        tokenizers: Values of ``tokenizer.ggml.pre``.
        name: A pattern of ``general.name`` or ``general.basename``, or ``None``.
    """

    contains: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    transforms: frozenset[str] = frozenset()
    unreached: tuple[str, ...] = ()
    optional_transforms: frozenset[str] = frozenset()
    is_loose: bool = False
    architectures: tuple[str, ...] = ()
    tokenizers: tuple[str, ...] = ()
    name: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A known difference between the output of a Go template and that of its chat template.

    Attributes:
        what: One of ``DIFFERENCES``; the live tests accept that difference and no other.
        why: A sentence.
    """

    what: str
    why: str


DIFFERENCES = frozenset(
    {
        "system-refused",  # the chat template raises if there is a system message
        "parallel-calls-refused",  # it raises if a message has several calls
        "tools-added",  # it prints no tool definitions
        "thinking-continued",  # it omits the reasoning of an assistant prefill
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A model family: how to recognize it, and how its authors intend it to be prompted and sampled.

    Attributes:
        family: The name of the family: ``qwen2.5``.
        title: The name for people: ``Qwen 2.5``.
        path: Its file.
        is_generic: Whether many families share the format (ChatML, Alpaca); selected only if no other
            matches.
        evidence: How a GGUF of the family is recognized.
        parameters: Sampling defaults with their sources.
        system: The authors' default system prompt, or ``None``.
        system_pattern: A pattern of the default system prompt (group 1) in a text of the chat template.
        stops: The strings that end a turn.
        template: The file in ``templates/chat/`` that renders the Go template.
        switches: Names of template variables, each with marks; the variable is true if the chat template
            contains one of them: small differences between releases of one family.
        variables: Other template variables and their values.
        claims: The features of the Go template.
        known_differences: Known differences between the Go template and the chat template.
    """

    family: str
    title: str
    path: Path
    is_generic: bool
    evidence: ProfileEvidence
    parameters: tuple[ParameterDefault, ...]
    system: DefaultSystem | None
    system_pattern: re.Pattern[str] | None
    stops: tuple[str, ...]
    template: str
    switches: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    variables: Mapping[str, str | bool] = field(default_factory=lambda: MappingProxyType({}))
    claims: Features = Features()
    known_differences: tuple[Difference, ...] = ()

    def read_switches(self, chat_template: ChatTemplate) -> frozenset[str]:
        """Return the family's switches that a chat template sets."""
        return frozenset(
            name
            for name, marks in self.switches.items()
            if any(mark in chat_template.marks for mark in marks)
        )

    def go_template(
        self,
        *,
        system: str | None = None,
        bos: str = "",
        switches: frozenset[str] = frozenset(),
        tokens: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """Render the family's Go template.

        Args:
            system: The system message of chats without one; ``None`` for no such message.
            bos: The text of the BOS token, if the chat template prints one and the tokenizer adds none.
            switches: The switches that are on.
            tokens: Template variables for texts of tokens, if the GGUF has other texts than
                the profile.

        Raises:
            InvalidProfile: The file cannot be rendered.
        """
        from gguf2ollama.gotmpl.write import render_go_template  # noqa: PLC0415 - for a new model

        variables: dict[str, object] = {name: name in switches for name in self.switches}
        variables |= self.variables
        variables |= tokens
        variables |= {"system": system, "bos": bos}
        return render_go_template(self.template, folder=self.path.parent.parent / "chat", variables=variables)
