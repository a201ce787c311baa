"""What a GGUF tells of its authors' mind."""

import pytest

from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.choice.candidate import Question
from gguf2ollama.chat.choice.selection import choose_template
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.chat.reference_prompt import (
    ORIGINAL_KEY,
    Authors,
    Claims,
    as_asked,
    as_meant,
    claims_of,
    read_authors,
    without_gap,
)
from gguf2ollama.errors import InvalidInput

PLAIN = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}"
KEY = "tokenizer.chat_template"
TOKENS = {
    "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "<pad>"],
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.padding_token_id": 3,
}
HELLO = Conversation(name="hello", messages=(Message(role="user", content="Hello"),))
TOOL = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
WITH_TOOL = Conversation(name="tool", messages=HELLO.messages, tools=(TOOL,))


def claims(renderer, text):
    return claims_of(Authors(chat_template=text).load(renderer))


@pytest.mark.parametrize("metadata", [{}, {KEY: ""}, {KEY: 7}, {ORIGINAL_KEY: " "}])
def test_a_gguf_without_a_chat_template_tells_nothing(metadata):
    assert read_authors(metadata) is None


def test_tokens_are_told_by_their_texts():
    told = read_authors({KEY: PLAIN, **TOKENS})
    assert (told.chat_template, told.bos, told.eos) == (PLAIN, "<s>", "</s>")
    assert dict(told.tokens) == {"pad_token": "<pad>"}


def test_the_template_that_a_changed_header_keeps_is_the_authors_own():
    assert read_authors({KEY: "changed", ORIGINAL_KEY: PLAIN}).chat_template == PLAIN


@pytest.mark.parametrize("adds_bos,wanted", [(True, "[user] Hello</s>"), (False, "<s>[user] Hello</s>")])
def test_the_bos_that_a_tokenizer_adds_is_no_part_of_the_prompt(renderer, adds_bos, wanted):
    told = read_authors({KEY: PLAIN, **TOKENS, "tokenizer.ggml.add_bos_token": adds_bos})
    assert told.meant(told.load(renderer), [HELLO]) == (Rendered(wanted),)


def test_a_second_bos_is_meant(renderer):
    told = read_authors({KEY: "{{ bos_token }}" + PLAIN, **TOKENS, "tokenizer.ggml.add_bos_token": True})
    assert told.meant(told.load(renderer), [HELLO]) == (Rendered("<s>[user] Hello</s>"),)


def test_chats_with_tools_are_meant_by_the_variant_for_them(renderer):
    told = read_authors({KEY: PLAIN, f"{KEY}.tool_use": "TOOLS {{ tools | length }}", f"{KEY}.rag": "RAG"})
    asked = [HELLO, WITH_TOOL, HELLO]
    template = told.load(renderer)
    plain = Rendered("[user] Hello")
    assert told.meant(template, asked) == (plain, Rendered("TOOLS 1"), plain)
    assert claims_of(template) == Claims(tools=True)


def test_a_broken_variant_is_told(renderer):
    told = read_authors({KEY: PLAIN, f"{KEY}.tool_use": "{% for %}"})
    with pytest.raises(InvalidInput):
        told.load(renderer)


@pytest.mark.parametrize(
    "text,wanted",
    [
        (PLAIN, Claims()),
        (PLAIN + "{{ tools | tojson if tools }}", Claims(tools=True, offered_tools=True)),
        (PLAIN + "{% if enable_thinking is false %}<think></think>{% endif %}", Claims(thinking=True)),
        (PLAIN + "{% for m in messages %}{{ m.reasoning_content }}{% endfor %}", Claims(thinking=True)),
        (PLAIN + "{% if tools %}{{ raise_exception('no tools') }}{% endif %}", Claims()),
        (PLAIN + "{# tools, <think> and enable_thinking are only named #}", Claims()),
    ],
)
def test_what_a_template_makes_something_of_is_found_by_trying(renderer, text, wanted):
    assert claims(renderer, text) == wanted


def test_only_what_is_claimed_is_asked():
    def asked(claims):
        return {one.feature for one in battery() if claims.includes(one)}

    assert asked(Claims()) == {"plain", "irregular", "odd", "prefill"}
    assert asked(Claims(tools=True)) == {"plain", "irregular", "odd", "prefill", "tools"}
    assert asked(Claims(thinking=True)) == {"plain", "irregular", "odd", "prefill", "thinking", "history"}


def test_a_conversation_is_asked_as_the_server_takes_it():
    told = Message(role="system", content="Be kind.")
    before = Message(role="user", content="Once")
    system = Conversation(name="system", messages=(told, *HELLO.messages))
    assert as_asked(HELLO, thinks=False).messages == HELLO.messages
    assert as_asked(HELLO, thinks=False, system="Be kind.").messages == system.messages
    assert as_asked(system, thinks=False, system="Be brief.").messages == system.messages
    assert as_asked(HELLO, thinks=False, system="Be kind.", before=[before]).messages == (
        told,
        before,
        *HELLO.messages,
    )
    assert as_asked(system, thinks=False, system="x", before=[before]).messages == (before, *system.messages)


