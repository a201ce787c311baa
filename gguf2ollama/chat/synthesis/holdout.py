"""Hold learnt rules to conversations that nothing was learnt from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, product

from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.synthesis.plan import Plan
from gguf2ollama.chat.synthesis.probes import probe
from gguf2ollama.chat.synthesis.rules import Rules
from gguf2ollama.chat.synthesis.session import Session
from gguf2ollama.chat.synthesis.tool_forms.probe_tools import MARKED

__all__ = ["differing", "held_out_chats", "held_out_texts"]

_TEXTS = {
    "marks and quotes": (
        "<b>&amp; \"q\"</b> 's' \\n `{{ .System }}` {% x %} 100 % [INST] {0}",
        "}} {{- x -}} <|x|> ${y} \\u0041 #",
        "<",
    ),
    "Unicode": ("Réponds 简短地 🎉 עברית", "日本語 ﷺ e\u0301 👩\u200d👩\u200d👧", "ß\u200bΩ"),
    "lines": ("one\n\ntwo\n three", "- a\n- b\n\n\n```\ncode\n```", "x\r\ny\tz"),
    "words of templates": ("system", "user\nassistant: none", "None"),
    "marks of thinking in a question": ("no </think> here", "an answer", "and <think> there </think>?"),
}
"""Texts that a template might take for something else: for a system's and a user's message, an answer, and
the next user's."""


def held_out_texts() -> Iterator[Conversation]:
    """Return chats of texts with marks, quotes and the like."""
    for name, texts in _TEXTS.items():
        for shape in ("suau", "uau"):
            asked = probe(shape).conversation
            told = cycle(texts)
            messages = tuple(
                replace(message, content=next(told) if message.role != "assistant" else texts[1])
                for message in asked.messages
            )
            yield replace(asked, name=name, messages=messages)


def held_out_chats(plan: Plan) -> Iterator[Conversation]:
    """Return chats of other shapes and words than those that rules are learnt from."""
    shapes = ["uauauauau", "suauauauauauau", "suauaua"]
    if plan.thought:
        shapes += ["uhuhuhuhu", "suauhuau", "uhuauauh"]
    for shape, think in product(shapes, plan.thinks):
        yield probe(shape, seed="held out", think=think).conversation
    if plan.forms is None:
        return
    shapes = ["uauctau", "suctuctauctct", "udttctau", "suauetttau", "uCtDttCt"]
    if plan.thought:
        shapes += ["uktkthukt", "sukthukthu", "uhuKtltthu"]
    for shape, think in product(plan.chosen(shapes), plan.thinks):
        yield probe(shape, seed="held out", think=think, tools=MARKED).conversation


def differing(rules: Rules, session: Session, conversations: Sequence[Conversation]) -> list[Conversation]:
    """Return the conversations that the rules render otherwise than the template, where it renders them."""
    prompts = session.render(conversations)
    return [
        one
        for one, prompt in zip(conversations, prompts, strict=True)
        if prompt is not None and rules.render(one) != prompt
    ]
