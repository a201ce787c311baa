"""Real servers take a model's answers apart as predicted: what is said, what is thought, and calls of tools.

The model is a scripted one. It writes what its chat template shows in turns that are over, and a server has
to tell of it what was told to the chat template.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gguf2ollama.chat.answers.model_output import Answer, answers_of
from gguf2ollama.chat.answers.ollama_parsers import known_parsers
from gguf2ollama.chat.answers.output_checks import first_that_reads, misread_natively
from gguf2ollama.chat.changes.rewrites import with_arguments_as_json
from gguf2ollama.chat.choice.candidate import Question, TemplateChoice
from gguf2ollama.chat.choice.selection import choose_template
from gguf2ollama.chat.llamacpp import read_native
from gguf2ollama.chat.ollama_input import canonical
from gguf2ollama.chat.outcome import Misread
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import Authors, as_asked, claims_of
from tests.calling_templates import (
    ACTIONS,
    JSON_CALLS,
    KEYS_AND_VALUES,
    MISREAD,
    SILENT_CALLS,
    TAKEN_FOR_ANOTHER,
    TEXT_ARGUMENTS,
    UNFORESEEN_CALLS,
    UNSEEN_THOUGHTS,
    XML_CALLS,
    XML_CALLS_NO_THOUGHTS,
)
from tests.live.rendering import BOS, EOS, RenderingServer, Told, corpus_templates
from tests.live.servers import RunningOllama
from tests.scripted_llama import scripted_llama

pytestmark = pytest.mark.live

_ENDS = (
    "<|im_end|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|turn_end|>",
    "<|user|>",
    "<|observation|>",
    "</assistant>",
    "<|eot_id|>",
    "[e~[",
    EOS,
)
_FAILED = Told(reason="failed")
_BY_PARSER = {"qwen3.5": XML_CALLS, "glm-4.7": KEYS_AND_VALUES, "cohere": ACTIONS}


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    """Return the authors' side."""
    with Renderer() as renderer:
        yield renderer


@pytest.fixture
def server(ollama_server: RunningOllama) -> Iterator[RenderingServer]:
    """Return a server."""
    with RenderingServer(ollama_server) as server:
        yield server


def _authors(chat_template: str) -> Authors:
    return Authors(chat_template=chat_template, bos=BOS, eos=EOS)


def _choose(chat_template: str, *, renderer: Renderer, server: RenderingServer) -> TemplateChoice:
    """Choose a TEMPLATE, which is honoured beside a chat template that shows tools where it has a parser."""
    question = Question(authors=_authors(chat_template), version=server.ollama.version, is_native=False)
    choice = choose_template(question, renderer=renderer)
    assert isinstance(choice, TemplateChoice)
    return choice


def _choose_native(chat_template: str, *, renderer: Renderer, server: RenderingServer) -> TemplateChoice:
    question = Question(
        authors=_authors(chat_template), version=server.ollama.version, has_companions=True, may_patch=False
    )
    choice = choose_template(question, renderer=renderer)
    assert isinstance(choice, TemplateChoice)
    return choice


def _met(answers: Sequence[Answer], *, thinks: bool) -> list[Answer]:
    """Return the answers that a model with or without thoughts is asked for."""
    return [one for one in answers if (one.asked.think is None) != thinks]


def _written(answer: Answer) -> str:
    """Return what the model writes before the end of its turn."""
    ends = [place for mark in _ENDS if (place := answer.text.find(mark, answer.end)) >= 0]
    return answer.text[: min(ends, default=len(answer.text))]


def _in_braces(answer: Answer) -> Answer:
    said = f"{{{answer.said}}}"
    return dataclasses.replace(answer, text=answer.text.replace(answer.said, said), end=answer.end + 2)


