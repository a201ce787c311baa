"""Start a llama-server in thought: take in a chat template, learn its form, and render chats with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.llamacpp.answer_reader import read_answer, read_calling_answer
from gguf2ollama.chat.llamacpp.autoparser import Reasoning, find_reasoning, require_parser
from gguf2ollama.chat.llamacpp.builds import Build
from gguf2ollama.chat.llamacpp.call_form import CallForm, find_call_form, find_content_marks
from gguf2ollama.chat.llamacpp.caps import Support, probe, takes_parallel_calls
from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.interpreter import Template, load
from gguf2ollama.chat.llamacpp.jinja_engine.values import as_bytes_text, as_text
from gguf2ollama.chat.llamacpp.request import (
    extra_variables,
    told_messages,
    told_tools,
    with_content_as_taken,
)
from gguf2ollama.chat.llamacpp.segments import WHITE_SPACE, common_prefix
from gguf2ollama.chat.llamacpp.special_templates import Family, continued_turn, family_of, opened_turn
from gguf2ollama.chat.outcome import Cause, Heard, Outcome, Refused, Rendered

__all__ = ["AnswerReader", "Loaded", "Prediction", "Tokens", "Unpredictable", "load_tool_use", "start"]

_CAP_CHARACTERS = 128 << 10  # the longest of 183 real templates has 19 kB
_TEST = Message(role="user", content="test")
_EXAMPLE = (
    Message(role="system", content="You are a helpful assistant"),
    Message(role="user", content="Hello"),
    Message(role="assistant", content="Hi there"),
    Message(role="user", content="How are you?"),
)


@dataclass(frozen=True, slots=True)
class Unpredictable:
    """Why it cannot be told what a server makes of a conversation: one sentence."""

    reason: str


Prediction: TypeAlias = Outcome | Unpredictable


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The tokens that a template is told, and whether the tokenizer adds them by itself.

    Attributes:
        bos: The text of the token that begins a text, or ``""``.
        eos: The text of the token that ends one, or ``""``.
        adds_bos: Whether the tokenizer puts that token before each text.
        adds_eos: Whether it puts the other after each text.
    """

    bos: str
    eos: str
    adds_bos: bool
    adds_eos: bool

    def cut(self, prompt: str) -> str:
        """Take away what the tokenizer will add."""
        if self.adds_bos:
            prompt = prompt.removeprefix(self.bos)
        return prompt.removesuffix(self.eos) if self.adds_eos else prompt


def start(text: str, *, build: Build, tokens: Tokens, now: datetime) -> Loaded | Refused | Unpredictable:
    """Do what llama-server does when it starts, and fail as it does.

    Args:
        text: The template's Jinja text.
        build: The build of llama.cpp.
        tokens: The tokens that it is told.
        now: What the clock says.
    """
    if not text.strip():
        return Unpredictable("the chat template is empty; llama.cpp replaces it with its own")
    try:
        source = _patched(text)
        template, support = _read(source, build=build, now=now)
        loaded = _learn(template, support, source=source, build=build, tokens=tokens, now=now)
        for messages in (_EXAMPLE, (_TEST,)):
            loaded.try_out(messages)
    except TemplateFault as fault:
        return Refused(f"llama-server does not start with this chat template: {fault}", _cause(fault))
    except NotForeseen as reason:
        return Unpredictable(_sentence(reason))
    return loaded


def load_tool_use(text: str, *, default: Loaded) -> Loaded | Refused | Unpredictable:
    """Return what renders chats with tools: a named template, or the default where it is invalid.

    Source: ``common_chat_templates_init`` and ``common_chat_templates_apply_jinja`` in ``common/chat.cpp`` of
    llama.cpp b10488 and b11095.

    Args:
        text: The Jinja text of the template ``tool_use``.
        default: The default template, with which the server has started.
    """
    try:
        template, support = _read(text, build=default.build, now=default.now)
    except TemplateFault:
        return default
    except NotForeseen as reason:
        return Unpredictable(_sentence(reason))
    try:
        return _learn(
            template,
            support,
            source=text,
            build=default.build,
            tokens=default.tokens,
            now=default.now,
            default=default,
        )
    except TemplateFault as fault:
        return Refused(f"400: unable to generate parser for this template: {fault}", _cause(fault))
    except NotForeseen as reason:
        return Unpredictable(_sentence(reason))


