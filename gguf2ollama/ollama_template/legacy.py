"""Templates without ``.Messages``: the part up to the response (Ollama's ``deleteNode``)."""

from __future__ import annotations

from functools import lru_cache

from gguf2ollama.gotmpl.errors import EvaluationError
from gguf2ollama.gotmpl.nodes import (
    Action,
    Body,
    Command,
    Expression,
    Field,
    If,
    Node,
    Pipe,
    Range,
    Template,
    With,
)
from gguf2ollama.ollama_template.introspect import as_ollama_has_it

__all__ = ["until_response"]


@lru_cache(maxsize=64)
def until_response(template: Template) -> Body:
    """Return the body up to the first field ``.Response``, which Ollama runs for the last exchange.

    Raises:
        EvaluationError: It crashes Ollama's server: ``.Response`` in a block followed by an ``else``.
    """
    return _Cutter().body(as_ollama_has_it(template).root)


class _Cutter:
    """A visitor that deletes all after the first field named ``Response``, in Ollama's order of visits."""

    def __init__(self) -> None:
        self._is_cut = False

    def body(self, body: Body) -> Body:
        kept = [node for node in map(self._node, body.nodes) if node is not None]
        return Body(position=body.position, nodes=tuple(kept))

    def _node(self, node: Node) -> Node | None:
        if self._is_cut:
            return None
        if isinstance(node, If | With | Range):
            return self._branch(node)
        if isinstance(node, Action):
            pipe = self._pipe(node.pipe)
            return Action(position=node.position, pipe=pipe) if pipe is not None else None
        return node

    def _branch(self, node: If | With | Range) -> Node:
        body = self.body(node.body)
        if node.otherwise is None:
            return type(node)(position=node.position, pipe=node.pipe, body=body, otherwise=None)
        if self._is_cut:
            raise EvaluationError(
                ".Response is in a block followed by an else, which crashes Ollama's server",
                position=node.position,
                hint="move .Response behind the block, or use .Messages",
            )
        otherwise = self.body(node.otherwise)
        return type(node)(position=node.position, pipe=node.pipe, body=body, otherwise=otherwise)

    def _pipe(self, pipe: Pipe) -> Pipe | None:
        if self._is_cut:
            return None
        commands = []
        for command in pipe.commands:
            arguments = [argument for argument in map(self._argument, command.args) if argument is not None]
            if not arguments:
                return None
            commands.append(Command(position=command.position, args=tuple(arguments)))
        return Pipe(
            position=pipe.position, declared=pipe.declared, assigns=pipe.assigns, commands=tuple(commands)
        )

    def _argument(self, node: Expression) -> Expression | None:
        if isinstance(node, Field) and "Response" in node.names:
            self._is_cut = True
            return node
        if self._is_cut:
            return None
        return self._pipe(node) if isinstance(node, Pipe) else node
