"""Texts for which a chat template tests are said in conversations of their own."""

import pytest

from gguf2ollama.chat.battery.content_switches import find_switches
from gguf2ollama.chat.choice.candidate import Question
from gguf2ollama.chat.choice.selection import choose_template
from gguf2ollama.chat.reference_prompt import Authors
from tests.builders import CHATML_TEMPLATE

TURNS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>{% endfor %}"
OPEN = "{% if add_generation_prompt %}<|assistant|>{% if off %}<think></think>{% endif %}{% endif %}"
IN_SYSTEM = "{% set off = messages[0].role == 'system' and '/no_think' in messages[0].content %}"
SWITCHES = {
    "in the system prompt": (
        IN_SYSTEM,
        {"'/no_think' in the system prompt": "switch", "'/no_think' as a system prompt": "odd"},
    ),
    "at the end of a question": (
        "{% set off = messages[-1].content.endswith('/no_think') %}",
        {
            "'/no_think' in a question": "switch",
            "'/no_think' as a question": "odd",
            "'/no_think' as a later question": "odd",
        },
    ),
    "at the start of the first": (
        "{% set off = messages[0]['content'].startswith('/no_think') %}",
        {
            "'/no_think' in a question": "switch",
            "'/no_think' in an earlier question": "switch",
            "'/no_think' as a system prompt": "odd",
            "'/no_think' as a question": "odd",
        },
    ),
    "through a variable": (
        (
            "{% set ns = namespace(text='') %}{% for m in messages %}{% if m.role == 'user' %}"
            "{% set ns.text = m.content %}{% endif %}{% endfor %}{% set off = '/no_think' in ns.text %}"
        ),
        {
            "'/no_think' in a question": "switch",
            "'/no_think' as a question": "odd",
            "'/no_think' as a later question": "odd",
        },
    ),
    "nowhere": ("{% set off = false %}", {}),
    "where it changes nothing": ("{% set unused = '/no_think' in messages[-1].content %}", {}),
}


def load(renderer, text):
    return Authors(chat_template=text).load(renderer)


@pytest.mark.parametrize("name", SWITCHES)
def test_a_text_that_is_tested_for_is_said_where_it_changes_something(renderer, name):
    text, found = SWITCHES[name]
    switches = find_switches(load(renderer, text + TURNS + OPEN))
    assert {conversation.name: conversation.feature for conversation in switches} == found


def test_a_template_that_only_prints_has_none(renderer):
    assert find_switches(load(renderer, CHATML_TEMPLATE)) == ()


def test_many_texts_do_not_make_endless_conversations(renderer):
    tests = "".join(f"{{% if 'word{number}' in messages[0].content %}}!{{% endif %}}" for number in range(99))
    assert 12 <= len(find_switches(load(renderer, tests + TURNS))) <= 84


def test_what_has_the_switch_is_chosen(renderer):
    question = Question(authors=Authors(chat_template=IN_SYSTEM + TURNS + OPEN), version="0.34.4")
    chosen = choose_template(question, renderer=renderer).chosen
    assert chosen.origin == "native"
    assert chosen.parity.score("switch").is_exact


def test_a_header_is_changed_for_rare_contents_where_all_is_to_be_exact(renderer):
    text = IN_SYSTEM + TURNS + OPEN
    for is_exact in (False, True):
        question = Question(authors=Authors(chat_template=text), version="0.34.4", is_exact=is_exact)
        chosen = choose_template(question, renderer=renderer).chosen
        assert chosen.origin == ("patched" if is_exact else "native")
        odd = {case.conversation.name for case in chosen.parity.differing}
        assert ("odd white space" in odd) is not is_exact


def test_a_branch_that_no_conversation_reaches_speaks_for_the_chat_template(renderer):
    # natively an answer is not continued so, which a TEMPLATE does
    ended = TURNS.replace("<|end|>", "{% if not loop.last %}<|end|>{% endif %}")
    known = Question(authors=Authors(chat_template=ended), version="0.34.4")
    hidden = "{% if messages[-1].content | length == 12345 %}Long.{% endif %}"
    unseen = Question(authors=Authors(chat_template=ended + hidden), version="0.34.4")
    assert choose_template(unseen, renderer=renderer).chosen.origin == "native"
    assert choose_template(known, renderer=renderer).chosen.parity.score("plain").is_exact