def _read(source: str, *, build: Build, now: datetime) -> tuple[Template, Support]:
    """Parse a template, and find what it supports.

    Raises:
        NotForeseen: It cannot be told.
        TemplateFault: llama.cpp refuses it.
    """
    if len(source) > _CAP_CHARACTERS:
        raise NotForeseen(f"a chat template of more than {_CAP_CHARACTERS:,} characters")
    template = load(source, build.dialect)
    support = probe(
        template, now=now, misses_text=build.misses_text, tries_empty_parts=build.tries_empty_parts
    )
    return template, support


def _learn(
    template: Template,
    support: Support,
    *,
    source: str,
    build: Build,
    tokens: Tokens,
    now: datetime,
    default: Loaded | None = None,
) -> Loaded:
    """Find how a template writes reasoning and calls.

    Raises:
        NotForeseen: It cannot be told.
        TemplateFault: llama.cpp can make no parser of it.
    """
    learner = _Learner(template=template, support=support, build=build, tokens=tokens, now=now)
    family = family_of(source, families=build.families)
    return Loaded(
        source=source,
        template=template,
        build=build,
        support=support,
        family=family,
        reasoning=Reasoning() if family else learner.learn(source),
        tokens=tokens,
        now=now,
        default=default,
    )


def _cause(fault: TemplateFault) -> Cause:
    return "raised" if fault.raised else "failed"


def _sentence(reason: NotForeseen) -> str:
    return f"llama.cpp's output cannot be predicted: {reason}"


_CHANNEL_CHECK = (
    '{%- if "<|channel|>analysis<|message|>" in message.content or '
    '"<|channel|>final<|message|>" in message.content %}'
)
_EMPTY_CHECK = (
    "{%- if (message['content'] is none or message['content'] == '' or message['content']|length == 0) and "
    "(message['tool_calls'] is not defined or message['tool_calls'] is none or "
    "message['tool_calls']|length == 0) %}"
)


