"""Chat templates of our own in the style of families, for those whose authors' template is not at hand."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.calling_templates import JSON_CALLS

__all__ = ["Style", "style"]

_FACTS = Path(__file__).with_name("styles.json")
_Around = tuple[str, str]  # what stands before and behind a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a family writes chats.

    Attributes:
        user, assistant, system: What stands before and behind a message of that role.
        first: What begins a chat: an expression, such as ``bos_token``; ``""`` for nothing.
        invites: What invites an answer; what stands before one where it is ``None``.
    """

    user: _Around
    assistant: _Around
    system: _Around = ("", "\n\n")
    first: str = ""
    invites: str | None = None

    def plain(self) -> str:
        """Return a chat template without tools and thoughts."""
        return (
            f"{self._first()}{{% for m in messages %}}"
            f"{{% if m.role == 'system' %}}{_message(self.system)}"
            f"{{% elif m.role == 'user' %}}{_message(self.user)}"
            f"{{% else %}}{_message(self.assistant)}{{% endif %}}{{% endfor %}}"
            f"{{% if add_generation_prompt %}}{{{{ {self._invites()!r} }}}}{{% endif %}}"
        )

    def calling(self) -> str:
        """Return a chat template with tools and thoughts, which are switched by ``enable_thinking``."""
        text = JSON_CALLS
        for role, around in (("system", self.system), ("user", self.user), ("assistant", self.assistant)):
            text = text.replace(f"<|im_start|>{role}\n", f"{{{{ {around[0]!r} }}}}")
        opened = f"{{{{ {self.system[0]!r} if m.role == 'system' else {self.user[0]!r} }}}}"
        text = text.replace("<|im_start|>{{ m.role }}\n", opened)
        return self._first() + text.replace("<|im_end|>\n", f"{{{{ {self.user[1]!r} }}}}")

    def _first(self) -> str:
        return f"{{{{ {self.first} }}}}" if self.first else ""

    def _invites(self) -> str:
        return self.assistant[0] if self.invites is None else self.invites


def _message(around: _Around) -> str:
    before, behind = around
    return f"{{{{ {before!r} + m.content + {behind!r} }}}}"


def style(name: str) -> Style:
    """Return the style of that name in ``styles.json``.

    Raises:
        KeyError: There is none.
    """
    fields = _styles()[name]
    return Style(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})


@functools.cache
def _styles() -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = json.loads(_FACTS.read_text("utf-8"))
    return content
