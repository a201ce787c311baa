"""The marks at which a model's turns end are found in what its chat template writes there."""

from __future__ import annotations

import pytest

from gguf2ollama.chat.answers.ends import find_ends, turn_marks
from gguf2ollama.chat.answers.turns import Turns, learn_turns
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.families import Vocabulary

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
MARKS = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|stop|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
PLAIN = (
    "{% for m in messages %}{{ '### User:' if m.role == 'user' else '### Answer:' }}\n{{ m.content }}\n\n"
    "{% endfor %}{% if add_generation_prompt %}### Answer:\n{% endif %}"
)
# no mark ends an answer: the next turn's begins
GLM = (
    "{% for m in messages %}<|{{ m.role if m.role != 'tool' else 'observation' }}|>\n{{ m.content or '' }}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function.arguments.place }}</call>{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
TWO_ENDS = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content or '' }}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function.arguments.place }}</call>{% endfor %}"
    "{{ '<|called|>' if m.tool_calls else '<|stop|>' }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def learn(renderer: Renderer, text: str) -> Turns:
    return learn_turns(renderer.load(text, bos="<s>", eos="</s>"))


def vocabulary(**kinds: int) -> Vocabulary:
    """Return a vocabulary with EOS, and tokens ``<|name|>`` of these types."""
    tokens = ["<s>", "</s>", *(f"<|{name}|>" for name in kinds)]
    return Vocabulary(
        {
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": [CONTROL, CONTROL, *kinds.values()],
            "tokenizer.ggml.eos_token_id": 1,
        }
    )


def ends(renderer: Renderer, text: str, known: Vocabulary) -> list[tuple[str, int | None]]:
    return [(end.text, end.number) for end in find_ends(learn(renderer, text), known)]


def test_a_control_token_is_found_by_its_number(renderer: Renderer):
    assert ends(renderer, MARKS, vocabulary(start=CONTROL, stop=CONTROL)) == [("<|stop|>", 3)]


@pytest.mark.parametrize("kinds", [{"stop": USER_DEFINED}, {"stop": NORMAL}, {}])
def test_what_shows_in_an_answer_is_text(renderer: Renderer, kinds: dict[str, int]):
    assert ends(renderer, MARKS, vocabulary(**kinds)) == [("<|stop|>", None)]


@pytest.mark.parametrize(
    "text",
    [MARKS.replace("<|stop|>", "{{ eos_token }}"), MARKS.replace("<|stop|>", "<|stop|>{{ eos_token }}")],
)
def test_nothing_is_needed_where_answers_end_anyway(renderer: Renderer, text: str):
    assert ends(renderer, text, vocabulary(stop=CONTROL)) == []


def test_a_printed_mark_before_the_end_token_would_show(renderer: Renderer):
    text = MARKS.replace("<|stop|>", "<|stop|>{{ eos_token }}")
    assert ends(renderer, text, vocabulary(stop=USER_DEFINED)) == [("<|stop|>", None)]


@pytest.mark.parametrize("space", ["\n", " ", "\n\n"])
def test_white_space_before_a_mark_does_not_count(renderer: Renderer, space: str):
    text = MARKS.replace("<|stop|>", f"{space}<|stop|>")
    assert ends(renderer, text, vocabulary(stop=CONTROL)) == [("<|stop|>", 2)]
    assert ends(renderer, text, vocabulary()) == [("<|stop|>", None)]


@pytest.mark.parametrize(
    "text",
    [
        MARKS.replace("<|stop|>", "").replace("<|start|>", "{{ '' if loop.first else '<|stop|>' }}<|start|>"),
        MARKS.replace("<|stop|>", "{{ '<|stop|>' if not loop.last or m.role == 'user' }}"),
    ],
)
def test_a_mark_that_stands_only_before_a_next_message_is_found(renderer: Renderer, text: str):
    assert ends(renderer, text, vocabulary(stop=CONTROL)) == [("<|stop|>", 2)]


def test_without_any_end_the_next_turn_begins(renderer: Renderer):
    assert ends(renderer, PLAIN, vocabulary()) == [("\n### User:", None)]
    assert ends(renderer, GLM, vocabulary(user=CONTROL, observation=CONTROL)) == [
        ("<|user|>", 2),
        ("<|observation|>", 3),
    ]


def test_the_beginning_of_the_models_turn_is_no_end_though_it_is_always_written(renderer: Renderer):
    always = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
    assert ends(renderer, always, vocabulary(user=CONTROL, assistant=CONTROL)) == [("<|user|>", 2)]


def test_tool_calls_may_end_otherwise_than_answers(renderer: Renderer):
    known = vocabulary(start=CONTROL, stop=CONTROL, called=CONTROL)
    answer, call = find_ends(learn(renderer, TWO_ENDS), known)
    assert (answer.text, answer.number, answer.is_parsed) == ("<|stop|>", 3, False)
    assert (call.text, call.number, call.is_parsed) == ("<|called|>", 4, True)
    assert ends(renderer, TWO_ENDS, vocabulary()) == [("<|stop|>", None), ("<|called|>", None)]


def test_what_closes_each_of_several_calls_is_no_end(renderer: Renderer):
    text = GLM.replace("<call>", "<|call|>").replace("</call>", "<|called|>")
    known = vocabulary(call=NORMAL, called=CONTROL, user=CONTROL, observation=CONTROL)
    assert ends(renderer, text, known)[-1] == ("<|observation|>", 5)


@pytest.mark.parametrize(
    "text",
    [
        TWO_ENDS.replace("<|called|>", "<|eot_id|>-<|eot_id|>").replace("<|stop|>", "<|eot_id|>"),
        MARKS.replace("<|stop|>", "{{ eos_token }}") + "{# set has_code_interpreter = tools | selectattr( #}",
    ],
)
def test_end_tokens_that_llama_cpp_prints_all_the_same_become_stops(renderer: Renderer, text: str):
    known = Vocabulary(
        {
            "tokenizer.ggml.tokens": ["<s>", "</s>", "<|eot_id|>"],
            "tokenizer.ggml.token_type": [CONTROL] * 3,
            "tokenizer.ggml.eos_token_id": 2,
        }
    )
    turns = learn_turns(renderer.load(text, bos="<s>", eos="<|eot_id|>"))
    (end,) = find_ends(turns, known, chat_template=text)
    assert (end.text, end.number, end.is_parsed) == ("<|eot_id|>", None, True)
    assert find_ends(learn(renderer, MARKS.replace("<|stop|>", "</s>")), known) == ()


def test_nothing_can_be_said_without_tokens_or_marks(renderer: Renderer):
    assert find_ends(learn(renderer, MARKS), Vocabulary({})) == ()
    assert ends(renderer, "{% for m in messages %}{{ m.content }}\n---\n{% endfor %}", vocabulary()) == []
    assert ends(renderer, "{{ raise_exception('no') }}", vocabulary()) == []


def test_a_template_shows_the_marks_by_which_turns_begin(renderer: Renderer):
    assert turn_marks(learn(renderer, MARKS), vocabulary()) == ("<|stop|>", "<|start|>")
    assert turn_marks(learn(renderer, PLAIN), vocabulary()) == ("\n### User:", "\n### Answer:")
    assert turn_marks(learn(renderer, GLM), vocabulary()) == ("<|user|>", "<|assistant|>")


def test_marks_within_answers_do_not_count(renderer: Renderer):
    text = MARKS.replace("{{ m.content }}", "{{ '<|start|>' if m.role == 'assistant' }}{{ m.content }}")
    assert "<|start|>" not in turn_marks(learn(renderer, text), vocabulary())
