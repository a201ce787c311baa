"""How a model fills in the middle, and the TEMPLATE that does so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama import ollama_template
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.families import load_profiles
from gguf2ollama.families.fill_in import FILL_IN_KEYS, fill_in_problems, find_fill_in, with_fill_in
from gguf2ollama.gotmpl.parse import parse

QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
KEYS = FILL_IN_KEYS[::2]  # those of llama.cpp today


def vocabulary(*tokens, kind=3, **metadata):
    own = {"tokenizer.ggml.tokens": ["a", *tokens], "tokenizer.ggml.token_type": [1, *[kind] * len(tokens)]}
    return own | {f"general.{key}": value for key, value in metadata.items()}


@pytest.mark.parametrize(
    "tokens,prompt",
    [
        (QWEN, "<|fim_prefix|>A<|fim_suffix|>B<|fim_middle|>"),
        (("<fim_prefix>", "<fim_middle>", "<fim_suffix>"), "<fim_prefix>A<fim_suffix>B<fim_middle>"),
        (("<fim-prefix>", "<fim-suffix>", "<fim-middle>"), "<fim-prefix>A<fim-suffix>B<fim-middle>"),
        (
            ("<\uff5cfim▁begin\uff5c>", "<\uff5cfim▁hole\uff5c>", "<\uff5cfim▁end\uff5c>"),
            "<\uff5cfim▁begin\uff5c>A<\uff5cfim▁hole\uff5c>B<\uff5cfim▁end\uff5c>",
        ),
        (("▁<PRE>", "▁<MID>", "▁<SUF>"), "▁<PRE>A▁<SUF>B▁<MID>"),
        (("<PRE>", "<MID>", "<SUF>"), "<PRE> A <SUF>B <MID>"),
        (("[PREFIX]", "[MIDDLE]", "[SUFFIX]"), "[SUFFIX]B[PREFIX]A"),
        (("[PREFIX]", "[SUFFIX]"), "[SUFFIX]B[PREFIX]A"),
        (
            ("<[fim-suffix]>", "<[fim-prefix]>", "<[fim-middle]>"),
            "<[fim-suffix]>B<[fim-prefix]>A<[fim-middle]>",
        ),
        (
            ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),
            "<|code_prefix|>A<|code_suffix|>B<|code_middle|>",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_vocabularies_name_their_tokens_in_many_ways(tokens, prompt):
    found = find_fill_in(vocabulary("<s>", *tokens, "</s>"))
    assert rendered(found.go_actions, "A", "B") == prompt


def rendered(go_template, prompt, suffix):
    return ollama_template.render_suffix(go_template, prompt=prompt, suffix=suffix)


@pytest.mark.parametrize("odd", [' {{ .Evil }}"""', "\u200b", "a\nb", " x "])
def test_a_token_is_printed_as_it_is_whatever_it_holds(odd):
    metadata = vocabulary(odd, "<y>", "<z>") | dict(zip(KEYS, (1, 2, 3), strict=True))
    found = find_fill_in(metadata)
    assert rendered(found.go_actions, "A", "B") == f"{odd}A<y>B<z>"
    assert rendered(with_fill_in("x \n", found), "A", "B") == f"{odd}A<y>B<z>"


@pytest.mark.parametrize(
    "tokens",
    [
        ("<s>", "</s>", "<|end|>"),
        QWEN[:2],
        ("<|begin|>", "<|hole|>", "<|end|>"),
        ("<fim_prefix>", "<fim-suffix>"),
    ],
)
def test_other_tokens_are_not_taken_for_such(tokens):
    assert find_fill_in(vocabulary(*tokens)) is None


def test_tokens_that_are_ordinary_words_count_if_llama_cpp_takes_them_for_others():
    assert find_fill_in(vocabulary(*QWEN, kind=1)) is None
    assert find_fill_in(vocabulary("[PREFIX]", "[SUFFIX]", kind=1, name="Codestral")) is None
    found = find_fill_in(vocabulary("▁<PRE>", "▁<SUF>", "▁<MID>", kind=1, name="CodeLlama"))
    assert rendered(found.go_actions, "A", "B") == "▁<PRE>A▁<SUF>B▁<MID>"


def test_the_header_goes_before_the_vocabulary():
    metadata = vocabulary("<x>", "<y>", "<z>", *QWEN) | dict(zip(KEYS, (1, 2, 3), strict=True))
    found = find_fill_in(metadata)
    assert rendered(found.go_actions, "A", "B") == "<x>A<y>B<z>"
    assert found.is_certain


