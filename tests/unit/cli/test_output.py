"""What people and programs read of a call."""

import json
import logging
import re
from datetime import UTC, datetime, timedelta

import pytest

from gguf2ollama.cli import run
from gguf2ollama.cli._app import group
from gguf2ollama.cli._verbs import VERBS
from gguf2ollama.cli.render.format import age, columns, size
from gguf2ollama.cli.render.output import Output
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


NOW = datetime(2026, 1, 10, tzinfo=UTC)


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
def test_ages_are_written_in_the_largest_unit(delta, text):
    assert age(NOW - delta, now=NOW) == text


def test_columns_line_up_and_lines_end_without_blanks():
    assert columns(("NAME", "SIZE"), [("a", "1 B"), ("longer", "")]) == "NAME    SIZE\na       1 B\nlonger"


def test_the_help_of_the_group_and_of_each_command_agree():
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
        @click.option("--verbose", "-v", is_flag=True)
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


def test_an_error_is_json_with_json(failing, capsys):
    failing(NotFound("gone", hint="look"))
    run(["list", "--json"])
    assert json.loads(capsys.readouterr().err) == {
        "error": {"message": "gone", "hint": "look", "exit_code": 3}
    }


@pytest.mark.parametrize("option", ["--verbose", "-v"])
def test_verbose_shows_the_traceback(failing, capsys, option):
    failing(NotFound("gone"))
    run(["list", option])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments,message,hint",
    [
        (["bild", "x"], "no such command: bild", "did you mean build?"),
        (["nonsense"], "no such command: nonsense", "`gguf2ollama --help` lists all commands"),
        (["build", "x", "--nmae", "y"], "no such option: --nmae", "did you mean --name?"),
        (["list", "--zzz"], "no such option: --zzz", "`gguf2ollama list --help` shows the usage"),
        (["build"], "missing argument 'SOURCE'", "`gguf2ollama build --help` shows the usage"),
        (
            ["build", "x", "--via", "fax"],
            "invalid value for '--via': 'fax' is not one of 'auto', 'link', 'pull', 'upload'",
            "`gguf2ollama build --help` shows the usage",
        ),
        (
            ["list", "extra"],
            "got unexpected extra argument (extra)",
            "`gguf2ollama list --help` shows the usage",
        ),
    ],
)
def test_a_wrong_call_is_an_error_with_a_hint(capsys, arguments, message, hint):
    assert run(arguments) == 2
    assert capsys.readouterr() == ("", f"error: {message}\nhint: {hint}\n")
    assert run([*arguments, "--json"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert error == {"message": message, "hint": hint, "exit_code": 2}


def test_options_of_build_are_listed_in_groups(capsys):
    assert run(["build", "--help"]) == 0
    titles = re.findall(r"^(\w+) options:$", capsys.readouterr().out, re.MULTILINE)
    assert titles == ["Model", "Source", "Transport", "Verification", "Output"]
    assert run(["merge", "--help"]) == 0
    assert "\nOptions:\n" in capsys.readouterr().out


def test_every_option_is_explained_in_one_style():
    import click  # noqa: PLC0415

    with click.Context(group) as context:
        for verb in VERBS:
            options = [
                one for one in group.get_command(context, verb).params if isinstance(one, click.Option)
            ]
            for option in options:
                assert option.hidden or re.fullmatch(r"[A-Z].*\.(  \[default: .*\])?", option.help), (
                    option.help
                )


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


def test_text_that_is_not_utf8_is_escaped(capsys):
    output = Output(as_json=True, quiet=False, verbose=False)
    output.text("a\udcffb")
    output.data({"key": "ü\udcff"})
    assert capsys.readouterr().out == 'a\\udcffb\n{\n  "key": "ü\\udcff"\n}\n'


def test_lines_with_control_characters_are_escaped(capsys):
    output = Output(as_json=False, quiet=False, verbose=True)
    for write in (output.note, output.detail, output.warn):
        write("a\x1b[31mb\x9b\nc")
    assert capsys.readouterr().err == "a\\x1b[31mb\\x9b\n  c\n" * 2 + "warning: a\\x1b[31mb\\x9b\n  c\n"


def test_results_are_escaped_on_a_terminal_alone(capsys, monkeypatch):
    output = Output(as_json=False, quiet=False, verbose=False)
    output.exact("a\x1bb\tc")
    assert capsys.readouterr().out == "a\x1bb\tc\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    output.exact("a\x1bb\tc")
    assert capsys.readouterr().out == "a\\x1bb\tc\n"


def test_text_for_people_is_always_escaped(capsys):
    output = Output(as_json=False, quiet=False, verbose=False)
    output.text("a\x1bb \N{RIGHT-TO-LEFT OVERRIDE}c \N{ZERO WIDTH JOINER}d")
    assert capsys.readouterr().out == "a\\x1bb \\u202ec \N{ZERO WIDTH JOINER}d\n"


def test_json_stays_json_when_it_is_escaped(capsys):
    output = Output(as_json=True, quiet=False, verbose=False)
    value = {"key": "\x9b \N{RIGHT-TO-LEFT OVERRIDE} \U000e0041 \x7f"}
    output.data(value)
    written = capsys.readouterr().out
    assert json.loads(written) == value
    assert "\x9b" not in written
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in written


def test_cells_of_a_table_take_one_line():
    assert columns(("NAME",), [("a\nb\x1b",)]) == "NAME\na\\nb\\x1b"


@pytest.mark.parametrize("verbose", [False, True])
def test_log_records_are_shown_with_verbose_and_warnings_always(capsys, verbose):
    output = Output(as_json=False, quiet=False, verbose=verbose)
    with output.log_messages():
        logging.getLogger("gguf2ollama.net.retry").debug("waiting %s s", 2)
        logging.getLogger("gguf2ollama.net").warning("slow")
        logging.getLogger("some.library").info("chatter")
        logging.getLogger("some.library").warning("old")
    logging.getLogger("gguf2ollama.net.retry").debug("after the call")
    detail = "net.retry: waiting 2 s\n" if verbose else ""
    assert capsys.readouterr().err == f"{detail}warning: net: slow\nwarning: some.library: old\n"


def test_progress_is_not_shown_without_a_terminal(capsys):
    from gguf2ollama.events import Update  # noqa: PLC0415

    with Output(as_json=False, quiet=False, verbose=False).progress() as progress:
        for done in range(0, 101, 10):
            progress(Update(task="copying", done=done, total=100))
    assert capsys.readouterr() == ("", "")
