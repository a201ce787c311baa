"""Facts about a Jinja chat template, found without running it.

A template is parsed, never rendered, so hostile text is harmless here. Two things decide whether it is a
family's own or only resembles it: all text that it can print, and all filters and methods that it applies to
messages. Branches that no chat through Ollama reaches (documents, constant conditions) do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern

if TYPE_CHECKING:
    from jinja2 import nodes

__all__ = [
    "ChatTemplate",
    "find_syntax_error",
    "normalize_mark",
    "read_chat_template",
    "shows_media",
    "shows_thinking",
    "shows_tools",
]

_CAP_CHARACTERS = 128 << 10  # the longest of 183 real templates has 19 kB
_NEVER_GIVEN = frozenset({"builtin_tools", "controls", "custom_tools", "date_string", "documents"})
_NO_TEXT = frozenset({"raise_exception", "strftime_now"})
_NEUTRAL = frozenset(
    {
        *("append", "count", "endswith", "first", "get", "items", "keys", "last", "length", "list", "map"),
        *("reject", "rejectattr", "safe", "select", "selectattr", "startswith", "string", "values"),
    }
)
_MEDIA = ("image", "audio")
_SAME = {"strip": "trim", "d": "default"}
_KEY = lazy_pattern(r"\['(\w{1,64})'\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTemplate:
    """A chat template, and facts about it.

    Attributes:
        text: The Jinja text.
        marks: The same with single quotes only and ``['key']`` as ``.key``, to search for marks.
        printed: All text that it can print, in order: text outside tags (unless it is whitespace
            only) and the string literals that are not compared, looked up or passed to an exception.
        is_loose: Whether it prints whitespace between its tags, which is rarely intended.
        transforms: The filters and methods that it may apply to a message, such as ``trim``,
            ``tojson(indent=4)`` or ``split('</think>')``, without those that do not change text.
        has_bos: Whether it uses ``bos_token``.
    """

    text: str
    marks: str
    printed: tuple[str, ...]
    is_loose: bool
    transforms: frozenset[str]
    has_bos: bool


def normalize_mark(text: str) -> str:
    """Return Jinja text with single quotes, and ``.key`` for ``['key']``."""
    return _KEY.sub(r".\1", text.replace('"', "'"))


@lru_cache(maxsize=64)
def read_chat_template(text: str) -> ChatTemplate | None:
    """Return facts about a chat template; ``None`` if it is not valid Jinja, or longer than 128 kB."""
    from jinja2 import TemplateError, nodes  # noqa: PLC0415  # 60 ms of import

    from gguf2ollama.jinja.syntax import parse_tree  # noqa: PLC0415  # as above

    if len(text) > _CAP_CHARACTERS:
        return None
    try:
        text.encode()  # invalid UTF-8 is read as lone surrogates
        tree = parse_tree(text)
        assigned = {name.name for name in tree.find_all(nodes.Name) if name.ctx == "store"}
        reached = list(_reached(tree, never=_NEVER_GIVEN - assigned))
        printed = tuple(_printed(reached))
    except (TemplateError, RecursionError, ValueError):
        return None
    return ChatTemplate(
        text=text,
        marks=normalize_mark(text),
        printed=tuple(text for text in printed if text.strip()),
        is_loose=any(
            isinstance(node, nodes.TemplateData) and node.data and not node.data.strip() for node in reached
        ),
        transforms=frozenset(filter(None, map(_transform, reached))),
        has_bos=any(isinstance(node, nodes.Name) and node.name == "bos_token" for node in reached),
    )


def find_syntax_error(text: str) -> str | None:
    """Return why a text is not a Jinja template, with the line; ``None`` where it is one."""
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415  # 60 ms of import

    from gguf2ollama.jinja.syntax import parse_tree  # noqa: PLC0415  # as above

    try:
        parse_tree(text)
    except TemplateSyntaxError as error:
        return f"line {error.lineno}: {error.message}"
    except RecursionError:
        return "it is nested too deeply"
    except ValueError as error:  # an invalid number
        return str(error)
    return None


def _reached(node: nodes.Node, *, never: frozenset[str]) -> Iterator[nodes.Node]:
    """Yield the nodes that a chat through Ollama can reach, in order."""
    from jinja2 import nodes  # noqa: PLC0415  # 60 ms of import

    yield node
    if not isinstance(node, nodes.If):
        for child in node.iter_child_nodes():
            yield from _reached(child, never=never)
        return
    for branch in (node, *node.elif_):
        holds = _holds(branch.test, never=never)
        if holds is not False:
            yield from _reached(branch.test, never=never)
            for child in branch.body:
                yield from _reached(child, never=never)
        if holds:
            return
    for child in node.else_:
        yield from _reached(child, never=never)


def _holds(test: nodes.Node, *, never: frozenset[str]) -> bool | None:
    """Return whether a condition holds for all chats (``True``), none (``False``) or some (``None``)."""
    from jinja2 import nodes  # noqa: PLC0415  # 60 ms of import

    holds: bool | None = None
    if isinstance(test, nodes.Name) and test.name in never:
        holds = False
    elif isinstance(test, nodes.Not):
        inner = _holds(test.node, never=never)
        holds = None if inner is None else not inner
    elif isinstance(test, (nodes.And, nodes.Or)):
        deciding = isinstance(test, nodes.Or)
        sides = {_holds(side, never=never) for side in (test.left, test.right)}
        holds = deciding if deciding in sides else None if None in sides else not deciding
    elif isinstance(test, nodes.Test) and test.name == "defined":
        holds = _holds(test.node, never=never)  # variables that are never passed are undefined
    elif isinstance(test, nodes.Compare) and len(test.ops) == 1:
        left, operator, right = test.expr, test.ops[0].op, test.ops[0].expr
        if operator == "in":
            holds = _holds(right, never=never)
        elif operator == "eq" and isinstance(left, nodes.Const) and isinstance(right, nodes.Const):
            holds = bool(left.value == right.value)
    return holds


def _printed(reached: list[nodes.Node]) -> Iterator[str]:
    """Return the texts that can be printed: data, and constants that are not only tested."""
    from jinja2 import nodes  # noqa: PLC0415  # 60 ms of import

    silent: set[int] = set()
    for node in reached:
        if id(node) in silent:
            silent |= {id(child) for child in node.iter_child_nodes()}
        elif isinstance(node, nodes.TemplateData):
            yield node.data
        elif isinstance(node, nodes.Const) and isinstance(node.value, str):
            yield node.value
        else:
            silent |= {id(child) for child in _only_asked(node)}


def _only_asked(node: nodes.Node) -> Iterable[nodes.Node]:
    """Return the children of a node whose constants are compared, looked up or raised, but not printed."""
    from jinja2 import nodes  # noqa: PLC0415  # 60 ms of import

    if isinstance(node, nodes.Compare):
        return node.iter_child_nodes()
    if isinstance(node, nodes.Getitem):
        return (node.arg,)
    if isinstance(node, nodes.Test):
        return node.args
    if isinstance(node, nodes.Filter):
        return () if node.name in {"default", "d"} else (*node.args, *node.kwargs)
    if isinstance(node, nodes.Call):
        is_method = isinstance(node.node, nodes.Getattr)
        is_silent = isinstance(node.node, nodes.Name) and node.node.name in _NO_TEXT
        return (*node.args, *node.kwargs) if is_method or is_silent else ()
    return ()


def _transform(node: nodes.Node) -> str | None:
    from jinja2 import nodes  # noqa: PLC0415  # 60 ms of import

    if isinstance(node, nodes.Filter):
        name = node.name
    elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
        name = node.node.attr
    else:
        return None
    if name in _NEUTRAL:
        return None
    arguments = [_argument(argument) for argument in node.args]
    arguments += [f"{keyword.key}={_argument(keyword.value)}" for keyword in node.kwargs]
    name = _SAME.get(name, name)
    return f"{name}({', '.join(arguments)})" if arguments else name


def _argument(node: nodes.Node) -> str:
    from jinja2 import nodes  # noqa: PLC0415  # 60 ms of import

    return repr(node.value) if isinstance(node, nodes.Const) else "…"


def shows_tools(text: str) -> bool:
    """Return whether Ollama considers a chat template to support tools.

    Source: ``chatTemplateHasToolSupport`` in Ollama 0.34.4, ``server/images.go``.
    """
    return "tools" in text or "tool_call" in text


def shows_media(text: str) -> tuple[str, ...]:
    """Return which of ``image`` and ``audio`` a chat template looks for among the contents of messages.

    Those are the types of contents of transformers' chats (``{"type": "image"}``), and what they begin with
    in OpenAI's (``image_url``). A template that is not valid Jinja looks for nothing.
    """
    if not any(kind in text for kind in _MEDIA):
        return ()
    from jinja2 import TemplateError, nodes  # noqa: PLC0415  # as above

    from gguf2ollama.jinja.syntax import parse_tree  # noqa: PLC0415  # as above

    if len(text) > _CAP_CHARACTERS:
        return ()
    try:
        compared = [
            const.value
            for comparison in parse_tree(text).find_all(nodes.Compare)
            for const in comparison.find_all(nodes.Const)
        ]
    except (TemplateError, RecursionError, ValueError):
        return ()
    return tuple(
        kind
        for kind in _MEDIA
        if any(isinstance(value, str) and value.startswith(kind) for value in compared)
    )


def shows_thinking(text: str) -> bool:
    """Return whether Ollama considers a chat template to support thinking.

    Source: ``TemplateSupportsThinking`` in Ollama 0.34.4, ``thinking/template.go``.
    """
    if "<think>" in text and "</think>" in text:
        return True
    splits = "content.split('</think>')" in text or 'content.split("</think>")' in text
    return splits and "reasoning_content" not in text and "<SPECIAL_12>" not in text
