"""Render a Modelfile from ``templates/modelfile/modelfile.j2``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from gguf2ollama._resources import templates_root
from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.modelfiles._charset import drop_unprintable
from gguf2ollama.modelfiles._parameters import is_name
from gguf2ollama.modelfiles._quote import quoted
from gguf2ollama.modelfiles._value import Modelfile

if TYPE_CHECKING:
    import jinja2

__all__ = ["render_modelfile"]


def render_modelfile(modelfile: Modelfile, *, comments: Mapping[str, str] | None = None) -> str:
    """Return the text of a Modelfile that Ollama reads back to the same values.

    Write it to disk as UTF-8 without translation of line ends, which are part of the values.

    Args:
        modelfile: Its values.
        comments: Comments above instructions, such as their origin: by keyword in upper case (``"FROM"``,
            ``"TEMPLATE"``), by name of a parameter (``"num_ctx"``), for one of several stop strings by
            ``"stop=TEXT"``, and by ``""`` for the head of the file. Others are ignored.

    Raises:
        InvalidModelfile: There is no FROM, a parameter's name is invalid, or a Modelfile cannot represent a
            value: it contains three quotation marks in a row, or a character that Ollama drops.
    """
    if not modelfile.sources:
        raise InvalidModelfile("the Modelfile has no FROM", hint="name a GGUF, a folder or a model")
    for parameter in modelfile.parameters:
        if not is_name(parameter.name):
            raise InvalidModelfile(
                f"invalid parameter name {parameter.name[:80]!r}",
                hint="use letters, digits and _, but not the name of an instruction",
            )
    return _template().render(modelfile=modelfile, comment_lines=_lines_of(comments or {}))


def _lines_of(comments: Mapping[str, str]) -> Callable[[str], list[str]]:
    def lines(key: str) -> list[str]:
        return [drop_unprintable(line).rstrip() for line in comments.get(key, "").splitlines()]

    return lines


@cache
def _template() -> jinja2.Template:
    import jinja2  # noqa: PLC0415 - 15 ms that a build does not need for this

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_root() / "modelfile"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - a Modelfile is no HTML
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["quoted"] = quoted
    return environment.get_template("modelfile.j2")
