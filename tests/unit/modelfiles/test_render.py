from __future__ import annotations

import pytest
from hypothesis import given

from gguf2ollama.errors import InvalidModelfile
from gguf2ollama.modelfiles import Message, Modelfile, Parameter, parse_modelfile, render_modelfile
from tests.unit.modelfiles.strategies import modelfiles


def test_the_whole_layout() -> None:
    modelfile = Modelfile(
        sources=("./a.gguf", "./b c.gguf"),
        adapters=("l.gguf",),
        drafts=("d.gguf",),
        requires="0.34.1",
        renderer="r",
        parser="p",
        template="{{ .Prompt }}\n",
        system="",
        parameters=(
            Parameter(name="num_ctx", value=4096),
            Parameter(name="temperature", value=1),
            Parameter(name="use_mmap", value=True),
            Parameter(name="stop", value="<|im_end|>"),
            Parameter(name="stop", value="User: "),
        ),
        messages=(Message(role="user", content="hi"), Message(role="assistant", content='"no"')),
        licenses=("MIT", "line\nline"),
    )
    comments = {
        "": "Made by a test.",
        "FROM": "two shards",
        "TEMPLATE": "from a profile",
        "temperature": "from general.sampling.temp\n\nin the GGUF",
        "stop": "what ends a turn",
        "stop=User: ": "the user's",
        "MESSAGE": "to begin with",
        "LICENSE": "all of them",
        "top_k": "never shown",
    }
    assert (
        render_modelfile(modelfile, comments=comments)
        == '''\
# Made by a test.
# two shards
FROM ./a.gguf
FROM ./b c.gguf

ADAPTER l.gguf

DRAFT d.gguf

REQUIRES 0.34.1

RENDERER r

PARSER p

# from a profile
TEMPLATE """{{ .Prompt }}
"""

SYSTEM ""

PARAMETER num_ctx 4096
# from general.sampling.temp
#
# in the GGUF
PARAMETER temperature 1.0
PARAMETER use_mmap true
# what ends a turn
PARAMETER stop <|im_end|>
# the user's
PARAMETER stop "User: "

# to begin with
MESSAGE user hi
MESSAGE assistant """"no""""

# all of them
LICENSE MIT

LICENSE """line
line"""
'''
    )


def test_the_least_modelfile_is_one_line() -> None:
    assert render_modelfile(Modelfile(sources=("x",))) == "FROM x\n"


@pytest.mark.parametrize(
    "value, written",
    [
        ("plain", "plain"),
        ("", '""'),
        (" a", '" a"'),
        ("a\t", '"a\t"'),
        ('a"b', 'a"b'),
        ('"a', '""""a"""'),
        (' "', '""" """"'),
        ("a\r", '"""a\r"""'),
        ("# a", "# a"),
    ],
)
def test_a_value_is_quoted_only_where_it_must_be(value: str, written: str) -> None:
    text = render_modelfile(Modelfile(sources=("x",), system=value))
    assert text == f"FROM x\n\nSYSTEM {written}\n"
    assert parse_modelfile(text).system == value


@pytest.mark.parametrize(
    "value, what",
    [
        ('a\n say """hi', r'SYSTEM contains """ at line 2, column 6'),
        ("a\xa0b", r"SYSTEM contains U\+00A0 \(NO-BREAK SPACE\) at line 1, column 2"),
        ("\u200d", r"U\+200D"),
        ("\u2028", r"U\+2028"),
        ("\x00", r"U\+0000 at"),
        ("\ud800", r"U\+D800"),
        ("\U0001fae9", r"U\+1FAE9"),
    ],
)
def test_what_no_modelfile_can_carry_is_refused_with_a_way_out(value: str, what: str) -> None:
    with pytest.raises(InvalidModelfile, match=what) as caught:
        render_modelfile(Modelfile(sources=("x",), system=value))
    assert "gguf2ollama build" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["", "a b", "a\nFROM y", "é", "system", "message"])
def test_what_is_not_a_parameter_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidModelfile, match="invalid parameter name"):
        render_modelfile(Modelfile(sources=("x",), parameters=(Parameter(name=name, value="1"),)))


def test_a_modelfile_without_from_is_refused() -> None:
    with pytest.raises(InvalidModelfile, match="FROM"):
        render_modelfile(Modelfile(system="a"))


@pytest.mark.parametrize("comment", ["a\nFROM y", "a\rFROM y", "a\x85FROM y", "a\u2028FROM y", '"""', "\x00"])
def test_a_comment_stays_a_comment(comment: str) -> None:
    modelfile = Modelfile(sources=("x",), system="s")
    text = render_modelfile(modelfile, comments={"": comment, "FROM": comment, "SYSTEM": comment})
    assert parse_modelfile(text) == modelfile


def test_what_looks_like_a_template_of_ours_is_only_text() -> None:
    modelfile = Modelfile(sources=("x",), system="{{ modelfile }}{% raw %}{# a #}", template="<a> & 'b'")
    assert parse_modelfile(render_modelfile(modelfile)) == modelfile


@given(modelfile=modelfiles)
def test_what_is_rendered_reads_back(modelfile: Modelfile) -> None:
    try:
        text = render_modelfile(modelfile, comments={"": "head", "SYSTEM": "why\nso", "stop": '"""'})
    except InvalidModelfile:
        return
    assert parse_modelfile(text) == modelfile
    assert parse_modelfile(text.encode()) == modelfile
