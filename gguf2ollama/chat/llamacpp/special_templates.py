"""The kinds of chat templates that llama.cpp treats apart, told by marks in their text.

For each: whether it is said to reason, what is done to the messages, and what stands before an answer that is
continued. All other templates are learned by comparing prompts (``reasoning``).

Source: ``common_chat_try_specialized_template`` in ``common/chat.cpp`` and ``common/parsers`` of llama.cpp
b9892, b10488 and b11095.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern

__all__ = ["NEWEST", "Family", "Messages", "family_of"]

NEWEST = 3
"""The set of families of the newest build that is known."""

Messages: TypeAlias = list[dict[str, Any]]
_OPEN_TURN, _MODEL_TURN = "<turn|>\n", "<|turn>model\n"
# where a thought or a channel begins within the turns below
_WITHIN_TURN = lazy_pattern(
    r"</?think>|<mm:think>|\[THINK\]|<\|START_THINKING\|>|<\|channel\|>|<\|open\|>think|<\|message\|>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A kind of templates.

    Attributes:
        name: What llama.cpp calls it.
        marks: What must stand in the text; of an inner tuple, one at least.
        lacks: What must not.
        continuation: What stands before the text of an answer that is continued, given the template's text
            and its generation prompt; ``None`` where it depends on the prompt itself (Gemma 4).
        since: From which set of families on it is there; see ``builds``.
        reasons: Whether it is said to reason, given the template's text.
        adjust: What is done to the messages, given the template's text.
    """

    name: str
    marks: tuple[str | tuple[str, ...], ...]
    lacks: tuple[str, ...] = ()
    continuation: Callable[[str, str], str] | None
    since: int = 1
    reasons: Callable[[str], bool] = lambda _: True
    adjust: Callable[[Messages, str], Messages] = lambda messages, _: messages

    def is_of(self, source: str) -> bool:
        """Whether a template is of this kind."""
        has_marks = all(
            mark in source if isinstance(mark, str) else any(one in source for one in mark)
            for mark in self.marks
        )
        return has_marks and not any(mark in source for mark in self.lacks)

    def reads_behind(self, opening: str, source: str) -> bool:
        """Whether answers are read behind what a template begins the model's turn with.

        llama.cpp expects the beginning of the family's own turns: behind another one every answer fails, or
        is returned with that beginning before it (each family on Ollama 0.34.4 and 0.32.15).

        Args:
            opening: The generation prompt; where it is empty, nothing is known against it.
            source: The template's text.
        """
        continued = _MODEL_TURN if self.continuation is None else self.continuation(source, opening)
        turn = _WITHIN_TURN.split(continued, maxsplit=1)[0]
        return not opening or (bool(turn) and (opening.startswith(turn) or turn.startswith(opening)))


def family_of(source: str, *, families: int = NEWEST) -> Family | None:
    """Find the kind of a template; ``None`` for one that llama.cpp has to learn.

    Args:
        source: Its text.
        families: Which set of families the build has; that of the newest by default.
    """
    return next((one for one in _FAMILIES if one.since <= families and one.is_of(source)), None)


def _always(text: str) -> Callable[[str, str], str]:
    return lambda _source, _prompt: text


def _parts(messages: Messages, _: str) -> Messages:
    """Return system messages and answers as lists of parts (Ministral 3)."""
    told = []
    for message in messages:
        if message["role"] in {"system", "assistant"} and isinstance(message.get("content"), str):
            message = message | {"content": [{"type": "text", "text": message["content"]}]}  # noqa: PLW2901
        told.append(message)
    return told


def _in_order_of_calls(messages: Messages, _: str) -> Messages:
    """Return the results of parallel calls in the order of the calls (DeepSeek V4)."""
    told = list(messages)
    order: dict[str, int] = {}
    at = 0
    while at < len(told):
        role = told[at]["role"]
        if role == "assistant" and told[at].get("tool_calls"):
            calls = told[at]["tool_calls"]
            order = {call["id"]: number for number, call in enumerate(calls) if call.get("id")}
        end = at
        while end < len(told) and told[end]["role"] in {"user", "tool"}:
            end += 1
        places = [one for one in range(at, end) if told[one]["role"] == "tool"]
        if len(places) > 1 and order:
            results = sorted(
                (told[one] for one in places), key=lambda one: order.get(one.get("tool_call_id", ""), 0)
            )
            for place, result in zip(places, results, strict=True):
                told[place] = result
        at = max(end, at + 1)
    return told


def _with_responses(messages: Messages, source: str) -> Messages:
    """Put results, and the answer after them, into the message that calls (older templates of Gemma 4)."""
    if "{#- OpenAI Chat Completions:" in source:
        return messages
    told: Messages = []
    at = 0
    while at < len(messages):
        if messages[at]["role"] != "assistant" or not messages[at].get("tool_calls"):
            told.append(messages[at])
            at += 1
            continue
        turn, at = _model_turn(messages, at)
        told.append(turn)
    return told


def _model_turn(messages: Messages, at: int) -> tuple[dict[str, Any], int]:
    calls = messages[at]["tool_calls"]
    turn: dict[str, Any] = {"role": "assistant", "tool_calls": calls}
    responses: list[dict[str, Any]] = []
    at += 1
    while at < len(messages) and messages[at]["role"] == "tool":
        message = messages[at]
        name = calls[len(responses)]["function"]["name"] if len(responses) < len(calls) else ""
        name = name or message.get("tool_call_id", "")
        responses.append({"name": name, "response": _parsed(message.get("content"))})
        at += 1
    if responses:
        turn["tool_responses"] = responses
    if at < len(messages) and _is_answer(messages[at]):
        turn["content"] = messages[at]["content"]
        at += 1
    return turn, at


