"""Our parser, renderer and linter against Ollama's own packages, text by text."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.modelfiles import (
    Message,
    Modelfile,
    Parameter,
    lint,
    parse_modelfile,
    render_modelfile,
)
from gguf2ollama.modelfiles._charset import unprintable
from tests.live.ollama_oracle import Oracle, OracleMissing, module_folder, running_oracle
from tests.unit.modelfiles.strategies import modelfile_texts, modelfiles

pytestmark = pytest.mark.live

MANY = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))

# what we refuse on purpose: Ollama would take these for parameters without a name, or for instructions
_REFUSED = re.compile(
    r"(?i:parameter)[ \t]([ \t]|"
    r"(model|license|template|system|adapter|renderer|parser|requires|draft|message)[ \t])"
)
_NO_NUMBER = re.compile(r"[+-]?(inf|infinity|nan)", re.IGNORECASE)


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    try:
        with running_oracle() as running:
            yield running
    except OracleMissing as reason:
        pytest.skip(f"missing part: {reason}")


def as_modelfile(commands: list[dict[str, str]]) -> Modelfile:
    """Return the value that Ollama's list of commands stands for."""
    once: dict[str, str] = {}
    many: dict[str, list[str]] = {"model": [], "license": [], "adapter": [], "draft": []}
    parameters: list[Parameter] = []
    messages: list[Message] = []
    for command in commands:
        name, args = command["name"], command["args"]
        if name in many:
            many[name].append(args)
        elif name in {"template", "system", "renderer", "parser", "requires"}:
            once[name] = args
        elif name == "message":
            role, _, content = args.partition(": ")
            messages.append(Message(role=role, content=content))  # type: ignore[arg-type]
        else:
            parameters.append(Parameter(name=name, value=args))
    return Modelfile(
        sources=tuple(many["model"]),
        licenses=tuple(many["license"]),
        adapters=tuple(many["adapter"]),
        drafts=tuple(many["draft"]),
        parameters=tuple(parameters),
        messages=tuple(messages),
        **once,
    )


def parsed(text: str | bytes) -> Modelfile | None:
    try:
        return parse_modelfile(text)
    except InvalidModelfile:
        return None


def expected(answer: dict[str, Any]) -> Modelfile | None:
    return None if answer["error"] else as_modelfile(answer["commands"])


@MANY
@given(text=modelfile_texts)
@example(text='FROM x\nSYSTEM """a"""b"""\n')
@example(text='FROM x\nSYSTEM "a" trailing\nLICENSE "')
@example(text="\u200bFROM x")
@example(text='FROM x\nSYSTEM "\u200b""a"""')
@example(text='FROM x\r\nSYSTEM """a\r\nb"""\r\n')
@example(text='FROM "\n""')
def test_a_text_is_read_as_ollama_reads_it(text: str, oracle: Oracle) -> None:
    ours, theirs = parsed(text), expected(oracle.ask("modelfile", text.encode()))
    if ours is None and theirs is not None and _REFUSED.search(text):
        return
    assert ours == theirs


@MANY
@given(text=modelfile_texts)
def test_utf_16_is_read_as_ollama_reads_it(text: str, oracle: Oracle) -> None:
    for data in (b"\xff\xfe" + text.encode("utf-16-le"), b"\xfe\xff" + text.encode("utf-16-be")):
        ours, theirs = parsed(data), expected(oracle.ask("modelfile", data))
        if not _REFUSED.search(text):
            assert ours == theirs


@MANY
@given(modelfile=modelfiles)
def test_what_we_render_ollama_reads_back(modelfile: Modelfile, oracle: Oracle) -> None:
    try:
        text = render_modelfile(
            modelfile, comments={"": "head", "stop": "ends a turn\r\nFROM y", "SYSTEM": '"""'}
        )
    except InvalidModelfile:
        return
    assert expected(oracle.ask("modelfile", text.encode())) == modelfile


def narrow(value: Any) -> Any:
    return struct.unpack("<f", struct.pack("<f", value)) if isinstance(value, float) else value


@MANY
@given(modelfile=modelfiles)
def test_parameters_are_sent_as_ollama_create_sends_them(modelfile: Modelfile, oracle: Oracle) -> None:
    only = Modelfile(sources=("x",), parameters=modelfile.parameters)
    try:
        text = render_modelfile(only)
    except InvalidModelfile:
        return
    if only.parameter("typical_p") is not None or any(_NO_NUMBER.fullmatch(p.text) for p in only.parameters):
        return  # the program refuses the one before this step, and cannot send the others behind it
    answer = oracle.ask("modelfile", text.encode())
    try:
        ours = only.parameters_json()
    except InvalidModelfile:
        assert answer["request_error"]
        return
    theirs = answer["parameters"] or {}
    assert answer["request_error"] == ""
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert narrow(value) == narrow(type(value)(theirs[name])), name


def test_a_character_is_dropped_exactly_where_go_does_not_print_it(oracle: Oracle) -> None:
    printable = {code for first, last in oracle.ask("printable") for code in range(first, last + 1)}
    kept_in_values = {ord("\t"), ord("\r"), ord("\n")}
    ours = {code for code in range(0x110000) if not unprintable().match(chr(code))}
    assert ours == printable | kept_in_values


def test_the_linter_finds_nothing_in_ollamas_own_templates(oracle: Oracle) -> None:
    templates = sorted((module_folder() / "template").glob("*.gotmpl"))
    assert len(templates) > 10
    for path in templates:
        settings_file = path.with_suffix(".json")
        stops = json.loads(settings_file.read_text())["stop"] if settings_file.exists() else []
        modelfile = Modelfile(
            sources=("x",),
            template=path.read_text(encoding="utf-8"),
            system="Be brief.",
            parameters=tuple(Parameter(name="stop", value=stop) for stop in stops),
        )
        assert lint(modelfile) == (), path.name


def test_an_error_of_ollamas_names_the_line_that_ours_names(oracle: Oracle) -> None:
    text = "FROM x\n\n# why\nPARAMETER stop a\nMESSAGE tool hi\n"
    with pytest.raises(InvalidModelfile, match="line 5"):
        parse_modelfile(text)
    assert "line 5" in oracle.ask("modelfile", text.encode())["error"]
