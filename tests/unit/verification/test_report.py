"""The page of a verification: complete, valid, and safe to open whatever a model is called or says."""

import re
from html.parser import HTMLParser

import pytest

from gguf2ollama.chat.outcome import Refused
from gguf2ollama.chat.reference_prompt import Authors
from gguf2ollama.verification.baseline import NotCompared
from gguf2ollama.verification.report import render_report, summary
from gguf2ollama.verification.smoke_tests import Check
from tests.reports import HOSTILE, case, verification

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Reader(HTMLParser):
    """Read a page; every element must be closed in its order."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.seen, self.attributes, self.texts = [], [], [], []
        self.preformatted = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag == "pre":
            self.preformatted.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if "pre" in self.open:
            self.preformatted[-1] += data


def page_of(found):
    return render_report(found, written_by="gguf2ollama 1.0")


def test_the_page_shows_the_whole_result():
    found = verification(
        case("one turn"),
        case("two turns", got="Hello?"),
        case("a call", got=Refused("no tools"), feature="tools"),
    )
    text = " ".join(Reader(page_of(found)).texts)
    for result in (
        "mine:latest",
        "Ollama 0.34.4",
        "2 of 3 prompts differ from the model",
        "exact",
        "different",
        "two turns",
        "Rejected by the server: no tools",
        "ollama create: different",
        "a TEMPLATE that Ollama chooses: plain 0/1",
        "The server runs it.",
        "{{ messages }}",
        "gguf2ollama 1.0",
    ):
        assert result in text


def test_what_differs_is_marked_to_the_letter():
    page = page_of(verification(case("one turn", want="<s>Hello there\n", got="<s>Hello there")))
    assert "<pre>\n&lt;s&gt;Hello there<del>⏎\n</del></pre>" in page


def test_what_cannot_be_seen_is_shown_where_it_differs():
    page = page_of(verification(case("one turn", want="a\u00a0\u200bb\r\n", got="a b\n")))
    assert "\\xa0\\u200b" in page
    assert "␍" in page


@pytest.mark.parametrize("prompt", ["\n\nHello", "  \n x \n", "\n", "a\tb"])
def test_white_space_of_a_prompt_is_kept(prompt):
    shown = Reader(page_of(verification(case("one turn", want=prompt, got=prompt)))).preformatted[0]
    assert shown.removeprefix("\n") == prompt  # a browser drops one line break after the tag


def test_nothing_from_outside_is_markup():
    found = verification(
        case(HOSTILE, want=HOSTILE, got=HOSTILE + "!"),
        case("refused", got=Refused(HOSTILE)),
        case("refused too", want=Refused(HOSTILE)),
        authors=Authors(chat_template=HOSTILE, bos=HOSTILE, eos=HOSTILE),
        capabilities=(HOSTILE,),
        version=HOSTILE,
        server=HOSTILE,
        ollama_default=NotCompared(HOSTILE),
        checks=(Check(name=HOSTILE, state="failed", detail=HOSTILE),),
    )
    page = page_of(found)
    read = Reader(page)
    assert not {"script", "img"} & set(read.seen)
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert "alert(1)" in "".join(read.texts)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", page)
    page.encode("utf-8", "backslashreplace")


def test_the_page_needs_nothing_else():
    page = page_of(verification())
    read = Reader(page)
    assert not [value for name, value in read.attributes if name in {"src", "href"}]
    assert "default-src 'none'" in page
    assert "url(" not in page
    assert "@import" not in page


def test_hundreds_of_differences_stay_readable():
    found = verification(*(case(f"number {number}", got="Bye") for number in range(300)), case("good"))
    page = page_of(found)
    assert page.count("<details open>") == 5
    assert page.count("<details>") == 297  # the others, the one that is exact, and the chat template
    assert page.index("· number 299") < page.index("· good")


def test_without_a_comparison_with_ollama_create_there_is_no_column():
    page = page_of(verification(ollama_default=NotCompared("the server is too old")))
    assert "Not compared with a plain ollama create: the server is too old." in page
    assert ">ollama create</th>" not in page


@pytest.mark.parametrize(
    "found,wanted",
    [
        (verification(), "all prompts match the model's chat template exactly (plain 1/1)"),
        (
            verification(case("a"), case("b", got="Bye")),
            "1 of 2 prompts differ from the model's chat template (plain 1/2)",
        ),
        (
            verification(case("a"), case("b", got="Bye"), case("c", want=Refused("never"))),
            "1 of 2 prompts differ from the model's chat template (plain 1/2)",
        ),
        (
            verification(
                case("a"), case("b", got="Bye", feature="odd"), case("c", feature="prefill", got="")
            ),
            (
                "everyday prompts match the model's chat template exactly, 2 rare ones differ"
                " (plain 1/1, prefill 0/1, odd 0/1)"
            ),
        ),
        (
            verification(
                case("a"), case("b", want='{"x": 1, "y": 2}', got='{"y": 2, "x": 1}', feature="tools")
            ),
            (
                "everyday prompts match the model's chat template, JSON is written differently in 1"
                " (plain 1/1, tools 0+1/1)"
            ),
        ),
        (
            verification(checks=(Check(name="answers", state="failed", detail=""),)),
            "failed checks: answers (plain 1/1)",
        ),
        (
            verification(case("a", want=Refused("never"))),
            "nothing verified: the chat template rejects all plain conversations",
        ),
    ],
)
def test_the_summary_is_one_line(found, wanted):
    assert summary(found) == wanted
    assert found.is_verified is ("prompts match" in wanted)


def test_an_inconclusive_check_is_not_a_failure():
    assert verification(checks=(Check(name="answers", state="inconclusive", detail=""),)).is_verified
