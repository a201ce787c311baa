"""Render our Go templates from ``templates/chat/*.gotmpl.j2``.

Go and Jinja share delimiters, so this environment uses others: ``[[ … ]]`` prints, ``[% … %]`` is a tag and
``[# … #]`` a comment. It renders our own files only, never the template of a GGUF.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import InvalidProfile

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["go_print", "go_quote", "printable_text", "render_go_macro", "render_go_template"]


def render_go_template(name: str, *, folder: Path, variables: Mapping[str, object]) -> str:
    """Render ``folder/name`` to the text of a Go template.

    Raises:
        InvalidProfile: The file is missing, not valid Jinja, or uses an undefined variable.
    """
    from jinja2 import TemplateError  # noqa: PLC0415  # 60 ms of import

    try:
        return _environment(folder).get_template(name).render(variables)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        position = f"{folder / name}:{line}" if line else str(folder / name)
        raise InvalidProfile(
            f"{position}: cannot render the Go template: {error}",
            hint="a profile's `template` names a file in templates/chat/",
        ) from error


def render_go_macro(name: str, macro: str, *arguments: object, folder: Path) -> str:
    """Return the Go statements that a macro in ``folder/name`` prints for its arguments."""
    return str(getattr(_environment(folder).get_template(name).module, macro)(*arguments))


@cache
def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  # 60 ms of import

    environment = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  # the result is a Go template, not HTML
        keep_trailing_newline=False,
        trim_blocks=True,
        lstrip_blocks=True,
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
    )
    environment.filters["go_string"] = go_quote
    environment.filters["go_print"] = go_print
    return environment


_GO_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def go_quote(text: str) -> str:
    r"""Quote a text as a Go string.

    Characters that are not printable are escaped: ``ollama create -f`` drops them from a Modelfile's
    TEMPLATE, and ``\U000000a0`` inside a Go string survives.
    """
    return f'"{"".join(map(_go_character, text))}"'


def go_print(text: str) -> str:
    """Return an action that prints a text and trims the whitespace before it; empty for an empty text."""
    return f"{{{{- {go_quote(text)} }}}}" if text else ""


def _go_character(character: str) -> str:
    if escape := _GO_ESCAPES.get(character):
        return escape
    if character.isprintable():
        return character
    return f"\\U{ord(character):08x}"


_ACTION = lazy_pattern(
    r"""(?: \s*\{\{- | \{\{ )
        (?: \s*/\*.*?\*/\s* | (?P<action> (?: "(?:\\.|[^"\\])*" | `[^`]*` | (?! -?\}\} ). )* ) )
        (?: -\}\}\s* | \}\} )""",
    re.DOTALL | re.VERBOSE,
)
_ASKING = lazy_pattern(r"\s*(?:if|else|with|range|define|template|block)\b")
_STRING = lazy_pattern(r'"((?:\\.|[^"\\])*)"|`([^`]*)`', re.DOTALL)
_UNESCAPE = lazy_pattern(r"\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.DOTALL)
_SHORT = {"n": "\n", "r": "\r", "t": "\t"}


def printable_text(go_template: str) -> str:
    """Return all text that one of our Go templates can print: outside actions, and in their strings."""
    return _ACTION.sub(_strings_of, go_template)


def _strings_of(match: re.Match[str]) -> str:
    action = match["action"] or ""
    if _ASKING.match(action):
        return ""
    return "".join(raw or _UNESCAPE.sub(_unescape, quoted) for quoted, raw in _STRING.findall(action))


def _unescape(match: re.Match[str]) -> str:
    short, long, character = match.groups()
    return chr(int(short or long, 16)) if short or long else _SHORT.get(character, character)
