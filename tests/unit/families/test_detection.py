"""Of which family a GGUF is, and how sure that is."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gguf2ollama.families import detect, load_profiles
from tests.examples import examples
from tests.reference import OWN_TEMPLATES

PROFILES = load_profiles()
KEY = "tokenizer.chat_template"


def detection(template=None, **keys):
    metadata = {f"general.{key}": value for key, value in keys.items()}
    return detect(metadata if template is None else metadata | {KEY: template}, profiles=PROFILES)


def family(found):
    return found.profile and found.profile.family


@pytest.mark.parametrize("name", sorted(OWN_TEMPLATES))
def test_the_chat_template_decides(name):
    found = detection(OWN_TEMPLATES[name], name="Mixtral Alpaca Instruct")
    assert family(found) == name.partition(",")[0]
    assert (found.kind, found.confidence) == ("chat", "template")
    assert found.evidence[0].weight == 100
    assert found.go_template


def test_the_default_system_text_is_the_chat_templates_own():
    found = detection(OWN_TEMPLATES["chatml, its own default"])
    assert found.system is not None
    assert (found.system.text, found.system.source) == ("You are a test.", "the chat template in the GGUF")
    assert '"You are a test."' in found.go_template


def test_a_familys_own_default_system_text_keeps_its_source():
    system = detection(OWN_TEMPLATES["qwen2.5"]).system
    assert system.text == "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    assert system.source.startswith("https://huggingface.co/Qwen/")


def test_without_a_default_system_text_there_is_none():
    found = detection(OWN_TEMPLATES["chatml"])
    assert found.system is None
    assert "<|im_start|>system" not in found.go_template


@pytest.mark.parametrize(
    "change",
    [
        ("You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", "You are a pirate. Arr."),
        ("You may call one or more functions", "You must call one or more functions"),
        ("<tool_response>", "<observation>"),
        ("message.content or", "message.content | trim or"),
        ("{% for message in messages %}", "{% for message in messages %}Mind this."),
        ("add_generation_prompt %}", "add_generation_prompt %}{{ '<think>' }}"),
        ("{% for message in messages %}", "{% for message in messages %}\n\n"),
    ],
)
def test_what_only_resembles_a_family_is_not_taken_for_it(change):
    template = OWN_TEMPLATES["qwen2.5"].replace(*change)
    assert template != OWN_TEMPLATES["qwen2.5"]
    found = detection(template, architecture="qwen2", name="Qwen2.5 7B Instruct")
    assert (found.kind, family(found), found.confidence) == ("chat", None, "none")
    assert found.go_template is None
    assert found.parameters == ()
    assert "it resembles qwen" in found.reason
    assert "qwen2.5" in {one.family for one in found.runners_up}


def test_an_unknown_template_is_never_chatml():
    found = detection(
        "{% for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}", architecture="qwen2"
    )
    assert (found.kind, family(found)) == ("chat", None)
    assert found.reason == "the chat template in the file matches no known family"


@pytest.mark.parametrize("template", ["{{ broken", "{% x %}", "{{ a }}" * 50_000])
def test_a_template_that_cannot_be_read_is_said_to_be_so(template):
    found = detection(template)
    assert (found.kind, family(found)) == ("chat", None)
    assert "cannot be parsed as Jinja, or is too long" in found.reason


def test_a_shared_prompt_gives_no_sampling_of_another_maker():
    own = detection(OWN_TEMPLATES["qwen2"], architecture="qwen2")
    assert {one.name: one.value for one in own.parameters} == {
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "repeat_penalty": 1.05,
    }
    alien = detection(OWN_TEMPLATES["qwen2"], architecture="llama")
    assert (family(alien), alien.parameters) == ("chatml", ())
    other = detection(OWN_TEMPLATES["qwen2.5"], architecture="llama")
    assert (family(other), other.parameters) == ("qwen2.5", ())
    assert any(seen.kind == "architecture" and seen.weight < 0 for seen in other.evidence)


def test_another_default_system_text_takes_the_familys_sampling_away():
    moved = OWN_TEMPLATES["qwen2.5"].replace(
        "'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.'", "''"
    )
    found = detection(moved, architecture="qwen2")
    assert (family(found), found.system, found.parameters) == ("qwen2.5", None, ())


def test_circumstances_are_reported_with_their_weight():
    found = detection(OWN_TEMPLATES["smollm2"], architecture="llama", name="SmolLM2 135M")
    assert [(seen.kind, seen.weight) for seen in found.evidence] == [
        ("template", 100),
        ("architecture", 10),
        ("name", 3),
    ]
    assert [one.family for one in found.runners_up] == ["chatml"]


def test_features_are_those_of_the_chat_template():
    assert detection(OWN_TEMPLATES["qwen2.5"]).features.tools
    assert not detection(OWN_TEMPLATES["chatml"]).features.tools
    assert detection("<think></think>{{ tools }}").features.thinking


@pytest.mark.parametrize(
    "metadata, kind",
    [
        ({"general.architecture": "clip"}, "projector"),
        ({"general.architecture": "qwen2vl", "general.type": "mmproj"}, "projector"),
        ({"general.architecture": "llama", "general.type": "adapter"}, "adapter"),
        ({"general.architecture": "bert"}, "embedding"),
        ({"general.architecture": "qwen3", "qwen3.pooling_type": 3}, "embedding"),
    ],
)
def test_what_does_not_chat_has_no_family(metadata, kind):
    found = detect(metadata | {KEY: OWN_TEMPLATES["chatml"]}, profiles=PROFILES)
    assert (found.kind, found.profile, found.go_template) == (kind, None, None)
    assert found.evidence[0].what == found.reason


@pytest.mark.parametrize(
    "keys, expected, confidence",
    [
        ({"architecture": "llama", "name": "Chansung Alpaca 13B"}, "alpaca", "name"),
        ({"architecture": "llama", "name": "Llama 2 7B Chat"}, "llama2", "name"),
        ({"architecture": "gemma2", "name": "Foo", "finetune": "it"}, "gemma2", "architecture"),
        (
            {"architecture": "command-r", "basename": "Foo", "finetune": "instruct"},
            "command-r",
            "architecture",
        ),
    ],
)
def test_without_a_chat_template_a_family_is_a_guess_and_said_to_be_one(keys, expected, confidence):
    found = detection(**keys)
    assert (family(found), found.confidence, found.kind) == (expected, confidence, "chat")
    assert found.reason.startswith(f"no chat template in the file; the {confidence} suggests ")
    assert found.system == found.profile.system


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"architecture": "llama", "name": "Llama 2 7B"},
        {"architecture": "gemma2", "name": "Gemma 2 9b"},
        {"architecture": "llama", "name": "Foo 7B Instruct"},
        {"architecture": "mamba", "name": "Mixtral 8x7B Instruct"},
        {"architecture": "llama", "name": "Llama 2 Chat Alpaca"},
    ],
)
def test_without_chat_template_and_hint_it_is_a_base_model(keys):
    found = detection(**keys)
    assert (family(found), found.kind, found.confidence) == (None, "base", "none")
    assert found.reason.startswith("no chat template in the file, and ")


def test_bos_is_printed_only_where_the_tokenizer_adds_none():
    metadata = {
        KEY: OWN_TEMPLATES["llama3"],
        "tokenizer.ggml.tokens": ["<|begin_of_text|>"],
        "tokenizer.ggml.bos_token_id": 0,
    }
    prints = detect(metadata | {"tokenizer.ggml.add_bos_token": False}, profiles=PROFILES)
    adds = detect(metadata | {"tokenizer.ggml.add_bos_token": True}, profiles=PROFILES)
    assert "<|begin_of_text|>" in prints.go_template
    assert "<|begin_of_text|>" not in adds.go_template


def test_the_end_token_is_the_files_own():
    metadata = {
        KEY: OWN_TEMPLATES["mixtral"],
        "tokenizer.ggml.tokens": ["<end>"],
        "tokenizer.ggml.eos_token_id": 0,
    }
    assert '"<end>"' in detect(metadata, profiles=PROFILES).go_template
    assert '"</s>"' in detect({KEY: OWN_TEMPLATES["mixtral"]}, profiles=PROFILES).go_template


def test_of_two_families_that_fit_the_circumstances_choose():
    twin = dataclasses.replace(
        next(one for one in PROFILES if one.family == "llama3"),
        family="twin",
        evidence=dataclasses.replace(
            next(one for one in PROFILES if one.family == "llama3").evidence, architectures=("other",)
        ),
    )
    metadata = {KEY: OWN_TEMPLATES["llama3"], "general.architecture": "other"}
    found = detect(metadata, profiles=(*PROFILES, twin))
    assert (family(found), [one.family for one in found.runners_up]) == ("twin", ["llama3"])


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.lists(st.text(max_size=5))
)


@settings(max_examples=examples(1.5))
@given(
    st.dictionaries(
        st.sampled_from(
            [
                *(KEY, "general.architecture", "general.type", "general.name", "general.basename"),
                *("tokenizer.ggml.tokens", "tokenizer.ggml.bos_token_id", "tokenizer.ggml.pre"),
            ]
        ),
        VALUES | st.sampled_from(sorted(OWN_TEMPLATES.values())),
    )
)
def test_no_metadata_breaks_the_detection(metadata):
    found = detect(metadata, profiles=PROFILES)
    assert found.reason
    assert (found.profile is None) == (found.go_template is None)
    assert (found.confidence == "none") == (found.profile is None)
