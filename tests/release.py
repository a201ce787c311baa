"""Print the section of the changelog for a version, which has to be the package's own: ``v0.1.0``.

Run: ``python -m tests.release v0.1.0``, as the release does.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def release_notes(tag: str, *, version: str, changelog: str) -> str:
    """Return the section of a version.

    Raises:
        ValueError: The tag, the package and the changelog do not say the same.
    """
    if tag != f"v{version}":
        raise ValueError(f"the tag is {tag}, and the package has version {version}")
    sections = re.split(r"^## +", changelog, flags=re.MULTILINE)[1:]
    for section in sections:
        title, _, body = section.partition("\n")
        if re.fullmatch(rf"\[?{re.escape(version)}\]? - \d{{4}}-\d\d-\d\d", title.strip()):
            if not body.strip():
                raise ValueError(f"the changelog says nothing of {version}")
            return body.strip()
    raise ValueError(f"the changelog has no section '{version} - YYYY-MM-DD'")


def main() -> None:
    """Print the notes, or end with what is wrong."""
    text = (CHECKOUT / "gguf2ollama" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    assert found is not None
    try:
        changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
        notes = release_notes(sys.argv[1], version=found[1], changelog=changelog)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
    sys.stdout.write(f"{notes}\n")


if __name__ == "__main__":
    main()
