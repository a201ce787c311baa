"""Parse a Go template.

The grammar is that of ``text/template/parse/parse.go`` of Go 1.24 to 1.26, except for limits: blocks and
parentheses are nested at most :data:`MAX_NESTING` levels deep, and complex numbers are errors.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from gguf2ollama.gotmpl.errors import ParsingError, invalid_template
from gguf2ollama.gotmpl.funcs import GO_FUNCTIONS
from gguf2ollama.gotmpl.lex import Token, TokenReader
from gguf2ollama.gotmpl.nodes import (
    Action,
    Body,
    Boolean,
    Break,
    Chain,
    Command,
    Continue,
    Dot,
    Expression,
    Field,
    Identifier,
    If,
    Invocation,
    Nil,
    Node,
    Number,
    Pipe,
    Range,
    String,
    Template,
    Text,
    Variable,
    With,
)
from gguf2ollama.gotmpl.strconv import read_character, read_number, read_string
from gguf2ollama.gotmpl.versions import NEWEST, dialect

__all__ = ["BUILTINS", "MAX_NESTING", "MAX_TEMPLATE_CHARACTERS", "parse"]

MAX_TEMPLATE_CHARACTERS = 250_000
MAX_NESTING = 100
BUILTINS = frozenset(GO_FUNCTIONS) | {"and", "or"}
_OPERANDS = frozenset(
    {"bool", "character", "complex", ".", "field", "identifier", "number", "nil", "raw", "string"}
    | {"variable", "("}
)
_SILENT = (Boolean, Dot, Nil, Number, String)
_BRANCHES: dict[str, type[If | With | Range]] = {"if": If, "with": With, "range": Range}


def parse(text: str, *, functions: Collection[str] | None = None) -> Template:
    """Parse a template.

    Args:
        text: The template.
        functions: The functions in addition to Go's own (:data:`BUILTINS`); by default those of the
            newest Ollama.

    Raises:
        InvalidModelfile: It is not a Go template; the message names position and reason.
    """
    if functions is None:
        functions = dialect(NEWEST).functions
    if len(text) > MAX_TEMPLATE_CHARACTERS:
        raise invalid_template(
            "is too long",
            f"{len(text):,} characters, the limit is {MAX_TEMPLATE_CHARACTERS:,}",
            position=None,
            hint="shorten the template",
            is_limit=True,
        )
    return _parse(_as_go_reads_it(text), BUILTINS | frozenset(functions))


@lru_cache(maxsize=8)  # a template is introspected, downgraded and run, each time from its text
def _parse(text: str, functions: frozenset[str]) -> Template:
    try:
        bodies = _Parser(text, functions=functions).parse()
    except RecursionError:
        raise invalid_template(
            "cannot be parsed",
            "it is nested too deeply",
            position=None,
            hint="nest fewer blocks",
            is_limit=True,
        ) from None
    except ParsingError as error:
        hint = error.hint or "fix the template; `ollama create` would refuse it, too"
        raise invalid_template(
            "cannot be parsed",
            error.reason,
            position=error.position,
            hint=hint,
            is_limit=error.is_limit,
        ) from None
    return Template(text=text, bodies=bodies)


def _as_go_reads_it(text: str) -> str:
    """Replace lone surrogates by U+FFFD, as a server does when it reads the template from JSON."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class _Ending:
    """The end of a body: ``end``, or ``else`` with its token and whether an ``if`` or ``with`` follows."""

    def __init__(self, keyword: str, token: Token) -> None:
        self.keyword = keyword
        self.token = token


