"""What the site does beside what mkdocs does: the tables of benchmarks are pages of it, too."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_TABLES = Path(__file__).parents[1] / "benchmarks"
_ROLE = re.compile(r":(?:func|class|meth|mod|attr|data|exc):(?=<code)|<p>::</p>")
"""What of docstrings is for other readers of them."""
_LINK = re.compile(r"\]\((?:\.\./)+benchmarks/([\w.-]+\.md)")


def on_files(files: Files, *, config: Any) -> Files:
    """Add the tables."""
    for path in sorted(_TABLES.glob("*.md")):
        files.append(File.generated(config, f"benchmarks/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return the text of a page whose links to tables lead to their pages."""
    folder = posixpath.dirname(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        return f"]({posixpath.relpath(f'benchmarks/{match[1]}', folder or '.')}"

    return _LINK.sub(link, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Return the page without the marks of another language in docstrings."""
    return _ROLE.sub("", html)
