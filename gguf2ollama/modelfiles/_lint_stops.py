"""Stop strings that end answers too early, or never."""

from __future__ import annotations

import json
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from difflib import get_close_matches

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.modelfiles._finding import Finding, Weights
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

<!DOCTYPE html><html><head><title>t</title><style>p {}</style></head><body><main><h1>T</h1><h2>T</h2>
<p>text</p><br><br/><hr><div><span>x</span></div><div class="a"></div><ul><li>x</li></ul><ol></ol><b>b</b>
<i>i</i><em>e</em><strong>s</strong><code>c</code><pre>p</pre><a href="#">y</a><form><button></button></form>
<table><thead></thead><tbody><tr><th></th><td></td></tr></tbody></table>
<script>function f() { return 1; }</script></main></body></html>

// comment
/* comment */
"""
"""An answer like many: what is in it, models write."""


def check_stops(modelfile: Modelfile, *, cutting: AbstractSet[str], weights: Weights) -> Iterator[Finding]:
    """Find stop strings that are not the end of an answer.

    Args:
        modelfile: The Modelfile.
        cutting: The stop strings that a template prints within an answer.
        weights: What is known of the model.
    """
    seen: set[str] = set()
    for parameter in modelfile.parameters:
        if parameter.name == "stop":
            finding = _duplicate(parameter) if parameter.text in seen else _check(parameter, cutting=cutting)
            if finding is None and parameter.text not in (modelfile.template or ""):
                finding = _mistyped(parameter, weights)
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
            f"the stop {stop[:80]} stays as it is written, backslash included, so no answer matches it",
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


def _mistyped(parameter: Parameter, weights: Weights) -> Finding | None:
    """Return whether a stop is nearly, but not, a token that ends the model's answers."""
    stop = parameter.text
    if not weights.ends or stop in weights.ends or stop in weights.chat_template:
        return None
    close = get_close_matches(stop[:80], weights.ends, n=1, cutoff=0.85)
    if not close:
        return None
    return _warning(
        parameter,
        "mistyped-stop",
        f"stop {stop!r} is neither in the model's vocabulary nor in its chat template",
        f"did you mean {close[0]}?",
    )


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
