"""Predict what Ollama makes of a chat with the chat template in the GGUF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from datetime import datetime

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.llamacpp.builds import builds_of
from gguf2ollama.chat.llamacpp.server import (
    AnswerReader,
    Loaded,
    Prediction,
    Tokens,
    Unpredictable,
    load_tool_use,
    start,
)
from gguf2ollama.chat.ollama_input import canonical
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.chat.special_cases import filter_think_tags, thinks_by_family
from gguf2ollama.jinja.facts import shows_thinking, shows_tools

__all__ = ["NativeTemplate", "Prediction", "Unpredictable", "read_native"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeTemplate:
    """A chat template as the llama.cpp of an Ollama treats it; made by :func:`read_native`.

    Attributes:
        capabilities: ``tools`` and ``thinking``, as far as ``/api/show`` says that the model can do them.
        moves_system: Whether a system message is put into the first question, or may be.
        refusal: Why the model cannot be loaded with this template; ``None`` where it can, or where that
            cannot be told: then every prediction is ``Unpredictable``.
    """

    capabilities: frozenset[str]
    moves_system: bool
    refusal: str | None
    _version: str
    _family: str
    _model_name: str
    _loaded: Sequence[Loaded | Refused | Unpredictable] = field(repr=False)
    _with_tools: Sequence[Loaded | Refused | Unpredictable] = field(repr=False)

    def render(self, conversation: Conversation) -> Prediction:
        """Predict what a server makes of a conversation, told as a client tells it.

        ``Unpredictable`` where it cannot be told: then nothing may be said to be exact.
        """
        thinks = "thinking" in self.capabilities
        if conversation.tools and "tools" not in self.capabilities:
            return Refused("400: the model does not support tools", "failed")
        if conversation.think and not thinks:
            return Refused("400: the model does not support thinking", "failed")
        asked = canonical(conversation, path="native", version=self._version)
        if thinks and asked.think is None:
            asked = replace(asked, think=True)
        asked = filter_think_tags(
            asked, family=self._family, model_name=self._model_name, version=self._version
        )
        loaded = self._with_tools if conversation.tools else self._loaded
        outcomes = [one.render(asked) if isinstance(one, Loaded) else one for one in loaded]
        return outcomes[0] if _agree(outcomes) else _undecided(outcomes)

    @property
    def reads_answers(self) -> bool:
        """Whether answers are read at all: not those of a template that is taken for another family's."""
        return all(one.reads_answers for one in self._loaded if isinstance(one, Loaded))

    def answer_readers(self, *, with_tools: bool = True) -> list[AnswerReader]:
        """Return what reads answers: one for each build; none where that is not known.

        Args:
            with_tools: Whether the requests offer tools.
        """
        loaded = self._with_tools if with_tools else self._loaded
        found = [one.answer_reader() if isinstance(one, Loaded) else Unpredictable("") for one in loaded]
        readers = [one for one in found if isinstance(one, AnswerReader)]
        return readers if len(readers) == len(found) else []


def read_native(
    text: str,
    *,
    version: str,
    now: datetime | None = None,
    bos: str = "",
    eos: str = "",
    adds_bos: bool = False,
    adds_eos: bool = False,
    family: str = "",
    model_name: str = "",
    tool_use: str = "",
) -> NativeTemplate:
    """Take in a chat template as Ollama and its llama.cpp do when a model is loaded.

    Nothing in it can harm: it is run by an interpreter of our own, within limits, and reaches no Python.

    Args:
        text: Its Jinja text.
        version: The version of Ollama, such as ``0.34.4``; chats are rendered natively from 0.30 on.
        now: What the server's clock says, in its time zone; the time of this machine where ``None``.
        bos: The text of the token that begins a text; ``""`` where the tokenizer has none.
        eos: The text of the token that ends one.
        adds_bos: Whether the tokenizer puts that token before each text.
        adds_eos: Whether it puts the other after each text.
        family: ``general.architecture``, of which Ollama treats some apart.
        model_name: The model part of its name, such as ``deepseek-r1``, of which Ollama treats one apart.
        tool_use: The template of that name in the GGUF, ``""`` for none; llama.cpp takes it for chats with
            tools.

    Raises:
        UsageProblem: The version is none.
    """
    tokens = Tokens(bos=bos, eos=eos, adds_bos=adds_bos, adds_eos=adds_eos)
    clock = now or datetime.now().astimezone()
    loaded = [start(text, build=build, tokens=tokens, now=clock) for build in builds_of(version)]
    if not loaded:
        loaded = [Unpredictable(f"the llama.cpp of Ollama {version} is not supported")]
    with_tools = [
        load_tool_use(tool_use, default=one) if tool_use and isinstance(one, Loaded) else one
        for one in loaded
    ]
    thinks = shows_thinking(text) or thinks_by_family(family, version=version)
    refused = [one.reason for one in loaded if isinstance(one, Refused)]
    return NativeTemplate(
        capabilities=frozenset({"tools"} if shows_tools(text) else ())
        | frozenset({"thinking"} if thinks else ()),
        moves_system=any(
            not isinstance(one, Loaded) or not one.support.system_role for one in (*loaded, *with_tools)
        ),
        refusal=refused[0] if len(refused) == len(loaded) else None,
        _version=version,
        _family=family,
        _model_name=model_name,
        _loaded=loaded,
        _with_tools=with_tools,
    )


def _agree(outcomes: Sequence[Prediction]) -> bool:
    return len(set(map(_essence, outcomes))) == 1


def _essence(outcome: Prediction) -> object:
    return outcome.prompt if isinstance(outcome, Rendered) else type(outcome)


def _undecided(outcomes: Sequence[Prediction]) -> Unpredictable:
    unknown = next((one for one in outcomes if isinstance(one, Unpredictable)), None)
    return unknown or Unpredictable("the llama.cpp builds that this version may ship with differ")
