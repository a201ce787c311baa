"""Read family profiles from YAML: strictly, and with the line in every complaint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from gguf2ollama._resources import templates_root
from gguf2ollama.detect.chat_template import normalize_mark
from gguf2ollama.detect.profile import (
    DIFFERENCES,
    DefaultSystem,
    Difference,
    Features,
    ParameterDefault,
    Profile,
    ProfileEvidence,
)
from gguf2ollama.errors import InvalidProfile

if TYPE_CHECKING:
    from yaml.nodes import Node

__all__ = ["load_profiles", "read_profile"]

_CAP_BYTES = 64 << 10
_PARAMETERS = frozenset(
    {
        "frequency_penalty",
        "min_p",
        "num_predict",
        "presence_penalty",
        "repeat_last_n",
        "repeat_penalty",
        "temperature",
        "top_k",
        "top_p",
    }
)
_WORD = re.compile(r"[a-z][a-z0-9_.-]*")
_VARIABLE = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED_VARIABLES = frozenset({"system", "bos"})

_T = TypeVar("_T")


def load_profiles(root: Path | None = None) -> tuple[Profile, ...]:
    """Read all profiles below a folder, by default the project's own, sorted by family; read once.

    Args:
        root: A folder with ``profiles/*.yaml`` and ``chat/*.gotmpl.j2``.

    Raises:
        InvalidProfile: A file breaks the schema (the message names file and line), two profiles share a
            family, or there is none.
    """
    return _load((root or templates_root()).resolve())


@cache
def _load(root: Path) -> tuple[Profile, ...]:
    profiles = [read_profile(path) for path in sorted((root / "profiles").glob("*.yaml"))]
    if not profiles:
        raise InvalidProfile(f"{root / 'profiles'}: there is no profile", hint="Profiles are .yaml files.")
    seen: dict[str, Path] = {}
    for profile in profiles:
        other = seen.setdefault(profile.family, profile.path)
        if other != profile.path:
            raise InvalidProfile(
                f"{profile.path}: the family {profile.family!r} stands in {other.name} too",
                hint="Give each family one file.",
            )
    return tuple(sorted(profiles, key=lambda profile: profile.family))


def read_profile(path: Path) -> Profile:
    """Read one profile.

    Raises:
        InvalidProfile: The file cannot be read, is no YAML, or breaks the schema; file and line are named.
    """
    fields = _Value(path, _compose(path)).fields(
        required=("family", "title", "evidence", "stops", "template"),
        optional=(
            *("generic", "parameters", "system", "switches", "variables", "claims", "known_differences"),
        ),
    )
    system, pattern = _system(fields.get("system"))
    return Profile(
        family=fields["family"].text(like=_WORD),
        title=fields["title"].text(),
        path=path,
        is_generic="generic" in fields and fields["generic"].flag(),
        evidence=_evidence(fields["evidence"]),
        parameters=_parameters(fields.get("parameters")),
        system=system,
        system_pattern=pattern,
        stops=fields["stops"].texts(),
        template=fields["template"].text(),
        switches=MappingProxyType(_named(fields.get("switches"), _marks)),
        variables=MappingProxyType(_named(fields.get("variables"), _Value.text_or_flag)),
        claims=_claims(fields.get("claims")),
        known_differences=_differences(fields.get("known_differences")),
    )


def _evidence(value: _Value) -> ProfileEvidence:
    fields = value.fields(required=("template",), optional=("architectures", "tokenizers", "name"))
    template = fields["template"].fields(
        required=("contains",), optional=("lacks", "transforms", "unreached", "optional_transforms", "loose")
    )
    return ProfileEvidence(
        contains=_marks(template["contains"]),
        lacks=_marks(template["lacks"]) if "lacks" in template else (),
        transforms=frozenset(_texts(template.get("transforms"))),
        unreached=_texts(template.get("unreached")),
        optional_transforms=frozenset(_texts(template.get("optional_transforms"))),
        is_loose="loose" in template and template["loose"].flag(),
        architectures=_texts(fields.get("architectures")),
        tokenizers=_texts(fields.get("tokenizers")),
        name=fields["name"].pattern() if "name" in fields else None,
    )


def _marks(value: _Value) -> tuple[str, ...]:
    return tuple(normalize_mark(text) for text in value.texts())


def _texts(value: _Value | None) -> tuple[str, ...]:
    return value.texts() if value else ()


def _system(value: _Value | None) -> tuple[DefaultSystem | None, re.Pattern[str] | None]:
    if value is None:
        return None, None
    fields = value.fields(required=("pattern",), optional=("text", "source"))
    pattern = fields["pattern"].pattern()
    if pattern.groups != 1:
        fields["pattern"].refuse("one group (the system text) is needed", "Put the text in parentheses.")
    if "text" not in fields:
        return None, pattern
    if "source" not in fields:
        fields["text"].refuse("a text needs its `source`", "Say where the authors give it.")
    return DefaultSystem(text=fields["text"].text(), source=fields["source"].text()), pattern


def _parameters(value: _Value | None) -> tuple[ParameterDefault, ...]:
    defaults = []
    for key, entry in value.entries() if value else ():
        if key not in _PARAMETERS:
            entry.refuse(f"{key!r} is no sampling parameter", f"Known are {', '.join(sorted(_PARAMETERS))}.")
        fields = entry.fields(required=("value", "source"))
        defaults.append(
            ParameterDefault(name=key, value=fields["value"].number(), source=fields["source"].text())
        )
    return tuple(defaults)


def _differences(value: _Value | None) -> tuple[Difference, ...]:
    differences = []
    for what, entry in value.entries() if value else ():
        if what not in DIFFERENCES:
            entry.refuse(
                f"the difference {what!r} is not known", f"Known are {', '.join(sorted(DIFFERENCES))}."
            )
        differences.append(Difference(what=what, why=entry.text()))
    return tuple(differences)


def _claims(value: _Value | None) -> Features:
    claims = value.texts() if value else ()
    for claim in claims:
        if value and claim not in {"tools", "thinking"}:
            value.refuse(f"the claim {claim!r} is not known", "Known are tools and thinking.")
    return Features(tools="tools" in claims, thinking="thinking" in claims)


def _named(value: _Value | None, read: Callable[[_Value], _T]) -> dict[str, _T]:
    named = {}
    for key, entry in value.entries() if value else ():
        if not _VARIABLE.fullmatch(key) or key in _RESERVED_VARIABLES:
            entry.refuse(
                f"{key!r} cannot name a template variable", "Use lower case, and neither system nor bos."
            )
        named[key] = read(entry)
    return named


def _compose(path: Path) -> Node:
    import yaml  # noqa: PLC0415  # 30 ms of import

    class Loader(yaml.SafeLoader):
        """PyYAML's safe loader without aliases: nothing in a profile stands for something else."""

        def compose_node(self, parent: Node | None, index: int) -> Node | None:
            if self.check_event(yaml.events.AliasEvent):
                event = self.peek_event()
                raise yaml.MarkedYAMLError(None, None, "aliases are not used here", event.start_mark)
            return super().compose_node(parent, index)

    try:
        with path.open("rb") as stream:
            content = stream.read(_CAP_BYTES + 1)
        if len(content) > _CAP_BYTES:
            raise InvalidProfile(f"{path}: longer than {_CAP_BYTES} bytes", hint="A profile has about 2 kB.")
        node: Node | None = yaml.compose(content.decode(), Loader=Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise InvalidProfile(f"{path}{line}: no YAML that a profile can be: {problem}") from error
    except OSError as error:
        raise InvalidProfile(f"{path}: cannot be read: {error.strerror}") from error
    if node is None:
        raise InvalidProfile(f"{path}:1: the file is empty", hint="See the profiles in templates/profiles/.")
    return node


class _Value:
    """A node of the file, which knows its line; reads what the schema wants, or refuses."""

    def __init__(self, path: Path, node: Node) -> None:
        self._path = path
        self._node = node

    def refuse(self, problem: str, hint: str) -> NoReturn:
        line = self._node.start_mark.line + 1
        raise InvalidProfile(f"{self._path}:{line}: {problem}", hint=hint)

    def entries(self) -> Iterator[tuple[str, _Value]]:
        if self._node.id != "mapping":
            self.refuse("keys with values are expected", "Write `key: value` lines.")
        seen = set()
        for key_node, value_node in self._node.value:
            key = _Value(self._path, key_node).text()
            if key in seen:
                _Value(self._path, key_node).refuse(f"{key!r} stands here twice", "Keep one of them.")
            seen.add(key)
            yield key, _Value(self._path, value_node)

    def fields(self, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, _Value]:
        known = (*required, *optional)
        fields = {}
        for key, value in self.entries():
            if key not in known:
                value.refuse(f"the key {key!r} is not known", f"Known here are {', '.join(known)}.")
            fields[key] = value
        for key in required:
            if key not in fields:
                self.refuse(f"the key {key!r} is missing", f"Needed here are {', '.join(required)}.")
        return fields

    def text(self, *, like: re.Pattern[str] | None = None) -> str:
        value = self._scalar("str", "a text")
        if not value or (like and not like.fullmatch(value)):
            self.refuse(f"{value!r} cannot stand here", f"It looks like {like.pattern}." if like else "")
        return value

    def texts(self) -> tuple[str, ...]:
        if self._node.id != "sequence":
            self.refuse("a list of texts is expected", "Write [first, second].")
        return tuple(_Value(self._path, node).text() for node in self._node.value)

    def flag(self) -> bool:
        return self._scalar("bool", "true or false").lower() in {"true", "yes", "on"}

    def text_or_flag(self) -> str | bool:
        return self.flag() if self._node.tag.endswith(":bool") else self._scalar("str", "a text or a flag")

    def number(self) -> float | int:
        if self._node.tag.endswith(":int"):
            return int(self._scalar("int", "a number"))
        return float(self._scalar("float", "a number"))

    def pattern(self) -> re.Pattern[str]:
        try:
            return re.compile(self.text(), re.DOTALL)
        except re.error as error:
            self.refuse(f"no regular expression: {error}", "See the syntax of Python's re module.")

    def _scalar(self, tag: str, what: str) -> Any:  # noqa: ANN401  # the text of a YAML scalar
        if self._node.id != "scalar" or not self._node.tag.endswith(f":{tag}"):
            self.refuse(f"{what} is expected", "Quote a text that looks like a number or a flag.")
        return self._node.value
