"""Export, outdated and update: against a fake server and a fake Hub."""

from __future__ import annotations

import pytest

from gguf2ollama.ollama import Client
from tests.builders import tiny_llama
from tests.fakes.hub_server import FakeHub
from tests.fakes.ollama_server import FakeOllama

REPO = "owner/Tiny-GGUF"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with FakeHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def weights(tmp_path, seed):
    path = tmp_path / f"{seed}.gguf"
    tiny_llama(path, seed=seed)
    return path.read_bytes()


def test_what_is_exported_changes_nothing_where_it_came_from(call, server, hub, gguf, tmp_path):
    hub.add(REPO, {"tiny-Q8_0.gguf": weights(tmp_path, 1)})
    options = [
        "--system",
        "Be: brief\nand # kind",
        "--param",
        "temperature=0.3",
        "--param",
        "stop=### End",
        "--ctx",
        "512",
    ]
    assert call("build", REPO, "--name", "mine", *options).code == 0
    assert call("build", gguf, "--name", "local").code == 0
    with Client(server.url) as client:
        client.create("theirs", from_="local", licenses=["MIT"], system="x").drain()
    path = gguf.parent / "exported.yaml"
    assert call("export", "-o", path).code == 0
    text = path.read_text()
    assert f"hf://{REPO}/tiny-Q8_0.gguf@" in text
    assert f"source: ./{gguf.name}" in text
    assert "# a file of the machine that built it, sha256" in text
    planned = call("plan", path)
    assert planned.code == 0, planned.out
    exported = call("export", "--json").json
    assert {model["name"] for model in exported["models"]} == {"mine:latest", "local:latest", "theirs:latest"}


def test_what_was_not_made_by_us_is_listed_as_such(call, server, gguf):
    call("build", gguf, "--name", "local")
    with Client(server.url) as client:
        client.create("theirs", from_="local").drain()
    server.altered["license"] = "MIT"
    text = call("export").out
    assert "# not made by gguf2ollama" in text
    assert "pull: theirs:latest" in text


def test_a_new_commit_with_other_files_is_outdated_and_made_again(call, server, hub, tmp_path):
    hub.add(REPO, {"tiny-Q8_0.gguf": weights(tmp_path, 1), "README.md": b"a"})
    call("build", REPO, "--name", "mine", "--system", "Be brief.")
    call("build", REPO, "--name", "pinned", "--revision", call("outdated", "--json").json[0]["commit"])
    assert call("outdated").code == 0

    hub.add(REPO, {"tiny-Q8_0.gguf": weights(tmp_path, 1), "README.md": b"b"})
    same = call("outdated", "--json")
    assert same.code == 0
    states = {model["name"]: (model["state"], model["reason"]) for model in same.json}
    assert states["mine:latest"] == ("current", "a new commit, with the same files")
    assert states["pinned:latest"][0] == "pinned"
    nothing = call("update", "--json")
    assert (nothing.code, nothing.json["changed"]) == (0, False)

    hub.add(REPO, {"tiny-Q8_0.gguf": weights(tmp_path, 2), "README.md": b"b"})
    changed = call("outdated", "--json")
    assert changed.code == 10
    assert [model["name"] for model in changed.json if model["state"] == "outdated"] == ["mine:latest"]
    done = call("update", "--json")
    assert done.code == 0
    assert [result["model"] for result in done.json["results"]] == ["mine:latest"]
    assert done.json["bytes_sent"]["ollama"] > 0
    assert call("outdated").code == 0
    with Client(server.url) as client:
        assert client.show("mine").system == "Be brief."


def test_a_repository_that_is_gone_is_said_and_the_others_are_compared(call, server, hub, tmp_path):
    hub.add(REPO, {"tiny-Q8_0.gguf": weights(tmp_path, 1)})
    call("build", REPO, "--name", "mine")
    hub.repositories.clear()
    done = call("outdated", "--json")
    assert done.code == 0
    [mine] = done.json
    assert mine["state"] == "unknown"
    assert REPO in mine["reason"]


def test_a_model_that_the_server_lacks_is_not_updated(call, server):
    assert call("update", "none").code == 2


def test_a_repository_is_downloaded_once_for_all_hosts(call, hub, tmp_path, monkeypatch):
    content = tiny_llama(tmp_path / "large.gguf", blocks=120).read_bytes()
    hub.add(REPO, {"tiny-Q8_0.gguf": content})
    path = tmp_path / "m.yaml"
    with FakeOllama(version="0.34.4") as first, FakeOllama(version="0.32.15") as second:
        path.write_text(
            f"models: {{one: {REPO}, two: '{REPO}:Q8_0'}}\nhosts: {{a: '{first.url}', b: '{second.url}'}}\n"
        )
        planned = call("plan", path)
        assert planned.code == 10
        assert f"create (from hf://{REPO}/tiny-Q8_0.gguf@main at " in planned.out
        assert call("apply", path).code == 0
        assert call("plan", path).code == 0
        assert call("apply", path, "--json").json["bytes_sent"] == {"a": 0, "b": 0}
        assert hub.sent["tiny-Q8_0.gguf"] < 2 * len(content), "once, and some headers"