def _heard(
    server: RenderingServer,
    folder: Path,
    chat_template: str,
    answers: Sequence[Answer],
    *,
    thinks: bool,
    go_template: str | None = None,
    parser: str = "",
    may_fail: bool = False,
) -> list[Told]:
    """Let a model write all answers, each where its question has a number of its own; give what is told."""
    numbers = [f"(question {number} of many)" for number in range(len(answers))]
    says = [_written(one) for one in answers]
    path = scripted_llama(
        folder / "scripted.gguf",
        "I do not know that question.",
        after=dict(zip(numbers, says, strict=True)),
        chat_template=chat_template,
        special_tokens=(BOS, EOS),
    )
    told = []
    with server.model(path.read_bytes(), go_template=go_template, parser=parser) as name:
        for number, answer in zip(numbers, answers, strict=True):
            asked = as_asked(answer.asked, thinks=thinks)
            first, *rest = asked.messages
            numbered = dataclasses.replace(first, content=f"{first.content} {number}")
            try:
                told.append(server.answer(name, dataclasses.replace(asked, messages=(numbered, *rest))))
            except AssertionError:
                if not may_fail:
                    raise
                told.append(_FAILED)
    return told


def _meant(answer: Answer) -> tuple[str, str, list[tuple[str, dict[str, object]]]]:
    return answer.said, answer.thought, [(call.name, dict(call.arguments)) for call in answer.calls]


@pytest.mark.parametrize("name", _BY_PARSER)
def test_a_parser_takes_answers_apart_as_predicted(
    name: str, renderer: Renderer, server: RenderingServer, tmp_path: Path
) -> None:
    text = _BY_PARSER[name]
    choice = _choose(text, renderer=renderer, server=server)
    assert choice.chosen.parser is not None
    assert choice.chosen.parser.name == name
    answers = _met(answers_of(_authors(text).load(renderer)), thinks=True)
    told = _heard(
        server,
        tmp_path,
        text,
        answers,
        thinks=True,
        go_template=choice.chosen.go_template,
        parser=name,
    )
    for answer, real in zip(answers, told, strict=True):
        assert (real.content.strip(), real.thinking.strip(), real.calls) == _meant(answer), answer.text
        predicted = choice.chosen.parser.read(_written(answer), asked=answer.asked)
        assert predicted is not None
        assert (predicted.said, predicted.thought, predicted.calls) == (
            real.content,
            real.thinking,
            real.calls,
        ), answer.text


def test_the_parser_without_thoughts_takes_answers_apart(
    renderer: Renderer, server: RenderingServer, tmp_path: Path
) -> None:
    authors = _authors(XML_CALLS_NO_THOUGHTS)
    answers = _met(answers_of(authors.load(renderer)), thinks=False)
    parser = first_that_reads(known_parsers(server.ollama.version), answers, thinks=False)
    assert parser is not None
    assert parser.name == "qwen3-coder"
    template = "{{ range .Messages }}{{ .Role }}: {{ .Content }}\n{{ end }}{{ range .Tools }}{{ . }}{{ end }}"
    told = _heard(
        server,
        tmp_path,
        XML_CALLS_NO_THOUGHTS,
        answers,
        thinks=False,
        go_template=template,
        parser=parser.name,
    )
    for answer, real in zip(answers, told, strict=True):
        assert (real.content.strip(), real.thinking, real.calls) == _meant(answer), answer.text


@pytest.mark.parametrize("way", ["native", "TEMPLATE"])
def test_calls_in_json_are_read_without_a_parser(
    way: str, renderer: Renderer, server: RenderingServer, tmp_path: Path
) -> None:
    choice = _choose(JSON_CALLS, renderer=renderer, server=server)
    assert choice.chosen.go_template is not None
    assert choice.chosen.parser is None
    answers = _met(answers_of(_authors(JSON_CALLS).load(renderer)), thinks=True)
    template = choice.chosen.go_template if way == "TEMPLATE" else None
    told = _heard(server, tmp_path, JSON_CALLS, answers, thinks=True, go_template=template)
    for answer, real in zip(answers, told, strict=True):
        assert (real.content.strip(), real.thinking.strip(), real.calls) == _meant(answer), answer.text


@pytest.mark.parametrize("text", [XML_CALLS, KEYS_AND_VALUES], ids=["XML", "keys and values"])
def test_calls_in_other_forms_are_read_natively(
    text: str, renderer: Renderer, server: RenderingServer, tmp_path: Path
) -> None:
    answers = _met(answers_of(_authors(text).load(renderer)), thinks=True)
    told = _heard(server, tmp_path, text, answers, thinks=True)
    for answer, real in zip(answers, told, strict=True):
        assert (real.content.strip(), real.thinking.strip(), real.calls) == _meant(answer), answer.text


