"""Read family profiles from YAML: strictly, with the line in every error."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama._resources import templates_root
from gguf2ollama.errors import InvalidProfile
from gguf2ollama.families.profile import (
    DIFFERENCES,
    DefaultSystem,
    Difference,
    Features,
    ParameterDefault,
    Profile,
    ProfileEvidence,
)
from gguf2ollama.families.yaml_value import YamlValue, read_yaml
from gguf2ollama.jinja.facts import normalize_mark

__all__ = ["load_profiles", "read_profile"]

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
_WORD = lazy_pattern(r"[a-z][a-z0-9_.-]*")
_VARIABLE = lazy_pattern(r"[a-z][a-z0-9_]*")
_RESERVED_VARIABLES = frozenset({"system", "bos"})

_T = TypeVar("_T")


def load_profiles(root: Path | None = None) -> tuple[Profile, ...]:
    """Read all profiles below a folder, by default the project's own, sorted by family; read once.

    Args:
        root: A folder with ``profiles/*.yaml`` and ``chat/*.gotmpl.j2``.

    Raises:
        InvalidProfile: A file violates the schema (the message names file and line), two profiles share a
            family, or there is none.
    """
    return _load((root or templates_root()).resolve())


@cache
def _load(root: Path) -> tuple[Profile, ...]:
    profiles = [read_profile(path) for path in sorted((root / "profiles").glob("*.yaml"))]
    if not profiles:
        raise InvalidProfile(f"{root / 'profiles'}: no profiles found", hint="profiles are .yaml files")
    seen: dict[str, Path] = {}
    for profile in profiles:
        other = seen.setdefault(profile.family, profile.path)
        if other != profile.path:
            raise InvalidProfile(
                f"{profile.path}: family {profile.family!r} is already defined in {other.name}",
                hint="use one file per family",
            )
    return tuple(sorted(profiles, key=lambda profile: profile.family))


def read_profile(path: Path) -> Profile:
    """Read one profile.

    Raises:
        InvalidProfile: The file cannot be read, is not YAML, or violates the schema; with file and line.
    """
    fields = read_yaml(path).fields(
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
        variables=MappingProxyType(_named(fields.get("variables"), YamlValue.text_or_flag)),
        claims=_claims(fields.get("claims")),
        known_differences=_differences(fields.get("known_differences")),
    )


def _evidence(value: YamlValue) -> ProfileEvidence:
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


def _marks(value: YamlValue) -> tuple[str, ...]:
    return tuple(normalize_mark(text) for text in value.texts())


def _texts(value: YamlValue | None) -> tuple[str, ...]:
    return value.texts() if value else ()


def _system(value: YamlValue | None) -> tuple[DefaultSystem | None, re.Pattern[str] | None]:
    if value is None:
        return None, None
    fields = value.fields(required=("pattern",), optional=("text", "source"))
    pattern = fields["pattern"].pattern()
    if pattern.groups != 1:
        fields["pattern"].refuse(
            "the pattern needs exactly one group (the system prompt)", "put the system prompt in parentheses"
        )
    if "text" not in fields:
        return None, pattern
    if "source" not in fields:
        fields["text"].refuse("`text` needs a `source`", "name where the authors publish it")
    return DefaultSystem(text=fields["text"].text(), source=fields["source"].text()), pattern


def _parameters(value: YamlValue | None) -> tuple[ParameterDefault, ...]:
    defaults = []
    for key, entry in value.entries() if value else ():
        if key not in _PARAMETERS:
            entry.refuse(
                f"unknown sampling parameter {key!r}", f"use one of {', '.join(sorted(_PARAMETERS))}"
            )
        fields = entry.fields(required=("value", "source"))
        defaults.append(
            ParameterDefault(name=key, value=fields["value"].number(), source=fields["source"].text())
        )
    return tuple(defaults)


def _differences(value: YamlValue | None) -> tuple[Difference, ...]:
    differences = []
    for what, entry in value.entries() if value else ():
        if what not in DIFFERENCES:
            entry.refuse(f"unknown difference {what!r}", f"use one of {', '.join(sorted(DIFFERENCES))}")
        differences.append(Difference(what=what, why=entry.text()))
    return tuple(differences)


def _claims(value: YamlValue | None) -> Features:
    claims = value.texts() if value else ()
    for claim in claims:
        if value and claim not in {"tools", "thinking"}:
            value.refuse(f"unknown capability {claim!r}", "use tools or thinking")
    return Features(tools="tools" in claims, thinking="thinking" in claims)


def _named(value: YamlValue | None, read: Callable[[YamlValue], _T]) -> dict[str, _T]:
    named = {}
    for key, entry in value.entries() if value else ():
        if not _VARIABLE.fullmatch(key) or key in _RESERVED_VARIABLES:
            entry.refuse(f"invalid template variable {key!r}", "use lower case, and neither system nor bos")
        named[key] = read(entry)
    return named
