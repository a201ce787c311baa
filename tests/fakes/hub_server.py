"""A Hub of the tests on two loopback sockets: the site and, under another host name, where its files are.

::

    with FakeHub() as hub:
        hub.add("owner/repo", {"model-Q4_K_M.gguf": gguf.read_bytes()})
        hub.inject("GET cdn model-Q4_K_M", Cut(after_bytes=1000))
        monkeypatch.setenv("HF_ENDPOINT", hub.url)

It answers as huggingface_hub expects it of huggingface.co: what the client reads of answers is in its
``hf_api.py``, ``file_download.py`` and ``utils/_http.py``, what the site sends in
https://huggingface.co/docs/hub/api. Files in LFS are answered with a redirect to a signed address.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.fakes.file_server import (
    WEB_PAGE,
    Answer,
    Cut,
    FakeSite,
    NoRanges,
    RefusedError,
    SiteHandler,
    Spoil,
    Stall,
    WrongRange,
)
from tests.fakes.hub_content import POINTER_BYTES, Repository, StoredFile

__all__ = ["WEB_PAGE", "Answer", "Cut", "FakeHub", "NoRanges", "Spoil", "Stall", "WrongRange"]

_PAGE = 50  # entries of a tree that come at once; the site gives 1,000
_REPO = r"/(?P<repo>[^/]+/[^/]+)"
_REVISION = r"(?P<revision>[^/]+)"


class _Handler(SiteHandler):
    def send_refusal(self, refused: RefusedError) -> None:
        """Tell of a refusal by the headers that the client reads."""
        headers = {"X-Error-Message": refused.message}
        if refused.code:
            headers["X-Error-Code"] = refused.code
        self._send(refused.status, json.dumps({"error": refused.message}).encode(), headers)

    # who may read what

    def _repository(self, name: str, *, reads_files: bool) -> Repository:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        if token is not None and token not in self.server.hub.tokens:
            self._refuse(401, None, "Invalid credentials in Authorization header")
        found = self.server.hub.repositories.get(name)
        if found is None or (found.access == "private" and token not in found.readers):
            if token is None:
                self._refuse(401, "RepoNotFound", "Invalid username or password.")
            self._refuse(404, "RepoNotFound", "Repository not found")
        if found.access == "gated" and reads_files and token not in found.readers:
            told = f"Access to model {name} is restricted"
            if token is None:
                self._refuse(401, "GatedRepo", f"{told}. You must have access to it and be authenticated.")
            self._refuse(403, "GatedRepo", f"{told} and you are not in the authorized list.")
        return found

    def _commit(self, found: Repository, revision: str) -> str:
        commit = found.resolve(revision or "main")
        if commit is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    # routes

    def _whoami(self, *, query: Mapping[str, list[str]]) -> None:
        del query
        if self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.server.hub.tokens:
            self._refuse(401, None, "Invalid username or password.")
        self._send_json({"type": "user", "name": "someone"})

    def _search(self, *, query: Mapping[str, list[str]]) -> None:
        wanted = set(query.get("filter", ()))
        hits = [
            {"id": name, "tags": list(one.facts.get("tags", ()))}
            for name, one in self.server.hub.repositories.items()
            if wanted <= set(one.facts.get("tags", ())) and one.access != "private"
        ]
        self._send_json(hits)

    def _info(self, *, repo: str, revision: str, query: Mapping[str, list[str]]) -> None:
        found = self._repository(repo, reads_files=False)
        commit = self._commit(found, revision)
        siblings: list[dict[str, Any]] = []
        for path, file in sorted(found.commits[commit].items()):
            siblings.append({"rfilename": path})
            if "blobs" in query:
                siblings[-1] |= {"size": file.size, "blobId": file.oid} | _lfs(file)
        self._send_json(
            {
                "_id": "0" * 24,
                "id": repo,
                "modelId": repo,
                "author": repo.partition("/")[0],
                "sha": commit,
                "private": found.access == "private",
                "gated": "manual" if found.access == "gated" else False,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": siblings,
                **found.facts,
            }
        )

    def _tree(self, *, repo: str, revision: str, folder: str, query: Mapping[str, list[str]]) -> None:
        found = self._repository(repo, reads_files=False)
        files = found.commits[self._commit(found, revision)]
        entries = list(_entries(files, folder, is_recursive=query.get("recursive") in (["true"], ["True"])))
        if found.is_xet:
            entries = [one | ({"xetHash": "0" * 64} if "lfs" in one else {}) for one in entries]
        start = int(query.get("cursor", ["0"])[0])
        headers = {}
        if start + _PAGE < len(entries):
            kept = [one for one in parse_qsl(urlsplit(self.path).query) if one[0] != "cursor"]
            path = urlsplit(self.path).path
            following = urlencode([*kept, ("cursor", str(start + _PAGE))])
            headers["Link"] = f'<{self.server.hub.url}{path}?{following}>; rel="next"'
        self._send_json(entries[start : start + _PAGE], headers)

    def _resolve(self, *, repo: str, revision: str, path: str, query: Mapping[str, list[str]]) -> None:
        del query
        found = self._repository(repo, reads_files=True)
        commit = self._commit(found, revision)
        file = found.commits[commit].get(path)
        if file is None:
            raise RefusedError(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if file.sha256 is None:
            self._send_file(path, file, headers | {"ETag": f'"{file.oid}"'})
            return
        headers |= {
            "X-Linked-Etag": f'"{file.sha256}"',
            "X-Linked-Size": str(file.size),
            "ETag": f'"{file.oid}"',
        }
        if found.announces_xet:
            route = f"{self.server.hub.url}/api/models/{repo}/xet-read-token/{commit}"
            headers |= {"X-Xet-Hash": file.sha256, "Link": f'<{route}>; rel="xet-auth"'}
        self._send_redirect(repo, commit, path, file, headers)

    routes = tuple(
        (re.compile(pattern), action)
        for pattern, action in (
            (r"/api/whoami-v2", "_whoami"),
            (r"/api/models", "_search"),
            (rf"/api/models{_REPO}(?:/revision/{_REVISION})?", "_info"),
            (rf"/api/models{_REPO}/tree/{_REVISION}(?:/(?P<folder>.*))?", "_tree"),
            (rf"{_REPO}/resolve/{_REVISION}/(?P<path>.+)", "_resolve"),
        )
    )


class FakeHub(FakeSite):
    """A Hub; ``url`` is what ``HF_ENDPOINT`` is to be."""

    handler = _Handler


def _lfs(file: StoredFile) -> dict[str, Any]:
    if file.sha256 is None:
        return {}
    return {
        "lfs": {"oid": file.sha256, "sha256": file.sha256, "size": file.size, "pointerSize": POINTER_BYTES}
    }


def _entries(files: Mapping[str, StoredFile], folder: str, *, is_recursive: bool) -> Iterator[dict[str, Any]]:
    prefix = f"{folder}/" if folder else ""
    told = set()
    for path, file in sorted(files.items()):
        if not path.startswith(prefix):
            continue
        parts = path.removeprefix(prefix).split("/")
        for depth in range(1, len(parts) if is_recursive else min(len(parts), 2)):
            below = prefix + "/".join(parts[:depth])
            if below not in told:
                told.add(below)
                yield {"type": "directory", "oid": "0" * 40, "size": 0, "path": below}
        if is_recursive or len(parts) == 1:
            yield {"type": "file", "oid": file.oid, "size": file.size, "path": path} | _lfs(file)
