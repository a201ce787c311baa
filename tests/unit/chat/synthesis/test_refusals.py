"""What cannot be learnt is told, and never guessed."""

import pytest

from gguf2ollama.chat.synthesis import NotSynthesised, synthesise
from gguf2ollama.errors import InvalidInput
from gguf2ollama.ollama_template.execute import execute
from tests.unit.chat.synthesis.families import PLAIN, TOOLS

TURN = "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '\\n' }}{% endfor %}"


@pytest.mark.parametrize(
    "template, reason",
    [
        ("{{ raise_exception('no') }}", "the template rejects every conversation"),
        (
            "{% for m in messages | reverse %}{{ m.role + ': ' + m.content }}{% endfor %}",
            "messages are not printed in order",
        ),
        (
            TURN + "{{ 'x' if messages[-1].content | length > 9 else 'y' }}",
            "the trimming of texts follows no known rule",
        ),
        (
            "{{ 'An odd number.' if messages | length in [3, 5] else 'Others.' }}" + TURN,
            "is sometimes",
        ),
        ("{{ strftime_now('%H:%M') }}" + TURN, "the date format uses %H, which Ollama cannot provide"),
        pytest.param(
            "{{ 'x' * 250000 }}" + TURN,
            "no TEMPLATE can express it: the Go template is too long",
            marks=pytest.mark.slow,
            id="too long",
        ),
    ],
)
def test_a_template_that_follows_no_rule_is_refused_with_a_reason(template, reason, renderer, authors):
    found = synthesise(renderer, authors(template))
    assert isinstance(found, NotSynthesised)
    assert reason in found.reason


def test_what_depends_on_the_text_is_lacking(learn):
    template = TURN + "{{ 'Think!' if '</think>' in messages[-1].content else 'Go.' }}"
    assert [lack.reason for lack in learn(template).lacking] == [
        "the output depends on the content of texts (marks of thinking in a question)"
    ]


def test_a_template_whose_tools_cannot_be_learnt_is_learnt_without_them(learn, differences):
    template = "{{ tools | length if tools else '' }}" + PLAIN["turns"]
    found = learn(template)
    assert found.features == {"plain", "thinking"}
    assert [lack.feature for lack in found.lacking] == ["tools"]
    assert differences(template, found) == {}


def test_tools_that_some_chats_show_are_not_taken_for_text_of_the_template(learn):
    shown = "{% if messages[0].role == 'system' and tools %}{{ tools | tojson }}{% endif %}"
    found = learn(
        shown + TOOLS["tools in the system text, calls and results in tags"].replace("tools", "none")
    )
    assert "tools" not in found.features
    assert "xq0tool" not in found.go_template
    assert [lack.reason for lack in found.lacking if lack.feature == "tools"] == [
        "tools are printed in some conversations only"
    ]


def test_calls_at_once_that_follow_no_rule_do_not_spoil_single_ones(learn, differences):
    name = "tools in the system text, calls and results in tags"
    odd = "{{ call.function.arguments | tojson if loop.first else '(see above)' }}"
    template = TOOLS[name].replace("{{ call.function.arguments | tojson + '}", odd + "{{ '}")
    found = learn(template)
    assert "tools" in found.features
    assert all(lack.reason.startswith("parallel tool calls") for lack in found.lacking)
    wrong = differences(template, found, features=("tools",))
    assert wrong
    assert all("parallel" in chat for chat in wrong)


def test_a_system_text_that_the_authors_refuse_is_said_with_the_first_question(learn):
    found = learn(PLAIN["no system text"])
    messages = [("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi"), ("user", "Bye")]
    body = {"messages": [{"role": role, "content": content} for role, content in messages]}
    assert execute(found.go_template, body) == (
        "<start>user\nBe brief.\n\nHello<end>\n<start>model\nHi<end>\n<start>user\nBye<end>\n<start>model\n"
    )


@pytest.mark.parametrize("template", ["{% for m in messages %}", "   "])
def test_what_is_no_template_is_an_error(template, renderer, authors):
    with pytest.raises(InvalidInput):
        synthesise(renderer, authors(template))


def test_branches_that_no_probe_reached_are_told_when_asked_for(renderer, authors):
    template = "{% if messages[0].content == 'open sesame' %}{{ 'Come in!' }}{% endif %}" + TURN
    assert synthesise(renderer, authors(template)).unreached is None
    assert synthesise(renderer, authors(TURN), covers=True).unreached == ()
    assert synthesise(renderer, authors(template), covers=True).unreached != ()


def test_the_same_template_is_always_learnt_the_same(learn):
    name = "tools before the last question, ids"
    assert learn(TOOLS[name]) == learn(TOOLS[name])


def test_bos_is_left_to_a_tokenizer_that_adds_it(learn, differences):
    template = PLAIN["headers, texts stripped, BOS"]
    told, added = learn(template), learn(template, adds_bos=True)
    assert "<bos-token>" in told.go_template
    assert "<bos-token>" not in added.go_template
    assert differences(template, added, adds_bos=True) == {}