@pytest.mark.parametrize(
    "thinks,think,wanted", [(True, None, True), (True, False, False), (False, None, None)]
)
def test_a_model_that_thinks_thinks_unless_told_not_to(thinks, think, wanted):
    asked = Conversation(name="x", messages=HELLO.messages, think=think)
    assert as_asked(asked, thinks=thinks).think is wanted


def test_what_the_authors_refuse_is_told(renderer):
    authors = Authors(chat_template="{{ raise_exception('only with tools') }}")
    (outcome,) = authors.meant(authors.load(renderer), [HELLO])
    assert outcome == Refused("only with tools")


@pytest.mark.parametrize(
    "text,does",
    [
        (PLAIN, "shows"),
        ("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", "drops"),
        ("{{ raise_exception('no') if messages[0].role == 'system' }}{{ messages[0].content }}", "rejects"),
        ("{{ raise_exception('no') }}", "shows"),
    ],
)
def test_what_a_template_does_with_a_system_message_is_tried(renderer, text, does):
    assert Authors(chat_template=text).load(renderer).treats_system() == does


def said(*messages, **more):
    conversation = Conversation(
        name="x", messages=tuple(Message(role=role, content=text) for role, text in messages)
    )
    meant = as_meant(conversation, thinks=False, **more)
    return [(message.role, message.content) for message in meant.messages]


def test_a_system_text_that_a_template_does_not_show_is_said_with_the_next_message():
    own = {"system": "Be brief.", "template_does": "drops"}
    assert said(("user", "Hi"), **own) == [("user", "Be brief.\nHi")]
    assert said(("system", "Be kind."), ("user", "Hi"), **own) == [("user", "Be kind.\nHi")]
    assert said(("system", "Be kind."), **own) == [("system", "Be kind.")]
    rejected = {"system": "Be brief.", "template_does": "rejects"}
    assert said(("user", "Hi"), **rejected) == [("user", "Be brief.\nHi")]
    assert said(("system", "Be kind."), ("user", "Hi"), **rejected) == [
        ("system", "Be kind."),
        ("user", "Hi"),
    ]
    example = (Message(role="user", content="One"),)
    assert said(("user", "Hi"), before=example, **own) == [("user", "Be brief.\nOne"), ("user", "Hi")]
    shown = {"system": "Be brief.", "template_does": "shows"}
    assert said(("user", "Hi"), **shown) == [("system", "Be brief."), ("user", "Hi")]
    assert said(("system", "a"), ("user", "b"), system="", template_does="drops") == [
        ("system", "a"),
        ("user", "b"),
    ]


def test_how_much_white_space_stands_behind_a_moved_system_text_does_not_count():
    assert without_gap(Rendered("<user>a \n\nb"), HELLO, system="a") == Rendered("<user>ab")
    assert without_gap(Rendered("<user> b"), HELLO, system="a") == Rendered("<user> b")
    own = Conversation(name="x", messages=(Message(role="system", content=" c "), *HELLO.messages))
    assert without_gap(Rendered("<c  b"), own, system="a") == Rendered("<cb")
    assert without_gap(Refused("no"), HELLO, system="a") == Refused("no")


ESCAPED = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}"
    "{% if tools %}{{ 'Tools: ' | safe + (tools | tojson) }}{% endif %}"
)


def test_what_is_escaped_as_html_is_no_reference(renderer):
    authors = Authors(chat_template=ESCAPED)
    plain, tools = authors.meant(authors.load(renderer), [HELLO, WITH_TOOL])
    assert isinstance(plain, Rendered)
    assert isinstance(tools, Refused)
    assert (tools.cause, "&#34;" in tools.reason) == ("doubtful", True)


def test_escapes_that_are_said_are_none_of_the_templates(renderer):
    authors = Authors(chat_template=ESCAPED)
    said = Conversation(name="said", messages=(Message(role="user", content="Is &#34; a &lt;b&gt;?"),))
    (outcome,) = authors.meant(authors.load(renderer), [said])
    assert outcome == Rendered("[user] Is &#34; a &lt;b&gt;?")


def test_nothing_is_made_to_escape_tools(renderer):
    for version, is_native in (("0.24.0", False), ("0.34.4", True)):
        question = Question(authors=Authors(chat_template=ESCAPED), version=version, is_native=is_native)
        chosen = choose_template(question, renderer=renderer).chosen
        assert "&#34;" not in (chosen.go_template or "")
        assert not chosen.parity.score("tools").compared
