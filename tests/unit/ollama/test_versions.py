"""Versions and the regimes that follow from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.ollama import Regime, ServerVersion, regime

RELEASES = st.tuples(*[st.integers(0, 999)] * 3).filter(any)


def parsed(text):
    return ServerVersion.parse(text)


@pytest.mark.parametrize(
    "text, letter",
    [
        ("0.1.48", "A"),
        ("0.5.4", "A"),
        ("0.5.5", "B"),
        ("0.17.4", "B"),
        ("0.29.9", "B"),
        ("0.30.0-rc3", "C"),
        ("0.30.0", "C"),
        ("0.34.0", "C"),
        ("0.34.1-rc0", "D"),
        ("0.34.1", "D"),
        ("v0.34.4", "D"),
        ("1.0", "D"),
        ("0.0.0", "D"),
    ],
)
def test_the_regime_follows_from_the_version(text, letter):
    assert regime(parsed(text)) is Regime[letter]


def test_the_facts_of_the_regimes():
    facts = (
        "takes_files",
        "takes_shards",
        "keeps_shards",
        "rewrites_gguf",
        "native_templates",
        "takes_adapters",
    )
    assert {letter.value: [int(getattr(letter, fact)) for fact in facts] for letter in Regime} == {
        "A": [0, 0, 0, 0, 0, 1],
        "B": [1, 0, 0, 0, 0, 1],
        "C": [1, 1, 0, 1, 1, 1],
        "D": [1, 1, 1, 0, 1, 0],
    }


def test_versions_compare_as_releases_do():
    ordered = ["0.1.0", "0.9.10", "0.34.1-rc0", "0.34.1-rc1", "0.34.1", "0.34.10", "1.0.0", "0.0.0"]
    assert [str(version) for version in sorted(map(parsed, reversed(ordered)))] == ordered
    assert parsed("v0.34.1") == parsed("0.34.1")
    assert len({parsed("v0.34.1"), parsed("0.34.1")}) == 1
    assert parsed("0.34.1") != "0.34.1"


def test_an_unstamped_build_says_what_it_is_taken_for():
    assert parsed("0.0.0").is_unstamped
    assert "taken for the newest" in parsed("0.0.0").note
    assert parsed("0.34.4").note is None


@given(RELEASES, RELEASES)
def test_any_two_releases_compare_as_their_numbers(left, right):
    first, second = (parsed(".".join(map(str, release))) for release in (left, right))
    assert (first < second) == (left < right)
    assert (first == second) == (left == right)


@given(st.text(max_size=40) | st.from_regex(r"[0-9.v+-]{0,30}"))
def test_any_other_text_is_a_value_error(text):
    try:
        version = parsed(text)
    except ValueError:
        return
    assert str(version) == text.strip()
    assert regime(version) in Regime