def test_calls_in_xml_are_not_read_by_a_template_alone(
    renderer: Renderer, server: RenderingServer, tmp_path: Path
) -> None:
    choice = _choose(XML_CALLS, renderer=renderer, server=server)
    assert claims_of(_authors(XML_CALLS).load(renderer)).tools
    answers = [one for one in _met(answers_of(_authors(XML_CALLS).load(renderer)), thinks=True) if one.calls]
    told = _heard(server, tmp_path, XML_CALLS, answers, thinks=True, go_template=choice.chosen.go_template)
    for answer, real in zip(answers, told, strict=True):
        assert real.calls != _meant(answer)[2], answer.text


def _foretells(
    name: str, text: str, *, renderer: Renderer, server: RenderingServer, folder: Path
) -> tuple[Misread, ...]:
    """Check that all answers are read as predicted, and return what is misread.

    A call that a grammar holds the model to comes out as the grammar has it, which is not predicted.
    """
    native = read_native(text, version=server.ollama.version, bos=BOS, eos=EOS)
    thinks = "thinking" in native.capabilities
    answers = _met(answers_of(_authors(text).load(renderer)), thinks=thinks)
    has_tools = "tools" in native.capabilities
    answers = [one for one in answers if _written(one) and (has_tools or not one.asked.tools)]
    asked = [*answers, *(_in_braces(one) for one in answers if not one.calls)]
    told = _heard(server, folder, text, asked, thinks=thinks, may_fail=True)
    for answer, real in zip(asked, told, strict=True):
        for reader in native.answer_readers(with_tools=bool(answer.asked.tools)):
            request = canonical(
                as_asked(answer.asked, thinks=thinks), path="native", version=server.ollama.version
            )
            heard = reader.read(_written(answer), asked=request)
            found = (real.content.strip(), real.thinking.strip(), real.calls)
            if heard is None and answer.calls:
                assert reader.holds_to_form(answer.text) or real.calls != _meant(answer)[2], answer.text
                continue
            predicted = None if heard is None else (heard.said.strip(), heard.thought.strip(), heard.calls)
            assert predicted == (None if real is _FAILED else found), (name, answer.text)
    return misread_natively(native, answers, thinks=thinks, version=server.ollama.version)


@pytest.mark.parametrize("kind", [*MISREAD, "unforeseen", "silent"])
def test_what_is_foreseen_to_be_misread_natively_is(
    kind: str, renderer: Renderer, server: RenderingServer, tmp_path: Path
) -> None:
    text = {**MISREAD, "unforeseen": UNFORESEEN_CALLS, "silent": SILENT_CALLS}[kind]
    found = _foretells(kind, text, renderer=renderer, server=server, folder=tmp_path)
    assert found == (("contents",) if kind in {"unforeseen", "silent"} else (kind,))


_OF_THE_CORPUS: dict[str, tuple[Misread, ...]] = {  # by what their names begin with
    "Command-R-": (),
    "GLM-4.6": (),
    "Llama-3.2": ("braces",),
    "MiniMax-M2": ("several calls",),
    "Qwen3-b": (),
    "llama-cpp-rwkv": ("thoughts",),
}


@pytest.mark.corpus
@pytest.mark.parametrize("start", _OF_THE_CORPUS)
def test_what_models_of_the_corpus_write_is_read_natively_as_predicted(
    start: str, renderer: Renderer, server: RenderingServer, tmp_path: Path
) -> None:
    found = [(name, text) for name, text in corpus_templates().items() if name.startswith(start)]
    if not found:
        pytest.skip("the corpus is not beside the checkout")
    name, text = found[0]
    misread = _foretells(name, text, renderer=renderer, server=server, folder=tmp_path)
    assert misread == _OF_THE_CORPUS[start]


