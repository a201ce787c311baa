"""Chat templates that somebody might have written: those of a corpus, changed here and there.

What comes of a change is mostly odd, and often wrong; a server takes it all the same.
"""

from __future__ import annotations

import re
from random import Random

__all__ = ["changed"]

_CHANGES: tuple[tuple[str, tuple[str, ...]], ...] = (  # what is found, and what may stand there instead
    (r"\{%-", ("{%",)),
    (r"\{%(?![-+])", ("{%-",)),
    (r"-%\}", ("%}",)),
    (r"(?<![-+])%\}", ("-%}",)),
    (r"\{\{-", ("{{",)),
    (r"\{\{(?![-+])", ("{{-",)),
    (r"-\}\}", ("}}",)),
    (r"(?<![-+])\}\}", ("-}}",)),
    (r"\\n", (r"\\n\\n", "", " ", r"\\t")),
    (r"(?<=content)\s*\|\s*trim", ("",)),
    (
        r"(?<=message)(\.content|\['content'\])(?=\s*[-}+~])",
        (r"\1 | trim", r"\1 | upper", r"\1.strip()", r"\1.strip('\\n')", r"\1.lstrip()", r"\1 | string"),
    ),
    (r"loop\.last", ("loop.first", "not loop.last", "loop.index0 > 0")),
    (r"loop\.first", ("loop.last", "not loop.first", "loop.index0 == 1")),
    ("==", ("!=",)),
    ("!=", ("==",)),
    (r"\bnot ", ("",)),
    (r"\band\b", ("or",)),
    (r"\bor\b", ("and",)),
    ("'(system|assistant|tool)'", ("'user'",)),
    (r"\btojson(\([^)]*\))?", ("tojson", "tojson(indent=4)", "tojson(ensure_ascii=False)", "string")),
    ("reasoning_content", ("thinking", "reasoning")),
    (r"\bfalse\b", ("true",)),
    (r"\btrue\b", ("false",)),
    (r"\badd_generation_prompt\b", ("true", "not add_generation_prompt", "add_generation_prompt and tools")),
    (r"enable_thinking is (not )?defined", ("true", "enable_thinking is not defined")),
    (r"messages\[-1\]", ("messages[0]",)),
    (r"messages\[0\]", ("messages[-1]",)),
    (r"\[1:\]", ("[:-1]",)),
)


def changed(text: str, random: Random) -> str:
    """Return a chat template with one to four changes."""
    for _ in range(random.randint(1, 4)):
        pattern, instead = random.choice(_CHANGES)
        if places := list(re.finditer(pattern, text)):
            place = random.choice(places)
            text = text[: place.start()] + place.expand(random.choice(instead)) + text[place.end() :]
    return text
