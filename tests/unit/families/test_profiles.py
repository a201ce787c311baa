"""The project's own profiles and Go templates."""

import re
from itertools import chain, combinations

import pytest

from gguf2ollama.families import load_profiles

PROFILES = {profile.family: profile for profile in load_profiles()}
families = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


def test_the_families_that_are_promised_are_there():
    assert set(PROFILES) >= {
        *("qwen2", "qwen2.5", "qwen3", "llama2", "llama3", "llama3.1", "mistral-v1", "mistral-v3"),
        *("mistral-nemo", "mistral-small", "mixtral", "gemma2", "gemma3", "phi3", "phi4", "phi4-mini"),
        *("deepseek-v3", "deepseek-r1-distill-qwen", "deepseek-r1-distill-llama", "granite3.0", "granite3.3"),
        *("smollm2", "command-r", "chatml", "alpaca"),
    }


def test_qwen_2_5_is_as_its_authors_have_it():
    profile = PROFILES["qwen2.5"]
    assert {one.name: one.value for one in profile.parameters} == {
        "temperature": 0.7,
        "top_p": 0.8,
        "repeat_penalty": 1.05,
        "top_k": 20,
    }
    assert profile.system.text == "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    template = profile.go_template(system=profile.system.text)
    assert all(tag in template for tag in ("<tools>", "<tool_call>", "<tool_response>", '"You are Qwen, '))


@families
def test_a_profile_stands_in_the_file_of_its_name(profile):
    assert profile.path.name == f"{profile.family}.yaml"


@families
def test_every_default_has_its_source(profile):
    sources = [one.source for one in profile.parameters]
    sources += [profile.system.source] if profile.system else []
    assert all(source.startswith("https://") for source in sources)


@families
def test_stops_are_no_tags_that_open_something(profile):
    assert profile.stops
    assert not {"<think>", "<tool_call>", "<|im_start|>"} & set(profile.stops)


@families
def test_its_go_template_renders_in_every_state(profile):
    names = sorted(profile.switches)
    states = chain.from_iterable(combinations(names, count) for count in range(len(names) + 1))
    for switches in states:
        for system in (None, "", 'Odd "text" {{ .x }}\n\u00a0'):
            template = profile.go_template(system=system, bos="<s>", switches=frozenset(switches))
            assert "[[" not in template
            assert "[%" not in template
            assert "<s>" in template
            assert "\u00a0" not in template
            opened = len(re.findall(r"\{\{-? (?:if|range|with|define)\b", template))
            assert opened == len(re.findall(r"\{\{-? end\b", template))


@families
def test_json_is_printed_on_every_ollama(profile):
    """Ollama issue 14601: a function, its parameters or a tool print as Go structs where they stand alone."""
    template = profile.go_template()
    assert not re.search(r"\{\{-? *(?:\.|\$\w+\.)Function(?:\.Parameters|\.Arguments)? *-?\}\}", template)
    assert not re.search(r"\{\{-? *\.Tools *-?\}\}", template)
    assert not re.search(r"range[^}]*\.Tools *-?\}\}\s*\{\{-? *\. *-?\}\}", template)


@families
def test_claims_are_kept_by_the_template(profile):
    template = profile.go_template()
    assert (".Tools" in template) == profile.claims.tools
    assert (".ToolCalls" in template) == profile.claims.tools
    assert (".Thinking" in template) == profile.claims.thinking
