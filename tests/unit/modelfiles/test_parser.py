from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.modelfiles import Message, Modelfile, Parameter, parse_modelfile
from tests.unit.modelfiles.strategies import modelfile_texts


def system_of(value: str) -> str | None:
    return parse_modelfile(f"FROM x\nSYSTEM {value}").system


def test_every_instruction_lands_in_its_field() -> None:
    modelfile = parse_modelfile(
        "# a comment\n\nFROM ./a.gguf\nfrom ./b.gguf\n  ADAPTER lora.gguf\nDRAFT small.gguf\n"
        "TEMPLATE {{ .Prompt }}\nSYSTEM Be brief.\nRENDERER qwen3\nPARSER qwen3\nREQUIRES 0.34.1\n"
        "PARAMETER num_ctx 4096\nParameter temperature 0.7\nPARAMETER use_mmap false\nPARAMETER stop a\n"
        "PARAMETER stop b\nMESSAGE user hi\nMESSAGE assistant hello: you\nLICENSE MIT\nLICENSE BSD\n"
    )
    assert modelfile == Modelfile(
        sources=("./a.gguf", "./b.gguf"),
        adapters=("lora.gguf",),
        drafts=("small.gguf",),
        template="{{ .Prompt }}",
        system="Be brief.",
        renderer="qwen3",
        parser="qwen3",
        requires="0.34.1",
        parameters=(
            Parameter(name="num_ctx", value=4096),
            Parameter(name="temperature", value=0.7),
            Parameter(name="use_mmap", value=False),
            Parameter(name="stop", value="a"),
            Parameter(name="stop", value="b"),
        ),
        messages=(Message(role="user", content="hi"), Message(role="assistant", content="hello: you")),
        licenses=("MIT", "BSD"),
    )
    assert modelfile.stops == ("a", "b")
    assert modelfile.line("FROM") == 4
    assert modelfile.parameters[1].line == 13


@pytest.mark.parametrize(
    "written, read",
    [
        ("  plain text  ", "plain text"),
        ("a\tb", "a\tb"),
        ('""', ""),
        ('""""""', ""),
        ("", ""),
        ('" spaced "', " spaced "),
        ('"""two\nlines"""', "two\nlines"),
        ('"two\nlines"', "two\nlines"),
        ('"""\na\r\nb\n"""', "\na\r\nb\n"),
        ('"""a"b"""', 'a"b'),
        ('"""a"""b"""', 'a"""b'),
        ('say """hi"""', 'say """hi"""'),
        ('"""a\nb """ c\nd"""', 'a\nb """ c\nd'),
        ('"a"b"', 'a"b'),
        ('"a\nb" c\nd"', 'a\nb" c\nd'),
        ('""""a""""', '"a"'),
        ('"""""""', '"'),
        ("'single'", "'single'"),
        ("# no comment", "# no comment"),
        ("a\\nb", "a\\nb"),
        ("a\u200bb\xa0c\x00d\u2028e", "abcde"),
        ("日本 \U0001fae8 é", "日本 \U0001fae8 é"),
    ],
)
def test_values_are_unquoted_as_ollama_does(written: str, read: str) -> None:
    assert system_of(written) == read


def test_a_value_ends_with_its_line_unless_it_is_quoted() -> None:
    assert parse_modelfile('FROM x\rSYSTEM a\r\nLICENSE "b"\n# c').system == "a"
    assert parse_modelfile("SYSTEM \nFROM x").system == ""


def test_what_follows_closing_quotes_belongs_to_the_value() -> None:
    assert system_of('"a" and\nLICENSE b"') == 'a" and\nLICENSE b'


def test_of_instructions_that_count_once_the_last_one_counts() -> None:
    modelfile = parse_modelfile("FROM x\nSYSTEM a\nSYSTEM b\nPARAMETER seed 1\nPARAMETER seed 2")
    assert modelfile.system == "b"
    assert modelfile.parameter("seed") == 2
    assert modelfile.parameter("top_k") is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_bytes_are_decoded_by_their_mark(encoding: str) -> None:
    text = "FROM x\nSYSTEM 日本 é"
    assert parse_modelfile(text.encode(encoding)) == parse_modelfile(text)


def test_a_mark_at_the_head_of_a_text_is_dropped() -> None:
    assert parse_modelfile("\ufeff# head\nFROM x").sources == ("x",)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "no FROM"),
        ("SYSTEM a", "no FROM"),
        ("FROM x\nFORM y", r"line 2, column 1: unknown instruction 'FORM'"),
        ("FROM x\n\r\n  SYSTEMS y", r"line 3, column 3: unknown instruction 'SYSTEMS'"),
        ("\u017fYSTEM x", "unknown instruction"),
        ("FROM", r"line 1, column 5: expected a space and a value of FROM"),
        ("FROM\nx", "expected a space"),
        ("FROM x\nPARAMETER stop", r"line 2, column 15: expected a space and a value of stop"),
        ("FROM x\nPARAMETER  stop a", r"line 2, column 11: expected the name of a parameter"),
        ("FROM x\nPARAMETER system a", "expected the name of a parameter"),
        ("FROM x\nMESSAGE tool hi", r"line 2, column 9: expected the role"),
        ("FROM x\nMESSAGE User hi", "expected the role"),
        ("FROM x\nMESSAGE user", "expected a space and the text"),
        ('FROM x\nSYSTEM """a', r'line 2, column 8: unclosed """ in the value of SYSTEM'),
        ('FROM x\nSYSTEM "', r'line 2, column 8: unclosed " in the value of SYSTEM'),
        ('FROM x\nSYSTEM """""', 'unclosed """'),
        ('FROM x\nPARAMETER stop "a" # why\nSYSTEM b', 'unclosed " in the value of stop'),
        (b"FROM x\nSYSTEM \xff", r"line 2: invalid UTF-8 at byte 14"),
        (b"\xff\xfeF", "invalid UTF-16-LE"),
        ("FROM x\n" + "#" * (4 << 20), "too long"),
    ],
)
def test_an_error_says_where_it_is_and_what_was_expected(text: str | bytes, message: str) -> None:
    with pytest.raises(InvalidModelfile, match=message):
        parse_modelfile(text)


@pytest.mark.parametrize("head", ["", "FROM x\nPARAMETER ", "FROM x\nMESSAGE "])
def test_a_long_word_is_cut_to_what_a_message_can_hold(head: str) -> None:
    with pytest.raises(InvalidModelfile) as caught:
        parse_modelfile(head + "F" * 1_000_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("filling", ['"\n', '" ', "\n", "a\r", "# ", "\x00"])
def test_a_long_value_is_read_in_one_pass(filling: str) -> None:
    text = filling * ((1 << 17) // len(filling))
    assert system_of(f'"""{text}\n"""') == text.replace("\x00", "") + "\n"


def test_many_instructions_are_read_in_one_pass() -> None:
    assert len(parse_modelfile("FROM x\n" + "# c\nLICENSE a\n" * 20_000).licenses) == 20_000


@given(text=modelfile_texts | st.text() | st.binary(max_size=60))
def test_any_text_is_a_modelfile_or_an_error_of_ours(text: str | bytes) -> None:
    with contextlib.suppress(InvalidModelfile):
        assert parse_modelfile(text).sources
