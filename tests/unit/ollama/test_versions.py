"""Versions and the features that follow from them."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.ollama import ServerFeatures, ServerVersion
from gguf2ollama.ollama.versions import NEWEST_KNOWN, llama_cpp_build

RELEASES = st.tuples(*[st.integers(0, 999)] * 3).filter(any)
# which features come and go at which release; what stands at 0.35 and 0.40 is read, not tried
STEPS = {
    "0.1.48": {"takes_adapters"},
    "0.5.4": {"takes_adapters"},
    "0.5.5": {"takes_files", "takes_adapters"},
    "0.11.4": {"takes_files", "takes_adapters"},
    "0.11.5": {"takes_files", "shows_prompts", "takes_adapters"},
    "0.29.9": {"takes_files", "shows_prompts", "takes_adapters"},
    "0.30.0-rc3": {
        "takes_files",
        "shows_prompts",
        "takes_adapters",
        "native_templates",
        "takes_shards",
        "rewrites_gguf",
    },
    "0.34.0": {
        "runs_drafts",
        "takes_files",
        "shows_prompts",
        "takes_adapters",
        "native_templates",
        "takes_shards",
        "rewrites_gguf",
    },
    "0.34.1-rc0": {
        "runs_drafts",
        "takes_files",
        "shows_prompts",
        "native_templates",
        "takes_shards",
        "keeps_shards",
        "refuses_typical_p",
    },
    "v0.34.4": {
        "runs_drafts",
        "takes_files",
        "shows_prompts",
        "native_templates",
        "takes_shards",
        "keeps_shards",
        "refuses_typical_p",
    },
    "0.35.1": {
        "takes_files",
        "shows_prompts",
        "native_templates",
        "takes_shards",
        "keeps_shards",
        "runs_drafts",
    },
    "0.40.0": {
        "runs_drafts",
        "takes_files",
        "shows_prompts",
        "native_templates",
        "takes_shards",
        "keeps_shards",
        "manifests_v2",
        "migrates_models",
    },
}


def parsed(text):
    return ServerVersion.parse(text)


def names_of(features):
    return {one.name for one in fields(features) if getattr(features, one.name)}


@pytest.mark.parametrize("text", STEPS)
def test_the_features_follow_from_the_version(text):
    assert names_of(ServerFeatures.of(parsed(text))) == STEPS[text]


@pytest.mark.parametrize("text", ["0.40.2", "0.40.3", "0.41.0-rc1", "1.0", "0.0.0", "0.0.0-dev"])
def test_what_is_newer_than_known_has_the_features_of_the_newest_known(text):
    assert ServerFeatures.of(parsed(text)) == ServerFeatures.of(parsed("0.40.0"))


def test_an_upload_needs_room_for_three_where_the_server_rewrites_it():
    assert [ServerFeatures.of(parsed(text)).copies_of_upload for text in ("0.24.0", "0.34.0", "0.34.1")] == [
        1,
        3,
        1,
    ]


def test_versions_compare_as_releases_do():
    ordered = ["0.1.0", "0.9.10", "0.34.1-rc0", "0.34.1-rc1", "0.34.1", "0.34.10", "1.0.0", "0.0.0"]
    assert [str(version) for version in sorted(map(parsed, reversed(ordered)))] == ordered
    assert parsed("v0.34.1") == parsed("0.34.1")
    assert len({parsed("v0.34.1"), parsed("0.34.1")}) == 1
    assert parsed("0.34.1") != "0.34.1"


@pytest.mark.parametrize("text", ["0.0.0", "dev", "abc", "main-3f2c1", "0.34"])
def test_a_version_that_is_no_release_says_what_it_is_treated_as(text):
    version = ServerVersion.reported(text)
    assert version.text == text
    assert version.is_unstamped == (text != "0.34")
    if version.is_unstamped:
        assert version.rules == "0.0.0", "which all readers of templates take for the newest"
        assert f"version {text}," in version.note
        assert "treating it as Ollama 0.40.2" in version.note
    else:
        assert version.rules == text
        assert version.note is None


def test_a_version_newer_than_known_says_what_it_is_treated_as():
    assert parsed("0.41.0").note == (
        "Ollama 0.41.0 is newer than 0.40.2, the newest known version; treating it as that"
    )
    assert parsed("0.40.2").note is None
    assert parsed("0.40.2").release == NEWEST_KNOWN


@given(RELEASES, RELEASES)
def test_any_two_releases_compare_as_their_numbers(left, right):
    first, second = (parsed(".".join(map(str, release))) for release in (left, right))
    assert (first < second) == (left < right)
    assert (first == second) == (left == right)


@given(st.text(max_size=200) | st.from_regex(r"[0-9.v+-]{0,30}"))
def test_any_text_is_a_version_that_can_be_printed(text):
    try:
        version = ServerVersion.reported(text)
    except ValueError:
        assert not text.strip()
        return
    assert version.text.isprintable()
    assert version.text
    assert len(version.text) <= 200
    assert ServerFeatures.of(version).takes_files == (version >= parsed("0.5.5"))
    assert parsed(version.rules).release == version.release


@given(st.text(max_size=40) | st.from_regex(r"[0-9.v+-]{0,30}"))
def test_a_version_that_a_user_names_is_a_release_or_a_value_error(text):
    try:
        version = parsed(text)
    except ValueError:
        return
    assert version.text == text.strip()


@pytest.mark.parametrize(
    "version,build",
    [
        ("0.29.9", None),
        ("0.30.2", 9452),
        ("0.32.15", 9840),
        ("0.34.4", 11081),
        ("0.40.1", 11081),
        ("0.0.0", 11081),
    ],
)
def test_the_build_of_llama_cpp_follows_from_the_version(version, build):
    assert llama_cpp_build(ServerVersion.parse(version)) == build
