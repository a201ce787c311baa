"""What speaks against a way to render chats: the one order in which ways are compared.

A way is chosen by the first line of :class:`Cost` in which two differ, so that line says what counts for more
than all that stands below it.
"""

from __future__ import annotations

from typing import NamedTuple

from gguf2ollama.chat.choice.candidate import Candidate, Origin, Question
from gguf2ollama.chat.comparison import moved_keys
from gguf2ollama.chat.reference_prompt import Claims

__all__ = ["Cost", "cost_of"]

# of two that do equally well, what changes least
_ORDER: tuple[Origin, ...] = ("user", "native", "profile", "synthesised", "patched")


class Cost(NamedTuple):
    """What speaks against a candidate, the weightiest first."""

    refused_insert: bool
    """Filling in the middle that the user asked for and that Ollama refuses: the user's word."""
    lost_tools: bool
    """A model that can use tools cannot: it is no longer the model that was published, while a misprinted
    blank in a plain chat leaves one that answers a little worse."""
    fails: bool
    """Plain answers that the server cannot read, so that requests end with errors: worse than any prompt."""
    plain: int
    """Usual plain chats: all that every user has, and what all other chats begin with. Where `create` may put
    a template of its own before this one, none of them is certain. How answers end is settled before, alike
    for all ways."""
    usual: int
    """Chats with tools, with a switch for thinking, or with a text that is one: what agents and editors have
    all day. JSON that is only written in another way counts further down: models read it all the same."""
    untruthful: int
    """Capabilities that are claimed and not had, and thoughts that show in /api/generate, or tags for them
    that make it miss a requested format: a client acts on what it is shown, and a user of `ollama run` sees
    the rest."""
    copied: bool
    """Weights copied for a changed header, on the route at hand: gigabytes, hashed and stored once more. All
    that stands above is everyday use and worth that, what stands below is not (unless all is to be exact)."""
    rewritten: int
    """Usual chats whose JSON is written differently: nearly exact."""
    moved: int
    """How far keys of that JSON were moved: `required` before `properties` is one step, all properties and
    arguments in alphabetical order are many."""
    no_insert: bool
    """A code model that cannot fill in the middle, which editors ask of it all day."""
    irregular: int
    """Reasoning of earlier turns and turns in an unusual order, and, for a TEMPLATE, the branches of the chat
    template that no test conversation reaches: only the chat template itself surely has them."""
    prefill: int
    """Answers to be continued: few clients ask for that."""
    changed: bool
    """A changed header that costs no copy: the weights have a digest of their own, which nobody else has."""
    odd: int
    """Contents that hardly any chat has."""
    order: int
    """What changes least."""


def cost_of(
    candidate: Candidate,
    question: Question,
    *,
    claims: Claims,
    may_be_replaced: bool,
    fails: bool,
    is_to_insert: bool,
    spoils_format: bool,
    unreached: int,
) -> Cost:
    """Return what speaks against a candidate.

    Args:
        candidate: The candidate.
        question: What was asked.
        claims: What the authors' template supports.
        may_be_replaced: Whether the server may put a template of its own before it.
        fails: Whether the server cannot read its plain answers.
        is_to_insert: Whether the model may fill in the middle, for which it needs a TEMPLATE.
        spoils_format: Whether its think tags make `/api/generate` miss a requested format.
        unreached: The branches of the authors' template that no test conversation reaches.
    """
    scores = candidate.parity.scores
    is_changed = candidate.chat_template is not None
    false_claims = {
        *({"tools"} if not claims.offered_tools else ()),
        *({"thinking"} if not claims.thinking else ()),
    }
    return Cost(
        refused_insert=question.prefers_insert and not candidate.inserts,
        lost_tools=claims.tools and candidate.loses_tools,
        fails=fails,
        plain=candidate.different("plain") + may_be_replaced,
        usual=candidate.different("tools", "thinking", "switch"),
        untruthful=len(candidate.capabilities & false_claims)
        + (spoils_format or bool(candidate.generate_note)),
        copied=is_changed and question.patch_copies and not question.is_exact,
        rewritten=sum(scores[feature].json_equal for feature in ("tools", "thinking", "switch")),
        moved=sum(
            moved_keys(case)
            for case in candidate.parity.cases
            if case.conversation.feature in {"tools", "thinking"}
        ),
        no_insert=is_to_insert and not candidate.inserts,
        irregular=candidate.different("history", "irregular") + (0 if candidate.is_native else unreached),
        prefill=candidate.different("prefill"),
        changed=is_changed and not question.is_exact,
        odd=candidate.different("odd"),
        order=_ORDER.index(candidate.origin),
    )
