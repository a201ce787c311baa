"""Whether a TEMPLATE takes precedence over the chat template in a GGUF.

The rules are those of ``server/images.go`` since 0.30 (``shouldPreferChatTemplate``): capabilities are
counted, and among templates with the same ones, one that renders tool results is preferred.
"""

from __future__ import annotations

from gguf2ollama._dataclass import dataclass
from gguf2ollama.gotmpl.parse import parse
from gguf2ollama.gotmpl.versions import NEWEST, Dialect, dialect
from gguf2ollama.ollama_template.introspect import Reading, read

__all__ = ["Verdict", "takes_precedence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a server renders chats with the TEMPLATE, and why."""

    has_precedence: bool
    reason: str

    def __bool__(self) -> bool:
        return self.has_precedence


def takes_precedence(go_text: str, jinja_text: str, *, version: str = NEWEST) -> Verdict:
    """Return whether a server renders with a TEMPLATE rather than a GGUF's own chat template.

    That holds for models without RENDERER and PARSER, other than gpt-oss, on a server without
    ``OLLAMA_GO_TEMPLATE`` in its environment.

    Args:
        go_text: The TEMPLATE.
        jinja_text: The GGUF's ``tokenizer.chat_template``; ``""`` where it has none.
        version: Ollama's.

    Raises:
        InvalidModelfile: The TEMPLATE is not a template.
    """
    known = dialect(version)
    reading = read(parse(go_text, functions=known.functions))
    if not known.has_native_path:
        return Verdict(has_precedence=True, reason=f"Ollama {version} renders chats with a TEMPLATE only")
    if not jinja_text:
        return Verdict(has_precedence=True, reason="the GGUF has no chat template")
    return _compare(reading, jinja_text, known)


def _compare(reading: Reading, jinja: str, known: Dialect) -> Verdict:
    theirs = _jinja_capabilities(jinja)
    ours = reading.capabilities
    renders = _renders_tool_results(jinja)
    if len(theirs) > len(ours):
        missing = ", ".join(sorted(theirs - ours))
        if renders or not reading.renders_tool_results:
            return Verdict(
                has_precedence=False,
                reason=f"the chat template in the GGUF has more capabilities: {missing}",
            )
        return Verdict(
            has_precedence=True,
            reason=f"it renders tool results, which outweighs the chat template's {missing}",
        )
    both_have_tools = theirs == ours and "tools" in theirs
    if known.prefers_tool_round_trip and both_have_tools and renders and not reading.renders_tool_results:
        return Verdict(
            has_precedence=False,
            reason="the chat template in the GGUF renders tool results, and Ollama does not see that the"
            ' TEMPLATE does: it must use .ToolCalls and contain the text `eq .Role "tool"`',
        )
    return Verdict(has_precedence=True, reason="it has every capability of the chat template in the GGUF")


def _jinja_capabilities(jinja: str) -> frozenset[str]:
    found = set()
    if _names_tools(jinja):
        found.add("tools")
    if _thinks(jinja):
        found.add("thinking")
    return frozenset(found)


def _names_tools(jinja: str) -> bool:
    return "tools" in jinja or "tool_call" in jinja


def _thinks(jinja: str) -> bool:
    if "<think>" in jinja and "</think>" in jinja:
        return True
    splits = "content.split('</think>')" in jinja or 'content.split("</think>")' in jinja
    return splits and "reasoning_content" not in jinja and "<SPECIAL_12>" not in jinja


_CALL_SIGNS = ("tool_calls", "assistant_tool_call")
_RESULT_SIGNS = (
    "tool_response",
    "tool_results",
    "role'] == 'tool'",
    'role\'] == "tool"',
    "role\"] == 'tool'",
    'role"] == "tool"',
    "message.role == 'tool'",
    'message.role == "tool"',
    "ipython",
)


def _renders_tool_results(jinja: str) -> bool:
    return (
        _names_tools(jinja)
        and any(sign in jinja for sign in _CALL_SIGNS)
        and any(sign in jinja for sign in _RESULT_SIGNS)
    )
