"""The reference prompts: what the authors' chat template in a GGUF writes for a client's own request."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.comparison import without_bos
from gguf2ollama.chat.conversation import Conversation, Message, ToolCall, function_tool
from gguf2ollama.chat.outcome import Outcome, Refused, Rendered
from gguf2ollama.chat.reference.request import Request
from gguf2ollama.chat.reference.variants import DEFAULT, TOOL_USE, chat_templates, choose_variant
from gguf2ollama.families import adds_bos, token_text
from gguf2ollama.ggufio.patching import ORIGINAL_CHAT_TEMPLATE as ORIGINAL_KEY

if TYPE_CHECKING:
    from gguf2ollama.chat.reference import ReferenceTemplate, Renderer

__all__ = [
    "ORIGINAL_KEY",
    "Authors",
    "AuthorsTemplate",
    "Claims",
    "as_asked",
    "as_meant",
    "claims_of",
    "read_authors",
]

_TOKENS = {"unk_token": "unknown", "sep_token": "separator", "pad_token": "padding", "mask_token": "mask"}
SystemMessages: TypeAlias = Literal["shows", "drops", "rejects"]
"""What a chat template does with system messages."""

_ESCAPES = ("&#34;", "&#39;", "&lt;", "&gt;", "&amp;")
_ESCAPED = (
    "in transformers its chat template writes quotes and brackets as HTML (such as &#34;), through the filter"
    " `safe`; Ollama does not, as its authors will hardly mean that"
)
_SYSTEM_MARK = "qzsystem"
_TOOL = function_tool(
    "find_place",
    "Find a place",
    {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string", "description": "Its name"}},
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authors:
    """The chat template of a GGUF, and the tokens that it prints.

    Attributes:
        chat_template: Jinja.
        tool_use: The variant for chats with tools; ``""`` where there is none.
        bos: The text of the token that begins a text; ``""`` for none.
        eos: The text of the token that ends one; as above.
        adds_bos: Whether the tokenizer puts BOS before a prompt by itself.
        tokens: More special tokens, by their names in transformers.
    """

    chat_template: str
    tool_use: str = ""
    bos: str = ""
    eos: str = ""
    adds_bos: bool = False
    tokens: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def load(self, renderer: Renderer, *, now: datetime | None = None) -> AuthorsTemplate:
        """Compile the chat template, and the variant for chats with tools where there is one.

        Args:
            renderer: What compiles it.
            now: What the templates take for the local time; ``None`` for the clock.

        Raises:
            InvalidInput: One is not a template, or exceeds the limits.
        """
        return AuthorsTemplate(
            default=self._compiled(renderer, self.chat_template, now=now),
            tool_use=self._compiled(renderer, self.tool_use, now=now) if self.tool_use else None,
        )

    def meant(self, template: AuthorsTemplate, conversations: Sequence[Conversation]) -> tuple[Outcome, ...]:
        """Render conversations as the authors mean them, without the BOS that the tokenizer adds.

        They are given as a client sends them: what Ollama loses on the way, such as the order of arguments,
        then counts against whatever it renders with. A prompt that nobody can mean counts as refused.
        """
        outcomes = template.render([Request(conversation=conversation) for conversation in conversations])
        return tuple(
            self._undoubted(without_bos(outcome, bos=self.bos) if self.adds_bos else outcome, conversation)
            for conversation, outcome in zip(conversations, outcomes, strict=True)
        )

    def _undoubted(self, outcome: Outcome, conversation: Conversation) -> Outcome:
        """Return a prompt unless it has escapes of HTML that stand neither in the template nor in the chat.

        In Python, what is added to a text marked ``| safe`` is escaped, and so JSON gets ``&#34;`` for each
        quote; llama.cpp does no such thing.
        """
        if not isinstance(outcome, Rendered) or "&" not in outcome.prompt:
            return outcome
        given = json.dumps(conversation.for_ollama(), ensure_ascii=False) + self.chat_template + self.tool_use
        if any(escape in outcome.prompt and escape not in given for escape in _ESCAPES):
            return Refused(_ESCAPED, "doubtful")
        return outcome

    def _compiled(self, renderer: Renderer, text: str, *, now: datetime | None) -> ReferenceTemplate:
        return renderer.load(text, bos=self.bos or None, eos=self.eos or None, tokens=self.tokens, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorsTemplate:
    """A chat template, and its variant ``tool_use``, which transformers takes where tools are offered."""

    default: ReferenceTemplate
    tool_use: ReferenceTemplate | None = None

    def render(self, requests: Sequence[Request]) -> list[Outcome]:
        """Render conversations; see :meth:`ReferenceTemplate.render`.

        Raises:
            InvalidInput: A template broke a limit.
        """
        if self.tool_use is None:
            return self.default.render(requests)
        with_tools = iter(self.tool_use.render([one for one in requests if one.conversation.tools]))
        without = iter(self.default.render([one for one in requests if not one.conversation.tools]))
        return [next(with_tools if one.conversation.tools else without) for one in requests]

    def treats_system(self) -> SystemMessages:
        """Return what the template does with a system message."""
        user = Message(role="user", content="Hello")
        system = Message(role="system", content=_SYSTEM_MARK)
        asked = [Conversation(name="system", messages=messages) for messages in ((user,), (system, user))]
        alone, both = self.render([Request(conversation=conversation) for conversation in asked])
        if not isinstance(alone, Rendered):
            return "shows"  # it takes other conversations than this, and nothing is known
        if isinstance(both, Refused):
            return "rejects"
        return "shows" if _SYSTEM_MARK in both.prompt else "drops"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the authors' template supports.

    Attributes:
        tools: It prints tools, or calls of them.
        thinking: It prints thoughts, or writes differently where a client asks for them.
        offered_tools: It prints the tools that a client offers, so that the model may call them.
    """

    tools: bool = False
    thinking: bool = False
    offered_tools: bool = False

    def includes(self, conversation: Conversation) -> bool:
        """Whether the template supports all that a conversation asks for."""
        if conversation.tools and not self.tools:
            return False
        return self.thinking or conversation.feature not in {"thinking", "history"}


