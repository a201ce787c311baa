"""Parse chat templates as llama.cpp does: jinja2's own lexer and parser, changed where llama.cpp differs.

Within ``{% %}`` and ``{{ }}``, llama.cpp knows numbers in decimals only, nine escapes in strings, names in
ASCII, a sign only where a number follows at once, and of jinja2's statements those of ``_STATEMENTS``.
``~`` binds as ``+`` does; tests come after all filters and take arguments in parentheses only; any
expression may stand left of ``=`` in a ``set``; a tuple has no trailing comma, and stands in parentheses or
in a ``set``. Outside, a template that begins with a single character and a block loses that character.

What jinja2 does not parse, llama.cpp refuses too, but within brackets, where it needs no commas.

Source: ``common/jinja/lexer.cpp`` and ``parser.cpp`` of llama.cpp b10488 and b11095, which are the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeAlias

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import Lexer
from jinja2.parser import Parser

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen, TemplateFault
from gguf2ollama.jinja.syntax import Generation, settings

__all__ = ["Syntax", "parse", "parts_of"]

_RawToken: TypeAlias = tuple[int, str, str]  # line, kind, source

_STATEMENTS = frozenset(
    {
        *("if", "for", "set", "macro", "call", "filter", "break", "continue"),
        *("generation", "endgeneration"),
    }
)
_NUMBERS = frozenset({"integer", "float"})
_OPERANDS = _NUMBERS | {"name", "string"}
_BEGINS = frozenset({"block_begin", "variable_begin"})
_DECIMAL = lazy_pattern(r"[0-9]+(?:\.[0-9]+)?")
_LOST_START = lazy_pattern(r"(?!\{\{)[\x00-\x7f][ \t\v\f]*(?=\{[%#])")
# the tokens of jinja2 that llama.cpp takes for the same
_KNOWN = {
    "block_begin": lazy_pattern(r"\{%-?"),
    "block_end": lazy_pattern(r"[^+].*", re.DOTALL),
    "raw_begin": lazy_pattern(r"(?!)"),
    "whitespace": lazy_pattern(r"[ \t\n\v\f]+"),
    "operator": lazy_pattern(r"(?!\*\*|//|;).+"),
    "name": lazy_pattern(r"[\x00-\x7f]+"),
    "string": lazy_pattern(r"""(?:[^\\]|\\[ntrbfv\\'"])+"""),
}
# and those around which it trims the same: of white space, it knows less than jinja2
_TRIMMED = {
    "block_end": lazy_pattern(r"-?%\}[ \t\n]*"),
    "variable_end": lazy_pattern(r"-?\}\}[ \t\n]*"),
    "comment_begin": lazy_pattern(r"\{#-?"),
    "comment_end": lazy_pattern(r"-?#\}[ \t\n]*"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """A template that was parsed.

    Attributes:
        body: Its statements.
        bare_filters: The filters that are written without parentheses, which llama.cpp treats apart.
    """

    body: list[nodes.Node]
    bare_filters: frozenset[nodes.Filter]


@lru_cache(maxsize=4)  # builds of llama.cpp that a version of Ollama may come with take the same template
def parse(source: str) -> Syntax:
    """Parse a template.

    Raises:
        NotForeseen: What llama.cpp makes of it is not known.
        TemplateFault: llama.cpp does not take it.
    """
    try:
        parser = _Parser(_environment(), source)
        return Syntax(body=parser.parse().body, bare_filters=frozenset(parser.bare_filters))
    except TemplateSyntaxError as error:
        raise TemplateFault(f"line {error.lineno}: {error.message}") from error
    except ValueError as error:  # a number of thousands of digits
        raise TemplateFault(str(error)) from error
    except RecursionError as error:
        raise NotForeseen("its blocks or brackets are nested too deeply") from error


def parts_of(body: Iterable[nodes.Node]) -> Iterator[nodes.Node]:
    """Return statements, and what is printed between them, one after the other."""
    for node in body:
        if isinstance(node, nodes.Output):
            yield from node.nodes
        else:
            yield node


@lru_cache(maxsize=1)
def _environment() -> _Environment:
    return _Environment(**settings(_Generation), keep_trailing_newline=True)


class _Generation(Generation):
    """The ``generation`` tag and its end: llama.cpp passes over both, paired or not."""

    tags = {"generation", "endgeneration"}  # noqa: RUF012  # the type that Jinja declares

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return []


class _Environment(Environment):
    """An environment that parses, and never renders."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  # Jinja's own
        super().__init__(**options)
        self._lexer = _Lexer(self)

    @property
    def lexer(self) -> Lexer:
        return self._lexer


class _Lexer(Lexer):
    """Jinja2's lexer, without what llama.cpp's does not know."""

    def tokeniter(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> Iterator[_RawToken]:
        text = source.replace("\r\n", "\n").replace("\r", "\n")
        if source.endswith("\n"):
            text = text[:-1]
        if lost := _LOST_START.match(text):
            text = text[lost.end() :]
        if "{#-#}" in text:
            raise NotForeseen("the comment {#-#}")
        return _as_known(super().tokeniter(text, name, filename, state), text)


def _as_known(tokens: Iterable[_RawToken], text: str) -> Iterator[_RawToken]:
    """Check tokens, and put signs and numbers together.

    Raises:
        NotForeseen: White space is trimmed that llama.cpp may not trim.
        TemplateFault: llama.cpp does not know such a token.
    """
    at, sign, last, last_end = 0, "", (0, "", ""), 0
    for token in tokens:
        line, kind, value = token
        start = text.index(value, at)  # what is left out is white space that is trimmed
        form = _KNOWN.get(kind)
        if (form and not form.fullmatch(value)) or (sign and kind not in _NUMBERS):
            raise TemplateFault(f"line {line}: unexpected {sign + value[:40]!r}")
        if value == "{" and text.startswith("{{", start) and kind == "operator":
            raise TemplateFault(f"line {line}: unexpected '{{{{'")
        if kind in _NUMBERS and not _DECIMAL.fullmatch(value):
            raise TemplateSyntaxError(f"unexpected {value[:40]!r}", line)
        form, is_adjacent = _TRIMMED.get(kind), start == last_end
        if (form and not form.fullmatch(value)) or (start > at and text[at:start].strip(" \t\n")):
            raise NotForeseen("unusual white space at a block, which llama.cpp may not trim")
        if kind in _NUMBERS and last[1] in _NUMBERS and is_adjacent:
            raise NotForeseen("a number with leading zeros")
        if kind == "operator" and value in {"+", "-"} and not _is_operand(last):
            # after the one that trims, another sign is passed over
            is_second = value == "-" and is_adjacent and last[1] in _BEGINS and last[2].endswith("-")
            sign = "" if is_second else value
        elif kind != "whitespace":
            yield (line, kind, sign + value) if sign else token
            sign = "+" if kind == "variable_begin" and value.endswith("+") else ""
            last, last_end = token, start + len(value)
        at = start + len(value)
    if last[1] == "comment_begin":
        raise TemplateFault("missing end of comment tag")


def _is_operand(token: _RawToken) -> bool:
    """Return whether a sign after a token stands between two operands."""
    return token[1] in _OPERANDS or (token[1] == "operator" and token[2] in {")", "]"})


class _Parser(Parser):
    """Jinja2's parser, with llama.cpp's grammar where it is another."""

    def __init__(self, environment: Environment, source: str) -> None:
        self.bare_filters: set[nodes.Filter] = set()
        super().__init__(environment, source)

    def parse_statement(self) -> nodes.Node | list[nodes.Node]:
        if self.stream.current.value not in _STATEMENTS:
            self.fail(f"unknown statement: {self.stream.current.value}")
        return super().parse_statement()

    def parse_statements(self, end_tokens: tuple[str, ...], drop_needle: bool = False) -> list[nodes.Node]:  # noqa: FBT001, FBT002  # Jinja's own
        if self.stream.current.type == "colon":
            self.fail("a statement that ends with a colon")
        return super().parse_statements(end_tokens, drop_needle)

    def parse_set(self) -> nodes.Assign | nodes.AssignBlock:
        line = next(self.stream).lineno
        target = self._sequence(self.parse_expression)
        if self.stream.skip_if("assign"):
            return nodes.Assign(target, self._sequence(self.parse_expression), lineno=line)
        body = self.parse_statements(("name:endset",), drop_needle=True)
        return nodes.AssignBlock(target, None, body, lineno=line)

    def parse_tuple(
        self,
        simplified: bool = False,  # noqa: FBT001, FBT002  # Jinja's own
        with_condexpr: bool = True,  # noqa: ARG002, FBT001, FBT002  # as above
        extra_end_rules: tuple[str, ...] | None = None,  # noqa: ARG002  # as above
        explicit_parentheses: bool = False,  # noqa: FBT001, FBT002  # as above
        with_namespace: bool = False,  # noqa: ARG002, FBT001, FBT002  # as above
    ) -> nodes.Tuple | nodes.Expr:
        if simplified:
            target = self._sequence(self.parse_primary)
            if not target.can_assign():
                raise NotForeseen("a loop over something other than variables")
            return target
        return self._sequence(self.parse_expression) if explicit_parentheses else self.parse_expression()

    def _sequence(self, parse: Callable[[], nodes.Expr]) -> nodes.Expr:
        items: list[nodes.Expr] = []
        while not items or self.stream.skip_if("comma"):
            if self.stream.current.type in {"rparen", "block_end"}:
                raise TemplateFault(f"line {self.stream.current.lineno}: an expression is missing")
            items.append(parse())
        return nodes.Tuple(items, "load", lineno=items[0].lineno) if len(items) > 1 else items[0]

    def parse_condexpr(self) -> nodes.Expr:
        line = self.stream.current.lineno
        operand = self.parse_or()
        if not self.stream.skip_if("name:if"):
            return operand
        test = self.parse_or()
        otherwise = self.parse_condexpr() if self.stream.skip_if("name:else") else None
        return nodes.CondExpr(test, operand, otherwise, lineno=line)

    def parse_math1(self) -> nodes.Expr:
        left = self.parse_math2()
        while (kind := self.stream.current.type) in {"add", "sub", "tilde"}:
            line = next(self.stream).lineno
            right = self.parse_math2()
            if kind == "tilde":
                left = nodes.Concat([left, right], lineno=line)
            else:
                left = (nodes.Add if kind == "add" else nodes.Sub)(left, right, lineno=line)
        return left

    def parse_filter_expr(self, node: nodes.Expr) -> nodes.Expr:
        while self.stream.skip_if("pipe"):
            node = self.parse_filter(node)
        while self.stream.skip_if("name:is"):
            node = self.parse_test(node)
        return node

    def parse_filter(self, node: nodes.Expr | None, start_inline: bool = False) -> nodes.Filter:  # noqa: ARG002, FBT001, FBT002  # Jinja's own
        name, arguments = self._applied()
        line = self.stream.current.lineno
        found = nodes.Filter(node, name, *(arguments or ([], [], None, None)), lineno=line)
        if arguments is None:
            self.bare_filters.add(found)
        return found

    def parse_test(self, node: nodes.Expr) -> nodes.Expr:
        line, negated = self.stream.current.lineno, self.stream.skip_if("name:not")
        name, arguments = self._applied()
        test = nodes.Test(node, name, *(arguments or ([], [], None, None)), lineno=line)
        return nodes.Not(test, lineno=line) if negated else test

    def _applied(self) -> tuple[str, tuple[Any, ...] | None]:
        """Take the name of a filter or a test, and its arguments where there are parentheses."""
        if self.stream.current.type != "name":
            raise NotForeseen("a filter or a test without a name")
        name = next(self.stream).value
        if self.stream.current.type != "lparen":
            return name, None
        arguments = self.parse_call_args()
        if self.stream.current.type in {"dot", "lbracket", "lparen"}:
            raise NotForeseen("a member or a call of a filter or a test")
        return name, arguments

    def parse_unary(self, with_filter: bool = True) -> nodes.Expr:  # noqa: FBT001, FBT002  # Jinja's own
        if self.stream.current.type in {"add", "sub"}:
            self.fail("a sign after a word")
        return super().parse_unary(with_filter)

    def parse_subscript(self, node: nodes.Expr) -> nodes.Getattr | nodes.Getitem:
        line = self.stream.current.lineno
        if self.stream.current.type == "lbracket":
            with _lax():
                next(self.stream)
                argument = self.parse_subscribed()
                self.stream.expect("rbracket")
            return nodes.Getitem(node, argument, "load", lineno=line)
        next(self.stream)
        member = next(self.stream)
        is_decimal = self.stream.current.type == "dot" and self.stream.look().type == "integer"
        if member.type not in {"name", "integer"} or (member.type == "integer" and is_decimal):
            raise NotForeseen("a member other than a name or a whole number")
        return nodes.Getattr(node, str(member.value), "load", lineno=line)

    def parse_list(self) -> nodes.List:
        with _lax():
            return super().parse_list()

    def parse_dict(self) -> nodes.Dict:
        with _lax():
            return super().parse_dict()

    def parse_call_args(self) -> Any:  # noqa: ANN401  # a tuple of four
        with _lax():
            return super().parse_call_args()

    def parse_signature(self, node: Any) -> None:  # noqa: ANN401  # a macro or a call block
        with _lax():
            super().parse_signature(node)


@contextmanager
def _lax() -> Iterator[None]:
    """Parse what stands in brackets: llama.cpp needs no commas there, and no order of arguments.

    Raises:
        NotForeseen: Jinja2 does not take it.
    """
    try:
        yield
    except TemplateSyntaxError as error:
        raise NotForeseen(
            f"brackets that are not valid Jinja (line {error.lineno}: {error.message})"
        ) from error
