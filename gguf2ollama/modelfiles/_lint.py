"""Find the problems of a Modelfile before a server does, or fails to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.modelfiles._answer import cutting_stops
from gguf2ollama.modelfiles._go_template import GoTemplate, UnbalancedTemplateError, read_go_template
from gguf2ollama.modelfiles._parameters import PARAMETERS, ParameterSpec, ParameterStatus, nearest
from gguf2ollama.modelfiles._quote import WAY_OUT, obstacle
from gguf2ollama.modelfiles._registry import PARSERS, RENDERERS
from gguf2ollama.modelfiles._value import Modelfile, Parameter

__all__ = ["Finding", "Level", "lint"]

Level: TypeAlias = Literal["error", "warning", "note"]

_VERSION = lazy_pattern(r"v?(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){0,2}(?:[-+][0-9A-Za-z.+-]+)?", re.ASCII)
_ONCE = ("TEMPLATE", "SYSTEM", "RENDERER", "PARSER", "REQUIRES")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A finding of the linter.

    ``line`` is the line in the file, if known; ``hint`` says what to do. An error is
    what Ollama rejects or what breaks answers, a warning what has no effect or probably not the intended
    one, a note what does no harm. The codes are stable: ``missing-from``, ``adapter``,
    ``invalid-requires``, ``unknown-renderer``, ``unknown-parser``, ``parser-alone``,
    ``repeated-instruction``, ``not-carried``, ``unknown-parameter``,
    ``deprecated-parameter``, ``refused-parameter``, ``ill-typed-parameter``, ``out-of-range-parameter``,
    ``repeated-parameter``, ``empty-stop``, ``duplicate-stop``, ``stop-in-answer``, ``unbalanced-template``,
    ``template-without-prompt`` and ``unprinted-tools``.
    """

    level: Level
    code: str
    message: str
    line: int | None = None
    hint: str | None = None


def lint(modelfile: Modelfile, *, chat_template: str | None = None) -> tuple[Finding, ...]:
    """Check a Modelfile for Ollama 0.34.4.

    Args:
        modelfile: The Modelfile.
        chat_template: The Jinja template in the model's GGUF, for the stop strings: it also shows what the
            model has to write within an answer. It is never run, so hostile text does no harm.

    Returns:
        The findings: first those of the whole file, then parameters, stop strings and the template.
    """
    template: GoTemplate | None = None
    broken: tuple[Finding, ...] = ()
    try:
        template = read_go_template(modelfile.template or "")
    except UnbalancedTemplateError as error:
        broken = (_unbalanced(modelfile, error),)
    return (
        *_check_instructions(modelfile),
        *_check_carried(modelfile),
        *_check_parameters(modelfile),
        *_check_stops(modelfile, cutting=_cutting(modelfile, template, chat_template)),
        *broken,
        *(_check_template(modelfile, template) if template and modelfile.template else ()),
    )


def _check_instructions(modelfile: Modelfile) -> Iterator[Finding]:
    if not any(modelfile.sources):
        yield Finding(
            level="error",
            code="missing-from",
            message="FROM is missing or empty",
            line=modelfile.line("FROM"),
            hint="name a GGUF, a folder or a model: FROM ./model.gguf",
        )
    if modelfile.adapters:
        yield Finding(
            level="warning",
            code="adapter",
            message="Ollama 0.34.1 and later refuse ADAPTER",
            line=modelfile.line("ADAPTER"),
            hint="merge the adapter into the model's weights and convert the result",
        )
    if modelfile.requires is not None and not _VERSION.fullmatch(modelfile.requires):
        yield Finding(
            level="error",
            code="invalid-requires",
            message=f"invalid version in REQUIRES: {modelfile.requires!r}",
            line=modelfile.line("REQUIRES"),
            hint="use a version such as 0.14.0",
        )
    yield from _check_built_in(modelfile)
    counts = Counter(keyword for keyword, _ in modelfile.instructions)
    for keyword in _ONCE:
        if counts[keyword] > 1:
            yield Finding(
                level="warning",
                code="repeated-instruction",
                message=f"{keyword} appears {counts[keyword]} times; only the last one counts",
                line=modelfile.line(keyword),
                hint="keep one",
            )


def _check_built_in(modelfile: Modelfile) -> Iterator[Finding]:
    for keyword, name, known in (
        ("RENDERER", modelfile.renderer, RENDERERS),
        ("PARSER", modelfile.parser, PARSERS),
    ):
        if name is not None and name not in known:
            close = get_close_matches(name[:80], sorted(known), n=1)
            yield Finding(
                level="warning",
                code=f"unknown-{keyword.lower()}",
                message=f"unknown {keyword.lower()} {name[:80]!r} (Ollama 0.34.4)",
                line=modelfile.line(keyword),
                hint=f"did you mean {close[0]}?" if close else None,
            )
    takes_a_file = any(
        source.endswith(".gguf") for source in modelfile.sources
    )  # and not a model with a TEMPLATE
    if takes_a_file and modelfile.parser and not modelfile.renderer and modelfile.template is None:
        yield Finding(
            level="warning",
            code="parser-alone",
            message="with a PARSER, Ollama does not use the chat template in a GGUF: without a TEMPLATE or a"
            " RENDERER the model gets the bare message texts only",
            line=modelfile.line("PARSER"),
            hint="add the TEMPLATE or the RENDERER that goes with it",
        )


def _check_carried(modelfile: Modelfile) -> Iterator[Finding]:
    # a value read from a Modelfile can be represented, if only because of where its line ended
    level: Level = "warning" if modelfile.instructions else "error"
    for keyword, value, line in _values(modelfile):
        if reason := obstacle(value):
            yield Finding(
                level=level, code="not-carried", message=f"{keyword} {reason}", line=line, hint=WAY_OUT
            )


