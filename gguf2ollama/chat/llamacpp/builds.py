"""What the builds of llama.cpp that come with Ollama's versions do differently.

Read in the sources of llama.cpp b9840, b9892, b10488, b10760, b10865 and b11095 (``common/jinja``,
``common/chat.cpp``, ``common/parsers``, ``common/arg.cpp``), and held to servers with b10488 and b11095.
``LLAMA_CPP_VERSION`` in Ollama names the builds: b9840 in 0.31.0, b9888 in 0.32.0, b10488 in 0.32.15 and
0.33.0, b10760 in 0.34.0, b10864 in 0.34.1, b10969 in 0.34.2, b11081 in 0.34.4.

Those of 0.30 (b9452 in 0.30.0, b9672 in 0.30.10) were read, but held to no server, so that nothing is
foretold of them. The engine is that of b9840 but for these: it has no ``call`` blocks, and no filters ``min``
and ``max``; a macro sees the names where it was written, not where it is called; MiniCPM 5 is no kind of its
own. In b9452 the filters ``count``, ``d`` and ``e`` are unknown, too; slices with a negative step and
``replace`` of an empty text come out otherwise; ``split`` takes an empty separator; LFM 2 and Cohere 2 MoE
are other kinds.
"""

from __future__ import annotations

from dataclasses import replace

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.llamacpp.jinja_engine.interpreter import Dialect
from gguf2ollama.gotmpl.versions import release_of

__all__ = ["Build", "builds_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What a build of llama.cpp does.

    Attributes:
        name: Such as ``b11081``.
        dialect: Its Jinja engine.
        misses_text: Whether a template that takes contents apart, and does not print a plain one, takes only
            lists of parts, and is given such lists when it is learned, too.
        tries_empty_parts: Whether a template that asks if a content is a string is probed with a list.
        preserves_reasoning: Whether ``preserve_thinking`` is true where nobody says, and ``clear_thinking``
            false.
        has_strength: Whether ``reasoning_effort`` is told as ``reasoning_strength``, too.
        families: How many kinds of templates it treats apart; see ``families``.
    """

    name: str
    dialect: Dialect
    misses_text: bool = True
    tries_empty_parts: bool = True
    preserves_reasoning: bool = True
    has_strength: bool = True
    families: int = 3


_B11081 = Build(name="b11081", dialect=Dialect())
_B10864 = replace(
    _B11081,
    name="b10864",
    dialect=Dialect(looks_up_none=False, takes_numbered_members=False),
    families=2,
)
_B10760 = replace(
    _B10864,
    name="b10760",
    dialect=Dialect(looks_up_none=False, takes_numbered_members=False, marks_tests=False),
    tries_empty_parts=False,
    preserves_reasoning=False,
)
_B10488 = replace(_B10760, name="b10488")
_B9840 = replace(
    _B10488,
    name="b9840",
    dialect=replace(_B10488.dialect, formats_text=False),
    misses_text=False,
    has_strength=False,
    families=1,
)
# from which version of Ollama on; what lies between two is either
_STEPS: tuple[tuple[tuple[int, int, int], tuple[Build, ...]], ...] = (
    ((0, 34, 4), (_B11081,)),
    ((0, 34, 2), (_B10864, _B11081)),
    ((0, 34, 1), (_B10864,)),
    ((0, 34, 0), (_B10760,)),
    ((0, 33, 1), (_B10488, _B10760)),
    ((0, 32, 15), (_B10488,)),
    ((0, 32, 1), (_B9840, _B10488)),
    ((0, 31, 0), (_B9840,)),
)


def builds_of(version: str) -> tuple[Build, ...]:
    """Return the builds that a version of Ollama may come with, as far as they differ; none if unknown.

    Versions newer than 0.34.4, and 0.0.0, an unstamped build, count as that.

    Raises:
        UsageProblem: It is no version.
    """
    release = release_of(version)
    return next((builds for first, builds in _STEPS if release >= first), ())