def test_a_call_that_is_foreseen_to_be_missed_natively_ends_in_an_error(
    renderer: Renderer, server: RenderingServer, tmp_path: Path
) -> None:
    chosen = _choose_native(UNFORESEEN_CALLS, renderer=renderer, server=server)
    assert (chosen.chosen.origin, chosen.chosen.misses_calls) == ("native", True)
    answers = _met(answers_of(_authors(UNFORESEEN_CALLS).load(renderer)), thinks=False)
    (call,) = [one for one in answers if len(one.calls) == 1 and len(one.calls[0].arguments) == 1][:1]
    with pytest.raises(AssertionError, match="peg-native"):
        _heard(server, tmp_path, UNFORESEEN_CALLS, [call], thinks=False)


def test_calls_whose_arguments_are_text_are_read_with_a_changed_header(
    renderer: Renderer, server: RenderingServer, tmp_path: Path
) -> None:
    changed = with_arguments_as_json(TEXT_ARGUMENTS)
    assert changed is not None
    answers = _met(answers_of(_authors(TEXT_ARGUMENTS).load(renderer)), thinks=False)
    single = [one for one in answers if len(one.calls) == 1]
    for answer, real in zip(single, _heard(server, tmp_path, changed, single, thinks=False), strict=True):
        assert real.calls == _meant(answer)[2], answer.text


def test_thoughts_that_the_model_begins_by_itself_stay_in_answers_as_predicted(
    renderer: Renderer, server: RenderingServer, tmp_path: Path
) -> None:
    text = UNSEEN_THOUGHTS
    assert _foretells("unseen", text, renderer=renderer, server=server, folder=tmp_path) == ("thoughts",)
    answers = _met(answers_of(_authors(text).load(renderer)), thinks=True)
    plain = next(one for one in answers if one.asked.think is True and not one.asked.tools)
    thought = dataclasses.replace(plain, text=f"<think>\nHm.\n</think>\n\n{plain.text}", end=plain.end + 22)
    (told,) = _heard(server, tmp_path, text, [thought], thinks=True)
    assert "Hm." in told.content
    assert not told.thinking


def test_what_is_taken_for_another_familys_fails_unless_the_header_is_changed(
    renderer: Renderer, server: RenderingServer, tmp_path: Path
) -> None:
    question = Question(
        authors=_authors(TAKEN_FOR_ANOTHER), version=server.ollama.version, may_template=False
    )
    choice = choose_template(question, renderer=renderer)
    assert isinstance(choice, TemplateChoice)
    assert choice.chosen.chat_template is not None
    answers = _met(answers_of(_authors(TAKEN_FOR_ANOTHER).load(renderer)), thinks=False)
    failed = _heard(server, tmp_path, TAKEN_FOR_ANOTHER, answers, thinks=False, may_fail=True)
    assert all(real is _FAILED for real in failed)
    told = _heard(server, tmp_path, choice.chosen.chat_template, answers, thinks=False)
    for answer, real in zip(answers, told, strict=True):
        assert (real.content.strip(), real.thinking, real.calls) == _meant(answer), answer.text


@pytest.mark.corpus
def test_what_models_of_the_corpus_write_is_taken_apart_by_the_parser_they_get(
    renderer: Renderer, server: RenderingServer, tmp_path: Path
) -> None:
    templates = corpus_templates()
    if not templates:
        pytest.skip("the corpus is not beside the checkout: 183 templates are not tried")
    tried = []
    for name, text in templates.items():
        question = Question(authors=_authors(text), version=server.ollama.version, is_native=False)
        choice = choose_template(question, renderer=renderer)
        if not isinstance(choice, TemplateChoice) or (parser := choice.chosen.parser) is None:
            continue
        tried.append(name)
        thinks = "thinking" in choice.chosen.capabilities
        answers = _met(answers_of(_authors(text).load(renderer)), thinks=thinks)
        told = _heard(
            server,
            tmp_path,
            text,
            answers,
            thinks=thinks,
            go_template=choice.chosen.go_template,
            parser=parser.name,
        )
        for answer, real in zip(answers, told, strict=True):
            assert (real.content.strip(), real.thinking.strip(), real.calls) == _meant(answer), name
    assert len(tried) >= 5
