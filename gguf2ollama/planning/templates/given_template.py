"""``--template``: a TEMPLATE that the user gives renders the chats, or is refused with what helps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from gguf2ollama import ollama_template
from gguf2ollama.errors import Gguf2OllamaError, InvalidModelfile, UsageProblem
from gguf2ollama.ggufio import GgufFile, HeaderPatch, TypedValue, ValueType
from gguf2ollama.ggufio.patching import CHAT_TEMPLATE, ORIGINAL_CHAT_TEMPLATE, UNCHANGED
from gguf2ollama.gotmpl.parse import parse
from gguf2ollama.gotmpl.versions import NEWEST
from gguf2ollama.jinja.facts import find_syntax_error
from gguf2ollama.ollama_template.given_renderers import GIVEN_RENDERERS
from gguf2ollama.planning.settings import ModelSettings
from gguf2ollama.planning.target import Target

__all__ = ["require_template", "with_template_used"]

# printed by no chat; Ollama looks for the text anywhere in a TEMPLATE
_SHOWS_RESULTS = '{{/* Ollama sees by this that tool results are rendered: eq .Role "tool" */}}'
_RESULT = "k7Qp2xVd"
_CALL = {"function": {"name": "find", "arguments": {"what": "x"}}}
_LOOP = (
    {"role": "user", "content": "Where?"},
    {"role": "assistant", "content": "", "tool_calls": [_CALL]},
    {"role": "tool", "content": _RESULT, "tool_name": "find"},
)


def require_template(text: str) -> None:
    """Check that a text is a TEMPLATE, and not a chat template.

    Raises:
        InvalidModelfile: It is not a Go template.
        UsageProblem: It is Jinja.
    """
    try:
        parse(text)
    except InvalidModelfile:
        if not _is_jinja(text):
            raise
    else:
        if "{%" not in text or not _is_jinja(text):  # Go prints that
            return
    raise UsageProblem(
        "the TEMPLATE of --template is not a Go template but Jinja",
        hint="a chat template in Jinja is given with --chat-template",
    )


def _is_jinja(text: str) -> bool:
    return ("{%" in text or "messages" in text) and find_syntax_error(text) is None


def with_template_used(
    settings: ModelSettings, *, gguf: GgufFile, metadata: Mapping[str, Any], target: Target
) -> tuple[ModelSettings, HeaderPatch]:
    """Return the settings, and what is changed in the header, of a model that its TEMPLATE is to render.

    From 0.30 on Ollama takes the chat template in a GGUF instead of a TEMPLATE with fewer capabilities. Where
    that is so, and no comment in the TEMPLATE mends it, the chat template is taken out of the header.

    Args:
        settings: What the user requests; it has a TEMPLATE.
        gguf: The header as it is.
        metadata: The metadata as it will be.
        target: The Ollama that will run the model.

    Raises:
        InvalidModelfile: The TEMPLATE is not a template.
        UsageProblem: The server would render with something else, and nothing can be done about it.
    """
    text, chat_template = settings.template, metadata.get(CHAT_TEMPLATE)
    if text is None or not target.native_templates:
        return settings, UNCHANGED
    architecture = str(metadata.get("general.architecture", ""))
    if target.version and target.create_replaces_template and architecture in GIVEN_RENDERERS:
        raise UsageProblem(
            f"Ollama gives uploads of architecture {architecture} its built-in renderer"
            f" {GIVEN_RENDERERS[architecture]}, which replaces the TEMPLATE of --template",
            hint="use `gguf2ollama build` with --via link or --via pull",
        )
    if not isinstance(chat_template, str) or not chat_template:
        return settings, UNCHANGED
    prefers_templates = target.version is not None and target.takes_templates and not target.has_companions
    version = target.version or NEWEST
    verdict = ollama_template.takes_precedence(text, chat_template, version=version)
    if prefers_templates or (verdict.has_precedence and target.takes_templates):
        return settings, UNCHANGED
    declared = f"{_SHOWS_RESULTS}{text}"
    if (
        target.takes_templates
        and ollama_template.takes_precedence(declared, chat_template, version=version)
        and _prints_results(text, version=version)
    ):
        return dataclasses.replace(settings, template=declared), UNCHANGED
    why = verdict.reason
    if verdict.has_precedence:
        why = "OLLAMA_GO_TEMPLATE on the server makes it use the chat template in the GGUF"
    problem = f"Ollama would ignore the TEMPLATE of --template: {why}"
    if not target.header_is_editable:
        if target.version is None:  # a Modelfile, for any server
            return dataclasses.replace(settings, template_problem=problem), UNCHANGED
        raise UsageProblem(
            problem,
            hint="use `gguf2ollama build` without --stream, which takes the chat template out of the header",
        )
    changes: dict[str, TypedValue | None] = {CHAT_TEMPLATE: None}
    if ORIGINAL_CHAT_TEMPLATE not in gguf.metadata:
        changes[ORIGINAL_CHAT_TEMPLATE] = TypedValue(ValueType.STRING, chat_template)
    note = f"{problem}; it is taken out of the header"
    return dataclasses.replace(settings, template_problem=note), HeaderPatch(changes=changes)


def _prints_results(text: str, *, version: str) -> bool:
    """Return whether a TEMPLATE prints results of tools."""
    template = parse(text)
    can = ollama_template.read(template).capabilities
    try:
        prompt = ollama_template.render(
            template, {"messages": list(_LOOP), "tools": []}, version=version, capabilities=can
        )
    except Gguf2OllamaError:
        return False
    return _RESULT in prompt