def read_authors(metadata: Mapping[str, Any]) -> Authors | None:
    """Read what the authors meant from the metadata of a GGUF; ``None`` where it has no chat template.

    Where the header carries a changed template, the authors' own is the one that it keeps beside it.
    """
    templates = chat_templates(metadata)
    original = metadata.get(ORIGINAL_KEY)
    if isinstance(original, str) and original.strip():
        templates[DEFAULT] = original
    name = choose_variant(templates, has_tools=False)
    if name is None:
        return None
    tokens = {name: token_text(metadata, key) for name, key in _TOKENS.items()}
    return Authors(
        chat_template=templates[name],
        tool_use=templates.get(TOOL_USE, "") if name == DEFAULT else "",
        bos=token_text(metadata, "bos"),
        eos=token_text(metadata, "eos"),
        adds_bos=adds_bos(metadata),
        tokens=MappingProxyType({name: told for name, told in tokens.items() if told}),
    )


def claims_of(template: AuthorsTemplate | ReferenceTemplate) -> Claims:
    """Find out by trying what a template supports."""
    user, told = Message(role="user", content="Where?"), Message(role="system", content="Find it.")
    answer = Message(role="assistant", content="There.", thinking="Hm, where?")
    asked = Conversation(name="asked", messages=(user,))
    call = Message(
        role="assistant", calls=(ToolCall(name="find_place", arguments={"name": "x"}, id="abcdefghi"),)
    )
    result = Message(role="tool", content="Here it is", tool_name="find_place", tool_call_id="abcdefghi")
    tried = [
        asked,
        dataclasses.replace(asked, tools=(_TOOL,)),
        dataclasses.replace(asked, messages=(told, user), tools=(_TOOL,)),
        dataclasses.replace(asked, messages=(user, call, result), tools=(_TOOL,)),
        dataclasses.replace(asked, think=True),
        dataclasses.replace(asked, think=False),
        dataclasses.replace(asked, think="high"),
        dataclasses.replace(asked, messages=(user, answer, user)),
        dataclasses.replace(asked, messages=(user, dataclasses.replace(answer, thinking=None), user)),
    ]
    plain, tools, told_tools, loop, *thinks, thought, unthought = template.render(
        [Request(conversation=one) for one in tried]
    )
    shows_offer, shows_told_offer, shows_call = (
        isinstance(outcome, Rendered) and "find_place" in outcome.prompt
        for outcome in (tools, told_tools, loop)
    )
    return Claims(
        offered_tools=shows_offer or shows_told_offer,
        tools=(isinstance(tools, Rendered) and tools != plain) or shows_call,
        thinking=any(isinstance(one, Rendered) and one != plain for one in thinks)
        or (isinstance(thought, Rendered) and thought != unthought),
    )


