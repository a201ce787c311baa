"""The part of a template up to the response (``deleteNode`` in Ollama's ``template/template.go``)."""

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
        EvaluationError: Ollama's server breaks at it: ``.Response`` stands before an ``else``.
    """
    return _Cutter().body(as_ollama_has_it(template).root)


class _Cutter:
    """Deletes what follows the first field named ``Response``, in the order in which Ollama walks."""

    def __init__(self) -> None:
        self._is_cut = False

    def body(self, body: Body) -> Body:
        kept = [one for one in map(self._node, body.nodes) if one is not None]
        return Body(place=body.place, nodes=tuple(kept))

    def _node(self, node: Node) -> Node | None:
        if self._is_cut:
            return None
        if isinstance(node, If | With | Range):
            return self._branch(node)
        if isinstance(node, Action):
            pipe = self._pipe(node.pipe)
            return Action(place=node.place, pipe=pipe) if pipe is not None else None
        return node

    def _branch(self, node: If | With | Range) -> Node:
        body = self.body(node.body)
        if node.otherwise is None:
            return type(node)(place=node.place, pipe=node.pipe, body=body, otherwise=None)
        if self._is_cut:
            raise EvaluationError(
                ".Response is in a block followed by an else, which crashes Ollama's server",
                place=node.place,
                hint="move .Response behind the block, or use .Messages",
            )
        otherwise = self.body(node.otherwise)
        return type(node)(place=node.place, pipe=node.pipe, body=body, otherwise=otherwise)

    def _pipe(self, pipe: Pipe) -> Pipe | None:
        if self._is_cut:
            return None
        commands = []
        for command in pipe.commands:
            arguments = [one for one in map(self._argument, command.args) if one is not None]
            if not arguments:
                return None
            commands.append(Command(place=command.place, args=tuple(arguments)))
        return Pipe(place=pipe.place, declared=pipe.declared, assigns=pipe.assigns, commands=tuple(commands))

    def _argument(self, node: Expression) -> Expression | None:
        if isinstance(node, Field) and "Response" in node.names:
            self._is_cut = True
            return node
        if self._is_cut:
            return None
        return self._pipe(node) if isinstance(node, Pipe) else node
