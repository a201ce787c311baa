"""What a chat template does besides printing chats: found in its syntax tree, without running it.

A chat template comes with the weights and runs at each request, so it can change prompts that nobody looks
at: add instructions where a message holds some word, hide them from a reader by characters that are not
shown, or send the reader to an address. Most templates do none of that; what one does is reported, with the
number of the line.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern

if TYPE_CHECKING:
    from jinja2 import nodes

__all__ = ["SafetyFinding", "SafetyKind", "TemplateSafety", "check_safety"]

SafetyKind: TypeAlias = Literal[
    "decides-on-mark",
    "decides-on-word",
    "changes-contents",
    "url",
    "long-text",
    "hidden-character",
    "hidden-text",
    "encoded-text",
    "python-internals",
    "differs-from-upstream",
    "unreadable",
]
_HARMLESS = frozenset({"decides-on-mark", "changes-contents", "url", "long-text", "differs-from-upstream"})
_CAP_CHARACTERS = 1 << 18  # twice the longest that is read elsewhere
_SHOWN = 60
_LONG, _WORDS = 1000, 8  # characters and words of a text; of 183 templates, 11 have such

_TEXT_KEYS = frozenset({"content", "text", "reasoning_content", "reasoning", "thinking", "tool_plan"})
_METHODS = frozenset(
    {
        *("startswith", "endswith", "find", "rfind", "index", "rindex", "count"),
        *("split", "rsplit", "partition", "rpartition"),
    }
)
_TESTS = frozenset({"in", "eq", "equalto", "==", "ne", "!=", "sameas"})
_INTERNALS = lazy_pattern(r"__\w+__")
_URL = lazy_pattern(
    r"(?:https?|ftp|wss?|data|javascript)://?[^\s'\"<>`{}|\\]+|\bwww\.[\w-]+\.[^\s'\"<>`{}|\\]+"
)
_ENCODED = lazy_pattern(r"[A-Za-z0-9+/_-]{80,}={0,2}")
_BLANKS_IN_LINE = lazy_pattern(r"[ \t\u3000]{200,}(?=\S)")
_BLANK_LINES = 60
_MARK = lazy_pattern(r"[<>\[\]|/{}#*=_@$`~^\\▁]")
# shown as nothing, though they count as letters or symbols
_BLANKS = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_UNSHOWN = frozenset({"Cf", "Co", "Cs", "Cc"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyFinding:
    """A thing that a chat template does.

    Attributes:
        kind: What it is.
        text: The text that it is about: the one tested for, the address, the character.
        line: The line in the chat template, from 1; 0 for the template as a whole.
    """

    kind: SafetyKind
    text: str
    line: int

    @property
    def is_suspicious(self) -> bool:
        """Whether ordinary chat templates do not do that."""
        return self.kind not in _HARMLESS


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSafety:
    """What a chat template does besides printing."""

    findings: tuple[SafetyFinding, ...]

    @property
    def only_prints(self) -> bool:
        """Whether it does nothing of what is looked for."""
        return not self.findings

    @property
    def is_suspicious(self) -> bool:
        """Whether it does what ordinary chat templates do not."""
        return any(finding.is_suspicious for finding in self.findings)

    @property
    def summary(self) -> str:
        """One line for people, such as ``decides on contents: '</think>' (line 12)``."""
        if not self.findings:
            return "only prints the chat"
        found: dict[str, list[str]] = {}
        for finding in self.findings:
            text = _SUMMARIES[finding.kind]
            found.setdefault(text, [])
            shown = _shown(finding)
            if shown not in found[text]:
                found[text].append(shown)
        return "; ".join(
            f"{text}: {', '.join(shown[:3])}{f' and {len(shown) - 3} more' if len(shown) > 3 else ''}"  # noqa: PLR2004 - a line holds three
            if any(shown)
            else text
            for text, shown in found.items()
        )


_SUMMARIES: dict[SafetyKind, str] = {
    "python-internals": "reaches for internals of Python",
    "hidden-character": "has characters that are not shown",
    "hidden-text": "has text behind white space",
    "encoded-text": "has encoded text",
    "decides-on-word": "decides on words in contents",
    "decides-on-mark": "decides on marks in contents",
    "changes-contents": "replaces text in contents",
    "url": "has web addresses",
    "long-text": "has long texts of its own",
    "differs-from-upstream": "differs from the current one of the repository",
    "unreadable": "cannot be read",
}


def _shown(finding: SafetyFinding) -> str:
    if not finding.text:
        return f"line {finding.line}" if finding.line else ""
    text = finding.text if len(finding.text) <= _SHOWN else f"{finding.text[:_SHOWN]}…"
    quoted = text if finding.kind == "hidden-character" else repr(text)
    return f"{quoted} (line {finding.line})" if finding.line else quoted


@lru_cache(maxsize=8)
def check_safety(text: str, *, upstream: str | None = None) -> TemplateSafety:
    """Find what a chat template does besides printing chats.

    Args:
        text: The chat template.
        upstream: The current one of the repository that it comes from, if known.
    """
    from jinja2 import TemplateError  # noqa: PLC0415 - 60 ms of import

    from gguf2ollama.jinja.syntax import parse_tree  # noqa: PLC0415 - as above

    findings = list(_in_source(text))
    try:
        findings += _Reader(parse_tree(text[:_CAP_CHARACTERS])).findings()
    except (TemplateError, RecursionError, ValueError):
        findings.append(SafetyFinding(kind="unreadable", text="", line=0))
    if upstream is not None and _stripped(upstream) != _stripped(text):
        findings.append(SafetyFinding(kind="differs-from-upstream", text="", line=0))
    order = {kind: place for place, kind in enumerate(_SUMMARIES)}
    unique = dict.fromkeys(findings)
    return TemplateSafety(findings=tuple(sorted(unique, key=lambda found: (order[found.kind], found.line))))


def _stripped(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _in_source(text: str) -> Iterator[SafetyFinding]:
    """Find what hides text from who reads the template."""
    blank = 0
    for line, content in enumerate(text.split("\n"), 1):
        yield from _unshown(content, line)
        if not content.strip():
            blank += 1
            continue
        match = _BLANKS_IN_LINE.search(content)
        if match is not None or blank >= _BLANK_LINES:
            hidden = content[match.end() :] if match is not None else content.strip()
            yield SafetyFinding(kind="hidden-text", text=hidden[:_SHOWN], line=line)
        blank = 0


def _unshown(text: str, line: int) -> Iterator[SafetyFinding]:
    seen: set[str] = set()
    for at, character in enumerate(text):
        if character.isascii() and (character.isprintable() or character in "\t\r\n"):
            continue
        is_joined = character in "\u200d\ufe0f" and at and ord(text[at - 1]) > _FIRST_EMOJI
        is_unshown = unicodedata.category(character) in _UNSHOWN or character in _BLANKS
        if is_unshown and not is_joined and character not in seen:
            seen.add(character)
            name = unicodedata.name(character, "")
            shown = f"U+{ord(character):04X}{f' {name}' if name else ''}"
            yield SafetyFinding(kind="hidden-character", text=shown, line=line)


_FIRST_EMOJI = 0x2190  # the arrows, with which the blocks begin that have emoji


class _Reader:
    """A reader of one tree."""

    def __init__(self, tree: nodes.Template) -> None:
        from jinja2 import nodes  # noqa: PLC0415 - 60 ms of import

        self._nodes = nodes
        self._tree = tree
        self._contents: set[str] = set()
        self._find_contents()
        members: list[Any] = [*tree.find_all(nodes.Getattr), *tree.find_all(nodes.Getitem)]
        self._looked_up = {path for node in members if (path := self._path(node))}
        looped = set[str]().union(*(self._targets(node.target) for node in tree.find_all(nodes.For)))
        # of a content that is a list, these are its parts, which have keys
        self._parts = looped & {path[0] for path in self._looked_up}

    def findings(self) -> Iterator[SafetyFinding]:
        """Yield what the template does, in any order."""
        nodes = self._nodes
        for node in self._tree.find_all(nodes.Node):
            yield from self._decisions(node)
            if isinstance(node, nodes.Getattr) and _INTERNALS.fullmatch(node.attr):
                yield SafetyFinding(kind="python-internals", text=node.attr, line=node.lineno)
            if isinstance(node, nodes.Filter) and node.name == "attr":
                yield SafetyFinding(kind="python-internals", text="attr", line=node.lineno)
            yield from self._in_text(node)

    def _in_text(self, node: nodes.Node) -> Iterator[SafetyFinding]:
        nodes = self._nodes
        if isinstance(node, nodes.TemplateData):
            text = node.data
        elif isinstance(node, nodes.Const) and isinstance(node.value, str):
            text = node.value
            if _INTERNALS.fullmatch(text):
                yield SafetyFinding(kind="python-internals", text=text, line=node.lineno)
            yield from _unshown(text.replace("\n", ""), node.lineno)  # written as an escape
        elif isinstance(node, nodes.Add | nodes.Concat):
            text = self._joined(node)
        else:
            return
        for match in _URL.finditer(text):
            line = node.lineno + text.count("\n", 0, match.start())
            yield SafetyFinding(kind="url", text=match.group().rstrip(".,;:)]"), line=line)
        if len(text) >= _LONG and len(text.split()) >= _WORDS:
            yield SafetyFinding(kind="long-text", text=" ".join(text.split())[:_SHOWN], line=node.lineno)
        for match in _ENCODED.finditer(text):
            line = node.lineno + text.count("\n", 0, match.start())
            if len(set(match.group())) > _FEW_CHARACTERS:  # and not a ruler
                yield SafetyFinding(kind="encoded-text", text=match.group(), line=line)

    def _joined(self, node: nodes.Node) -> str:
        """Return the constant text that an expression joins from parts; other values count as a break."""
        nodes = self._nodes
        if isinstance(node, nodes.Const):
            return node.value if isinstance(node.value, str) else "\0"
        if isinstance(node, nodes.Add):
            return self._joined(node.left) + self._joined(node.right)
        if isinstance(node, nodes.Concat):
            return "".join(map(self._joined, node.nodes))
        return "\0"

    # Decisions on contents.

    def _find_contents(self) -> None:
        """Find the variables that hold the text of a message, or a part of it."""
        nodes = self._nodes
        assigned = [(self._targets(node.target), node.node) for node in self._tree.find_all(nodes.Assign)] + [
            (self._targets(node.target), node.iter) for node in self._tree.find_all(nodes.For)
        ]
        macros = {
            macro.name: [argument.name for argument in macro.args]
            for macro in self._tree.find_all(nodes.Macro)
        }
        for call in self._tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name in macros:
                parameters = macros[call.node.name]
                assigned += [({name}, value) for name, value in zip(parameters, call.args, strict=False)]
                assigned += [({keyword.key}, keyword.value) for keyword in call.kwargs]
        for _ in range(_PASSES):
            known = len(self._contents)
            for targets, value in assigned:
                if not targets <= self._contents and self._is_content(value):
                    self._contents |= targets
            if len(self._contents) == known:
                return

    def _targets(self, node: nodes.Node) -> set[str]:
        nodes = self._nodes
        if isinstance(node, nodes.Name):
            return {node.name}
        if isinstance(node, nodes.NSRef):
            return {f"{node.name}.{node.attr}"}
        return set[str]().union(*map(self._targets, node.iter_child_nodes()))

    def _is_content(self, node: nodes.Node | None) -> bool:
        """Whether the value of an expression is the text of a message, or a part of it."""
        nodes = self._nodes
        if isinstance(node, nodes.Name):
            return node.name in self._contents
        if isinstance(node, nodes.Getattr | nodes.Getitem):
            return self._is_content_of(node)
        if isinstance(node, nodes.Filter):
            return self._is_content(node.node)
        if isinstance(node, nodes.Call):
            return self._is_content_of_call(node)
        if isinstance(node, nodes.Add | nodes.Concat | nodes.Or | nodes.And | nodes.CondExpr):
            parts = (node.expr1, node.expr2) if isinstance(node, nodes.CondExpr) else node.iter_child_nodes()
            return any(map(self._is_content, parts))
        return False

    def _is_content_of(self, node: nodes.Getattr | nodes.Getitem) -> bool:
        if key := self._key(node):
            is_member = (
                isinstance(node.node, self._nodes.Name) and f"{node.node.name}.{key}" in self._contents
            )
            return key in _TEXT_KEYS or is_member
        return self._is_content(node.node)

    def _is_content_of_call(self, node: nodes.Call) -> bool:
        nodes = self._nodes
        if not isinstance(node.node, nodes.Getattr):
            return any(map(self._is_content, node.args))  # a macro may return what it is given
        if node.node.attr == "get" and node.args and isinstance(node.args[0], nodes.Const):
            return node.args[0].value in _TEXT_KEYS
        return self._is_content(node.node.node)

    def _decisions(self, node: nodes.Node) -> Iterator[SafetyFinding]:
        """Yield the texts that a node looks for in a content, or replaces in it."""
        for text in self._texts(self._tested(node)):
            if text.strip():
                kind: SafetyKind = "decides-on-mark" if _is_mark(text) else "decides-on-word"
                yield SafetyFinding(kind=kind, text=text, line=node.lineno)
        for text in self._texts(self._replaced(node)):
            yield SafetyFinding(kind="changes-contents", text=text, line=node.lineno)

    def _tested(self, node: nodes.Node) -> Iterable[nodes.Node]:
        nodes = self._nodes
        if isinstance(node, nodes.Compare) and not self._asks_for_key(node):
            sides = [node.expr, *(operand.expr for operand in node.ops)]
            return sides if any(map(self._is_content, sides)) else ()
        if isinstance(node, nodes.Test) and node.name in _TESTS:
            sides = [node.node, *node.args]
            return sides if any(map(self._is_content, sides)) else ()
        if isinstance(node, nodes.Getitem) and isinstance(node.node, nodes.Dict):
            return [pair.key for pair in node.node.items] if self._is_content(node.arg) else ()
        return node.args if self._is_method(node, _METHODS) else ()

    def _replaced(self, node: nodes.Node) -> Iterable[nodes.Node]:
        nodes = self._nodes
        if isinstance(node, nodes.Filter):
            return node.args[:1] if node.name == "replace" and self._is_content(node.node) else ()
        return node.args[:1] if self._is_method(node, {"replace"}) else ()

    def _is_method(self, node: nodes.Node, names: AbstractSet[str]) -> TypeGuard[nodes.Call]:
        nodes = self._nodes
        return (
            isinstance(node, nodes.Call)
            and isinstance(node.node, nodes.Getattr)
            and node.node.attr in names
            and self._is_content(node.node.node)
        )

    def _key(self, node: nodes.Getattr | nodes.Getitem) -> str:
        """Return the constant key that is looked up; ``""`` where it is computed."""
        if isinstance(node, self._nodes.Getattr):
            return node.attr
        key = node.arg.value if isinstance(node.arg, self._nodes.Const) else None
        return key if isinstance(key, str) else ""

    def _path(self, node: nodes.Node) -> tuple[str, ...]:
        """Return a variable and the constant keys looked up in it; empty for other expressions."""
        keys: list[str] = []
        while isinstance(node, self._nodes.Getattr | self._nodes.Getitem):
            is_number = isinstance(node, self._nodes.Getitem) and isinstance(node.arg, self._nodes.Const)
            if not (key := self._key(node)) and not is_number:
                return ()
            keys.append(key or "0")  # of a list, any item: they are alike
            node = node.node
        return (node.name, *reversed(keys)) if isinstance(node, self._nodes.Name) else ()

    def _asks_for_key(self, node: nodes.Compare) -> bool:
        """Whether a comparison is ``'key' in part``, where the content is a list or a mapping."""
        nodes = self._nodes
        key = node.expr.value if isinstance(node.expr, nodes.Const) else None
        if key is None or len(node.ops) != 1 or node.ops[0].op not in {"in", "notin"}:
            return False
        container = node.ops[0].expr
        is_part = isinstance(container, nodes.Name) and container.name in self._parts
        return is_part or (*self._path(container), key) in self._looked_up

    def _texts(self, values: Iterable[nodes.Node]) -> Iterator[str]:
        """Yield the constant texts in expressions, as far as they stand in them or in lists."""
        nodes = self._nodes
        for value in values:
            if isinstance(value, nodes.Const) and isinstance(value.value, str):
                yield value.value
            elif isinstance(value, nodes.List | nodes.Tuple):
                yield from self._texts(value.items)
            elif isinstance(value, nodes.Add | nodes.Concat):
                yield self._joined(value).replace("\0", "")


_FEW_CHARACTERS = 12
_PASSES = 20  # over the assignments; more are needed only where each is read before it is made


def _is_mark(text: str) -> bool:
    """Whether a text that is looked for is a mark of the format, such as ``</think>``, and no word."""
    return _MARK.search(text) is not None or not any(character.isalpha() for character in text)
