"""The syntax of chat templates: their tokens and trees, with the settings and tags of transformers.

All that reads the text of a chat template begins here; llama.cpp's grammar
(``chat/llamacpp/jinja_engine/parser.py``) is made of this, too.

Source: ``_cached_compile_jinja_template`` in transformers 5.23, ``utils/chat_template_utils.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from jinja2 import Environment, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

__all__ = ["COMPARISONS", "Generation", "parse_tree", "raw_tokens", "settings"]

COMPARISONS = {
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "lteq": "<=",
    "gt": ">",
    "gteq": ">=",
    "in": "in",
    "notin": "not in",
}
"""How a template writes the operators of ``nodes.Operand``."""


class Generation(Extension):
    """The ``generation`` tag, which marks the assistant's tokens for training and prints its body."""

    tags = {"generation"}  # noqa: RUF012  # the type that Jinja declares

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """Parse the tag, its body and its end."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_print"), [], [], body).set_lineno(line)

    def _print(self, caller: Callable[[], str]) -> str:
        return caller()


def settings(generation: type[Extension] = Generation) -> dict[str, Any]:
    """Return the settings of an environment for chat templates."""
    return {
        "trim_blocks": True,
        "lstrip_blocks": True,
        "extensions": [generation, "jinja2.ext.loopcontrols"],
    }


def parse_tree(text: str) -> nodes.Template:
    """Parse a chat template, which is never run by this.

    Raises:
        TemplateSyntaxError: It is not valid Jinja.
        RecursionError: It is nested too deeply.
        ValueError: It has a number of thousands of digits.
    """
    return _environment().parse(text)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(**settings())  # noqa: S701  # it parses, and never renders


def raw_tokens(text: str) -> Iterator[tuple[str, str]]:
    """Return the kind and the text of each token, without any of the white space that ``-`` trims.

    Raises:
        TemplateSyntaxError: It is not valid Jinja.
    """
    lexer = Environment(keep_trailing_newline=True).lexer  # noqa: S701  # as above
    return ((kind, value) for _, kind, value in lexer.tokeniter(text, None))
