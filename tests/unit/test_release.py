"""The section of the changelog that a release is announced with."""

import re

import pytest

from gguf2ollama import __version__
from tests.release import CHECKOUT, release_notes

CHANGELOG = (
    "# Changelog\n\n## Unreleased\n\n- more\n\n## 0.2.0 - 2026-12-01\n\n- a\n- b\n\n## 0.1.0 - 2026-11-30\n\n"
)


def test_it_is_that_of_the_version():
    assert release_notes("v0.2.0", version="0.2.0", changelog=CHANGELOG) == "- a\n- b"


@pytest.mark.parametrize(
    "tag, version, problem",
    [
        ("v0.2.1", "0.2.0", "the tag is v0.2.1"),
        ("v0.3.0", "0.3.0", "has no section"),
        ("v0.1.0", "0.1.0", "says nothing"),
        ("v0.2", "0.2", "has no section"),
    ],
)
def test_it_is_refused_where_tag_package_and_changelog_differ(tag, version, problem):
    with pytest.raises(ValueError, match=problem):
        release_notes(tag, version=version, changelog=CHANGELOG)


def test_the_changelog_has_the_version_of_the_package():
    changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "### Added" in release_notes(f"v{__version__}", version=__version__, changelog=changelog)


def test_what_is_not_released_yet_stands_first():
    changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    assert titles[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", title) for title in titles[1:])
