from datetime import datetime

import pytest

from gguf2ollama.chat.synthesis.dates import find_dates, go_date, split_at_dates, unknown_parts

DAY = datetime(2031, 9, 17, 13, 5)  # noqa: DTZ001 - a day, not an instant


def test_dates_are_found_by_the_formats_that_a_template_asks_for():
    template = "{{ strftime_now('%d %b %Y') }} {{ strftime_now(\"%Y-%m-%d\") }}"
    assert find_dates(template, day=DAY) == {"17 Sep 2031": "%d %b %Y", "2031-09-17": "%Y-%m-%d"}


def test_a_text_is_cut_at_its_dates():
    dates = {"17 Sep 2031": "%d %b %Y", "2031": "%Y"}
    pieces = list(split_at_dates("Today: 17 Sep 2031.", dates))
    assert pieces == [("Today: ", "%d %b %Y"), (".", "")]


def test_a_format_becomes_texts_and_parts_of_the_date():
    assert list(go_date("%d %B, %Y")) == [("", "$day"), (" ", "$month"), (", ", "$year"), ("", "")]


@pytest.mark.parametrize("part", ["%A", "%H", "%-d", "%%"])
def test_what_ollama_cannot_tell_is_named(part):
    assert unknown_parts(f"%Y {part}") == [part]
