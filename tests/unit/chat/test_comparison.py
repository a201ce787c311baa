from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.comparison import Parity, Verdict, compare, unknown, without_bos
from gguf2ollama.chat.conversation import Conversation, Feature
from gguf2ollama.chat.outcome import Outcome, Refused, Rendered

_ASKED = Conversation(name="one", messages=())
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def _verdict(want: str, got: str) -> Verdict:
    return compare(_ASKED, want=Rendered(want), got=Rendered(got)).verdict


def test_the_same_bytes_are_exact():
    assert _verdict("<s>[INST] é [/INST]", "<s>[INST] é [/INST]") is Verdict.exact


@pytest.mark.parametrize(
    "got",
    [
        '<t>{"b":[1,2],"a":"é <"}</t>',
        '<t>{"a": "\\u00e9 \\u003c", "b": [1, 2.0]}</t>',
        '<t>{\n  "a": "é <",\n  "b": [1, 2]\n}</t>',
    ],
)
def test_json_written_in_another_way_is_told_apart_from_another_text(got):
    want = '<t>{"a": "é <", "b": [1, 2]}</t>'
    assert _verdict(want, got) is Verdict.json_equal
    assert _verdict(want, got.replace("<t>", "<T>")) is Verdict.different


@pytest.mark.parametrize(
    "got",
    ['{"a": 1, "b": true}', '{"a": "1", "b": 1}', '{"a": 1, "b": 1, "c": null}', '{"a": 1}', "[1, 1]", ""],
)
def test_another_value_is_a_difference(got):
    assert _verdict('{"a": 1, "b": 1}', got) is Verdict.different


def test_brackets_that_are_no_json_are_text():
    assert _verdict("[INST] {{ a [/INST] [1]", "[INST] {{ a [/INST] [ 1 ]") is Verdict.json_equal
    assert _verdict("[INST] {{ a [/INST]", "[INST] {{  a [/INST]") is Verdict.different


def test_deep_nesting_is_compared_without_harm():
    deep = "[" * 100_000
    assert _verdict(deep, deep + "]") is Verdict.different
    assert _verdict("[" * 900 + "]" * 900, "[ " * 900 + "]" * 900) in set(Verdict)


@given(_JSON, st.text(alphabet="ab<>"))
def test_every_value_equals_itself_in_another_form(value, around):
    box = {"": value}
    compact = json.dumps(box, ensure_ascii=False, separators=(",", ":"))
    wide = json.dumps(box, indent=4, sort_keys=True)
    assert _verdict(around + compact, around + wide) is Verdict.json_equal


@pytest.mark.parametrize(
    "want, got, verdict",
    [
        (Refused("no system"), Rendered("x"), Verdict.refused),
        (Refused("no system"), Refused("no system"), Verdict.refused),
        (Rendered("x"), Refused("400"), Verdict.different),
    ],
)
def test_what_the_authors_refuse_is_not_compared(want: Outcome, got: Outcome, verdict: Verdict):
    assert compare(_ASKED, want=want, got=got).verdict is verdict


def test_one_bos_is_taken_from_the_start():
    assert without_bos(Rendered("<s><s>a<s>"), bos="<s>") == Rendered("<s>a<s>")
    assert without_bos(Rendered("<s>a"), bos="") == Rendered("<s>a")
    assert without_bos(Refused("x"), bos="<s>") == Refused("x")


def test_scores_count_by_feature_what_the_authors_take():
    def asked(feature: Feature) -> Conversation:
        return Conversation(name="one", messages=(), feature=feature)

    parity = Parity(
        (
            compare(asked("plain"), want=Rendered("a"), got=Rendered("a")),
            compare(asked("plain"), want=Refused("a"), got=Rendered("a")),
            compare(asked("tools"), want=Rendered("[1,2]"), got=Rendered("[1, 2]")),
            unknown(asked("tools"), want=Rendered("a"), why="nobody knows"),
        )
    )
    assert str(parity) == "plain 1/1, tools 0+1/2"
    assert parity.score("plain").is_exact
    assert parity.score("tools").json_equal == 1
    assert not parity.score("thinking").is_exact
    assert [case.verdict for case in parity.faults] == [Verdict.json_equal, Verdict.unknown]
    assert [case.verdict for case in parity.differing] == [Verdict.unknown]
