"""How answers end: by a token of the header, or by a stop string."""

import pytest

from gguf2ollama.families import detect, load_profiles
from gguf2ollama.families.vocabulary import End
from gguf2ollama.modelfiles import Parameter
from gguf2ollama.planning.ends import choose_ends
from gguf2ollama.planning.settings import ModelSettings
from gguf2ollama.planning.target import Target
from gguf2ollama.sources.model import Published

CONTROL, USER_DEFINED = 3, 4
TOKENS = ["<s>", "</s>", "<|stop|>", "<|called|>", "<|shown|>", "<|im_end|>"]
BASE = {
    "general.architecture": "llama",
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [*[CONTROL] * 4, USER_DEFINED, CONTROL],
    "tokenizer.ggml.eos_token_id": 1,
    "tokenizer.chat_template": "{{ messages[0].content }}",
}
STOP = End(text="<|stop|>", number=2, what="learned")
CALLED = End(text="<|called|>", number=3, what="learned")
PARSED = End(text="<|called|>", number=3, what="learned", is_parsed=True)
TEXT = End(text="\n### User:", what="learned")
EDITABLE, FIXED = Target(header_is_editable=True), Target()
OLD = Target(version="0.24.0", native_templates=False)


def choose(*learned, metadata=BASE, target=EDITABLE, stops=(), **settings):
    return choose_ends(
        metadata,
        detection=detect(metadata, profiles=load_profiles()),
        settings=ModelSettings(
            parameters=tuple(Parameter(name="stop", value=stop) for stop in stops), **settings
        ),
        target=target,
        learned=learned,
    )


def header(ends):
    return {key.removeprefix("tokenizer.ggml."): value.value for key, value in ends.patch.changes.items()}


def test_a_control_token_goes_into_the_header_and_text_becomes_a_stop():
    ends = choose(STOP, TEXT)
    assert header(ends) == {"eot_token_id": 2}
    assert ends.stops == {"\n### User:": "learned"}
    assert not ends.warnings


def test_two_tokens_take_both_places_and_a_third_has_none():
    assert header(choose(STOP, CALLED)) == {"eot_token_id": 2, "eom_token_id": 3}
    full = BASE | {"tokenizer.ggml.eom_token_id": 3}
    ends = choose(STOP, End(text="<|other|>", number=0, what="learned"), metadata=full)
    assert header(ends) == {"eot_token_id": 2}
    (warning,) = ends.warnings
    assert "'<|other|>'" in warning


def test_a_place_is_free_where_its_token_ends_anyway():
    assert header(choose(STOP, metadata=BASE | {"tokenizer.ggml.eot_token_id": 5})) == {"eot_token_id": 2}
    assert header(choose(STOP, metadata=BASE | {"tokenizer.ggml.eot_token_id": 3})) == {"eom_token_id": 2}


def test_an_end_token_is_no_stop_unless_it_is_printed():
    assert choose().stops == {}
    shown = choose(metadata=BASE | {"tokenizer.ggml.eos_token_id": 4})
    assert list(shown.stops) == ["<|shown|>"]


@pytest.mark.parametrize("text", ["</s>", "<|stop|>", "<|im_end|>"])
def test_a_published_stop_that_never_matches_is_not_written(text):
    published = Published(stops={text: "params", "END": "params"})
    assert list(choose(published=published).stops) == ["END"]


def test_the_users_stops_replace_all_others_and_have_effect():
    ends = choose(TEXT, stops=["END", "<|stop|>", "</s>"])
    assert list(ends.stops) == ["END", "<|stop|>", "</s>"]
    assert header(ends) == {"eot_token_id": 2}


def test_a_header_that_must_stay_is_warned_of():
    ends = choose(STOP, target=FIXED)
    assert (header(ends), ends.stops) == ({}, {})
    assert "'<|stop|>'" in ends.warnings[0]


def test_before_llama_server_every_mark_is_a_stop():
    ends = choose(STOP, TEXT, target=OLD)
    assert list(ends.stops) == ["</s>", "<|stop|>", "\n### User:"]
    assert not ends.patch


def test_a_stop_of_the_family_stands_for_the_longer_one():
    published = Published(stops={"### User:": "params"})
    assert list(choose(TEXT, published=published).stops) == ["### User:"]


def test_a_token_that_llama_cpp_parses_is_printed_and_stopped_at():
    ends = choose(PARSED)
    assert ends.stops == {"<|called|>": "learned"}
    (types,) = header(ends).values()
    assert list(types) == [3, 3, 3, 4, 4, 3]
    fixed = choose(PARSED, target=FIXED)
    assert (fixed.stops, header(fixed)) == ({}, {})
    assert "'<|called|>'" in fixed.warnings[0]


def test_an_end_token_that_is_printed_all_the_same_is_a_stop():
    printed = End(text="</s>", what="printed", is_parsed=True)
    assert choose(printed).stops == {"</s>": "tokenizer.ggml.eos_token_id in the GGUF"}
    assert not choose(printed, target=FIXED).warnings
