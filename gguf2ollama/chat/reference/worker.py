"""The process in which chat templates run: JSON lines in, JSON lines out, within limits.

Each line that goes out is a list. The first tells whether the system itself limits memory. Then, for each
line that comes in:

``{"do": "load", "key", "text", "now"}``
    Compiles a template. ``[{"variables": […], "keys": […]}]``, or ``[{"invalid": sentence}]``.
``{"do": "render", "key", "requests": [variables, …]}``
    Renders. For each request ``{"prompt"}``, or ``{"reason", "cause"}`` of a refusal.
``{"do": "cover", "key", "requests": [variables, …]}``
    Renders with marks on the branches. ``[{"branches": [{"line", "kind", "text", "is_reached"}, …]}]``.

``[{"missing": true}]`` comes instead where the template of that key is not, or no more, loaded, and
``[{"limit": name}]`` where a limit was broken. Whoever breaks that of the processor's time ends the process.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO

from jinja2 import Template
from jinja2.exceptions import SecurityError, TemplateSyntaxError

from gguf2ollama.chat.reference.confinement import confine
from gguf2ollama.chat.reference.mentions import mentioned_keys
from gguf2ollama.jinja.environment import Raised, TooLong, line_of, make_environment, render

if TYPE_CHECKING:
    from types import CodeType

    from gguf2ollama.chat.reference.marking import Marks

__all__ = ["main"]

_KEPT_TEMPLATES = 32
_ADDRESSES_BYTES = 1 << 30  # beyond the memory limit: what is mapped and not written to
_CAP_REASON = 2000  # characters


class _Loaded:
    """A compiled template, and the same with marks on its branches once that was asked for."""

    def __init__(self, text: str, now: datetime | None, *, same: _Loaded | None) -> None:
        """Compile a text, or take what came of it when it was loaded with another clock."""
        self.text = text
        self.environment = make_environment(now=now)
        if same is None:
            tree = self.environment.parse(text)
            self.code: CodeType = self.environment.compile(tree)
            self.variables = sorted(self.environment.looked_up)
            self.keys = mentioned_keys(tree)
        else:
            self.code, self.variables, self.keys = same.code, same.variables, same.keys
        self.template = Template.from_code(self.environment, self.code, self.environment.make_globals(None))

    @cached_property
    def marked(self) -> tuple[Template, Marks]:
        from gguf2ollama.chat.reference.marking import mark_branches  # noqa: PLC0415  # loaded in `confine`

        tree, marks = mark_branches(self.environment.parse(self.text), self.environment)
        return self.environment.from_string(tree), marks


def main(configuration: str) -> None:
    """Serve until the input ends.

    Args:
        configuration: JSON: the numbers of :class:`Limits`, and ``limits_memory``.
    """
    limits = json.loads(configuration)
    confine()
    _write(sys.stdout.buffer, [{"is_memory_limited": _limit_memory(limits)}])
    loaded: OrderedDict[str, _Loaded] = OrderedDict()
    for line in sys.stdin.buffer:
        message = json.loads(line)
        _set_timer(limits["seconds"])
        answers = _answer(message, loaded, characters=limits["characters"])
        _set_timer(0)
        _write(sys.stdout.buffer, answers)


def _write(stream: BinaryIO, answers: Sequence[Mapping[str, Any]]) -> None:
    stream.write(json.dumps(answers, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    stream.flush()


def _answer(
    message: Mapping[str, Any], loaded: OrderedDict[str, _Loaded], *, characters: int
) -> Sequence[Mapping[str, Any]]:
    """Carry out one message; whatever goes wrong on the way is an answer too."""
    try:
        if message["do"] == "load":
            return [_load(message, loaded)]
        one = loaded.get(message["key"])
        if one is None:
            return [{"missing": True}]
        loaded.move_to_end(message["key"])
        if message["do"] == "cover":
            return [_cover(one, message["requests"], characters=characters)]
        answers = []
        for request in message["requests"]:
            answers.append(_render(one.template, request, characters=characters))
            characters -= len(answers[-1].get("prompt", ""))
    except MemoryError:
        return [{"limit": "memory"}]
    except TooLong:
        return [{"limit": "output"}]
    return answers


def _load(message: Mapping[str, Any], loaded: OrderedDict[str, _Loaded]) -> dict[str, Any]:
    now = datetime.fromisoformat(message["now"]) if message["now"] else None
    same = next((one for one in loaded.values() if one.text == message["text"]), None)
    try:
        one = _Loaded(message["text"], now, same=same)
    except MemoryError:
        raise
    except RecursionError:
        return {"invalid": "it is nested too deeply"}
    except TemplateSyntaxError as error:
        return {"invalid": f"line {error.lineno}: {_reason(error)}"}
    except Exception as error:  # noqa: BLE001  # Python's own compiler has its say too
        return {"invalid": f"it cannot be compiled: {_reason(error)}"}
    loaded[message["key"]] = one
    if len(loaded) > _KEPT_TEMPLATES:
        loaded.popitem(last=False)
    return {"variables": one.variables, "keys": one.keys}


def _render(template: Template, variables: Mapping[str, Any], *, characters: int) -> dict[str, Any]:
    try:
        return {"prompt": render(template, variables, characters=characters)}
    except (MemoryError, TooLong):
        raise
    except RecursionError:
        return {"cause": "failed", "reason": "the template calls itself too deeply"}
    except Raised as error:
        return {"cause": "raised", "reason": _reason(error)}
    except Exception as error:  # noqa: BLE001  # a template can fail in any way that Python knows
        is_forbidden = isinstance(error, (SecurityError, OverflowError))
        line = line_of(error)
        where = f"line {line}: " if line else ""
        return {"cause": "forbidden" if is_forbidden else "failed", "reason": where + _reason(error)}


def _cover(one: _Loaded, requests: list[dict[str, Any]], *, characters: int) -> dict[str, Any]:
    """Render with marks, and tell what they noted."""
    template, marks = one.marked
    for mark in marks.branches:
        mark.is_reached = False
    for request in requests:
        _render(template, request, characters=characters)
    return {"branches": [asdict(mark) for mark in marks.branches]}


def _reason(error: Exception) -> str:
    """Return what an error says, in one paragraph of bounded length."""
    text = str(error)[:_CAP_REASON]
    return text if text.strip() else type(error).__name__


def _set_timer(seconds: float) -> None:
    """Have the system end this process after so many seconds of the processor; 0 takes that back."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit_memory(limits: Mapping[str, Any]) -> bool:
    """Have the system refuse more memory, and write no core file; tell whether it will."""
    if sys.platform == "win32":
        return False
    import resource  # noqa: PLC0415  # not there on Windows

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not limits["limits_memory"]:
        return False
    more = {
        resource.RLIMIT_DATA: limits["memory_bytes"],
        resource.RLIMIT_AS: limits["memory_bytes"] + _ADDRESSES_BYTES,
    }
    try:
        for kind, size in more.items():
            resource.setrlimit(kind, (size, size))
    except (OSError, ValueError):
        return False
    return True
