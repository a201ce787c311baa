"""Leave out a publisher's TEMPLATE that no server could use: what a user gives is kept, whatever it is."""

from __future__ import annotations

import dataclasses

from gguf2ollama.planning.stored.plan_cache import PlanCache
from gguf2ollama.planning.stored.value_json import Forms
from gguf2ollama.sources.model import Published

__all__ = ["without_useless_template"]


def without_useless_template(
    published: Published, *, chat_template: str, version: str, cache: PlanCache
) -> Published:
    """Return what publishers recommend, without a TEMPLATE that is invalid, takes too long or is not used.

    Args:
        published: What they recommend.
        chat_template: The chat template in the GGUF, if it may be used instead; ``""`` for none.
        version: The version of Ollama that would render with it.
        cache: What was found out before.
    """
    given = published.template
    if given is None:
        return published
    text = str(given.value)
    inputs = ("published template", text, chat_template, version)
    problem = cache.recall(
        inputs, lambda: _problem(text, chat_template, version=version), form=lambda: Forms().of(str)
    )
    if not problem:
        return published
    problems = (*published.problems, f"{given.source} is not used as TEMPLATE: {problem}")
    return dataclasses.replace(published, template=None, problems=problems)


def _problem(text: str, chat_template: str, *, version: str) -> str:
    """Return why a TEMPLATE is useless; ``""`` where it is not."""
    from gguf2ollama import ollama_template  # noqa: PLC0415 - few repositories have one
    from gguf2ollama.chat.battery.test_conversations import battery  # noqa: PLC0415
    from gguf2ollama.errors import Gguf2OllamaError  # noqa: PLC0415
    from gguf2ollama.gotmpl.errors import InvalidTemplate  # noqa: PLC0415
    from gguf2ollama.gotmpl.parse import parse  # noqa: PLC0415
    from gguf2ollama.gotmpl.state import Budget  # noqa: PLC0415

    try:
        template = parse(text)
        can = ollama_template.read(template).capabilities
    except InvalidTemplate as error:
        return error.message
    if not (verdict := ollama_template.takes_precedence(text, chat_template, version=version)):
        return verdict.reason
    budget = Budget()
    for conversation in battery():
        try:
            ollama_template.render(
                template, conversation.for_ollama(), version=version, capabilities=can, budget=budget
            )
        except InvalidTemplate as error:
            if error.is_limit:
                return error.message
        except Gguf2OllamaError:
            continue  # a request that a server refuses
    return ""
