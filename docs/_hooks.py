"""What the site does beside what mkdocs does: documents outside of this folder are pages of it, too."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_CHECKOUT = Path(__file__).parents[1]
_OUTSIDE = {
    path.relative_to(_CHECKOUT).as_posix(): path
    for path in (
        *(_CHECKOUT / name for name in ("README.zh-CN.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
        *sorted((_CHECKOUT / "benchmarks").glob("*.md")),
    )
}
"""Pages by their place in the checkout, which is their place in the site."""
_ROLE = re.compile(r":(?:func|class|meth|mod|attr|data|exc):(?=<code)|<p>::</p>")
"""What of docstrings is for other readers of them."""
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+\.(?:md|svg))(?=[)#])")


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages from outside."""
    for name, path in _OUTSIDE.items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return the text of a page whose links, which lead through the checkout, lead through the site."""
    name = page.file.src_uri
    folder = posixpath.dirname(name if name in _OUTSIDE else f"docs/{name}")

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[1])).removeprefix("docs/")
        target = "index.md" if target == "README.md" else target  # the site's first page stands for it
        return f"]({posixpath.relpath(target, posixpath.dirname(name) or '.')}"

    return _LINK.sub(link, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Return the page without the marks of another language in docstrings."""
    return _ROLE.sub("", html)
