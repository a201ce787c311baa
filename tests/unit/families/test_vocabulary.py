"""Which special tokens llama.cpp ends an answer at, and which it prints."""

import pytest

from gguf2ollama.families import Vocabulary

NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4


def vocabulary(tokens, **keys):
    """Return a vocabulary of tokens with their types."""
    metadata = {"tokenizer.ggml.tokens": list(tokens), "tokenizer.ggml.token_type": list(tokens.values())}
    return Vocabulary(metadata | {f"tokenizer.ggml.{key}": value for key, value in keys.items()})


def of(found, text):
    mark = found.find(text)
    return None if mark is None else (mark.is_printed, mark.ends)


def test_a_control_token_is_not_printed_and_ends_only_if_the_header_or_its_text_says_so():
    found = vocabulary(
        {"<s>": CONTROL, "<|turn_end|>": CONTROL, "<|im_end|>": CONTROL, "</x>": CONTROL}, eot_token_id=3
    )
    assert of(found, "<|turn_end|>") == (False, False)
    assert of(found, "<|im_end|>") == (False, True)
    assert of(found, "</x>") == (False, True)


def test_a_user_defined_token_is_printed_even_where_it_ends():
    found = vocabulary({"<a>": USER_DEFINED, "<b>": USER_DEFINED}, eos_token_id=1)
    assert of(found, "<a>") == (True, False)
    assert of(found, "<b>") == (True, True)


@pytest.mark.parametrize("kind", [NORMAL, USER_DEFINED])
def test_some_tokens_end_and_are_hidden_by_their_text_alone(kind):
    assert of(vocabulary({"</s>": kind}), "</s>") == (False, True)


def test_other_text_is_no_mark():
    found = vocabulary({"hello": NORMAL})
    assert of(found, "hello") is None
    assert of(found, "<|im_end|>") is None
    assert not vocabulary({})


def test_the_end_of_a_message_does_not_end_where_answers_have_several():
    harmony = {"<|end|>": CONTROL, "<|return|>": CONTROL, "<|call|>": CONTROL}
    assert of(vocabulary(harmony), "<|end|>") == (True, False)
    assert of(vocabulary({"<|end|>": CONTROL, "<|return|>": CONTROL}), "<|end|>") == (False, True)


def test_the_longest_token_is_found_where_several_begin():
    found = vocabulary({"<a": CONTROL, "<a>": USER_DEFINED, "<b>": CONTROL})
    marks = list(found.marks_in("x<a><b><a"))
    assert [(mark.text, mark.start) for mark in marks] == [("<a>", 1), ("<b>", 4), ("<a", 7)]


def test_a_header_needs_to_name_only_what_does_not_end_anyway():
    tokens = {"<a>": CONTROL, "<|eot_id|>": CONTROL, "</s>": CONTROL}
    assert vocabulary(tokens, eot_token_id=0).needs("eot")
    assert not vocabulary(tokens, eot_token_id=1).needs("eot")
    assert not vocabulary(tokens, eot_token_id=0, eos_token_id=0).needs("eot")
    assert not vocabulary(tokens).needs("eom")


@pytest.mark.parametrize("types", [None, 3, "333", [3], [3, 3, 3, 3]])
def test_odd_lists_of_types_do_no_harm(types):
    found = Vocabulary({"tokenizer.ggml.tokens": ["<a>", "</s>"], "tokenizer.ggml.token_type": types})
    assert of(found, "</s>") == (False, True)
    assert list(found.marks_in("")) == []
