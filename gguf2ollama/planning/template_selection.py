"""Find out what renders the chats of a model as its authors meant, before anything is made."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.candidate import NothingRenders, Question, TemplateChoice
from gguf2ollama.chat.outcome import Refused
from gguf2ollama.chat.reference import Renderer, Request
from gguf2ollama.chat.reference_prompt import ORIGINAL_KEY, Authors, AuthorsTemplate, read_authors
from gguf2ollama.chat.selection import choose_template
from gguf2ollama.chat.test_conversations import battery
from gguf2ollama.errors import InvalidInput
from gguf2ollama.families import Detection, stops_for
from gguf2ollama.ggufio import GgufFile, HeaderPatch, TypedValue, ValueType, chat_template_patch
from gguf2ollama.ggufio.patching import CHAT_TEMPLATE
from gguf2ollama.gotmpl.versions import NEWEST
from gguf2ollama.planning.recipe import system_text
from gguf2ollama.planning.settings import ModelSettings
from gguf2ollama.planning.target import Target

__all__ = ["TemplateSelection", "Unsupported", "changed_template_patch", "select_template"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSelection:
    """What was found out.

    Attributes:
        authors: What the authors meant.
        choice: What renders it best.
        version: The version of Ollama that it was tried for.
        expected_system: The system message that prompts shall have where a conversation has none, ``""`` for
            what the chat template says by itself.
    """

    authors: Authors
    choice: TemplateChoice
    version: str
    expected_system: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsupported:
    """That an Ollama has nothing to render the chats of a model with.

    Attributes:
        version: The version of Ollama.
        remarks: Why not, one phrase each.
        refusal: Why it does not even load the model; ``""`` where it does or that cannot be predicted.
        is_unknown: Whether it may well render them, and only what the authors' side prints is not known.
    """

    version: str
    remarks: tuple[str, ...]
    refusal: str = ""
    is_unknown: bool = False

    def __str__(self) -> str:
        if self.is_unknown:
            return f"no prompts can be compared: {'; '.join(self.remarks)}"
        return f"nothing is known to render its chats on Ollama {self.version}: {'; '.join(self.remarks)}"


def select_template(
    metadata: Mapping[str, Any],
    *,
    detection: Detection,
    settings: ModelSettings,
    target: Target,
    renderer: Renderer | None = None,
) -> TemplateSelection | Unsupported | None:
    """Try what can render the chats of a model.

    ``None`` where nobody says how they are to be rendered.

    Args:
        metadata: The metadata of the GGUF.
        detection: What it is.
        settings: What the user asked for.
        target: The Ollama that will run it.
        renderer: Renders what the authors meant; one for this call, when not given.

    Raises:
        InvalidInput: The chat template is none, takes no conversation, or more of the machine than it may.
    """
    authors = read_authors(metadata)
    if authors is None or detection.kind != "chat":
        return None
    stops = [str(one.value) for one in settings.parameters if one.name == "stop"]
    stops += [one.text for one in stops_for(metadata, profile=detection.profile)]
    stops += settings.published.stops
    version = target.version or NEWEST
    carried = str(metadata.get(CHAT_TEMPLATE, ""))
    question = Question(
        authors=authors,
        carried=carried if carried != authors.chat_template else "",
        version=version,
        is_native=target.native_templates,
        create_replaces_template=target.create_replaces_template,
        may_patch=target.header_is_editable,
        may_template=target.takes_templates,
        has_companions=target.has_companions,
        profile=detection.go_template(),
        user=settings.given_template.value if settings.given_template else None,
        system=system_text(detection, settings=settings).value or "",
        expected_system=(settings.given_system.value if settings.given_system else None) or "",
        architecture=str(metadata.get("general.architecture", "")),
        model_name=target.model_name,
        adds_eos=metadata.get("tokenizer.ggml.add_eos_token") is True,
        stops=tuple(dict.fromkeys(stops)),
        metadata=metadata,
    )
    with Renderer() if renderer is None else contextlib.nullcontext(renderer) as at_work:
        choice = choose_template(question, renderer=at_work)
        if isinstance(choice, NothingRenders):
            refusal = _refused_by_all(authors.load(at_work))
            # it may fail for what no GGUF has, such as a list of tokens, and not in llama.cpp
            may_start = target.native_templates and not choice.refusal
            if refusal is not None and refusal.cause == "failed" and may_start:
                why = f"transformers does not render its chat template ({refusal.reason})"
                return Unsupported(version=version, remarks=(why,), is_unknown=True)
            if refusal is not None:
                raise InvalidInput(
                    f"the chat template in the GGUF takes no conversation at all: {refusal.reason}",
                    hint="give another with --chat-template, or use --no-verify and --template FILE",
                )
            return Unsupported(version=version, remarks=choice.remarks, refusal=choice.refusal)
    return TemplateSelection(
        authors=authors, choice=choice, version=version, expected_system=question.expected_system
    )


def _refused_by_all(template: AuthorsTemplate) -> Refused | None:
    """Return why a chat template takes no conversation at all; ``None`` where it takes one."""
    first, *others = template.render([Request(conversation=one) for one in battery()])
    refuses = isinstance(first, Refused) and all(isinstance(one, Refused) for one in others)
    return first if isinstance(first, Refused) and refuses else None


def changed_template_patch(gguf: GgufFile, text: str, *, original: str) -> HeaderPatch:
    """Have a header carry a changed chat template, and the authors' own beside it, to compare with."""
    changes = chat_template_patch(gguf, text, keep_variants=True).changes
    return HeaderPatch(changes={**changes, ORIGINAL_KEY: TypedValue(ValueType.STRING, original)})
