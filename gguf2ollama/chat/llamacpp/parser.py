"""Parse a chat template as llama.cpp does, which knows less of Jinja than Jinja2 and takes some things else.

Source: ``common/jinja/parser.cpp`` of llama.cpp b10488 and b11095, which are the same.
"""

from __future__ import annotations

from collections.abc import Callable

from gguf2ollama.chat.llamacpp.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.lexer import Token, tokenize
from gguf2ollama.chat.llamacpp.nodes import (
    ArrayLiteral,
    Binary,
    Call,
    CallBlock,
    Conditional,
    Expression,
    Filter,
    FilterBlock,
    For,
    If,
    Jump,
    KeywordArgument,
    Literal,
    Macro,
    Member,
    Name,
    Not,
    Nothing,
    ObjectLiteral,
    Select,
    Set,
    Slice,
    Spread,
    Statement,
    Test,
    TupleLiteral,
)

__all__ = ["parse"]

_END = Token("text", "")
_INT64 = 1 << 63
_LONGEST_NUMBER = 32  # characters


def parse(source: str) -> tuple[Statement, ...]:
    """Parse a template.

    Raises:
        NotForeseen: It is nested too deeply to be told.
        TemplateFault: llama.cpp does not take it.
    """
    try:
        return _Parser(tokenize(source)).template()
    except RecursionError as error:
        raise NotForeseen("its blocks or brackets are nested too deeply") from error


