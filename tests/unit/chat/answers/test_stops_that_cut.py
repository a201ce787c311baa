from __future__ import annotations

import pytest

from gguf2ollama.chat.answers.model_output import answers_of
from gguf2ollama.chat.answers.output_checks import stops_that_cut
from gguf2ollama.chat.reference import ReferenceTemplate, Renderer

_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>\n{% endif %}{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function.name }} {{ c.function.arguments | tojson }}</call>"
    "\n{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CHANNELS = (
    "{% for m in messages %}<|start|>{{ m.role }}"
    "{% if m.reasoning_content %}<|thought|>{{ m.reasoning_content }}<|end|><|start|>assistant{% endif %}"
    "<|text|>{{ m.content }}<|end|>{% endfor %}<|start|>assistant"
)


def _load(renderer: Renderer, text: str) -> ReferenceTemplate:
    return renderer.load(text, bos="<s>", eos="</s>")


@pytest.mark.parametrize("stop", ["<|im_end|>", "<|im_start|>", "</s>", "never"])
def test_the_end_of_a_turn_cuts_nothing(renderer: Renderer, stop: str):
    assert stops_that_cut([stop], answers=answers_of(_load(renderer, _CHATML))) == ()


@pytest.mark.parametrize("stop", ["</call>", "<call>", "</think>", "\n"])
def test_a_stop_within_the_models_own_format_is_found(renderer: Renderer, stop: str):
    assert stops_that_cut(["<|im_end|>", stop], answers=answers_of(_load(renderer, _CHATML))) == (stop,)


def test_an_end_that_the_last_question_has_something_before_cuts_nothing(renderer: Renderer):
    template = _load(
        renderer,
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% if loop.last %} /brief{% endif %}[/]"
        "{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}",
    )
    assert stops_that_cut(["[/]"], answers=answers_of(template)) == ()


def test_an_end_that_also_ends_a_thought_is_found(renderer: Renderer):
    assert stops_that_cut(["<|end|>"], answers=answers_of(_load(renderer, _CHANNELS))) == ("<|end|>",)


def test_a_template_that_refuses_everything_says_nothing(renderer: Renderer):
    template = _load(renderer, "{{ raise_exception('no') }}")
    assert stops_that_cut(["<|im_end|>"], answers=answers_of(template)) == ()