def _is_answer(message: Mapping[str, Any]) -> bool:
    return bool(message["role"] == "assistant" and not message.get("tool_calls") and message.get("content"))


def _parsed(content: object) -> object:
    """Return the value that a result tells as JSON, else the text."""
    if not isinstance(content, str):
        return content
    try:
        return json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return content


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def continued_turn(prompt: str) -> str:
    """Return what stands before the text of an answer that is continued, for Gemma 4."""
    return (_MODEL_TURN if prompt.endswith(_OPEN_TURN) else "") + "<|channel>thought\n<channel|>"


def opened_turn(prompt: str) -> str:
    """Open the model's turn where a template of Gemma 4 does not."""
    return prompt + _MODEL_TURN if prompt.endswith(_OPEN_TURN) else prompt


def _thinks(source: str) -> bool:
    return "<think>" in source


def _coder(source: str, _: str) -> str:
    return "<|im_start|>assistant\n" + ("<think>\n\n</think>\n\n" if _thinks(source) else "")


def _deepseek(source: str, _: str) -> str:
    return "<\uff5cAssistant\uff5c>" + ("<think></think>" if "function_calls" in source else "</think>")


_FAMILIES: Sequence[Family] = (
    Family(
        name="Ministral 3",
        marks=("[SYSTEM_PROMPT]", "[TOOL_CALLS]", "[ARGS]"),
        lacks=("[CALL_ID]",),
        continuation=_always("[THINK][/THINK]"),
        adjust=_parts,
    ),
    Family(
        name="GPT-OSS",
        marks=("<|channel|>",),
        continuation=_always(
            "<|start|>assistant<|channel|>analysis<|message|><|end|>"
            "<|start|>assistant<|channel|>final<|message|>"
        ),
    ),
    Family(
        name="Muse Glimmer",
        marks=("<atem:function_calls>", "<|eom|>"),
        continuation=_always(
            "<|start|>assistant to=self<|message|><|eom|><|start|>assistant to=user<|message|>"
        ),
        since=2,
    ),
    Family(
        name="Functionary v3.2",
        marks=(">>>all", ">>>${recipient}"),
        continuation=_always("<|start_header_id|>assistant<|end_header_id|>\n\n>>>all\n"),
        reasons=lambda _: False,
    ),
    Family(
        name="Kimi K2",
        marks=("<|tool_calls_section_begin|>", "<|tool_call_begin|>"),
        continuation=_always("<|im_assistant|>assistant<|im_middle|><think></think>"),
    ),
    Family(
        name="Kimi K3",
        marks=("<|open|>", "<|close|>", "<|end_of_msg|>"),
        continuation=_always(
            '<|open|>message role="assistant"<|sep|><|open|>think<|sep|><|close|>think<|sep|>'
            "<|open|>response<|sep|>"
        ),
        since=2,
    ),
    Family(
        name="Ling 3.0",
        marks=("<role>ASSISTANT</role>", "<arg_key>"),
        continuation=_always("<role>ASSISTANT</role>\n<think></think>"),
        since=3,
    ),
    Family(
        name="Cohere2 MoE",
        marks=("<|START_TEXT|>", "<|START_ACTION|>"),
        continuation=_always(
            "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_THINKING|><|END_THINKING|><|START_TEXT|>"
        ),
    ),
    Family(
        name="LFM2",
        marks=("<|tool_list_start|>", "<|tool_list_end|>"),
        continuation=_always("<|im_start|>assistant\n<think></think>"),
    ),
    Family(
        name="LFM2.5",
        marks=("List of tools: [",),
        lacks=("<|tool_list_start|>",),
        continuation=_always("<|im_start|>assistant\n<think></think>"),
    ),
    Family(
        name="GigaChat V3",
        marks=("<|role_sep|>", "<|message_sep|>"),
        lacks=("<|function_call|>",),
        continuation=_always("assistant<|role_sep|>\n"),
        reasons=lambda _: False,
    ),
    Family(
        name="MiniMax-M3",
        marks=("]<]minimax[>[", "<tool_call>", "<invoke name="),
        continuation=lambda _, generation_prompt: generation_prompt + "<mm:think></mm:think>",
        since=2,
    ),
    Family(
        name="DeepSeek V3.2",
        marks=("dsml_token", "DSML", "function_calls"),
        continuation=_deepseek,
    ),
    Family(
        name="DeepSeek V4",
        marks=("dsml_token", "DSML", "tool_calls"),
        continuation=_deepseek,
        since=2,
        adjust=_in_order_of_calls,
    ),
    Family(
        name="Gemma 4",
        marks=("'<|tool_call>call:'",),
        continuation=None,
        adjust=_with_responses,
    ),
    Family(
        name="MiniCPM5",
        marks=("Tool usage guidelines:", '<function name="', '<param name="'),
        continuation=_always("<|im_start|>assistant\n<think>\n\n</think>\n\n"),
    ),
    Family(
        name="Qwen3-Coder",
        marks=("<tool_call>", "<function=", "<parameter="),
        continuation=_coder,
        since=2,
        reasons=_thinks,
    ),
)