def _patched(text: str) -> str:
    """Take two checks out of a template's text that llama.cpp does not let it make.

    Source: ``common_chat_templates_init`` in ``common/chat.cpp`` of llama.cpp b10488 and b11095.
    """
    if "<|channel|>" in text:
        text = text.replace(_CHANNEL_CHECK, "{%- if false %}")
    return text.replace(_EMPTY_CHECK, "{%- if false %}") if "[TOOL_CALLS]" in text else text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learner:
    """Renders for llama.cpp's comparisons, in which a template that raises is passed over."""

    template: Template
    support: Support
    build: Build
    tokens: Tokens
    now: datetime

    def learn(self, source: str) -> Reasoning:
        """Find how a template writes reasoning.

        Raises:
            NotForeseen: It cannot be told.
            TemplateFault: llama.cpp can make no parser of it.
        """
        if not self.build.misses_text and (not self.support.string_content or "<SPECIAL_10>" in source):
            raise NotForeseen(f"a template that {self.build.name} parses in its own way")
        found = find_reasoning(self, source, supports_calls=self.support.tool_calls)
        if self.support.tool_calls:
            require_parser(self, found)
        return found

    def __call__(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = False,
        enable_thinking: bool = True,
    ) -> str | None:
        variables: dict[str, Any] = {
            "messages": with_content_as_taken([dict(one) for one in messages], support=self.support),
            "bos_token": self.tokens.bos,
            "eos_token": self.tokens.eos,
            "enable_thinking": enable_thinking,
        }
        if tools:
            variables["tools"] = list(tools)
        if add_generation_prompt:
            variables["add_generation_prompt"] = True
        try:
            return self.template.render(variables, now=self.now)
        except TemplateFault:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A template that a build of llama-server renders with.

    Attributes:
        default: The template with which the server has started; ``None`` where it is this one.
    """

    source: str
    template: Template
    build: Build
    support: Support
    family: Family | None
    reasoning: Reasoning
    tokens: Tokens
    now: datetime
    default: Loaded | None = None

    @property
    def reasons(self) -> bool:
        """Whether it is said to reason: what ``enable_thinking`` is where nobody says."""
        if self.default is not None:
            return self.default.reasons
        return self.reasoning.is_found if self.family is None else self.family.reasons(self.source)

    def try_out(self, messages: Sequence[Message]) -> None:
        """Render a chat as llama-server does when it starts.

        Raises:
            NotForeseen: It cannot be told.
            TemplateFault: The template raises.
        """
        self._prompt(Conversation(name="start", messages=tuple(messages), think=True))

    @property
    def reads_answers(self) -> bool:
        """Whether answers are read at all; so as long as nothing else is known."""
        if self.family is None:
            return True
        asked = Conversation(name="opening", messages=(_TEST,))
        told = told_messages(asked.messages, source=self.source, support=self.support)
        variables = self._variables(asked) | {"messages": self.family.adjust(told, self.source)}
        try:
            plain = as_bytes_text(self._render(variables))
            generating = as_bytes_text(self._render(variables | {"add_generation_prompt": True}))
        except (TemplateFault, NotForeseen):
            return True
        opening = as_text(generating[len(common_prefix(plain, generating)) :])
        return self.family.reads_behind(opening, self.source)

    def answer_reader(self) -> AnswerReader | Unpredictable:
        """Return what reads answers."""
        if self.family is not None:
            return Unpredictable(f"llama.cpp reads answers of {self.family.name} in its own way")
        learner = _Learner(
            template=self.template, support=self.support, build=self.build, tokens=self.tokens, now=self.now
        )
        form, has_parallel_calls = None, False
        try:
            content = find_content_marks(learner, self.source, reasoning=self.reasoning)
            if self.support.tool_calls:
                has_parallel_calls = takes_parallel_calls(self.template, now=self.now, support=self.support)
                form = find_call_form(
                    learner, self.source, reasoning=self.reasoning, has_parallel_calls=has_parallel_calls
                )
        except TemplateFault as fault:
            return Unpredictable(str(fault))
        except NotForeseen as reason:
            return Unpredictable(_sentence(reason))
        return AnswerReader(loaded=self, form=form, content=content, has_parallel_calls=has_parallel_calls)

    def begun_thought(self, asked: Conversation) -> str:
        """Return what a prompt has of the answer's thought, from its opening mark on.

        Raises:
            NotForeseen: It cannot be told.
            TemplateFault: The template raises.
        """
        start = self.reasoning.start.strip(WHITE_SPACE)
        if not start:
            return ""
        told = told_messages(asked.messages, source=self.source, support=self.support)
        closed = as_bytes_text(self._render(self._variables(asked) | {"messages": told}))
        opened = as_bytes_text(self._prompt(asked))
        opening = opened[len(common_prefix(closed, opened)) :]
        return as_text(opening[opening.find(start) :]) if start in opening else ""

    def render(self, conversation: Conversation) -> Prediction:
        """Predict the prompt of a canonical conversation."""
        try:
            return Rendered(self._prompt(conversation))
        except TemplateFault as fault:
            return Refused(f"400: {fault}", _cause(fault))
        except NotForeseen as reason:
            return Unpredictable(_sentence(reason))

    def _prompt(self, conversation: Conversation) -> str:
        messages = list(conversation.messages)
        last = messages.pop() if messages and messages[-1].role == "assistant" else None
        if last is not None:
            _require_continuable(messages, last)
        told = told_messages(messages, source=self.source, support=self.support)
        if self.family is not None:
            told = self.family.adjust(told, self.source)
        variables = self._variables(conversation) | {"messages": told}
        is_needed = last is not None or not self.template.only_opens_at_the_end
        plain = self._render(variables) if is_needed else ""
        generating = self._render(variables | {"add_generation_prompt": True})
        if last is None:
            return opened_turn(generating) if self._opens_turn else generating
        return self._continued(plain, generating, content=last.content)

    @property
    def _opens_turn(self) -> bool:
        return self.family is not None and self.family.continuation is None

    def _variables(self, conversation: Conversation) -> dict[str, Any]:
        variables: dict[str, Any] = {
            "bos_token": self.tokens.bos,
            "eos_token": self.tokens.eos,
            "enable_thinking": self.reasons,
        }
        if tools := told_tools(conversation):
            variables["tools"] = tools
        return variables | extra_variables(conversation, now=self.now, build=self.build)

    def _render(self, variables: Mapping[str, Any]) -> str:
        return self.tokens.cut(self.template.render(variables, now=self.now))

    def _continued(self, plain: str, generating: str, *, content: str) -> str:
        """Put an answer that is to be continued after the prompt of what goes before."""
        if self.family is not None and self.family.name == "GPT-OSS":
            plain = _ended(plain)
        if not content:  # nothing to continue, and no generation prompt either
            return plain
        before, after = as_bytes_text(plain), as_bytes_text(generating)
        opening = after[len(common_prefix(before, after)) :]
        if self.family is None:
            if self.reasoning.start:
                opening = opening.partition(self.reasoning.start)[0]
                opening += self.reasoning.start + self.reasoning.end
            return plain + as_text(opening) + content
        if self.family.continuation is None:
            return plain + continued_turn(plain) + content
        return plain + self.family.continuation(self.source, as_text(opening)) + content


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReader:
    """Reads answers as a server does that has started with a template.

    Attributes:
        loaded: The template.
        form: How it writes calls; ``None`` where the server sees none in it.
        content: What an answer without calls stands between; ``("", "")`` for nothing.
        has_parallel_calls: Whether the server lets the model write several calls.
    """

    loaded: Loaded
    form: CallForm | None
    content: tuple[str, str]
    has_parallel_calls: bool

    @property
    def shows_calls(self) -> bool:
        """Whether the template shows calls of earlier turns."""
        return self.loaded.support.tool_calls

    def holds_to_form(self, text: str) -> bool:
        """Return whether a grammar makes calls of the model such that they are read, by how they begin."""
        if self.form is None or self.form.mode != "JSON":
            return False
        mark = as_text(self.form.section[0] or self.form.call[0])
        return bool(mark) and mark in text

    def read(self, text: str, *, asked: Conversation) -> Heard | None:
        """Read an answer; ``None`` where the request ends with an error, or its prompt is not known.

        Args:
            text: What the model writes, up to the end of its turn.
            asked: What it answers, canonical.
        """
        return next(self.read_all([text], asked=asked))

    def read_all(self, texts: Iterable[str], *, asked: Conversation) -> Iterator[Heard | None]:
        """Yield what is read in each of several answers to one request; see :meth:`read`."""
        try:
            begun, tools = self.loaded.begun_thought(asked), told_tools(asked)
        except (TemplateFault, NotForeseen):
            yield from (None for _ in texts)
            return
        yield from (self._read(as_bytes_text(begun + text), tools) for text in texts)

    def _read(self, written: str, tools: Sequence[Mapping[str, Any]]) -> Heard | None:
        reasoning = self.loaded.reasoning
        if not tools or not self.shows_calls:
            found = read_answer(written, reasoning=reasoning, content=self.content)
        elif self.form is None:
            return Heard()  # whatever the answer is, the server tells nothing of it
        else:
            found = read_calling_answer(written, form=self.form, reasoning=reasoning, tools=tools)
        if found is None:
            return None
        calls = [(as_text(name), _as_text_all(told)) for name, told in found.calls]
        return Heard(said=as_text(found.said), thought=as_text(found.thought), calls=calls)


def _as_text_all(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value with :func:`as_text` of all its texts."""
    if isinstance(value, str):
        return as_text(value)
    if isinstance(value, dict):
        return {as_text(key): _as_text_all(one) for key, one in value.items()}
    return [_as_text_all(one) for one in value] if isinstance(value, list) else value


def _ended(prompt: str) -> str:
    """End the last turn of a prompt as one that others follow (GPT-OSS)."""
    head, mark, tail = prompt.rpartition("<|return|>")
    return f"{head}<|end|>{tail}" if mark else prompt


def _require_continuable(messages: Sequence[Message], last: Message) -> None:
    """Check that an answer can be continued.

    Raises:
        TemplateFault: Another answer goes before it, or it calls a tool.
    """
    if messages and messages[-1].role == "assistant":
        raise TemplateFault("Cannot have 2 or more assistant messages at the end of the list.")
    if last.calls:
        raise TemplateFault("Cannot continue an assistant message that contains tool calls.")
