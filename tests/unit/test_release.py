"""The section of the changelog that a release is announced with."""

import pytest

from tests.release import release_notes

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
