import re

from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.synthesis.probes import Forms, Mark, Padding, observe, probe

SHAPES = ("u", "su", "suau", "uhu", "uct", "suDttau", "uKtktau")


@given(st.sampled_from(SHAPES), st.text(max_size=5))
def test_every_text_of_a_probe_is_nine_letters_and_digits_and_unlike_all_others(shape, seed):
    one = probe(shape, seed=seed, forms=Forms(call_kinds=frozenset({"call id", "call name"})))
    assert all(re.fullmatch("[a-z0-9]{9}", text) for text in one.marks)
    assert len(one.conversation.messages) == len(shape)


def test_another_seed_makes_other_texts():
    assert not set(probe("suau").marks) & set(probe("suau", seed="again").marks)


def test_a_prompt_is_cut_at_what_was_put_in():
    one = probe("su")
    system, user = (message.content for message in one.conversation.messages)
    seen = observe(f"<s>{system}</s>\n{user}:", one.marks)
    assert [(event.mark.kind, event.literal) for event in seen.events] == [
        ("system", "<s>"),
        ("user", "</s>\n"),
    ]
    assert seen.tail == ":"


def test_an_id_that_stands_in_the_prompt_twice_is_the_calls_and_then_the_results():
    one = probe("uct", forms=Forms(call_kinds=frozenset({"call id"})))
    identifier = one.conversation.messages[1].calls[0].id
    seen = observe(f"{identifier} {identifier}", one.marks)
    assert [event.mark for event in seen.events] == [
        Mark(kind="call id", message=1),
        Mark(kind="tool id", message=2),
    ]


def test_texts_can_be_padded_and_left_empty():
    one = probe("su", padding={"system": Padding(" ", "\n")}, empty=[1])
    system, user = (message.content for message in one.conversation.messages)
    assert re.fullmatch(" [a-z0-9]{9}\n", system)
    assert user == ""
    assert [mark.kind for marks in one.marks.values() for mark in marks] == ["system"]


def test_results_answer_calls_in_their_order():
    messages = probe("uDtt").conversation.messages
    assert [call.id for call in messages[1].calls] == [message.tool_call_id for message in messages[2:]]


def test_only_an_answer_without_calls_is_to_be_continued():
    assert [probe(shape).is_open for shape in ("u", "ua", "uc", "uct")] == [False, True, False, False]
