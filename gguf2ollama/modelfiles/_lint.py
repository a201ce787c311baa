"""Find the problems of a Modelfile before a server does, or fails to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.modelfiles._answer import Event, cutting_stops
from gguf2ollama.modelfiles._finding import Finding, Level, Weights
from gguf2ollama.modelfiles._lint_stops import check_stops
from gguf2ollama.modelfiles._lint_template import TemplateLinter
from gguf2ollama.modelfiles._lint_text import check_texts
from gguf2ollama.modelfiles._parameters import PARAMETERS, ParameterSpec, ParameterStatus, nearest, to_value
from gguf2ollama.modelfiles._quote import WAY_OUT, obstacle
from gguf2ollama.modelfiles._registry import PARSERS, RENDERERS
from gguf2ollama.modelfiles._value import Modelfile, Parameter

__all__ = ["lint"]

_NUMBER = r"(?:0|[1-9]\d*)"
_LABEL = rf"(?:{_NUMBER}|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = lazy_pattern(  # golang.org/x/mod/semver, which takes v1 and v1.2 too
    rf"v?{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}(?:-{_LABEL}(?:\.{_LABEL})*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)?)?",
    re.ASCII,
)
_ONCE = ("TEMPLATE", "SYSTEM", "RENDERER", "PARSER", "REQUIRES")
_THOUSANDS = lazy_pattern(r"([0-9]{1,7})[kK]")
_MEANT = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def lint(
    modelfile: Modelfile, *, weights: Weights | None = None, tries_template: bool = True
) -> tuple[Finding, ...]:
    """Check a Modelfile for Ollama 0.34.4; no file that it names is looked at.

    Args:
        modelfile: The Modelfile.
        weights: What is known of the model in FROM. Its chat template is never run, so hostile text does no
            harm.
        tries_template: Whether TEMPLATE is run with chats; of no use where its prompts were compared already.

    Returns:
        The findings in the order of their lines; first those without one.
    """
    weights = weights or Weights()
    # a TEMPLATE that was compared is not parsed once more, as the chat template shows the same marks
    is_parsed = tries_template or not weights.chat_template
    linter = TemplateLinter(modelfile=modelfile, weights=weights) if is_parsed else None
    findings = [
        *_check_instructions(modelfile, weights),
        *_check_carried(modelfile),
        *check_texts(modelfile),
        *_check_parameters(modelfile, weights),
        *check_stops(
            modelfile,
            cutting=_cutting(modelfile, linter.events() if linter else (), weights.chat_template),
            weights=weights,
        ),
        *(linter.check() if linter and tries_template else ()),
        *_check_native(modelfile, weights),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.line or 0))


def _check_instructions(modelfile: Modelfile, weights: Weights) -> Iterator[Finding]:
    if not modelfile.sources:
        yield Finding(
            level="error",
            code="missing-from",
            message="the Modelfile has no FROM",
            hint="name a GGUF, a folder or a model: FROM ./model.gguf",
        )
    if modelfile.adapters:
        yield Finding(
            level="error",
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
    for keyword in ("TEMPLATE", "SYSTEM"):
        if getattr(modelfile, keyword.lower()) == "":
            yield Finding(
                level="warning",
                code="empty-value",
                message=f"{keyword} is empty, which Ollama takes for no {keyword} at all",
                line=modelfile.line(keyword),
                hint="remove it, or give it a text",
            )
    yield from _check_built_in(modelfile, weights)
    counts = Counter(instruction.keyword for instruction in modelfile.instructions)
    for keyword in _ONCE:
        if counts[keyword] > 1:
            yield Finding(
                level="warning",
                code="repeated-instruction",
                message=f"{keyword} appears {counts[keyword]} times; only the last one counts",
                line=modelfile.line(keyword),
                hint="keep one",
            )


def _check_built_in(modelfile: Modelfile, weights: Weights) -> Iterator[Finding]:
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
    # and not a model with a TEMPLATE
    takes_a_file = weights.architecture or any(source.endswith(".gguf") for source in modelfile.sources)
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
    level: Level = "error"
    if modelfile.instructions:
        level = "warning"  # it can be represented, if only because of where its line ended
    for keyword, value, line in _values(modelfile):
        if reason := obstacle(value):
            yield Finding(
                level=level, code="not-carried", message=f"{keyword} {reason}", line=line, hint=WAY_OUT
            )


def _values(modelfile: Modelfile) -> Iterator[tuple[str, str, int | None]]:
    """Yield every value with its instruction and its line."""
    if modelfile.instructions:
        for instruction in modelfile.instructions:
            yield instruction.title, instruction.value, instruction.line
        return
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
            yield keyword, value, None
    for keyword, values in many.items():
        for value in values:
            yield keyword, value, None
    for parameter in modelfile.parameters:
        yield f"PARAMETER {parameter.name}", parameter.text, None


def _check_parameters(modelfile: Modelfile, weights: Weights) -> Iterator[Finding]:
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
                message=f"{parameter.name} takes {spec.kind}, not {parameter.text[:80]!r}",
                line=parameter.line,
                hint=_typed(parameter, spec),
            )
        elif not spec.is_in_range(parameter.value):
            yield _out_of_range(parameter, spec)
        elif parameter.name == "num_ctx" and 0 < weights.context_tokens < int(parameter.value):
            yield Finding(
                level="warning",
                code="context-beyond-training",
                message=f"num_ctx {parameter.text} is beyond the {weights.context_tokens} tokens that the"
                " model was trained for",
                line=parameter.line,
                hint=f"use at most {weights.context_tokens}",
            )
        if parameter.name in seen and not spec.may_repeat:
            yield Finding(
                level="warning",
                code="repeated-parameter",
                message=f"{parameter.name} is set more than once; only the last value counts",
                line=parameter.line,
                hint="keep one",
            )
        seen.add(parameter.name)


def _typed(parameter: Parameter, spec: ParameterSpec) -> str | None:
    """Return what a value of the wrong type was meant to be."""
    text, comment, _ = parameter.text.partition("#")
    text = text.strip()
    if match := _THOUSANDS.fullmatch(text):
        text = str(int(match[1]) * 1024)
    elif not spec.is_typed(to_value(parameter.name, text)):
        text = _MEANT.get(text.lower(), text.replace(",", "" if spec.type == "int" else "."))
    if not spec.is_typed(to_value(parameter.name, text)):
        return None
    why = ", and the comment on a line of its own" if comment else ""
    return f"write PARAMETER {parameter.name} {text}{why}"


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


def _cutting(modelfile: Modelfile, events: tuple[Event, ...], chat_template: str) -> frozenset[str]:
    """Return the stop strings that either template prints within an answer."""
    if not modelfile.stops:
        return frozenset()
    cutting = cutting_stops(modelfile.stops, events=events, source=modelfile.template or "")
    if not chat_template:
        return cutting
    from gguf2ollama.modelfiles._chat_template import read_chat_template  # noqa: PLC0415 - Jinja takes 15 ms

    shown = read_chat_template(chat_template)
    return cutting | cutting_stops(modelfile.stops, events=shown, source=chat_template)


def _check_native(modelfile: Modelfile, weights: Weights) -> Iterator[Finding]:
    """Check a Modelfile without TEMPLATE: the chat template in the GGUF renders chats."""
    is_native = not (modelfile.template or modelfile.renderer or modelfile.parser)
    if is_native and modelfile.system and not weights.prints_system:
        yield Finding(
            level="warning",
            code="unprinted-system",
            message="the chat template in the GGUF prints no system prompt, so SYSTEM has no effect",
            line=modelfile.line("SYSTEM"),
            hint="add a TEMPLATE that prints {{ .System }}, or remove SYSTEM",
        )
