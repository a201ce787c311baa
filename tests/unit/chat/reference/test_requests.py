"""What a template is told of a conversation, and in which form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.conversation import Conversation, Message, ToolCall
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.chat.reference import Forms, Request

USER = Message(role="user", content="Hello")
CALL = ToolCall(name="look", arguments={"ü": 1}, id="abcdefghi")
LOOP = "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}"


def ask(template, *messages, think=None, **more):
    conversation = Conversation(name="test", messages=messages, think=think)
    return template.render([Request(conversation=conversation, **more)])[0]


@pytest.mark.parametrize("think", [None, True, False, "low", "high"])
@pytest.mark.parametrize(
    "text, told",
    [
        ("{{ enable_thinking }}|{{ enable_thinking is defined }}", {None: "|False", False: "False|True"}),
        ("{{ thinking }}|{{ thinking is defined }}", {None: "|False", False: "False|True"}),
    ],
)
def test_the_switch_is_told_under_the_name_that_the_template_knows(renderer, text, told, think):
    assert ask(renderer.load(text), USER, think=think) == Rendered(told.get(think, "True|True"))


def test_of_two_switches_one_is_told(renderer):
    text = "{{ enable_thinking }}{% if messages[0].thinking %}{% set thinking = 1 %}{% endif %}{{ thinking }}"
    assert ask(renderer.load(text), USER, think=True) == Rendered("True")


@pytest.mark.parametrize(
    "think, told", [(None, "medium"), (True, "medium"), (False, "medium"), ("high", "high")]
)
def test_a_level_is_told_where_it_was_asked_for(renderer, think, told):
    assert ask(renderer.load("{{ reasoning_effort | default('medium') }}"), USER, think=think) == Rendered(
        told
    )


@pytest.mark.parametrize(
    "keys, told",
    [
        (["reasoning_content"], "reasoning_content"),
        (["reasoning"], "reasoning"),
        (["thinking"], "thinking"),
        (["thinking", "reasoning_content"], "reasoning_content"),
        (["thinking", "reasoning"], "reasoning"),
    ],
)
def test_thinking_is_told_once_under_a_key_that_the_template_reads(renderer, keys, told):
    shown = "".join(f"{{{{ messages[1].{key} }}}}" for key in keys)
    template = renderer.load(f"{shown} {{{{ messages[1] | list }}}}")
    answer = Message(role="assistant", content="Hi", thinking="Hm.")
    assert ask(template, USER, answer, USER) == Rendered(f"Hm. ['role', 'content', '{told}']")


def test_the_header_of_the_next_turn_is_asked_for_or_not(renderer):
    template = renderer.load(LOOP + "{% if add_generation_prompt %}[assistant:{% endif %}")
    assert ask(template, USER) == Rendered("[user:Hello][assistant:")
    assert ask(template, USER, add_generation_prompt=False) == Rendered("[user:Hello]")


@pytest.mark.parametrize(
    "shown, content, end",
    [
        ("{{ m.content }}", "Roses are", "Roses are"),
        ("{{ m.content }}", "Roses are \n", "Roses are \n"),
        ("{{ m.content | trim }}", " Roses are \n", "Roses are"),
        ("{{ m.content }}", "", ""),
        ("{{ m.content }}", "Hello", "Hello"),
    ],
)
def test_a_last_answer_is_left_open(renderer, shown, content, end):
    template = renderer.load(
        f"{{% for m in messages %}}<{shown}>{{% endfor %}}{{{{ add_generation_prompt }}}}"
    )
    assert ask(template, USER, Message(role="assistant", content=content)) == Rendered(f"<Hello><{end}")


def test_a_typed_last_answer_is_left_open_too(renderer):
    template = renderer.load(
        "{% for m in messages %}<{% for part in m.content %}{{ part.text }}{% endfor %}>{% endfor %}"
    )
    assert ask(template, USER, Message(role="assistant", content="Roses")) == Rendered("<Hello><Roses")


def test_a_last_answer_can_be_rendered_as_it_stands(renderer):
    answer = Message(role="assistant", content="Roses are")
    template = renderer.load(LOOP)
    assert ask(template, answer, add_generation_prompt=False) == Rendered("[assistant:Roses are]")


def test_a_last_answer_that_is_not_shown_cannot_be_continued(renderer):
    template = renderer.load("{{ messages[0].content }}")
    outcome = ask(template, USER, Message(role="assistant", content="Roses"))
    assert isinstance(outcome, Refused)
    assert "cannot be continued" in outcome.reason


def test_a_call_at_the_end_is_not_continued(renderer):
    template = renderer.load("{{ messages[-1].content }}|{{ add_generation_prompt }}")
    assert ask(template, USER, Message(role="assistant", calls=(CALL,))) == Rendered("|True")


def test_most_templates_take_texts_and_objects(renderer):
    template = renderer.load(LOOP + "{{ messages[0].content.text }}{{ messages[1].tool_calls[0].arguments }}")
    assert template.forms == Forms()


def test_a_template_that_takes_typed_content_only_is_told_it_typed(renderer):
    template = renderer.load(
        "{% for m in messages %}{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }};"
        "{% endif %}{% endfor %}{% endfor %}"
    )
    assert template.forms.typed_roles == {"system", "user", "assistant", "tool"}
    assert ask(template, Message(role="system", content="Be brief."), USER) == Rendered("Be brief.;Hello;")


def test_a_role_can_be_typed_alone(renderer):
    template = renderer.load(
        "{% for m in messages %}{{ m.content[0].text if m.role == 'system' else m.content }};{% endfor %}"
    )
    assert template.forms.typed_roles == {"system"}
    assert ask(template, Message(role="system", content="Be brief."), USER) == Rendered("Be brief.;Hello;")


def test_a_template_that_takes_arguments_as_text_is_told_them_so(renderer):
    template = renderer.load(
        "{% for m in messages %}{% for call in m.tool_calls %}"
        "{{ call.function.name + call.function.arguments }}{% endfor %}{% endfor %}"
    )
    assert template.forms.text_arguments
    call = Message(role="assistant", calls=(CALL,))
    assert ask(template, USER, call, Message(role="tool", content="1")) == Rendered('look{"ü":1}')


RESPONSES = (
    "{% for m in messages %}<{{ m.role }}>{% for call in m.tool_calls %}{{ call.function.name }}()"
    "{% endfor %}{% for one in m.tool_responses %}[{{ one.name }}: {{ one.response | tojson }}]"
    "{% endfor %}{{ m.content }}\n{% endfor %}"
)


def test_a_template_that_takes_results_with_calls_only_is_told_them_so(renderer):
    template = renderer.load(RESPONSES)
    assert template.forms.tool_responses
    call = Message(role="assistant", calls=(CALL, CALL))
    results = (
        Message(role="tool", content='{"a": [1]}', tool_name="look"),
        Message(role="tool", content="no JSON", tool_name="look"),
    )
    answer = Message(role="assistant", content="So.")
    told = '<user>Hello\n<assistant>look()look()[look: {"a": [1]}][look: "no JSON"]'
    assert ask(template, USER, call, *results) == Rendered(told + "\n")
    assert ask(template, USER, call, *results, answer, USER) == Rendered(told + "So.\n<user>Hello\n")


def test_a_template_that_knows_results_is_told_them_as_messages(renderer):
    template = renderer.load(
        RESPONSES.replace("<{{ m.role }}>", "<{{ m.role if m.role != 'tool' else 'result' }}>")
    )
    assert template.forms == Forms()
    call = Message(role="assistant", calls=(CALL,))
    told = ask(template, USER, call, Message(role="tool", content="1", tool_name="look"))
    assert told == Rendered("<user>Hello\n<assistant>look()\n<result>1\n")


def test_what_is_tried_is_no_part_of_the_coverage(renderer):
    template = renderer.load("{% for m in messages %}{{ m.content.text }}{% endfor %}")
    assert template.forms == Forms()
    assert [one.kind for one in template.coverage().unreached] == ["for"]


@given(content=st.text(max_size=20))
def test_a_template_that_prints_contents_as_they_are_ends_with_the_open_one(renderer, content):
    answer = Message(role="assistant", content=content)
    assert ask(renderer.load(LOOP), USER, answer) == Rendered(f"[user:Hello][assistant:{content}")