def test_keys_of_older_converters_are_read():
    metadata = vocabulary("<x>", "<y>", "<z>") | dict(zip(FILL_IN_KEYS[1::2], (1, 2, 3), strict=True))
    assert rendered(find_fill_in(metadata).go_actions, "A", "B") == "<x>A<y>B<z>"


@pytest.mark.parametrize("number", [-1, 99, "<x>", 1.0, True, [1]])
def test_numbers_that_are_no_tokens_are_said_and_names_count(number):
    metadata = vocabulary(*QWEN) | {KEYS[0]: number, KEYS[1]: 2, KEYS[2]: 3}
    assert list(fill_in_problems(metadata)) == [
        f"{KEYS[0]} in the GGUF is not the number of a token, so it is not used"
    ]
    assert (
        rendered(find_fill_in(metadata).go_actions, "A", "B")
        == "<|fim_prefix|>A<|fim_suffix|>B<|fim_middle|>"
    )
    assert find_fill_in(vocabulary("<x>") | {KEYS[0]: number}) is None


@pytest.mark.parametrize(
    "words", [{"name": "Qwen2.5 Coder"}, {"basename": "starcoder2"}, {"tags": ["gguf", "code"]}]
)
def test_a_model_for_code_is_meant_to_do_it(words):
    assert find_fill_in(vocabulary(*QWEN, **words)).is_certain


def test_the_tokens_alone_are_not_certain():
    assert not find_fill_in(vocabulary(*QWEN, name="Phi 4")).is_certain
    assert find_fill_in(vocabulary(*QWEN, name="Phi 4"), names=["phi-4-code"]).is_certain
    assert find_fill_in(vocabulary(*QWEN, name="Phi 4"), tags=["code"]).is_certain


def test_mellum_takes_the_suffix_first():
    tokens = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
    found = find_fill_in(vocabulary(*tokens, name="Mellum 4b Base"))
    assert rendered(found.go_actions, "A", "B") == "<fim_suffix>B<fim_prefix>A<fim_middle>"


CHAT = Conversation(
    name="chat",
    messages=(Message(role="system", content="Be brief."), Message(role="user", content=" Hi ")),
)


@pytest.mark.parametrize("profile", load_profiles(), ids=lambda profile: profile.family)
def test_chats_stay_as_they_are_with_the_templates_of_all_families(profile):
    plain = profile.go_template(system=None, bos="<s>")
    both = with_fill_in(plain, find_fill_in(vocabulary(*QWEN)))
    chat = CHAT.for_ollama()
    assert ollama_template.render(parse(both), chat) == ollama_template.render(parse(plain), chat)
    assert rendered(both, "A", "B") == "<|fim_prefix|>A<|fim_suffix|>B<|fim_middle|>"
    assert ollama_template.read(parse(both)).capabilities - ollama_template.read(
        parse(plain)
    ).capabilities == {"insert"}


@pytest.mark.parametrize(
    "go_template",
    [
        'x{{ define "a" }}y{{ end }}z',
        '{{ if .System }}{{ end }}{{ define "a" }}y{{ end }}z',
        "{{ if",
        "{{ define",
    ],
)
def test_definitions_in_the_middle_are_in_the_way(go_template):
    assert with_fill_in(go_template, find_fill_in(vocabulary(*QWEN))) is None


@pytest.mark.parametrize(
    "go_template",
    [
        '{{- define "a" }}{{ if .x }}{{ else if .y }}{{ end }}{{ end }}\n{{ define "b" }}{{ end -}} \nc \n',
        '\n{{ define "a" }}{{ end }}\n chat \n',
        " chat \n",
        "{{/* note */ -}}\n chat {{- /* note */}} \n",
    ],
)
def test_white_space_around_definitions_stays_what_it_was(go_template):
    both = with_fill_in(go_template, find_fill_in(vocabulary(*QWEN)))
    chat = CHAT.for_ollama()
    assert ollama_template.render(parse(both), chat) == ollama_template.render(parse(go_template), chat)


@given(st.text(alphabet='{}-"/* \nabdefinx.S', max_size=60))
def test_any_text_is_wrapped_or_refused(text):
    with_fill_in(text, find_fill_in(vocabulary(*QWEN)))


@pytest.mark.parametrize("tokens", [None, 7, "<|fim_prefix|>", ["<PRE>", 3]])
def test_a_vocabulary_that_is_no_list_of_texts_names_nothing(tokens):
    assert find_fill_in({"tokenizer.ggml.tokens": tokens, "general.name": "Coder", "general.tags": 3}) is None


@given(st.lists(st.text(alphabet="<>[]|_-fimprexsudl▁ ", max_size=20)))
def test_any_vocabulary_can_be_read(tokens):
    find_fill_in(vocabulary(*tokens))
