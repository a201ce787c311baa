"""A copy of a template that notes the branches it takes. Runs inside the worker.

Conditions are handed through a function that notes whether they held, and bodies begin with a call that
notes that they were reached; neither prints, nor can the template see them.
"""

from __future__ import annotations

from typing import Any

from jinja2 import nodes
from jinja2.sandbox import SandboxedEnvironment
from jinja2.visitor import NodeTransformer

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.reference.expressions import shorten, write_expression

__all__ = ["Mark", "Marks", "mark_branches"]


@dataclass(slots=True, kw_only=True)
class Mark:
    """A branch: where it stands, what it is, and whether it was reached."""

    line: int
    kind: str
    text: str
    is_reached: bool = False


class Marks:
    """The branches of a template, and the functions that a marked template calls."""

    def __init__(self) -> None:
        self.branches: list[Mark] = []

    def add(self, kind: str, text: str, *, line: int) -> int:
        """Add a branch; give its number."""
        self.branches.append(Mark(line=line, kind=kind, text=shorten(text)))
        return len(self.branches) - 1

    def reach(self, number: int) -> str:
        """Note that a branch was reached."""
        self.branches[number].is_reached = True
        return ""

    def decide(self, value: Any, holds: int, fails: int) -> Any:  # noqa: ANN401  # whatever a template has
        """Note which of two branches a value leads to (-1 where there is none), and give it back."""
        number = holds if value else fails
        if number >= 0:
            self.branches[number].is_reached = True
        return value


def mark_branches(tree: nodes.Template, environment: SandboxedEnvironment) -> tuple[nodes.Template, Marks]:
    """Mark all branches of a syntax tree, which is changed, and tie the marks to its environment."""
    marks = Marks()
    environment.extend(reach_branch=marks.reach, decide_branch=marks.decide)
    marked = _Marker(marks).visit(tree)
    marked.set_environment(environment)
    return marked, marks


class _Marker(NodeTransformer):
    """Goes through a tree in the order of its text, so that the branches come in that order too."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks

    def visit_If(self, node: nodes.If) -> nodes.If:  # noqa: N802  # a method for each class of nodes
        tests = []
        for kind, one in (("if", node), *(("elif", one) for one in node.elif_)):
            tests.append(write_expression(one.test))
            holds = self._marks.add(kind, tests[-1], line=one.lineno)
            one.test = self._decide(self.visit(one.test), holds=holds)
            one.body = self._visit_body(one.body)
        line = node.else_[0].lineno if node.else_ else node.lineno
        number = self._marks.add("else", f"none of: {'; '.join(tests)}", line=line)
        node.else_ = [self._reach(number, line), *self._visit_body(node.else_)]
        return node

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802  # as above
        text = f"{write_expression(node.target)} in {write_expression(node.iter)}"
        number = self._marks.add("for", text, line=node.lineno)
        node.iter = self.visit(node.iter)
        if node.test is not None:
            holds = self._marks.add("for if", write_expression(node.test), line=node.test.lineno)
            node.test = self._decide(self.visit(node.test), holds=holds)
        node.body = [self._reach(number, node.lineno), *self._visit_body(node.body)]
        if node.else_:
            line = node.else_[0].lineno
            other = self._marks.add("for else", text, line=line)
            node.else_ = [self._reach(other, line), *self._visit_body(node.else_)]
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:  # noqa: N802  # as above
        number = self._marks.add("macro", node.name, line=node.lineno)
        node.defaults = [self.visit(one) for one in node.defaults]
        node.body = [self._reach(number, node.lineno), *self._visit_body(node.body)]
        return node

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.CondExpr:  # noqa: N802  # as above
        text = write_expression(node.test)
        holds = self._marks.add("inline if", text, line=node.lineno)
        fails = self._marks.add("inline else", text, line=node.lineno)
        node.expr1 = self.visit(node.expr1)
        node.test = self._decide(self.visit(node.test), holds=holds, fails=fails)
        if node.expr2 is not None:
            node.expr2 = self.visit(node.expr2)
        return node

    def visit_And(self, node: nodes.And) -> nodes.And:  # noqa: N802  # as above
        text = write_expression(node)
        left = self.visit(node.left)
        node.left = self._decide(left, holds=self._marks.add("and", text, line=node.lineno))
        node.right = self.visit(node.right)
        return node

    def visit_Or(self, node: nodes.Or) -> nodes.Or:  # noqa: N802  # as above
        text = write_expression(node)
        left = self.visit(node.left)
        node.left = self._decide(left, fails=self._marks.add("or", text, line=node.lineno))
        node.right = self.visit(node.right)
        return node

    def _visit_body(self, body: list[nodes.Node]) -> list[nodes.Node]:
        found: list[nodes.Node] = []
        for one in body:
            visited = self.visit(one)
            found += visited if isinstance(visited, list) else [visited]
        return found

    def _reach(self, number: int, line: int) -> nodes.Node:
        call = _call("reach_branch", nodes.Const(number))
        return nodes.ExprStmt(call).set_lineno(line)

    def _decide(self, test: nodes.Expr, *, holds: int = -1, fails: int = -1) -> nodes.Expr:
        call = _call("decide_branch", test, nodes.Const(holds), nodes.Const(fails))
        call.set_lineno(test.lineno)
        return call


def _call(name: str, *arguments: nodes.Expr) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), list(arguments), [], None, None)