class _Parser(TokenReader):
    """The parser of one template; definitions share its tokens and have their own variables."""

    def __init__(self, text: str, *, functions: Collection[str]) -> None:
        super().__init__(text)
        self._functions = functions
        self._bodies: dict[bytes, Body] = {}
        self._variables = ["$"]
        self._ranges = 0
        self._nesting = 0

    # Templates and bodies.

    def parse(self) -> dict[bytes, Body]:
        """Return the templates that the text defines, by name."""
        first = self.peek()
        nodes: list[Node] = []
        while self.peek().kind != "eof":
            if self.peek().kind == "{{":
                start = self.at
                self.take()
                if self.take_word().kind == "define":
                    self._definition()
                    continue
                self.at = start
            node = self._text_or_action()
            if isinstance(node, _Ending):
                raise self.error(f"unexpected {{{{{node.keyword}}}}}")
            nodes.append(node)
        self._add(b"", Body(position=self.position_of(first.at), nodes=tuple(nodes)))
        return self._bodies

    def _definition(self) -> None:
        name = self._name(self.take_word(), "define")
        self.expect("}}", "define")
        self._own_body(name, "define")

    def _own_body(self, name: bytes, context: str) -> None:
        """Parse the body of a definition, where no outer variable is visible."""
        outside = self._variables, self._ranges
        self._variables, self._ranges = ["$"], 0
        body, ending = self._body()
        if ending.keyword != "end":
            raise self.error(f"unexpected {{{{else}}}} in {context}")
        self._add(name, body)
        self._variables, self._ranges = outside

    def _add(self, name: bytes, body: Body) -> None:
        """Define a template; a blank one is replaced by another of the same name."""
        there = self._bodies.get(name)
        if there is None or _is_blank(there):
            self._bodies[name] = body
        elif not _is_blank(body):
            raise self.error(f"multiple definitions of template {name.decode(errors='replace')!r}")

    def _body(self) -> tuple[Body, _Ending]:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise self.error(
                f"blocks and parentheses are nested more than {MAX_NESTING} levels deep",
                hint="nest fewer blocks; each `else if` of a chain counts",
                is_limit=True,
            )
        position = self.position_of(self.peek_word().at)
        nodes: list[Node] = []
        while self.peek_word().kind != "eof":
            node = self._text_or_action()
            if isinstance(node, _Ending):
                self._nesting -= 1
                return Body(position=position, nodes=tuple(nodes)), node
            nodes.append(node)
        raise self.error("unexpected end of template in a block", hint="close each block with {{ end }}")

    def _text_or_action(self) -> Node | _Ending:
        token = self.take_word()
        if token.kind == "text":
            return Text(position=self.position_of(token.at), text=token.value)
        if token.kind == "{{":
            return self._action()
        raise self.unexpected(token, "the template")

    def _action(self) -> Node | _Ending:  # noqa: PLR0911  # one for each keyword
        token = self.take_word()
        kind = token.kind
        if kind in _BRANCHES:
            return self._branch(kind)
        if kind in {"break", "continue"}:
            return self._jump(token)
        if kind == "else":
            return self._otherwise()
        if kind == "end":
            return _Ending("end", self.expect("}}", "end"))
        if kind == "block":
            return self._block()
        if kind == "template":
            return self._invocation()
        self.at -= 1
        return Action(position=self.position_of(token.at), pipe=self._pipe("an action", "}}"))

    def _jump(self, token: Token) -> Node:
        after = self.take_word()
        if after.kind != "}}":
            raise self.unexpected(after, token.kind)
        if not self._ranges:
            raise self.error(f"{{{{{token.kind}}}}} outside {{{{range}}}}")
        position = self.position_of(token.at)
        return Break(position=position) if token.kind == "break" else Continue(position=position)

    def _otherwise(self) -> _Ending:
        token = self.peek_word()
        if token.kind not in {"if", "with"}:
            self.expect("}}", "else")
        return _Ending("else", token)

    def _branch(self, kind: str) -> Node:
        outside = len(self._variables)
        pipe = self._pipe(kind, "}}")
        self._ranges += kind == "range"
        body, ending = self._body()
        self._ranges -= kind == "range"
        otherwise = self._else_of(kind, ending) if ending.keyword == "else" else None
        del self._variables[outside:]
        return _BRANCHES[kind](position=pipe.position, pipe=pipe, body=body, otherwise=otherwise)

    def _else_of(self, kind: str, ending: _Ending) -> Body:
        """Parse what follows an ``else``: ``else if`` and ``else with`` are blocks without their own end."""
        if kind != "range" and self.peek().kind == kind:
            self.take()
            self._nesting += 1
            inner = self._branch(kind)
            self._nesting -= 1
            return Body(position=self.position_of(ending.token.at), nodes=(inner,))
        otherwise, last = self._body()
        if last.keyword != "end":
            raise self.error("expected {{end}}, found another {{else}}")
        return otherwise

    def _block(self) -> Node:
        token = self.take_word()
        name = self._name(token, "block")
        pipe = self._pipe("block", "}}")
        self._own_body(name, "block")
        return Invocation(position=self.position_of(token.at), name=name, pipe=pipe)

    def _invocation(self) -> Node:
        token = self.take_word()
        name = self._name(token, "template")
        pipe = None
        if self.take_word().kind != "}}":
            self.at -= 1
            pipe = self._pipe("template", "}}")
        return Invocation(position=self.position_of(token.at), name=name, pipe=pipe)

    def _name(self, token: Token, context: str) -> bytes:
        if token.kind not in {"string", "raw"}:
            raise self.unexpected(token, context)
        return self._string(token)

    def _string(self, token: Token) -> bytes:
        try:
            return read_string(token.value)
        except ValueError as error:
            raise self.error(str(error)) from None

    # Pipelines.

    def _pipe(self, context: str, end: str) -> Pipe:
        token = self.peek_word()
        declared, assigns = self._declared(context)
        commands: list[Command] = []
        while True:
            after = self.take_word()
            if after.kind == end:
                break
            if after.kind not in _OPERANDS:
                raise self.unexpected(after, context)
            self.at -= 1
            commands.append(self._command())
        if not commands:
            raise self.error(f"missing value for {context}")
        for command in commands[1:]:
            if isinstance(command.args[0], _SILENT):
                raise self.error("non-executable command in a pipeline: only functions can follow |")
        return Pipe(
            position=self.position_of(token.at), declared=declared, assigns=assigns, commands=tuple(commands)
        )

    def _declared(self, context: str) -> tuple[tuple[Variable, ...], bool]:
        """Parse the left-hand side of ``:=`` or ``=``, if there is one."""
        declared: list[Variable] = []
        while (token := self.peek_word()).kind == "variable":
            start = self.at
            self.take()
            after = self.take_word()
            if after.kind in {":=", "="}:
                declared.append(self._declare(token))
                return tuple(declared), after.kind == "="
            if (after.kind, after.value) != ("char", ","):
                self.at = start
                break
            declared.append(self._declare(token))
            if context != "range" or len(declared) > 1:
                raise self.error(f"too many declarations in {context}")
            if self.peek_word().kind not in {"variable", "}}", ")"}:
                raise self.error("expected a variable after the comma")
        return tuple(declared), False

    def _declare(self, token: Token) -> Variable:
        self._variables.append(token.value)
        return Variable(position=self.position_of(token.at), names=(token.value,))

    def _command(self) -> Command:
        position = self.position_of(self.peek_word().at)
        args: list[Expression] = []
        while True:
            self.peek_word()
            operand = self._operand()
            if operand is not None:
                args.append(operand)
            token = self.take()
            if token.kind == "space":
                continue
            if token.kind in {"}}", ")"}:
                self.at -= 1
            elif token.kind != "|":
                raise self.unexpected(token, "a command")
            break
        if not args:
            raise self.error("empty command")
        return Command(position=position, args=tuple(args))

    def _operand(self) -> Expression | None:
        term = self._term()
        if term is None or self.peek().kind != "field":
            return term
        position = self.position_of(self.peek().at)
        names: list[str] = []
        while self.peek().kind == "field":
            names.append(self.take().value[1:])
        if isinstance(term, Field):
            return Field(position=position, names=(*term.names, *names))
        if isinstance(term, Variable):
            return Variable(position=position, names=(*term.names, *names))
        if isinstance(term, _SILENT):
            raise self.error("constants have no fields")
        return Chain(position=position, node=term, names=tuple(names))

    def _term(self) -> Expression | None:  # noqa: PLR0911  # one for each kind of term
        token = self.take_word()
        kind, value, position = token.kind, token.value, self.position_of(token.at)
        if kind == "field":
            return Field(position=position, names=(value[1:],))
        if kind == "variable":
            return self._used(token)
        if kind == "identifier":
            return self._function(token)
        if kind in {"string", "raw"}:
            return String(position=position, value=self._string(token), source=value)
        if kind in {"number", "character", "complex"}:
            return self._number(token)
        if kind == "(":
            return self._parenthesised()
        if kind == ".":
            return Dot(position=position)
        if kind == "nil":
            return Nil(position=position)
        if kind == "bool":
            return Boolean(position=position, value=value == "true")
        self.at -= 1
        return None

    def _parenthesised(self) -> Pipe:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise self.error(
                f"blocks and parentheses are nested more than {MAX_NESTING} levels deep", is_limit=True
            )
        pipe = self._pipe("parentheses", ")")
        self._nesting -= 1
        return pipe

    def _used(self, token: Token) -> Variable:
        if token.value not in self._variables:
            raise ParsingError(
                f"undefined variable {token.value}",
                position=self.position_of(token.at),
                hint="a variable ends with the block that declares it, and with its template",
            )
        return Variable(position=self.position_of(token.at), names=(token.value,))

    def _function(self, token: Token) -> Identifier:
        if token.value not in self._functions:
            known = ", ".join(sorted(self._functions))
            raise self.error(f"function {token.value} is not defined", hint=f"use one of {known}")
        return Identifier(position=self.position_of(token.at), name=token.value)

    def _number(self, token: Token) -> Number:
        if token.kind == "complex" or token.value.endswith("i"):
            raise self.error(f"complex numbers such as {token.value} are not supported", is_limit=True)
        try:
            read = read_character if token.kind == "character" else read_number
            value = read(token.value)
        except ValueError as error:
            raise self.error(str(error)) from None
        return Number(position=self.position_of(token.at), value=value, source=token.value)


def _is_blank(body: Body) -> bool:
    return all(isinstance(node, Text) and not node.text.strip() for node in body.nodes)
