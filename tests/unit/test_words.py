"""The words that users read."""

import pytest

from tests.words import complaints_of_package, complaints_of_python, complaints_of_template


def rules(source):
    return [one.rule for one in complaints_of_python(source, path="room/file.py")]


@pytest.mark.slow  # it reads the whole package, and `make lint` does so, too
def test_users_read_plain_words():
    assert complaints_of_package() == []


@pytest.mark.parametrize(
    "text",
    [
        "the model is built anew",
        "'banana' is no context length",
        "the shards are no set",
        "what the server makes of it",
        "it makes something of tools",
        "nobody knows",
        "model.gguf is not there",
        "as the authors meant",
        "a tiny stand-in is asked",
        "way: link",
        "the server tells nothing",
    ],
)
@pytest.mark.parametrize(
    "place",
    [
        "notify({})",
        "raise NotFound({})",
        "raise NotFound('x', hint={})",
        "def warnings():\n    yield {}",
        "REASONS = ({},)",
        "click.option('--x', help={})",
        "notify('fine' if x else {})",
    ],
)
def test_dialect_is_refused_wherever_it_is_said(text, place):
    assert rules(place.format(repr(text)))


@pytest.mark.parametrize(
    "text",
    [
        "there is no chat prompt to verify",
        "the file is no longer than the header says",
        "invalid --ctx 'banana'",
        "model.gguf: no such file",
    ],
)
def test_plain_words_pass(text):
    assert rules(f"raise NotFound({text!r})") == []


def test_words_are_found_between_values_and_not_in_their_names():
    assert rules("notify(f'{told} is no {size}')") == [
        r"(?<!\bthere )\b(is|are|was|were) no\b(?! longer\b)(?!\.)"
    ]
    assert rules("notify(f'{told} of {meant}')") == []
    assert rules("notify(f'{f(1, \"it is told\")} of')") != []


def test_docstrings_are_read_of_commands_alone():
    assert rules("def f():\n    'What is told.'") == []
    assert rules("X = 1\n'What is told.'") == []
    assert rules("@verb('x')\ndef f():\n    'What is told.'") != []


def test_patterns_and_templates_are_not_prose():
    assert rules("re.compile('it is told')") == []
    assert rules("X = '{{ if .x }} it is told {{ end }}'") == []


@pytest.mark.parametrize(
    "source,rule",
    [
        ("raise NotFound('Files are missing')", "begins with a capital"),
        ("raise NotFound('x', hint='Look there')", "begins with a capital"),
        ("raise NotFound('x', hint='look' if y else 'Look')", "begins with a capital"),
        ("raise NotFound('files are missing.')", "ends with a full stop"),
        ("raise NotFound(f'{path} is missing.')", "ends with a full stop"),
        ("raise NotFound(f'{temporary_path} is missing')", "names a temporary file"),
    ],
)
def test_errors_and_hints_have_one_style(source, rule):
    assert rules(source) == [rule]


@pytest.mark.parametrize(
    "source", ["raise NotFound('Ollama is old')", "raise NotFound('GGUF …')", "notify('Created smol.')"]
)
def test_names_notes_and_ellipses_pass(source):
    assert rules(source) == []


def test_a_templates_own_text_is_read_and_not_its_code():
    assert [one.line for one in complaints_of_template("{# told #}\n{{ told }}\nis told", path="x")] == [3]
