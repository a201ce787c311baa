"""The prompt for engines that take text, and the reasoning in what they answer."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.reference_prompt import Authors
from gguf2ollama.engines.prompts import ThoughtSplitter, render_prompt
from gguf2ollama.errors import InvalidInput

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <b>"}]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_the_chat_template_renders_without_the_bos_that_the_tokenizer_adds():
    authors = Authors(chat_template="{{ bos_token }}" + CHATML, bos="<s>", adds_bos=True)
    assert render_prompt(authors, MESSAGES, think=None) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi <b><|im_end|>\n<|im_start|>assistant\n"
    )


def test_without_a_chat_template_the_contents_are_the_prompt():
    assert render_prompt(None, MESSAGES, think=None) == "Be brief.\n\nHi <b>"


def test_a_chat_that_the_template_rejects_is_an_error_with_its_reason():
    authors = Authors(chat_template="{{ raise_exception('no system messages') }}")
    with pytest.raises(InvalidInput, match="no system messages"):
        render_prompt(authors, MESSAGES, think=None)


def split(pieces, *, prompt=""):
    splitter = ThoughtSplitter(prompt)
    found = [*map(splitter.feed, pieces), splitter.rest()]
    return tuple("".join(parts) for parts in zip(*found, strict=True))


@pytest.mark.parametrize(
    "text, prompt, content, thinking",
    [
        ("plain <think> later", "", "plain <think> later", ""),
        ("<think>\nhm\n</think>\n\nYes", "", "Yes", "\nhm\n"),
        ("\n<think>hm</think>Yes </think>", "", "Yes </think>", "hm"),
        ("hm</think>Yes", "<assistant><think>\n", "Yes", "hm"),
        ("<think>never closed </thi", "", "", "never closed </thi"),
        ("<thi", "", "<thi", ""),
    ],
)
@given(cuts=st.lists(st.integers(0, 40), max_size=6))
def test_reasoning_is_separated_wherever_the_pieces_are_cut(text, prompt, content, thinking, cuts):
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert split(pieces, prompt=prompt) == (content, thinking)
