"""Stop strings that end answers too early, or never."""

from __future__ import annotations

import json
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.modelfiles._finding import Finding
from gguf2ollama.modelfiles._lint_text import ESCAPES_HINT, has_escapes
from gguf2ollama.modelfiles._value import Modelfile, Parameter

__all__ = ["check_stops"]

_WORDS = lazy_pattern(r"[^\W_][\w'\u2019 -]*")
_NO_LETTERS = lazy_pattern(r"[\W_]+|\d{1,3}[.):]?")
_MARK = lazy_pattern(r"<\||\|>|<<|>>|\[/|<\uff5c|\uff5c>")  # the bars of DeepSeek's tokens
_ANSWER = """\
Note: here is an example. For example:

## Steps
1. Open https://example.com/index.html and sign in.
2. **Save** the file, e.g. `main.py`:

```python
import sys
from os import path

def main(argv: list[str]) -> int:
    # print each argument
    for name in argv:
        print(f"{name}\\n")
    return 0

class Reader(object):
    pass
```

- [x] done
* item

| Name | Value |
|------|-------|
| a    | 1     |

> quote

```json
{"name": "value", "list": [1, 2], "none": null}
```

<html><head><title>t</title></head><body><h1>T</h1><p>text</p><br><div class="a"></div><ul><li>x</li></ul>
<a href="#">y</a><script>function f() { return 1; }</script></body></html>

// comment
/* comment */
"""
"""An answer like many: what is in it, models write."""


def check_stops(modelfile: Modelfile, *, cutting: AbstractSet[str]) -> Iterator[Finding]:
    """Find stop strings that are not the end of an answer.

    Args:
        modelfile: The Modelfile.
        cutting: The stop strings that a template prints within an answer.
    """
    seen: set[str] = set()
    for parameter in modelfile.parameters:
        if parameter.name == "stop":
            finding = _duplicate(parameter) if parameter.text in seen else _check(parameter, cutting=cutting)
            if finding is not None:
                yield finding
            seen.add(parameter.text)


def _check(parameter: Parameter, *, cutting: AbstractSet[str]) -> Finding | None:
    stop = parameter.text
    if not stop:
        return _warning(
            parameter, "empty-stop", "an empty stop string ends every answer at once", "remove it"
        )
    if stop in cutting:
        return _warning(
            parameter,
            "stop-in-answer",
            f"stop {stop!r} appears inside tool calls or reasoning",
            "remove it: it cuts answers off; use the text that ends a turn",
        )
    if has_escapes(stop):
        return _warning(
            parameter,
            "escape",
            f"the stop {stop!r} stays as it is written, backslash included, so no answer matches it",
            ESCAPES_HINT,
        )
    if _is_list(stop):
        return _warning(
            parameter,
            "stop-list",
            f"{stop[:80]!r} is one stop string and not a list",
            "write one PARAMETER stop line for each",
        )
    if kind := _ordinary(stop):
        return _warning(
            parameter,
            "ordinary-stop",
            f"stop {stop!r} is {kind}: each answer that contains it is cut off there",
            "remove it, or use the text that ends a turn, such as <|im_end|>",
        )
    return None


def _is_list(stop: str) -> bool:
    if '", "' in stop or '","' in stop:
        return True
    try:
        return stop.startswith("[") and isinstance(json.loads(stop), list)
    except (ValueError, RecursionError):
        return False


def _ordinary(stop: str) -> str:
    """Return what a stop is in ordinary text; ``""`` if it is a mark of its own."""
    text = stop.strip()
    if not text:
        return "white space"
    if _WORDS.fullmatch(text) and not text.isdigit():
        return "an ordinary word" if len(text.split()) == 1 else "ordinary text"
    if _NO_LETTERS.fullmatch(text) and not _MARK.search(text):
        return "punctuation or markup"
    return "part of ordinary answers" if stop in _ANSWER else ""


def _duplicate(parameter: Parameter) -> Finding:
    return Finding(
        level="note",
        code="duplicate-stop",
        message=f"duplicate stop {parameter.text!r}",
        line=parameter.line,
        hint="keep one",
    )


def _warning(parameter: Parameter, code: str, message: str, hint: str) -> Finding:
    return Finding(level="warning", code=code, message=message, line=parameter.line, hint=hint)
