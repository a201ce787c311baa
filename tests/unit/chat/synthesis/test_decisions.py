import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.synthesis.decisions import (
    Branch,
    Example,
    Inconsistent,
    Leaf,
    combined,
    decide,
    learn,
    leaves,
    mapped,
    restricted,
)

ORDER = ("think", "last", "first", "system")
FACTS = st.fixed_dictionaries({name: st.sampled_from(("yes", "no", "unset")) for name in ORDER})


def key(facts):
    return tuple(facts[name] for name in ORDER)


def test_one_value_depends_on_nothing():
    examples = [Example({"last": "yes"}, "x"), Example({"last": "no"}, "x")]
    assert learn(examples, order=ORDER) == Leaf("x")


def test_the_likelier_of_two_facts_that_explain_all_is_taken():
    examples = [
        Example({"think": "on", "last": "yes"}, "x"),
        Example({"think": "off", "last": "no"}, "y"),
    ]
    assert learn(examples, order=ORDER).fact == "think"
    assert learn(examples, order=ORDER[::-1]).fact == "last"


def test_a_fact_that_changes_nothing_beside_another_is_not_asked_for_there():
    examples = [
        Example({"first": first, "think": think, "last": last}, last if first == "yes" else think)
        for first in ("yes", "no")
        for think in ("on", "off")
        for last in ("yes", "no")
    ]
    assert not empty_branches(learn(examples, order=ORDER))


def test_what_is_seen_most_stands_for_what_was_never_seen():
    examples = [Example({"think": think}, "other") for think in ("on", "unset")]
    decision = learn([*examples, Example({"think": "off"}, "off")], order=ORDER)
    assert decide(decision, {"think": "high"}) == "other"


def test_the_same_facts_beside_two_values_follow_no_rule():
    with pytest.raises(Inconsistent, match="for the same facts"):
        learn([Example({"last": "yes"}, "x"), Example({"last": "yes"}, "y")], order=ORDER)


@given(st.lists(st.tuples(FACTS, st.sampled_from("abc")), min_size=1))
def test_a_decision_gives_every_example_its_value_or_there_is_none(seen):
    by_facts = {}
    for facts, value in seen:
        by_facts.setdefault(key(facts), set()).add(value)
    examples = [Example(facts, value) for facts, value in seen]
    try:
        decision = learn(examples, order=ORDER)
    except Inconsistent:
        assert any(len(values) > 1 for values in by_facts.values())
        return
    assert all(decide(decision, facts) == value for facts, value in seen)
    assert set(leaves(decision)) == {value for _, value in seen}
    assert not empty_branches(decision)


@given(st.lists(FACTS, min_size=1), st.lists(FACTS, min_size=1), FACTS)
def test_two_decisions_make_one_that_comes_to_both_values(some, others, facts):
    first, second = (decision_of(seen) for seen in (some, others))
    both = combined(first, second, lambda one, other: Leaf((one, other)))
    assert decide(both, facts) == (decide(first, facts), decide(second, facts))


def test_of_two_decisions_the_second_does_not_ask_again_what_the_first_has_asked():
    asks = [
        Branch(fact="last", cases=((frozenset({"yes"}), Leaf(there)),), otherwise=Leaf(elsewhere))
        for there, elsewhere in ("ab", "xy")
    ]
    assert combined(*asks, lambda one, other: Leaf(one + other)) == Branch(
        fact="last", cases=((frozenset({"yes"}), Leaf("ax")),), otherwise=Leaf("by")
    )


@given(st.lists(FACTS, min_size=1), FACTS, st.sampled_from(ORDER))
def test_a_fact_that_is_known_may_be_left_out(seen, asked, known):
    examples = [Example(facts, key(facts)) for facts in seen]
    decision = learn(examples, order=ORDER)
    rest = restricted(decision, {known: asked[known]})
    assert decide(rest, asked) == decide(decision, asked)
    assert known not in facts_in(rest)


def decision_of(seen):
    return learn([Example(facts, key(facts)[:2]) for facts in seen], order=ORDER)


def empty_branches(decision):
    """Return the branches that tell nothing apart."""
    if isinstance(decision, Leaf):
        return []
    inner = [one for _, then in decision.cases for one in empty_branches(then)]
    return inner + empty_branches(decision.otherwise) + ([] if decision.cases else [decision])


def facts_in(decision):
    if isinstance(decision, Leaf):
        return set()
    branches = [then for _, then in decision.cases] + [decision.otherwise]
    return {decision.fact}.union(*map(facts_in, branches))


def test_every_value_can_be_changed():
    decision = Branch(fact="last", cases=((frozenset({"yes"}), Leaf("x")),), otherwise=Leaf("y"))
    assert list(leaves(mapped(decision, str.upper))) == ["X", "Y"]
