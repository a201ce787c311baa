"""The Go text that prints a value in a style, and the defines that it calls."""

from __future__ import annotations

from functools import cache
from hashlib import sha256

from gguf2ollama._dataclass import dataclass
from gguf2ollama._resources import templates_root
from gguf2ollama.chat.synthesis.tool_forms.styles import Style
from gguf2ollama.gotmpl.write import render_go_template

__all__ = ["GoDefine", "GoText", "go_define", "go_value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoDefine:
    """A named template that a Go TEMPLATE defines once: its name, and its text from ``{{- define`` on."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoText:
    """A piece of a Go TEMPLATE.

    Attributes:
        statements: The actions; each cuts the white space before itself, and nothing stands between them
            that would print. What follows must cut the white space before itself too.
        defines: What the actions call; the same name always stands for the same text.
    """

    statements: str
    defines: tuple[GoDefine, ...] = ()


def go_value(expression: str, style: Style) -> GoText:
    """Return what prints the value of an expression of Go, such as ``.Function``, in a style."""
    if style.notation == "raw":
        return GoText(statements=f"{{{{- {expression} }}}}\n")
    if style.notation == "html":
        return GoText(statements=f"{{{{- html {expression} }}}}\n")
    define = go_define(style)
    return GoText(statements=f'{{{{- template "{define.name}" {expression} }}}}\n', defines=(define,))


@cache
def go_define(style: Style) -> GoDefine:
    """Return the define that prints a value in a style: JSON or Python's ``repr``."""
    if style.notation == "stripped":
        text = render_go_template("_strip.gotmpl.j2", folder=templates_root() / "chat", variables={})
        return GoDefine(name="strip", text=text.strip() + "\n")
    name = _name(style)
    text = render_go_template(
        "_tool_values.gotmpl.j2", folder=templates_root() / "chat", variables={"name": name, "style": style}
    )
    return GoDefine(name=name, text=text.strip() + "\n")


def _name(style: Style) -> str:
    if style.notation == "python":
        return "python"
    if style.notation == "escaped":
        return "escape-" + sha256(repr(style.escapes).encode()).hexdigest()[:6]
    parts = ["json"]
    if style.indent:
        parts.append(f"indent-{style.indent}")
    if style.margin:
        parts.append(f"from-{style.margin}")
    item, key = style.separators
    if not style.indent and item == ",":
        parts.append("compact" if key == ":" else "commas")
    elif key == ":":
        parts.append("colons")
    if style.escape:
        parts.append({"ascii": "in-ascii", "json": "in-string", "html": "in-html"}[style.escape])
    return "-".join(parts)
