from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.difference import Piece, lines_of_difference, pieces_of_difference

_TEXT = st.text(alphabet="ab \n\t<|>\u00a0")


def test_lines_show_white_space_at_their_ends():
    lines = list(lines_of_difference("<s>\nHello \n\tme\nend", "<s>\nHello\n\tme\nend"))
    assert lines == [" <s>⏎", "-Hello ⏎", "+Hello⏎", " →me⏎", " end"]


def test_lines_that_are_left_out_are_told():
    same = "".join(f"{number}\n" for number in range(12))
    assert list(lines_of_difference(f"{same}a", f"{same}b")) == ["…", " 10⏎", " 11⏎", "-a", "+b"]
    assert list(lines_of_difference(f"a\n{same}", f"b\n{same}")) == ["-a⏎", "+b⏎", " 0⏎", " 1⏎"]
    assert list(lines_of_difference("", "b")) == ["+b"]


def test_a_missing_end_of_line_is_seen():
    assert list(lines_of_difference("a\n", "a")) == ["-a⏎", "+a"]


def test_what_cannot_be_seen_is_shown_by_its_code():
    assert list(lines_of_difference("a\u00a0b", "a b")) == ["-a\\u00a0b", "+a b"]


def test_pieces_tell_the_letters_that_differ():
    assert pieces_of_difference("one\ntwo!\n", "one\ntwo?\n") == (
        Piece("same", "one\ntwo"),
        Piece("meant", "!"),
        Piece("made", "?"),
        Piece("same", "\n"),
    )


def test_letters_that_are_shared_by_chance_are_no_part_in_common():
    assert pieces_of_difference("You are here: Hello", "W x: Hello") == (
        Piece("meant", "You are here"),
        Piece("made", "W x"),
        Piece("same", ": Hello"),
    )


@given(_TEXT, _TEXT)
def test_pieces_hold_both_texts(want, got):
    pieces = pieces_of_difference(want, got)
    assert "".join(one.text for one in pieces if one.change != "made") == want
    assert "".join(one.text for one in pieces if one.change != "meant") == got


def test_long_texts_are_compared_in_bounded_time():
    want, got = "a\n" * 3000, "b\n" * 3000
    assert pieces_of_difference(want, got) == (Piece("meant", want), Piece("made", got))
