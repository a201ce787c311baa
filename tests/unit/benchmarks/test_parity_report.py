"""What the tables of parity say of chats in which plain ``create`` does better."""

import pytest

from benchmarks.parity_report import Result, tables, unexplained
from benchmarks.parity_trial import Answer
from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.comparison import Parity, compare
from gguf2ollama.chat.outcome import Refused, Rendered

CHAT = next(iter(battery()))
RIGHT, WRONG, NONE = Rendered("right"), Rendered("wrong"), Refused("no")


def answer(got, *, want=RIGHT):
    return Answer(parity=Parity((compare(CHAT, want=want, got=got),)), is_native=True, has_template=False)


def result(name, *, ours, create, want=RIGHT):
    answers = {"gguf2ollama": answer(ours, want=want), "create": answer(create, want=want)}
    return Result(name=name, answers=answers)


@pytest.mark.parametrize(
    "name, chats, expected",
    [
        ("new", {"ours": WRONG, "create": RIGHT}, ["new"]),
        ("new", {"ours": NONE, "create": RIGHT}, ["new"]),
        ("library-cogito-3b", {"ours": WRONG, "create": RIGHT}, []),
        ("new", {"ours": RIGHT, "create": WRONG}, []),
        ("new", {"ours": WRONG, "create": WRONG}, []),
        ("new", {"ours": WRONG, "create": RIGHT, "want": NONE}, []),
    ],
    ids=["worse", "refused", "with a reason", "better", "alike", "no such chat"],
)
def test_a_template_with_which_create_does_better_needs_a_reason(name, chats, expected):
    assert unexplained([result(name, **chats)]) == expected


def test_chats_in_which_create_does_better_are_counted_and_named():
    text = "\n".join(
        tables([result("new", ours=WRONG, create=RIGHT), result("old", ours=RIGHT, create=RIGHT)])
    )
    assert "`ollama create` is exact and ours are not in 1 of 2 conversations (50.00%):" in text
    assert f"| new | {CHAT.name} |" in text
