"""The frozen table: what a comparison shows, and that the corpus is rendered as it says."""

import json

import pytest

from benchmarks.frozen import (
    absent,
    compare,
    freeze,
    freeze_all,
    load_table,
    summarise,
    table_as_json,
    table_of,
    targets,
)
from benchmarks.frozen_conversations import CONVERSATIONS
from benchmarks.parity_subjects import CORPUS, Subject, find_subjects
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.llamacpp import Unpredictable
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.chat.reference import Renderer

ROW = {
    "origin": "native",
    "companion": "with tags",
    "texts": {"companion": "c1"},
    "prompts": {"plain": "p1", "tools": "t1, 2 refused"},
}
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}<assistant>"


def table(**row):
    return {"ab12": {"file": "Made-Up", "0.34.4 upload": {**ROW, **row}}}


def test_equal_tables_do_not_differ():
    assert compare(table(), table()) == {}


@pytest.mark.parametrize(
    "row, kinds",
    [
        ({"origin": "patched"}, {"way changed": ": native, with tags -> patched, with tags"}),
        ({"companion": "without tags"}, {"way changed": ": native, with tags -> native, without tags"}),
        ({"parser": "qwen3"}, {"way changed": ": native, with tags -> native, qwen3, with tags"}),
        ({"texts": {"companion": "c2"}}, {"text changed: companion": ""}),
        ({"texts": {}}, {"text changed: companion": ""}),
        ({"prompts": {"plain": "p2", "tools": "t1, 2 refused"}}, {"prompts changed: plain": ""}),
        ({"prompts": {"plain": "p1", "tools": "7 refused"}}, {"prompts changed: tools": ""}),
        (
            {"origin": "synthesised", "texts": {"TEMPLATE": "x"}, "prompts": {"plain": "p2"}},
            {
                "way changed": ": native, with tags -> synthesised, with tags",
                "text changed: TEMPLATE": "",
                "text changed: companion": "",
                "prompts changed: plain": "",
                "prompts changed: tools": "",
            },
        ),
    ],
)
def test_each_difference_is_shown_under_its_kind(row, kinds):
    expected = {kind: [f"Made-Up, 0.34.4 upload{how}"] for kind, how in kinds.items()}
    assert compare(table(), table(**row)) == expected


def test_rows_that_one_table_lacks_are_shown_and_chat_templates_that_are_absent_are_not_compared():
    more = {"ab12": {**table()["ab12"], "0.40.0 upload": ROW}, "cd34": {"file": "Other", "0.24.0": ROW}}
    assert compare(table(), more) == {"row is new": ["Made-Up, 0.40.0 upload", "Other, 0.24.0"]}
    assert compare(more, table()) == {"row is missing": ["Made-Up, 0.40.0 upload"]}
    assert absent(more, table()) == ["Other"]


def test_a_table_is_written_in_the_order_of_names_with_a_row_a_line():
    written = table_as_json({"cd34": {"file": "Other", "0.24.0": ROW}, **table()})
    assert list(json.loads(written)) == ["ab12", "cd34"]
    assert json.loads(written)["ab12"] == table()["ab12"]
    assert len(written.splitlines()) == 2 + 2 * 2


def test_a_digest_covers_the_prompts_and_conversations_without_one_are_counted():
    first, second = (Conversation(name=name, messages=(), feature="tools") for name in ("first", "second"))
    prompts = summarise([(first, Rendered("a")), (second, Rendered("b"))])
    refused = summarise([(first, Rendered("a")), (second, Refused("400: no"))])
    assert refused == summarise([(first, Rendered("a")), (second, Refused("in other words"))])
    assert refused["tools"].endswith(", 1 refused")
    assert summarise([(first, Refused("400: no")), (second, Unpredictable("a cycle"))]) == {
        "tools": "1 refused, 1 unpredictable"
    }
    assert prompts != summarise([(first, Rendered("b")), (second, Rendered("a"))])
    assert len({prompts["tools"], refused["tools"].partition(",")[0]}) == 2


def test_conversations_have_names_of_their_own_and_every_feature_has_some():
    assert len({conversation.name for conversation in CONVERSATIONS}) == len(CONVERSATIONS)
    features = {conversation.feature for conversation in CONVERSATIONS}
    assert features == {"plain", "tools", "thinking", "history", "prefill", "odd"}


@pytest.mark.slow
def test_a_row_has_what_is_chosen_and_prompts_with_the_day_on_which_the_clock_stands_still():
    target = targets()["0.34.4 link, pull"]
    dated = "{{ strftime_now('%Y-%m-%d') }}" + TEMPLATE
    with Renderer() as renderer:
        plain, day, broken = (
            freeze(Subject(name="Made-Up", text=text, bos="", eos=""), target=target, renderer=renderer)
            for text in (TEMPLATE, dated, "{{ raise_exception('no') }}")
        )
    assert plain.row["origin"] == "native"
    assert plain.row["prompts"]["tools"] == "7 refused"
    assert plain.row["prompts"]["plain"] != day.row["prompts"]["plain"]
    first = day.outcomes[0][1]
    assert isinstance(first, Rendered)
    assert first.prompt.startswith("2026-03-04<user>")
    assert broken.row == {"origin": "refused"}


@pytest.mark.corpus
@pytest.mark.timeout(1800)
def test_each_chat_template_of_the_corpus_is_rendered_as_the_frozen_table_says():
    frozen = load_table()
    if not CORPUS.is_dir():
        pytest.skip(f"{len(frozen)} chat templates are not compared: {CORPUS} is not there")
    found = table_of(freeze_all(find_subjects(CORPUS)))
    assert compare(frozen, found) == {}
    if names := absent(frozen, found):
        pytest.skip(f"{len(names)} chat templates are not compared, not in {CORPUS}: {', '.join(names)}")
