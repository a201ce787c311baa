"""One order of costs: what is chosen where each way has something that speaks against it."""

from dataclasses import replace
from pathlib import Path

import pytest

from gguf2ollama.chat.choice import costs
from gguf2ollama.chat.choice.candidate import Candidate, Question
from gguf2ollama.chat.choice.costs import Cost, cost_of
from gguf2ollama.chat.comparison import Parity, compare
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference_prompt import Authors, Claims

QUESTION = Question(authors=Authors(chat_template="{{ messages }}"), version="0.34.4")
CLAIMS = Claims(tools=True, thinking=True, offered_tools=True)
FEATURES = ("plain", "thinking", "tools", "switch", "history", "irregular", "prefill", "odd")


def candidate(*wrong, origin="native", reordered=(), **more):
    """Return a candidate that renders two conversations of each feature, one of some of them wrongly."""
    cases = []
    for feature in FEATURES:
        for number in (1, 2):
            conversation = Conversation(name=f"{feature} {number}", feature=feature, messages=())
            want, got = '{"b": 1, "a": {"y": 2, "x": 3}}', '{"b": 1, "a": {"y": 2, "x": 3}}'
            if number == 1 and feature in wrong:
                got = "something else"
            elif number == 1 and feature in reordered:
                got = '{"a": {"x": 3, "y": 2}, "b": 1}'
            cases.append(compare(conversation, want=Rendered(want), got=Rendered(got)))
    header = {"chat_template": "{{ messages }} "} if origin == "patched" else {}
    return Candidate(origin=origin, why=origin, parity=Parity(tuple(cases)), **header, **more)


def cost(found, *, question=QUESTION, claims=CLAIMS, unreached=0, **said):
    unsaid = dict.fromkeys(("may_be_replaced", "fails", "is_to_insert", "spoils_format"), False)
    return cost_of(
        found,
        question,
        claims=claims,
        unreached=unreached,
        **unsaid | said,
    )


IN_ORDER = {
    "insert that was asked for": cost(candidate(), question=replace(QUESTION, prefers_insert=True)),
    "tools are lost": cost(candidate(misses_calls=True)),
    "answers fail": cost(candidate(), fails=True),
    "plain chats": cost(candidate("plain")),
    "tools": cost(candidate("tools")),
    "capabilities are not had": cost(candidate(capabilities=frozenset({"tools"})), claims=Claims()),
    "weights are copied": cost(candidate(origin="patched")),
    "properties are sorted": cost(candidate(reordered=["tools"])),
    "insert": cost(candidate(), is_to_insert=True),
    "system messages in mid-chat": cost(candidate("irregular")),
    "answers to be continued": cost(candidate("prefill")),
    "a header is changed": cost(candidate(origin="patched"), question=replace(QUESTION, patch_copies=False)),
    "odd contents": cost(candidate("odd")),
    "nothing": cost(candidate()),
}


def test_what_weighs_more_is_further_up():
    assert list(IN_ORDER.values()) == sorted(IN_ORDER.values(), reverse=True)
    assert len(set(IN_ORDER.values())) == len(IN_ORDER)


@pytest.mark.parametrize("feature", ["thinking", "switch"])
def test_switches_weigh_as_much_as_tools(feature):
    assert cost(candidate(feature)) == IN_ORDER["tools"]


def test_thoughts_that_show_weigh_as_much_as_a_false_capability():
    assert cost(candidate(generate_note="they show")) == IN_ORDER["capabilities are not had"]


def test_tags_that_spoil_a_format_weigh_as_much_as_thoughts_that_show():
    assert cost(candidate(), spoils_format=True) == cost(candidate(generate_note="they show"))


def test_a_template_of_the_server_may_go_before_a_candidate():
    assert cost(candidate(), may_be_replaced=True) == IN_ORDER["plain chats"]


def test_branches_that_nobody_sees_weigh_as_much_as_irregular_chats():
    native, written = candidate(), candidate(origin="synthesised")
    assert cost(native, unreached=3).irregular == 0
    assert cost(written, unreached=3).irregular == 3
    assert cost(native, unreached=3) < cost(written, unreached=3)


def test_a_way_to_be_exact_at_any_price_has_a_copy_behind_odd_contents():
    exact = replace(QUESTION, is_exact=True)
    assert cost(candidate(origin="patched"), question=exact) < cost(candidate("odd"), question=exact)
    assert cost(candidate(origin="patched")) > cost(candidate("odd"))


def test_keys_that_moved_further_cost_more():
    near = replace(candidate(), parity=Parity((_reordered('{"b": 1, "a": {"x": 3, "y": 2}}'),)))
    far = replace(candidate(), parity=Parity((_reordered('{"a": {"x": 3, "y": 2}, "b": 1}'),)))
    assert (cost(near).rewritten, cost(near).moved) == (1, 1)
    assert (cost(far).rewritten, cost(far).moved) == (1, 2)


def _reordered(got):
    conversation = Conversation(name="tools", feature="tools", messages=())
    return compare(conversation, want=Rendered('{"b": 1, "a": {"y": 2, "x": 3}}'), got=Rendered(got))


def test_each_line_says_why_it_stands_there():
    text = Path(costs.__file__).read_text(encoding="utf-8")
    for field in Cost._fields:
        behind = text.partition(f"    {field}: ")[2].split("\n", 2)[1]
        assert behind.strip().startswith('"""'), field