class _Parser:
    """Walks over the tokens of one template."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def template(self) -> tuple[Statement, ...]:
        body = []
        while self._at < len(self._tokens):
            body.append(self._any())
        return tuple(body)

    # tokens

    def _peek(self, offset: int = 0) -> Token:
        at = self._at + offset
        return self._tokens[at] if at < len(self._tokens) else _END

    def _next(self) -> Token:
        if self._at >= len(self._tokens):
            raise TemplateFault("unexpected end of template in a block")
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes_symbol(self, text: str) -> bool:
        if self._peek().is_symbol(text):
            self._at += 1
            return True
        return False

    def _takes_name(self, text: str) -> bool:
        if self._peek().is_name(text):
            self._at += 1
            return True
        return False

    def _expect(self, kind: str) -> None:
        if self._peek().kind != kind or self._at >= len(self._tokens):
            raise TemplateFault(f"expected: {kind}, got {self._peek().text!r}")
        self._at += 1

    def _expect_symbol(self, text: str) -> None:
        if not self._takes_symbol(text):
            raise TemplateFault(f"expected: {text}, got {self._peek().text!r}")

    def _ends_with(self, *names: str) -> bool:
        is_statement = self._peek().kind == "open statement" and self._peek(1).kind == "name"
        return is_statement and self._peek(1).text in names

    def _end_of(self, name: str) -> None:
        """Take a closing statement such as ``endif``."""
        self._expect("open statement")
        if not self._takes_name(name):
            raise TemplateFault(f"expected: {name}")
        self._expect("close statement")

    # statements

    def _any(self) -> Statement:
        token = self._peek()
        if token.kind == "comment":
            self._at += 1
            return Nothing()
        if token.kind == "text" and self._at < len(self._tokens):
            self._at += 1
            return Literal(token.text)
        if token.kind == "open statement":
            self._at += 1
            return self._statement()
        if token.kind == "open expression":
            self._at += 1
            result = self._expression()
            self._expect("close expression")
            return result
        raise TemplateFault(f"unexpected: {token.text!r}")

    def _body(self, *ends: str) -> tuple[Statement, ...]:
        body = []
        while not self._ends_with(*ends):
            body.append(self._any())
        return tuple(body)

    def _statement(self) -> Statement:
        token = self._next()
        if token.kind != "name":
            raise TemplateFault("unknown statement")
        kinds: dict[str, Callable[[], Statement]] = {
            "set": self._set,
            "if": self._whole_if,
            "macro": self._macro,
            "for": self._for,
            "break": lambda: self._jump(ends=True),
            "continue": lambda: self._jump(ends=False),
            "call": self._call_block,
            "filter": self._filter_block,
            "generation": self._generation,
            "endgeneration": self._generation,
        }
        if token.text not in kinds:
            raise TemplateFault(f"unknown statement: {token.text}")
        return kinds[token.text]()

    def _set(self) -> Statement:
        target = self._sequence(self._expression)
        value: Expression | None = None
        body: tuple[Statement, ...] = ()
        if self._takes_symbol("="):
            value = self._sequence(self._expression)
            self._expect("close statement")
        else:
            self._expect("close statement")
            body = self._body("endset")
            self._end_of("endset")
        return Set(target, value, body)

    def _whole_if(self) -> Statement:
        statement = self._if()
        self._end_of("endif")
        return statement

    def _if(self) -> If:
        test = self._expression()
        self._expect("close statement")
        body = self._body("elif", "else", "endif")
        otherwise: tuple[Statement, ...] = ()
        if self._ends_with("elif"):
            self._at += 2
            otherwise = (self._if(),)
        elif self._ends_with("else"):
            self._at += 2
            self._expect("close statement")
            otherwise = self._body("endif")
        return If(test, body, otherwise)

    def _macro(self) -> Statement:
        name = self._primary()
        parameters = self._arguments()
        self._expect("close statement")
        body = self._body("endmacro")
        self._end_of("endmacro")
        return Macro(name, parameters, body)

    def _for(self) -> Statement:
        target = self._sequence(self._primary)
        if not self._takes_name("in"):
            raise TemplateFault("expected: in")
        iterable = self._expression()
        self._expect("close statement")
        body = self._body("endfor", "else")
        otherwise: tuple[Statement, ...] = ()
        if self._ends_with("else"):
            self._at += 2
            self._expect("close statement")
            otherwise = self._body("endfor")
        self._end_of("endfor")
        return For(target, iterable, body, otherwise)

    def _jump(self, *, ends: bool) -> Statement:
        self._expect("close statement")
        return Jump(ends)

    def _call_block(self) -> Statement:
        parameters = self._arguments() if self._peek().is_symbol("(") else ()
        callee = self._primary()
        if not isinstance(callee, Name):
            raise TemplateFault("expected a name to call")
        arguments = self._arguments()
        self._expect("close statement")
        body = self._body("endcall")
        self._end_of("endcall")
        return CallBlock(Call(callee, arguments), parameters, body)

    def _filter_block(self) -> Statement:
        name, arguments = self._name_and_arguments()
        self._expect("close statement")
        body = self._body("endfilter")
        self._end_of("endfilter")
        return FilterBlock(Filter(None, name, arguments), body)

    def _generation(self) -> Statement:
        self._at += 1  # whatever it is
        return Nothing()

    # expressions, the loosest first

    def _sequence(self, one: Callable[[], Expression]) -> Expression:
        items = [one()]
        if not self._peek().is_symbol(","):
            return items[0]
        while self._takes_symbol(","):
            items.append(one())
        return TupleLiteral(tuple(items))

    def _expression(self) -> Expression:
        operand = self._or()
        if not self._takes_name("if"):
            return operand
        test = self._or()
        if self._takes_name("else"):
            return Conditional(test, operand, self._expression())
        return Select(operand, test)

    def _or(self) -> Expression:
        left = self._and()
        while self._takes_name("or"):
            left = Binary("or", left, self._and())
        return left

    def _and(self) -> Expression:
        left = self._not()
        while self._takes_name("and"):
            left = Binary("and", left, self._not())
        return left

    def _not(self) -> Expression:
        return Not(self._not()) if self._takes_name("not") else self._comparison()

    def _comparison(self) -> Expression:
        left = self._additive()
        while True:
            if self._peek().is_name("not") and self._peek(1).is_name("in"):
                self._at += 2
                operator = "not in"
            elif self._takes_name("in"):
                operator = "in"
            elif self._peek().kind == "comparison":
                operator = self._next().text
            else:
                return left
            left = Binary(operator, left, self._additive())

    def _additive(self) -> Expression:
        left = self._multiplicative()
        while self._peek().kind == "additive":
            left = Binary(self._next().text, left, self._multiplicative())
        return left

    def _multiplicative(self) -> Expression:
        left = self._test()
        while self._peek().kind == "multiplicative":
            left = Binary(self._next().text, left, self._test())
        return left

    def _test(self) -> Expression:
        operand = self._filter()
        while self._takes_name("is"):
            negated = self._takes_name("not")
            name, arguments = self._name_and_arguments()
            operand = Test(operand, negated, name, arguments or ())
        return operand

    def _filter(self) -> Expression:
        operand = self._call_or_member()
        while self._takes_symbol("|"):
            name, arguments = self._name_and_arguments()
            operand = Filter(operand, name, arguments)
        return operand

    def _name_and_arguments(self) -> tuple[str | None, tuple[Expression, ...] | None]:
        """Take a filter or a test; a name of ``None`` is none that can be run."""
        told: Expression = self._primary()
        if self._peek().is_symbol("("):
            told = self._call(told)
        if isinstance(told, Name):
            return told.name, None
        if isinstance(told, Call):
            return (told.callee.name if isinstance(told.callee, Name) else None), told.arguments
        return None, None

    def _call_or_member(self) -> Expression:
        member = self._members(self._primary())
        return self._call(member) if self._peek().is_symbol("(") else member

    def _call(self, callee: Expression) -> Expression:
        member = self._members(Call(callee, self._arguments()))
        return self._call(member) if self._peek().is_symbol("(") else member

    def _arguments(self) -> tuple[Expression, ...]:
        self._expect_symbol("(")
        arguments: list[Expression] = []
        while not self._peek().is_symbol(")"):
            arguments.append(self._argument())
            self._takes_symbol(",")
        self._expect_symbol(")")
        return tuple(arguments)

    def _argument(self) -> Expression:
        if self._peek().kind == "multiplicative" and self._peek().text == "*":
            self._at += 1
            return Spread(self._expression())
        argument = self._expression()
        if not self._takes_symbol("="):
            return argument
        value = self._expression()
        if not isinstance(argument, Name):
            raise NotForeseen("a keyword argument whose key is not a name")
        return KeywordArgument(argument.name, value)

    def _members(self, operand: Expression) -> Expression:
        while True:
            if self._takes_symbol("["):
                member = self._bracketed()
                self._expect_symbol("]")
                operand = Member(operand, member, computed=True)
            elif self._takes_symbol("."):
                operand = Member(operand, self._primary(), computed=False)
            else:
                return operand

    def _bracketed(self) -> Expression | Slice:
        parts: list[Expression | None] = []
        is_slice = False
        while not self._peek().is_symbol("]"):
            if self._takes_symbol(":"):
                parts.append(None)
                is_slice = True
            else:
                parts.append(self._expression())
                is_slice = self._takes_symbol(":") or is_slice
        if is_slice:
            start, stop, step = [*parts, None, None, None][:3]
            return Slice(start, stop, step)
        if not parts or parts[0] is None:
            raise NotForeseen("empty brackets")
        return parts[0]

    def _primary(self) -> Expression:
        token = self._next()
        if token.kind == "number":
            return Literal(_number(token.text))
        if token.kind == "string":
            text = token.text
            while self._peek().kind == "string":
                text += self._next().text
            return Literal(text)
        if token.kind == "name":
            return Name(token.text)
        if token.is_symbol("("):
            inner = self._sequence(self._expression)
            self._expect_symbol(")")
            return inner
        if token.is_symbol("["):
            return self._array()
        if token.is_symbol("{"):
            return self._object()
        raise TemplateFault(f"unexpected: {token.text!r}")

    def _array(self) -> Expression:
        items: list[Expression] = []
        while not self._takes_symbol("]"):
            items.append(self._expression())
            self._takes_symbol(",")
        return ArrayLiteral(tuple(items))

    def _object(self) -> Expression:
        items: list[tuple[Expression, Expression]] = []
        while not self._takes_symbol("}"):
            key = self._expression()
            self._expect_symbol(":")
            items.append((key, self._expression()))
            self._takes_symbol(",")
        return ObjectLiteral(tuple(items))


def _number(text: str) -> int | float:
    if "." in text:
        return float(text)
    value = int(text[:_LONGEST_NUMBER])
    if len(text) >= _LONGEST_NUMBER or not -_INT64 <= value < _INT64:
        raise TemplateFault(f"the number {text[:40]} is too large")
    return value
