"""Differences between the versions of Ollama in Go templates.

Read in the sources of 0.5.4, 0.5.5, 0.5.7, 0.5.12, 0.5.13, 0.6.0, 0.6.5, 0.6.6, 0.8.0, 0.9.0, 0.9.3, 0.10.0,
0.11.0, 0.11.4, 0.11.8, 0.11.10, 0.12.0, 0.12.6, 0.13.0, 0.13.5, 0.14.0, 0.17.4, 0.18.0, 0.19.0, 0.20.0,
0.24.0, 0.30.0, 0.31.0, 0.32.15, 0.34.0 and 0.34.4 (``template/template.go``, ``api/types.go``,
``server/routes.go``, ``server/images.go``). A limit is the first of these that has the change; releases
between it and the one before were not read. The features of text/template are those of the Go version that a
release is built with: 1.23 up to 0.5.12, 1.24 and newer since 0.5.13.
"""

from __future__ import annotations

from functools import lru_cache

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import UsageProblem

__all__ = ["NEWEST", "OLDEST", "Dialect", "dialect", "is_since", "release_of"]

NEWEST = "0.34.4"
OLDEST = "0.5.4"
_VERSION = lazy_pattern(r"v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?![\d.])")
_UNSTAMPED = (0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The features of a version of Ollama.

    Attributes:
        ranges_over_integers: ``range`` accepts an integer.
        has_schemas: Tools have ``items``, parameters ``items`` and ``$defs``, properties ``items``; a
            property may have several types, and enum values that are not strings.
        has_thinking: Messages have ``thinking``, chats ``think``; templates see ``.Think`` and
            ``.IsThinkSet``.
        has_tool_names: Results have ``tool_name``, and adjacent ones are not merged.
        has_levels: ``think`` may be a level; templates see ``.ThinkLevel`` and have the functions
            ``currentDate`` and ``toTypeScriptType``; properties of tools have ``anyOf``.
        omits_empty: A tool's ``description`` and a property's ``type`` are omitted when empty, and the
            ``index`` of a call never is; thinking is on by default where the template supports it.
        has_call_ids: Calls have ``id``, results ``tool_call_id``; an empty ``required`` is omitted.
        has_nested_properties: Properties of tools have ``properties``; the function ``yesterdayDate`` exists.
        converts: Templates see tools and messages converted to types of the template package.
        has_nested_required: Properties of tools have ``required``.
        prints_tools_as_json: ``{{ . }}`` of a tool prints JSON even though it is converted.
        has_highest_level: ``think`` may be ``max``.
        has_native_path: A GGUF's own chat template may take precedence over a TEMPLATE.
        prefers_tool_round_trip: It also does where both have the same capabilities and only it renders
            tool results.
    """

    ranges_over_integers: bool
    has_schemas: bool
    has_thinking: bool
    has_tool_names: bool
    has_levels: bool
    omits_empty: bool
    has_call_ids: bool
    has_nested_properties: bool
    converts: bool
    has_nested_required: bool
    has_highest_level: bool
    prints_tools_as_json: bool
    has_native_path: bool
    prefers_tool_round_trip: bool

    @property
    def functions(self) -> frozenset[str]:
        """The functions of templates in addition to Go's own."""
        names = {"json"}
        if self.has_levels:
            names |= {"currentDate", "toTypeScriptType"}
        if self.has_nested_properties:
            names.add("yesterdayDate")
        return frozenset(names)


@lru_cache(maxsize=64)
def dialect(version: str) -> Dialect:
    """Return the features of a version such as ``0.34.4``; ``0.0.0``, an unstamped build, is the newest.

    Versions older than :data:`OLDEST` count as that one.

    Raises:
        UsageProblem: It is not a version.
    """
    release = release_of(version)
    return Dialect(
        ranges_over_integers=release >= (0, 5, 13),
        has_schemas=release >= (0, 6, 6),
        has_thinking=release >= (0, 9, 0),
        has_tool_names=release >= (0, 10, 0),
        has_levels=release >= (0, 11, 4),
        omits_empty=release >= (0, 12, 6),
        has_call_ids=release >= (0, 13, 0),
        has_nested_properties=release >= (0, 13, 5),
        converts=release >= (0, 14, 0),
        has_nested_required=release >= (0, 20, 0),
        has_highest_level=release >= (0, 24, 0),
        prints_tools_as_json=release < (0, 14, 0) or release >= (0, 30, 0),
        has_native_path=release >= (0, 30, 0),
        prefers_tool_round_trip=release >= (0, 31, 0),
    )


def is_since(version: str, first: str) -> bool:
    """Return whether a version is at least another; ``0.0.0``, an unstamped build, is the newest.

    Raises:
        UsageProblem: One of them is not a version.
    """
    return release_of(version) >= release_of(first)


def release_of(version: str) -> tuple[int, int, int]:
    """Return major, minor and patch of a version, which compare as releases do.

    Those of ``0.0.0``, an unstamped build, are higher than any.

    Raises:
        UsageProblem: It is not a version.
    """
    match = _VERSION.match(version.strip())
    if match is None:
        raise UsageProblem(
            f"invalid Ollama version {version[:80]!r}",
            hint="use a version such as 0.34.4 (see `ollama --version`)",
        )
    major, minor, patch = match.groups()
    release = (int(major), int(minor), int(patch or 0))
    if release == _UNSTAMPED:
        release = (10**9, 0, 0)
    return release
