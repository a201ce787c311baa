"""Match a chat template with a family: it is the family's own, or only resembles it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.families.profile import DefaultSystem, Profile
from gguf2ollama.gotmpl.write import printable_text
from gguf2ollama.jinja.facts import ChatTemplate

__all__ = ["find_objection", "read_system"]

_QUOTED = 60  # characters of a text quoted in a message
_ROLE = lazy_pattern(r"\b(?:system|user|assistant)\b")  # our templates print .Role
_LINE_ENDS = lazy_pattern(r"[\r\n]+|(?<=>)(?=<)")
_SAYS_NOTHING = lazy_pattern(r"\w+|[^\w<>\[\]|#]{1,3}")


def find_objection(template: ChatTemplate, *, profile: Profile) -> str | None:
    """Return why a chat template is not the family's; ``None`` if it is.

    Raises:
        InvalidProfile: The Go template of the family cannot be rendered.
    """
    return next(_objections(template, profile=profile), None)


def _objections(template: ChatTemplate, *, profile: Profile) -> Iterator[str]:
    """Yield the reasons against the family, the cheapest to find first."""
    evidence = profile.evidence
    for mark in evidence.contains:
        if mark not in template.marks:
            yield f"it lacks {_quote(mark)}"
    for mark in evidence.lacks:
        if mark in template.marks:
            yield f"it contains {_quote(mark)}"
    if surplus := template.transforms - evidence.transforms - evidence.optional_transforms:
        yield f"it applies {', '.join(sorted(surplus))} to messages"
    if missing := evidence.transforms - template.transforms:
        yield f"it does not apply {', '.join(sorted(missing))} to messages"
    if template.is_loose and not evidence.is_loose:
        yield "it prints whitespace between its tags"
    for line in _unexplained(template, profile=profile):
        yield f"it prints {_quote(line)}"


def _unexplained(template: ChatTemplate, *, profile: Profile) -> Iterator[str]:
    """Yield the lines that the chat template can print and the family's Go template cannot."""
    holder, system = _find_system(template, profile=profile)
    go_template = profile.go_template(system=system, switches=profile.read_switches(template))
    known = "\n".join((printable_text(go_template), system or ""))
    unreached = profile.evidence.unreached
    for line in _lines(text for text in template.printed if text != holder):
        if not (line in known or _ROLE.sub("", line) in known or line.startswith(unreached)):
            yield line


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """Yield the significant lines: not whitespace, and not a single word such as a role or a key.

    Adjacent tags are separate lines, since ours may be in different branches.
    """
    for text in texts:
        for line in _LINE_ENDS.split(text):
            stripped = line.strip()
            if stripped and not _SAYS_NOTHING.fullmatch(stripped):
                yield stripped


def _find_system(template: ChatTemplate, *, profile: Profile) -> tuple[str | None, str | None]:
    """Return the text in the chat template that contains the default system prompt, and the prompt itself."""
    pattern = profile.system_pattern
    for printed in template.printed:
        if pattern and (match := pattern.search(printed)):
            return printed, match[1]
    if profile.system and profile.system.text in template.printed:
        return profile.system.text, profile.system.text
    return None, None


def read_system(template: ChatTemplate, *, profile: Profile) -> DefaultSystem | None:
    """Return the default system prompt in a chat template of the family."""
    _, text = _find_system(template, profile=profile)
    if text is None:
        return None
    if profile.system and text == profile.system.text:
        return profile.system
    return DefaultSystem(text=text, source="the chat template in the GGUF")


def _quote(text: str) -> str:
    short = text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
    return f"“{short}”".replace("\n", "\\n")
