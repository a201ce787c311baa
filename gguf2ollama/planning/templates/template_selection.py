"""Select what renders the chats of a model: candidates are compared with its chat template, offline."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from gguf2ollama.chat.answers.ends import find_ends
from gguf2ollama.chat.answers.turns import learn_turns
from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.choice.candidate import Candidate, NothingRenders, Question
from gguf2ollama.chat.choice.selection import choose_template
from gguf2ollama.chat.comparison import Verdict
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.chat.reference import Renderer, Request
from gguf2ollama.chat.reference_prompt import Authors, AuthorsTemplate, read_authors
from gguf2ollama.errors import InvalidInput, UsageProblem
from gguf2ollama.families import Detection, Vocabulary
from gguf2ollama.ggufio.patching import CHAT_TEMPLATE
from gguf2ollama.gotmpl.versions import NEWEST
from gguf2ollama.planning.ends import choose_ends
from gguf2ollama.planning.settings import ModelSettings, choose_system
from gguf2ollama.planning.target import Target
from gguf2ollama.planning.templates.selected_template import TemplateSelection, Unsupported

__all__ = ["select_template"]


def select_template(
    metadata: Mapping[str, Any],
    *,
    detection: Detection,
    settings: ModelSettings,
    target: Target,
    renderer: Renderer | None = None,
) -> TemplateSelection | Unsupported | None:
    """Select what renders the chats of a model; ``None`` where it has no chat template to compare with.

    Args:
        metadata: The metadata of the GGUF.
        detection: Its family.
        settings: What the user requests and the publishers recommend.
        target: The Ollama that will run it.
        renderer: Renders the expected prompts; one for this call when not given.

    Raises:
        InvalidInput: The chat template is invalid, rejects every conversation, or exceeds its limits.
        UsageProblem: No way to render chats prints the system prompt that the user gave.
    """
    authors = read_authors(metadata)
    if authors is None or detection.kind != "chat":
        return None
    version = target.version or NEWEST
    embedded = str(metadata.get(CHAT_TEMPLATE, ""))
    with Renderer() if renderer is None else contextlib.nullcontext(renderer) as running:
        template = authors.load(running)
        ends = choose_ends(
            metadata,
            detection=detection,
            settings=settings,
            target=target,
            learned=find_ends(
                learn_turns(template),
                Vocabulary(metadata),
                chat_template=authors.chat_template,
            ),
        )
        question = Question(
            authors=authors,
            carried=embedded if embedded != authors.chat_template else "",
            version=version,
            is_native=target.native_templates,
            create_replaces_template=target.create_replaces_template,
            may_patch=target.header_is_editable,
            patch_copies=target.patch_copies,
            is_exact=settings.exact,
            may_template=target.takes_templates,
            has_companions=target.has_companions,
            profile=detection.go_template,
            user=settings.given_template.value if settings.given_template else None,
            system=choose_system(detection, settings=settings).value or "",
            expected_system=(settings.given_system.value if settings.given_system else None) or "",
            architecture=str(metadata.get("general.architecture", "")),
            model_name=target.model_name,
            adds_eos=metadata.get("tokenizer.ggml.add_eos_token") is True,
            stops=tuple(ends.stops),
            metadata=metadata,
            fill_in=settings.fill_in,
            prefers_insert=settings.prefers_insert,
        )
        choice = choose_template(question, renderer=running)
        if isinstance(choice, NothingRenders):
            refusal = _refused_by_all(template)
            # transformers may miss what no GGUF has, such as a list of tokens, and llama.cpp not need it
            may_start = target.native_templates and not choice.refusal
            if refusal is not None and refusal.cause == "failed" and may_start:
                why = f"transformers does not render its chat template ({refusal.reason})"
                return Unsupported(version=version, remarks=(why,), is_unknown=True)
            if refusal is not None and question.user is not None:
                why = f"the chat template in the GGUF rejects every conversation ({refusal.reason})"
                return Unsupported(version=version, remarks=(why,), is_unknown=True)
            if refusal is not None:
                raise _rejects_all(authors, refusal, renderer=running)
            return Unsupported(version=version, remarks=choice.remarks, refusal=choice.refusal)
        if settings.system and not choice.gets_renderer:
            _require_said(choice.chosen, settings.system, authors=authors, template=template)
    if settings.prefers_insert and not choice.chosen.inserts:
        raise UsageProblem(
            f"--fim needs a TEMPLATE for the chats, and there is none: {choice.chosen.why} renders them",
            hint="leave out --fim, or use --template FILE with a TEMPLATE that prints {{ .Suffix }}",
        )
    return TemplateSelection(
        authors=authors,
        choice=choice,
        version=version,
        ends=ends,
        expected_system=question.expected_system,
    )


def _require_said(chosen: Candidate, system: str, *, authors: Authors, template: AuthorsTemplate) -> None:
    """Check that the system prompt that the user gave reaches prompts.

    A chat template may print it changed, such as without a switch that it tests for: then it is said where
    prompts are as the authors mean them, and not as they are without it.

    Raises:
        UsageProblem: It reaches none that can be predicted.
    """
    cases = [
        case
        for case in chosen.parity.cases
        if isinstance(case.got, Rendered)
        and case.conversation.feature == "plain"
        and case.conversation.messages[0].role != "system"
    ]
    prompts = [case.got.prompt for case in cases if isinstance(case.got, Rendered)]
    if not cases or any(system.strip() in prompt for prompt in prompts):
        return
    unsaid = authors.meant(template, [case.conversation for case in cases])
    if not any(
        case.verdict is Verdict.exact and case.want != outcome
        for case, outcome in zip(cases, unsaid, strict=True)
    ):
        raise UsageProblem(
            f"the system prompt would never reach the model: {chosen.why} does not print it",
            hint="leave out --system, or use --template FILE with a TEMPLATE that prints {{ .System }}",
        )


def _rejects_all(authors: Authors, refusal: Refused, *, renderer: Renderer) -> InvalidInput:
    """Return the error for a chat template that rejects every conversation, with what helps."""
    from gguf2ollama.chat.changes.part_contents import example_template, find_part_form  # noqa: PLC0415 - seldom called

    template = authors.load(renderer).default
    form = find_part_form(template)
    if form is None:
        return InvalidInput(
            f"the chat template in the GGUF rejects every conversation: {refusal.reason}",
            hint="give another with --chat-template FILE, or a TEMPLATE with --template FILE",
        )
    example = example_template(authors, template, form)
    keys = f" with {', '.join(form.values)}" if form.values else ""
    values = sorted({value for value in form.values.values() if value in example})
    stand = f", in which {', '.join(map(repr, values))} stands for your own value" if values else ""
    return InvalidInput(
        f"the chat template in the GGUF takes no text as a message, only a list of parts{keys}, which no"
        f" client of Ollama sends: {refusal.reason}",
        hint=f"pass --template FILE; a TEMPLATE to start from{stand}: {example}",
    )


def _refused_by_all(template: AuthorsTemplate) -> Refused | None:
    """Return why a chat template rejects every conversation; ``None`` where it accepts one."""
    first, *others = template.render([Request(conversation=conversation) for conversation in battery()])
    refuses = isinstance(first, Refused) and all(isinstance(outcome, Refused) for outcome in others)
    return first if isinstance(first, Refused) and refuses else None