def as_asked(
    conversation: Conversation, *, thinks: bool, system: str = "", before: Sequence[Message] = ()
) -> Conversation:
    """Return a conversation as a server takes it before any template is rendered.

    Args:
        conversation: What a client asks.
        thinks: Whether the server takes the model for one that thinks; then it thinks unless told not to.
        system: The model's own system message, which goes before a conversation that does not begin with one.
        before: The model's own messages, which go before any conversation (``ChatHandler`` in
            ``server/routes.go`` of Ollama 0.34.4).
    """
    told = conversation.messages
    has_system = bool(told) and told[0].role == "system"
    messages = (*before, *told)
    if system and not has_system:
        messages = (Message(role="system", content=system), *messages)
    think = True if thinks and conversation.think is None else conversation.think
    return dataclasses.replace(conversation, messages=messages, think=think)


def as_meant(
    conversation: Conversation,
    *,
    thinks: bool,
    system: str,
    template_does: SystemMessages,
    before: Sequence[Message] = (),
) -> Conversation:
    """Return a conversation as the authors' template is given it, so that the system text is said.

    Where the model has one and the template does not show system messages, it is put before the next message,
    where llama.cpp and our TEMPLATEs put it (see :func:`without_gap`); and so is a client's own, unless the
    template rejects that, and so means no prompt.

    Args:
        conversation: What a client asks.
        thinks: As for :func:`as_asked`, and so is ``before``.
        system: The model's own system message; ``""`` for none.
        template_does: What the template does with system messages.
        before: The model's own messages.
    """
    taken = as_asked(conversation, thinks=thinks, system=system, before=before)
    is_own = len(taken.messages) > len(before) + len(conversation.messages)
    is_moved = is_own or template_does == "drops"
    if not system or template_does == "shows" or not is_moved or len(taken.messages) < 2:  # noqa: PLR2004 - it and the next
        return taken
    if taken.messages[0].role != "system":
        return taken
    said, following, *others = taken.messages
    joined = dataclasses.replace(following, content=f"{said.content}\n{following.content}")
    return dataclasses.replace(taken, messages=(joined, *others))


def without_gap(outcome: Outcome, conversation: Conversation, *, system: str) -> Outcome:
    """Return a prompt without the white space behind a system text that was put before another message.

    How much stands there is not the authors' but of whoever moved it; :func:`as_meant` moves it.

    Args:
        outcome: The prompt.
        conversation: What a client asks.
        system: The model's own system message, where the conversation has none.
    """
    if not isinstance(outcome, Rendered):
        return outcome
    first = conversation.messages[0] if conversation.messages else None
    said = first.content if first is not None and first.role == "system" else system
    before, text, after = outcome.prompt.partition(said.strip()) if said.strip() else (outcome.prompt, "", "")
    return dataclasses.replace(outcome, prompt=f"{before}{text}{after.lstrip() if text else after}")
