"""YAML as nodes with places, so that every error of a file is found in one go and says where it is.

PyYAML's safe loader composes the nodes; nothing is constructed from them. Aliases are expanded, to a limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidInput

if TYPE_CHECKING:
    import yaml

    Node: TypeAlias = "yaml.ScalarNode | yaml.SequenceNode | yaml.MappingNode"

__all__ = ["CAP_BYTES", "Place", "Problems", "Reader", "compose", "did_you_mean", "is_null"]

CAP_BYTES = 1 << 20
_CAP_NODES = 20_000  # after aliases are expanded
_SHOWN = 40  # problems of one file
_TAG = "tag:yaml.org,2002:"
_SCALARS = {f"{_TAG}{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp")}
_KINDS = {"scalar": "a value", "sequence": "a list", "mapping": "a map"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(slots=True, kw_only=True)
class Problems:
    """What is wrong in a file.

    Attributes:
        file: Its name, as the user gave it.
        found: The problems with their places.
    """

    file: str
    found: list[tuple[Place, str]] = field(default_factory=list)

    def add(self, place: Place, message: str) -> None:
        """Add a problem."""
        if (place, message) not in self.found:
            self.found.append((place, message))

    def check(self, *, hint: str = "correct the file; `gguf2ollama schema` prints what it may hold") -> None:
        """Check that there is none.

        Raises:
            InvalidInput: There are; the message has a line for each, in the order of the file.
        """
        if not self.found:
            return
        ordered = sorted(self.found, key=lambda problem: (problem[0].line, problem[0].column))
        lines = [f"{place}: {message}" for place, message in ordered[:_SHOWN]]
        if len(ordered) > _SHOWN:
            lines.append(f"and {len(ordered) - _SHOWN} more")
        raise InvalidInput("\n".join(lines), hint=hint)


def compose(text: str, *, file: str) -> Node | None:
    """Return the root node of a YAML file; ``None`` if it is empty.

    Raises:
        InvalidInput: It is not YAML, or too large.
    """
    import yaml  # noqa: PLC0415 - with such a file alone

    hint = "correct the YAML there"
    if len(text) > CAP_BYTES:
        raise InvalidInput(f"{file}: more than {CAP_BYTES:,} characters", hint="split the file")
    try:
        root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file=file, line=mark.line + 1, column=mark.column + 1) if mark else file
        problem = error.problem or "invalid YAML"
        if "\\t" in problem:
            problem, hint = "a tab indents this line", "indent with spaces: YAML allows no tabs there"
        elif "more than one document" in f"{error.context} {problem}" or "document" in problem:
            hint = "one document in a file: remove what follows ---"
        raise InvalidInput(f"{place}: {problem}", hint=hint) from None
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise InvalidInput(f"{file}: {' '.join(str(error).split())}", hint=hint) from None
    except RecursionError:
        raise InvalidInput(f"{file}: nested too deeply", hint="a file of models has few levels") from None
    return root  # type: ignore[no-any-return]  # the stubs know only the base class


def did_you_mean(name: str, known: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    """Return ``; did you mean 'x'?``, or nothing."""
    import difflib  # noqa: PLC0415 - with a mistake alone

    close = difflib.get_close_matches(name.lower()[:80], list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


class Reader:
    """Reads nodes, and collects what is wrong with them.

    Args:
        problems: Where problems are added.
    """

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self._visited = 0

    def place(self, node: Node) -> Place:
        """Return where a node begins."""
        mark = node.start_mark
        return Place(file=self.problems.file, line=mark.line + 1, column=mark.column + 1)

    def report(self, node: Node, message: str) -> None:
        """Add a problem at a node."""
        self.problems.add(self.place(node), message)

    def mapping(self, node: Node, *, what: str, known: tuple[str, ...] = ()) -> dict[str, tuple[Node, Node]]:
        """Return the key and value nodes of a map by key.

        Args:
            node: The node.
            what: What it is, for problems.
            known: The keys that it may have; any if empty.
        """
        if node.id != "mapping":
            self.report(node, f"{what} must be a map (KEY: VALUE), not {_describe(node)}")
            return {}
        found: dict[str, tuple[Node, Node]] = {}
        merged: dict[str, tuple[Node, Node]] = {}
        for key, value in node.value:
            self._count(node)
            if key.tag == f"{_TAG}merge":
                for part in value.value if value.id == "sequence" else [value]:
                    for name, pair in self.mapping(part, what="what << names", known=known).items():
                        merged.setdefault(name, pair)
                continue
            if key.id != "scalar":
                self.report(key, f"a key of {what} must be text")
                continue
            name = str(key.value)
            if name in found:
                first = self.place(found[name][0])
                self.report(key, f"{name!r} occurs twice in {what}; first in line {first.line}")
            elif known and name not in known:
                self.report(key, f"unknown key {name!r} in {what}{did_you_mean(name, known)}")
            else:
                found[name] = key, value
        return {**merged, **found}

    def sequence(self, node: Node, *, what: str) -> list[Node]:
        """Return the nodes of a list."""
        if node.id != "sequence":
            self.report(node, f"{what} must be a list (- ITEM), not {_describe(node)}")
            return []
        for _ in node.value:
            self._count(node)
        return list(node.value)

    def text(self, node: Node, *, what: str) -> str | None:
        """Return a text; a number as it is written."""
        if node.id != "scalar":
            self.report(node, f"{what} must be text, not {_describe(node)}")
            return None
        if node.tag not in _SCALARS:
            self.report(node, f"the tag {node.tag[:60]} is not allowed")
            return None
        if node.tag in {f"{_TAG}null", f"{_TAG}bool"} or (node.tag == f"{_TAG}str" and not node.value):
            quoted = f'; write "{node.value}" if it is text' if node.value else ""
            self.report(node, f"{what} must be text, not {node.value or 'empty'}{quoted}")
            return None
        return str(node.value)

    def boolean(self, node: Node, *, what: str) -> bool | None:
        """Return true or false."""
        if node.id == "scalar" and node.tag == f"{_TAG}bool":
            return str(node.value).lower() in {"true", "yes", "on"}
        self.report(node, f"{what} must be true or false, not {_describe(node)}")
        return None

    def word(self, node: Node, *, what: str, words: tuple[str, ...]) -> str | None:
        """Return one of some words."""
        text = self.text(node, what=what)
        if text is not None and text not in words:
            self.report(node, f"{what} must be {_either(words)}, not {text!r}{did_you_mean(text, words)}")
            return None
        return text

    def scalar(self, node: Node, *, what: str) -> str | int | float | bool | None:
        """Return a text, a number, or true or false."""
        if node.id != "scalar" or node.tag == f"{_TAG}null":
            self.report(node, f"{what} must be a value, not {_describe(node)}")
            return None
        if node.tag == f"{_TAG}bool":
            return self.boolean(node, what=what)
        if node.tag == f"{_TAG}int":
            return _integer(str(node.value))
        return str(node.value)

    def _count(self, node: Node) -> None:
        """Count a visited node, which an alias may have reached many times.

        Raises:
            InvalidInput: These are too many.
        """
        self._visited += 1
        if self._visited > _CAP_NODES:
            raise InvalidInput(
                f"{self.place(node)}: more than {_CAP_NODES:,} values, once aliases (*name) are expanded",
                hint="use fewer aliases, or split the file",
            )


def is_null(node: Node) -> bool:
    """Return whether a node is null or left empty."""
    return node.tag == f"{_TAG}null"


def _describe(node: Node) -> str:
    if node.id == "scalar":
        return f"{str(node.value)[:40]!r}" if node.value else "empty"
    return _KINDS[node.id]


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _integer(text: str) -> int | str:
    try:
        return int(text, 10) if len(text) <= 20 else text  # noqa: PLR2004 - more digits than 64 bits have
    except ValueError:  # other forms of YAML 1.1, such as 0x10 and 1:30, are no values of parameters
        return text
