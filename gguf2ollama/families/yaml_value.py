"""Read YAML node by node, so that every error names the line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from gguf2ollama.errors import InvalidProfile

if TYPE_CHECKING:
    from yaml import Event, Node

__all__ = ["YamlValue", "read_yaml"]

_CAP_BYTES = 32 << 10
_CAP_DEPTH = 16  # a profile has 4


def read_yaml(path: Path) -> YamlValue:
    """Read a small YAML file without aliases and custom tags.

    Raises:
        InvalidProfile: It cannot be read, is larger than 32 kB, or is not YAML; with file and line.
    """
    import yaml  # noqa: PLC0415  # 30 ms of import

    try:
        with path.open("rb") as stream:
            content = stream.read(_CAP_BYTES + 1)
        if len(content) > _CAP_BYTES:
            raise InvalidProfile(
                f"{path}: larger than {_CAP_BYTES:,} bytes", hint="profiles are YAML files of about 2 kB"
            )
        # libyaml, if PyYAML was built with it, takes a tenth of the time
        loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
        _check_events(path, yaml.parse(content, Loader=loader))
        node: Node | None = yaml.compose(content, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise InvalidProfile(
            f"{path}{line}: invalid YAML: {problem}",
            hint="see templates/profiles/ for examples",
        ) from error
    except OSError as error:
        raise InvalidProfile(
            f"cannot read {path}: {error.strerror}", hint="check the path and its permissions"
        ) from error
    if node is None:
        raise InvalidProfile(f"{path}:1: the file is empty", hint="see templates/profiles/ for examples")
    return YamlValue(path, node)


def _check_events(path: Path, events: Iterable[Event]) -> None:
    """Reject aliases, which no profile needs, and nesting that would take minutes."""
    from yaml import AliasEvent, CollectionEndEvent, CollectionStartEvent  # noqa: PLC0415  # 30 ms of import

    depth = 0
    for event in events:
        depth += isinstance(event, CollectionStartEvent)
        depth -= isinstance(event, CollectionEndEvent)
        if isinstance(event, AliasEvent) or depth > _CAP_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            problem = "aliases are not supported" if isinstance(event, AliasEvent) else "nested too deeply"
            raise InvalidProfile(f"{path}:{line}: {problem}", hint="see templates/profiles/ for examples")


class YamlValue:
    """A node of a file; returns values of the expected type, or raises with file and line."""

    def __init__(self, path: Path, node: Node) -> None:
        self._path = path
        self._node = node

    def refuse(self, problem: str, hint: str) -> NoReturn:
        """Raise an error for this node.

        Raises:
            InvalidProfile: Always.
        """
        line = self._node.start_mark.line + 1
        raise InvalidProfile(f"{self._path}:{line}: {problem}", hint=hint)

    def entries(self) -> Iterator[tuple[str, YamlValue]]:
        """Return keys and values of a mapping, each key once."""
        from yaml import MappingNode  # noqa: PLC0415  # 30 ms of import

        if not isinstance(self._node, MappingNode):
            self.refuse("expected a mapping", "write `key: value` lines")
        seen = set()
        for key_node, value_node in self._node.value:
            key = YamlValue(self._path, key_node).text()
            if key in seen:
                YamlValue(self._path, key_node).refuse(f"duplicate key {key!r}", "keep one of them")
            seen.add(key)
            yield key, YamlValue(self._path, value_node)

    def fields(self, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, YamlValue]:
        """Return the fields of a mapping with known keys."""
        known = (*required, *optional)
        fields = {}
        for key, value in self.entries():
            if key not in known:
                value.refuse(f"unknown key {key!r}", f"use one of {', '.join(known)}")
            fields[key] = value
        for key in required:
            if key not in fields:
                self.refuse(f"missing key {key!r}", f"required keys: {', '.join(required)}")
        return fields

    def text(self, *, like: re.Pattern[str] | None = None) -> str:
        """Return a string that is not empty and matches the pattern."""
        value = self._scalar("str", "a string")
        if not value:
            self.refuse("expected a string that is not empty", "leave the key out instead")
        if like and not like.fullmatch(value):
            self.refuse(f"invalid value {value!r}", f"it must match {like.pattern}")
        return value

    def texts(self) -> tuple[str, ...]:
        """Return a list of strings."""
        from yaml import SequenceNode  # noqa: PLC0415  # 30 ms of import

        if not isinstance(self._node, SequenceNode):
            self.refuse("expected a list of strings", "write [first, second]")
        return tuple(YamlValue(self._path, node).text() for node in self._node.value)

    def flag(self) -> bool:
        """Return true or false."""
        return self._scalar("bool", "true or false").lower() in {"true", "yes", "on"}

    def text_or_flag(self) -> str | bool:
        """Return a string, which may be empty, or a boolean."""
        return self.flag() if self._node.tag.endswith(":bool") else self._scalar("str", "a string or boolean")

    def number(self) -> float | int:
        """Return a number."""
        whole = self._node.tag.endswith(":int")
        text = self._scalar("int" if whole else "float", "a number")
        try:
            return int(text) if whole else float(text)
        except ValueError:
            self.refuse(f"invalid number {text!r}", "write it as 20 or 0.95")

    def pattern(self) -> re.Pattern[str]:
        """Return a regular expression, in which the dot matches the end of a line too."""
        try:
            return re.compile(self.text(), re.DOTALL)
        except re.error as error:
            self.refuse(f"invalid regular expression: {error}", "see the documentation of Python's re module")

    def _scalar(self, tag: str, what: str) -> str:
        from yaml import ScalarNode  # noqa: PLC0415  # 30 ms of import

        if not isinstance(self._node, ScalarNode) or not self._node.tag.endswith(f":{tag}"):
            self.refuse(f"expected {what}", "quote a string that looks like a number or a boolean")
        return str(self._node.value)
