"""A ModelScope of the tests on two loopback sockets, as :mod:`tests.fakes.hub_server` is a Hub.

::

    with FakeModelScope() as site:
        site.add("owner/repo", {"model-Q4_K_M.gguf": gguf.read_bytes()})
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", site.url)

What it answers is what modelscope_hub 0.5.1 reads (``_legacy_api.py``, ``_download.py``); the numbers of its
refusals, and what the list tells of the commit, are those that others wrote down of modelscope.cn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.fakes.file_server import FakeSite, NoRanges, RefusedError, SiteHandler
from tests.fakes.hub_content import Repository, StoredFile

MOST_ENTRIES = 3000  # of one list
NO_REPOSITORY, NO_ACCESS, NO_TREE, NO_FILE = 10010205001, 10010200001, 10990101004, 10990101007
_MODEL = r"/api/v1/models/(?P<repo>[^/]+/[^/]+)"


class _Handler(SiteHandler):
    routes = tuple(
        (re.compile(pattern), action)
        for pattern, action in (
            (_MODEL, "_detail"),
            (rf"{_MODEL}/revisions", "_revisions"),
            (rf"{_MODEL}/commits", "_commits"),
            (rf"{_MODEL}/repo/files", "_files"),
            (rf"{_MODEL}/repo", "_file"),
        )
    )

    @property
    def _site(self) -> FakeModelScope:
        assert isinstance(self.server.hub, FakeModelScope)
        return self.server.hub

    def send_refusal(self, refused: RefusedError) -> None:
        """Tell of a refusal in the body, if there is one."""
        told = {"Code": refused.code, "Message": refused.message, "RequestId": "0", "Success": False}
        self._send(refused.status, json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _tell(self, data: object) -> None:
        self._send_json({"Code": 200, "Data": data, "Message": "success", "RequestId": "0", "Success": True})

    def _repository(self, name: str, *, reads_files: bool = False) -> Repository:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        found = self._site.repositories.get(name)
        if found is None:
            self._refuse(404, NO_REPOSITORY, "record not found")
        is_closed = found.access == "private" or (found.access == "gated" and reads_files)
        if is_closed and token not in found.readers:
            self._refuse(404, NO_ACCESS, "no access")  # a token that is not valid is as none
        return found

    # routes

    def _detail(self, *, repo: str, query: Mapping[str, list[str]]) -> None:
        del query
        found = self._repository(repo)
        path, _, name = repo.partition("/")
        self._tell({"Id": 1, "Name": name, "Path": path, "BaseModel": [], **found.facts})

    def _revisions(self, *, repo: str, query: Mapping[str, list[str]]) -> None:
        del query
        branches = [{"Revision": name, "CreatedAt": 0} for name in self._repository(repo).refs]
        self._tell({"RevisionMap": {"Branches": branches, "Tags": []}})

    def _commits(self, *, repo: str, query: Mapping[str, list[str]]) -> None:
        commit = self._repository(repo).resolve(query.get("Ref", ["master"])[0])
        self._tell({"Commit": [{"Id": commit, "ShortId": commit[:8]}] if commit else None})

    def _files(self, *, repo: str, query: Mapping[str, list[str]]) -> None:
        found = self._repository(repo)
        commit = found.resolve(query.get("Revision", ["master"])[0])
        if commit is None:
            if self._site.tells_by_status:
                self._refuse(404, NO_TREE, "no file tree")
            self._tell({"Files": None, "LatestCommitter": None})
            return
        root, is_deep = query.get("Root", [""])[0], query.get("Recursive", ["False"])[0].lower() == "true"
        entries = _entries(found, commit, root=root, is_deep=is_deep)[:MOST_ENTRIES]
        latest = {"Id": "", "ShortId": commit[:8]} if self._site.tells_commits else None
        self._tell({"Files": entries, "IsVisual": 0, "LatestCommitter": latest})

    def _file(self, *, repo: str, query: Mapping[str, list[str]]) -> None:
        found = self._repository(repo, reads_files=True)
        path = query.get("FilePath", [""])[0]
        commit = found.resolve(query.get("Revision", ["master"])[0])
        file = found.commits[commit].get(path) if commit else None
        if commit is None or file is None:
            status = 404 if self._site.tells_by_status else 200
            raise RefusedError(status, NO_FILE, "file not found")
        if file.sha256 is not None and self.command == "GET":
            self._send_redirect(repo, commit, path, file, {"X-Linked-ETag": f'"{file.digest}"'})
            return
        if self._fault is None:
            self._fault = NoRanges()  # what is not in LFS comes whole, whatever was asked for
        self._send_file(path, file, {"ETag": f'"{file.digest}"'})


class FakeModelScope(FakeSite):
    """A ModelScope; ``url`` is what ``MODELSCOPE_ENDPOINT`` is to be.

    Attributes:
        tells_by_status: Whether what is not there is told by the status; else by the body alone.
        tells_commits: Whether lists tell their commit.
    """

    handler = _Handler
    branch: ClassVar[str] = "master"
    tells_by_status = True
    tells_commits = True


def _entries(found: Repository, commit: str, *, root: str, is_deep: bool) -> list[dict[str, Any]]:
    prefix = f"{root}/" if root else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, file in sorted(found.commits[commit].items()):
        if not path.startswith(prefix):
            continue
        parts = path.removeprefix(prefix).split("/")
        for depth in range(1, len(parts) if is_deep else min(len(parts), 2)):
            below = prefix + "/".join(parts[:depth])
            entries.setdefault(below, {"Path": below, "Name": parts[depth - 1], "Type": "tree", "Size": 0})
        if is_deep or len(parts) == 1:
            entries[path] = {
                "Path": path,
                "Name": parts[-1],
                "Type": "blob",
                "Size": file.size,
                "Sha256": file.digest,
                "IsLFS": file.sha256 is not None,
                "Revision": _last_change(found, path, file),
            }
    return list(entries.values())


def _last_change(found: Repository, path: str, file: StoredFile) -> str:
    return next(commit for commit, files in found.commits.items() if files.get(path) == file)
