"""What people and programs read of a call."""

import json
from datetime import datetime, timedelta, timezone

import pytest

from gguf2ollama.cli import run
from gguf2ollama.cli._app import VERBS, group
from gguf2ollama.cli._format import age, columns, size
from gguf2ollama.cli._output import Output
from gguf2ollama.errors import (
    Gguf2OllamaError,
    InvalidGguf,
    NotEnoughSpace,
    NotFound,
    ServerRefused,
    UsageProblem,
    VerificationFailed,
)


@pytest.mark.parametrize(
    "count,text",
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (98_362_432, "98 MB"),
        (4_683_073_184, "4.7 GB"),
        (10**18, "1000 PB"),
    ],
)
def test_sizes_are_decimal_and_short(count, text):
    assert size(count) == text


NOW = datetime(2026, 1, 10, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "delta,text",
    [
        (timedelta(0), "now"),
        (timedelta(seconds=1), "1 second ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(days=3), "3 days ago"),
        (timedelta(days=-400), "in 1 year"),
        (timedelta(minutes=-4, seconds=-30), "in 4 minutes"),
    ],
)
def test_ages_are_told_in_the_largest_unit(delta, text):
    assert age(NOW - delta, now=NOW) == text


def test_columns_line_up_and_lines_end_without_blanks():
    assert columns(("NAME", "SIZE"), [("a", "1 B"), ("longer", "")]) == "NAME    SIZE\na       1 B\nlonger"


def test_the_help_of_the_group_tells_what_each_verb_tells_of_itself():
    import click  # noqa: PLC0415

    with click.Context(group) as context:
        for verb, text in VERBS.items():
            command = group.get_command(context, verb)
            assert command is not None
            assert command.name == verb
            assert command.get_short_help_str(limit=200) == text


@pytest.fixture
def failing(monkeypatch):
    """Make a verb raise an error."""
    import click  # noqa: PLC0415

    def install(error):
        @click.command("list")
        @click.option("--json", is_flag=True)
        @click.option("--verbose", is_flag=True)
        def command(**_options):
            raise error

        monkeypatch.setattr("gguf2ollama.cli.list.command", command)

    return install


@pytest.mark.parametrize(
    "error,code",
    [
        (Gguf2OllamaError("x"), 1),
        (UsageProblem("x"), 2),
        (NotFound("x"), 3),
        (InvalidGguf("x"), 4),
        (ServerRefused("x"), 5),
        (VerificationFailed("x"), 6),
        (NotEnoughSpace("x"), 7),
        (KeyboardInterrupt(), 130),
        (RuntimeError("x"), 1),
    ],
)
def test_every_kind_of_error_has_its_exit_code_and_no_traceback(failing, capsys, error, code):
    failing(error)
    assert run(["list"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err


def test_an_interruption_that_became_an_error_is_one_all_the_same(failing, capsys):
    # as Python 3.11 does where one comes while a class is made
    wrapped = RuntimeError("Error calling __set_name__")
    wrapped.__cause__ = KeyboardInterrupt()
    failing(wrapped)
    assert run(["list"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    wrapped.__cause__ = SystemExit(143)
    with pytest.raises(SystemExit, match="143"):
        run(["list"])


def test_an_error_is_one_sentence_and_a_hint(failing, capsys):
    failing(NotFound("there is no \x1b[31mmodel", hint="try another"))
    run(["list"])
    assert capsys.readouterr().err == "error: there is no \\x1b[31mmodel\nhint: try another\n"


def test_an_error_is_json_where_json_was_asked_for(failing, capsys):
    failing(NotFound("gone", hint="look"))
    run(["list", "--json"])
    assert json.loads(capsys.readouterr().err) == {
        "error": {"message": "gone", "hint": "look", "exit_code": 3}
    }


def test_verbose_shows_the_traceback(failing, capsys):
    failing(NotFound("gone"))
    run(["list", "--verbose"])
    assert "Traceback" in capsys.readouterr().err


def test_a_wrong_call_is_a_usage_error(capsys):
    assert run(["nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["completion", "bash"]])
def test_help_version_and_completion_go_to_stdout(capsys, arguments):
    assert run(arguments) == 0
    out, err = capsys.readouterr()
    assert (bool(out), err) == (True, "")


def test_quiet_silences_notes_but_not_warnings_and_data(capsys):
    output = Output(as_json=False, quiet=True, verbose=True)
    output.note("note")
    output.detail("detail")
    output.warn("careful")
    output.text("data")
    assert capsys.readouterr() == ("data\n", "warning: careful\n")


def test_text_that_is_no_utf8_is_shown_escaped(capsys):
    output = Output(as_json=True, quiet=False, verbose=False)
    output.text("a\udcffb")
    output.data({"key": "ü\udcff"})
    assert capsys.readouterr().out == 'a\\udcffb\n{\n  "key": "ü\\udcff"\n}\n'


def test_progress_is_not_shown_where_there_is_no_terminal(capsys):
    from gguf2ollama.events import Update  # noqa: PLC0415

    with Output(as_json=False, quiet=False, verbose=False).progress() as progress:
        for done in range(0, 101, 10):
            progress(Update(task="copying", done=done, total=100))
    assert capsys.readouterr() == ("", "")