def _values(modelfile: Modelfile) -> Iterator[tuple[str, str, int | None]]:
    """Yield every value with its instruction and its line."""
    many = {
        "FROM": modelfile.sources,
        "ADAPTER": modelfile.adapters,
        "DRAFT": modelfile.drafts,
        "MESSAGE": tuple(message.content for message in modelfile.messages),
        "LICENSE": modelfile.licenses,
    }
    for keyword in _ONCE:
        value: str | None = getattr(modelfile, keyword.lower())
        if value is not None:
            yield keyword, value, modelfile.line(keyword)
    for keyword, values in many.items():
        for value in values:
            yield keyword, value, None
    for parameter in modelfile.parameters:
        yield f"PARAMETER {parameter.name}", parameter.text, parameter.line


def _check_parameters(modelfile: Modelfile) -> Iterator[Finding]:
    seen: set[str] = set()
    for parameter in modelfile.parameters:
        spec = PARAMETERS.get(parameter.name)
        if spec is None:
            yield _unknown(parameter)
            continue
        if spec.status is not ParameterStatus.KNOWN:
            yield _outdated(parameter, spec)
        elif not spec.is_typed(parameter.value):
            yield Finding(
                level="error",
                code="ill-typed-parameter",
                message=f"{parameter.name} takes {spec.kind}, not {parameter.text!r}",
                line=parameter.line,
            )
        elif not spec.is_in_range(parameter.value):
            yield _out_of_range(parameter, spec)
        if parameter.name in seen and not spec.may_repeat:
            yield Finding(
                level="warning",
                code="repeated-parameter",
                message=f"{parameter.name} is set more than once; only the last value counts",
                line=parameter.line,
                hint="keep one",
            )
        seen.add(parameter.name)


def _unknown(parameter: Parameter) -> Finding:
    close = nearest(parameter.name)
    return Finding(
        level="error",
        code="unknown-parameter",
        message=f"unknown parameter {parameter.name[:80]!r}",
        line=parameter.line,
        hint=f"did you mean {close}?" if close else None,
    )


def _outdated(parameter: Parameter, spec: ParameterSpec) -> Finding:
    if spec.status is ParameterStatus.DEPRECATED:
        return Finding(
            level="warning",
            code="deprecated-parameter",
            message=f"{parameter.name} is deprecated and ignored by Ollama",
            line=parameter.line,
            hint="remove it",
        )
    releases = f" {spec.refused_by}" if spec.refused_by else ""
    return Finding(
        level="error",
        code="refused-parameter",
        message=f"Ollama{releases} refuses {parameter.name}",
        line=parameter.line,
        hint="remove it",
    )


def _out_of_range(parameter: Parameter, spec: ParameterSpec) -> Finding:
    bounds = (("at least", spec.minimum), ("at most", spec.maximum))
    sense = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
    return Finding(
        level="warning",
        code="out-of-range-parameter",
        message=f"{parameter.name} {parameter.text} is out of range: it must be {sense}",
        line=parameter.line,
    )


def _cutting(modelfile: Modelfile, template: GoTemplate | None, chat_template: str | None) -> frozenset[str]:
    """Return the stop strings that either template prints within an answer."""
    events = template.events if template else ()
    cutting = cutting_stops(modelfile.stops, events=events, source=modelfile.template or "")
    if not chat_template:
        return cutting
    from gguf2ollama.modelfiles._chat_template import read_chat_template  # noqa: PLC0415 - Jinja takes 15 ms

    shown = read_chat_template(chat_template)
    return cutting | cutting_stops(modelfile.stops, events=shown, source=chat_template)


def _check_stops(modelfile: Modelfile, *, cutting: frozenset[str]) -> Iterator[Finding]:
    seen: set[str] = set()
    for parameter in modelfile.parameters:
        if parameter.name != "stop":
            continue
        if not parameter.text:
            yield Finding(
                level="error",
                code="empty-stop",
                message="an empty stop string ends every answer at once",
                line=parameter.line,
                hint="remove it",
            )
        elif parameter.text in seen:
            yield Finding(
                level="note",
                code="duplicate-stop",
                message=f"duplicate stop {parameter.text!r}",
                line=parameter.line,
                hint="keep one",
            )
        elif parameter.text in cutting:
            yield Finding(
                level="error",
                code="stop-in-answer",
                message=f"stop {parameter.text!r} appears inside tool calls or reasoning",
                line=parameter.line,
                hint="remove it: it cuts answers off; use the text that ends a turn",
            )
        seen.add(parameter.text)


def _unbalanced(modelfile: Modelfile, error: UnbalancedTemplateError) -> Finding:
    return Finding(
        level="error",
        code="unbalanced-template",
        message=f"TEMPLATE: {error}",
        line=modelfile.line("TEMPLATE"),
        hint="each {{ if }}, {{ range }} and {{ with }} needs one {{ end }}",
    )


def _check_template(modelfile: Modelfile, template: GoTemplate) -> Iterator[Finding]:
    line = modelfile.line("TEMPLATE")
    if not {"Messages", "Prompt"} & template.fields:
        yield Finding(
            level="error",
            code="template-without-prompt",
            message="TEMPLATE uses neither .Messages nor .Prompt, so user messages are lost",
            line=line,
            hint="print .Prompt, or range over .Messages",
        )
    if "Tools" in template.fields and not template.prints_tools:
        yield Finding(
            level="warning",
            code="unprinted-tools",
            message="TEMPLATE uses .Tools but prints none, so Ollama accepts tools that the model never sees",
            line=line,
            hint="range over .Tools and print each one, or remove .Tools",
        )
