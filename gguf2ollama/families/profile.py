"""What the project knows of a model family."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from types import MappingProxyType

from gguf2ollama._dataclass import dataclass
from gguf2ollama.gotmpl.write import render_go_template
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
    """What a chat template can do beyond plain turns.

    Attributes:
        tools: It shows tool definitions to the model.
        thinking: It knows thinking that stands apart from the answer.
    """

    tools: bool = False
    thinking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterDefault:
    """A PARAMETER that the authors of a family recommend, and where they say so."""

    name: str
    value: float | int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultSystem:
    """The system text of chats that bring none, and where it comes from."""

    text: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileEvidence:
    """What a GGUF of the family shows.

    Attributes:
        contains: Marks that all stand in its chat template, written as ``normalize_mark`` writes them.
        lacks: Marks that do not stand in it.
        transforms: The filters and methods that the chat template puts messages through, all of them.
        unreached: Texts of the chat template that no chat through Ollama reaches (in branches for
            documents, or for typed content), so that our TEMPLATE has no need of them.
        optional_transforms: Filters and methods that may stand there as well: in such branches, or where a
            switch tells them apart.
        is_loose: Whether the chat template prints white space that stands between its tags.
        architectures: Values of ``general.architecture``.
        tokenizers: Values of ``tokenizer.ggml.pre``.
        name: What ``general.name`` or ``general.basename`` looks like, or ``None``.
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
    """Where a Go template prints something else than the chat template that it stands for.

    Attributes:
        what: One of ``DIFFERENCES``: what the live tests hold it to, and no more than that.
        why: A sentence.
    """

    what: str
    why: str


DIFFERENCES = frozenset(
    {
        "system-refused",  # the chat template raises where there is a system message
        "parallel-calls-refused",  # it raises where a message has several calls
        "tools-added",  # it prints no tool definitions
        "thinking-continued",  # it leaves out the thinking of a last answer that is to be continued
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A model family: how to know it, and how its authors mean it to be prompted and sampled.

    Attributes:
        family: The name of the family: ``qwen2.5``.
        title: The name for people: ``Qwen 2.5``.
        path: The file that it was read from.
        is_generic: Whether many families share the prompt (ChatML, Alpaca): taken only where no other fits.
        evidence: What a GGUF of the family shows.
        parameters: Sampling defaults with their sources.
        system: The authors' default system text, or ``None`` where they have none.
        system_pattern: How a printed text of the chat template holds its default system text (group 1).
        stops: The strings that end a turn.
        template: The file in ``templates/chat/`` that makes the Go template.
        switches: Names of template variables, each with marks one of which the chat template contains
            where the variable is true: small differences between releases of one family.
        variables: Other template variables and their values.
        claims: What the Go template can do.
        known_differences: Where the Go template prints something else than the chat template.
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
        """Return which of the family's switches a chat template shows."""
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
            system: The text that stands as system message in chats that bring none; ``None`` for no such
                message. (``Detection.go_template`` gives the one of the GGUF at hand.)
            bos: The text of the BOS token, where the chat template prints one and the tokenizer adds none.
            switches: The switches that are on.
            tokens: Template variables that hold the text of a token, where the GGUF tells another text than
                the profile.

        Raises:
            InvalidProfile: The file cannot be rendered.
        """
        variables: dict[str, object] = {name: name in switches for name in self.switches}
        variables |= self.variables
        variables |= tokens
        variables |= {"system": system, "bos": bos}
        return render_go_template(self.template, folder=self.path.parent.parent / "chat", variables=variables)
