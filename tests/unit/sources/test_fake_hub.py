"""The Hub of the tests is held to the real client: what it says, huggingface_hub understands."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.utils import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.fakes.hub_server import Cut


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.url, token=False)


def test_the_client_lists_folders_and_pages(hub, api):
    files = {f"UD-Q{number}/model-{number:03}.gguf": b"GGUF" for number in range(120)}
    commit = hub.add("o/r", files | {"README.md": b"# hi"}).refs["main"]

    found = [one for one in api.list_repo_tree("o/r", recursive=True) if hasattr(one, "size")]

    assert [one.path for one in found] == sorted({*files, "README.md"})
    assert {one.lfs.size for one in found if one.lfs} == {4}
    assert api.model_info("o/r", files_metadata=True).sha == commit
    assert len(hub.lines("tree/main")) > 2


def test_the_client_downloads_by_a_redirect_to_another_host_without_its_token(hub, tmp_path):
    files = {"a/model.gguf": b"GGUF and more", "config.json": b"{}"}
    hub.add("o/r", files, access="private", readers={"hf_good"})

    for name, content in files.items():
        path = hf_hub_download("o/r", name, endpoint=hub.url, token="hf_good", cache_dir=tmp_path)
        assert Path(path).read_bytes() == content
    [there] = [one for one in hub.seen if one.line.startswith("GET cdn")]
    assert "authorization" not in there.headers


def test_the_client_goes_on_after_a_cut(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)  # before it goes on
    content = bytes(range(256)) * 4096
    hub.add("o/r", {"model.gguf": content})
    hub.inject("GET cdn", Cut(after_bytes=300_000))

    for _ in range(2):  # older ones go on when they are called again
        with contextlib.suppress(OSError):
            path = hf_hub_download("o/r", "model.gguf", endpoint=hub.url, token=False, cache_dir=tmp_path)

    assert Path(path).read_bytes() == content
    assert len(hub.lines("GET cdn")) == 2


@pytest.mark.parametrize(
    "repo,revision,name,token,error",
    [
        ("o/none", "main", "a.gguf", False, RepositoryNotFoundError),
        ("o/none", "main", "a.gguf", "hf_good", RepositoryNotFoundError),
        ("o/r", "none", "a.gguf", False, RevisionNotFoundError),
        ("o/r", "main", "none.gguf", False, EntryNotFoundError),
        ("o/gated", "main", "a.gguf", False, GatedRepoError),
        ("o/gated", "main", "a.gguf", "hf_stranger", GatedRepoError),
        ("o/r", "main", "a.gguf", "hf_expired", HfHubHTTPError),
    ],
)
def test_the_client_tells_refusals_apart(hub, tmp_path, repo, revision, name, token, error):
    hub.add("o/r", {"a.gguf": b"GGUF"})
    hub.add("o/gated", {"a.gguf": b"GGUF"}, access="gated", readers={"hf_good"})

    with pytest.raises(error):
        hf_hub_download(repo, name, revision=revision, endpoint=hub.url, token=token, cache_dir=tmp_path)


@pytest.mark.slow
def test_the_client_finds_it_through_its_environment(hub, tmp_path):
    hub.add("o/r", {"a.gguf": b"GGUF"})
    program = "from huggingface_hub import hf_hub_download; print(hf_hub_download('o/r', 'a.gguf'))"

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip().startswith(str(tmp_path))
