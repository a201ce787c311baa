"""Builds, lists, checks and removals with stores of both layouts.

The servers of 0.40 are fakes, and so are the stores that one leaves (``tests/stores.py``): no 0.40 is tried.
"""

import json
import re
import shlex

import pytest

from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from tests.builders import tiny_llama
from tests.fakes.ollama_server import FakeOllama
from tests.stores import add_model, old_path, v2_path, write_link, write_old, write_v2

PATH = "library/mine/latest"


@pytest.fixture(params=["0.34.4", "0.40.0", "0.40.2"])
def local(request, monkeypatch, tmp_path):
    """A server whose store is on this machine and ours."""
    with FakeOllama(version=request.param) as server:
        yield _with_store(server, monkeypatch, tmp_path)


@pytest.fixture(params=["0.40.0", "0.40.2"])
def local_v2(request, monkeypatch, tmp_path):
    """A server of 0.40 whose store is on this machine and ours."""
    with FakeOllama(version=request.param) as server:
        yield _with_store(server, monkeypatch, tmp_path)


def _with_store(server, monkeypatch, tmp_path):
    server.store.folder = tmp_path / "models"
    (server.store.folder / "blobs").mkdir(parents=True)
    monkeypatch.setenv("OLLAMA_HOST", server.url)
    monkeypatch.setenv("OLLAMA_MODELS", str(server.store.folder))
    return server


@pytest.fixture
def old(tmp_path):
    """A file that 0.40 rewrites: of an architecture by a name that only Ollama's own converter writes."""
    return tiny_llama(tmp_path / "old.gguf", metadata={"general.architecture": "gptoss"})


def chat(server):
    with Client(server.url) as client:
        client.chat("mine", [{"role": "user", "content": "hello"}]).drain()


def names(call):
    return [model["name"] for model in call("list", "--json").json]


def files(root):
    return sorted(str(path.relative_to(root)) for path in root.glob("manifests*/*/*/*/*"))


@pytest.mark.parametrize("via", ["link", "pull"])
def test_what_we_write_is_kept_as_it_is_and_nothing_is_noted(call, local, old, via):
    root = local.store.folder
    for system in ("One.", "Two."):  # the second takes the place of the first
        done = call("build", old, "--name", "mine", "--via", via, "--system", system, "--no-verify")
        assert done.code == 0, done.err
        assert "second copy" not in done.err
        assert call("show", "mine", "--json").json["system"] == system
        chat(local)
    if local.store.features.manifests_v2:
        assert files(root) == [f"manifests-v2/ollama.com/{PATH}"]
        assert json.loads(v2_path(root, PATH).read_bytes())["runner"] == "llamacpp"
    assert names(call) == ["mine:latest"]
    checked = call("doctor", "--store", root)
    assert (checked.code, [line for line in checked.out.splitlines() if "no model uses it" not in line]) == (
        0,
        [],
    )
    assert call("rm", "mine").code == 0
    assert names(call) == []
    assert files(root) == []


def test_an_upload_that_will_be_doubled_is_warned_of_with_its_bytes(call, local, old):
    how = ("--name", "mine", "--via", "upload", "--no-verify", "--allow-mismatch")
    for dry in ((), ("--dry-run",)):
        done = call("build", old, *how, *dry)
        assert done.code == 0, done.err
        warned = (
            f"warning: Ollama {local.store.version} writes a second copy of this file after the first chat"
        )
        assert (warned in done.err) == local.store.features.manifests_v2
        assert (f"({old.stat().st_size:,} bytes more" in done.err) == local.store.features.manifests_v2


def test_an_upload_of_a_usual_model_is_not_warned_of(call, local, gguf):
    done = call("build", gguf, "--name", "mine", "--via", "upload", "--no-verify", "--allow-mismatch")
    assert done.code == 0, done.err
    assert "second copy" not in done.err


@pytest.fixture
def doubled(call, local_v2, old):
    """A model that was uploaded, chatted with and doubled."""
    done = call("build", old, "--name", "mine", "--via", "upload", "--no-verify", "--allow-mismatch")
    assert done.code == 0, done.err
    chat(local_v2)
    assert sum("llamacpp" in path for path in files(local_v2.store.folder)) == 1, "then this tests nothing"
    return local_v2.store.folder


def large(root):
    """Return the lengths of the blobs that hold weights."""
    return sorted(path.stat().st_size for path in (root / "blobs").iterdir() if path.stat().st_size > 100_000)


def test_a_model_that_was_doubled_is_listed_once(call, doubled):
    assert names(call) == ["mine:latest"]
    listed = call("list")
    assert listed.out.count("mine:latest") == 1
    assert "llamacpp" not in listed.out + listed.err


def test_what_doctor_says_of_a_doubled_model_frees_its_bytes(call, doubled, old):
    size = old.stat().st_size
    assert large(doubled) == [size, size + 96]
    checked = call("doctor", "--store", doubled, "--json")
    assert checked.code == 0
    (message,) = [one["message"] for one in checked.json["store"] if "second copy" in one["message"]]
    assert f"{size + 96:,} bytes" in message
    for command in re.search("`(.*)`", message)[1].split(" && "):
        program, *arguments = shlex.split(command)
        assert program == "gguf2ollama"
        assert call(*arguments).code == 0
    assert large(doubled) == [size + 96]
    assert names(call) == ["mine:latest"]
    assert call("run", "mine", "hello").code == 0
    assert "second copy" not in call("doctor", "--store", doubled).out


def test_a_copy_that_a_build_left_behind_is_named_and_freed(call, doubled, old):
    size = old.stat().st_size
    done = call("build", old, "--name", "mine", "--via", "link", "--no-verify")
    assert done.code == 0, done.err
    assert large(doubled) == [size, size + 96]
    listed = call("list")
    assert "llamacpp" not in listed.out
    assert "converted copy of a model that was removed or rebuilt" in listed.err
    checked = call("doctor", "--store", doubled)
    (command,) = re.findall("`(gguf2ollama rm llamacpp:.*?)`", checked.out)
    assert command in listed.err
    assert call(*command.split()[1:]).code == 0
    assert large(doubled) == [size]
    assert "llamacpp" not in call("doctor", "--store", doubled).out


def test_a_name_that_stands_in_the_newer_layout_is_changed_there_without_a_server(call, gguf, tmp_path):
    root = tmp_path / "store"
    write_v2(root, PATH, add_model(root, b"before"))
    done = call("build", gguf, "--name", "mine", "--store", root)
    assert done.code == 0, done.err
    assert files(root) == [f"manifests-v2/ollama.com/{PATH}", f"manifests/registry.ollama.ai/{PATH}"]
    manifest = json.loads(v2_path(root, PATH).read_bytes())
    assert manifest["layers"][0]["digest"] == str(Digest.of(gguf.read_bytes()))
    for version in ("0.34.4", "0.40.0", "0.40.2"):
        with FakeOllama(version=version) as server:
            server.store.folder = root
            assert [row.name for row in server.store.rows()] == ["mine:latest"]
            assert server.store.find("mine")[1].layers[0].digest == str(Digest.of(gguf.read_bytes()))
    notes = call("doctor", "--store", root).out.splitlines()
    assert all("no model uses it" in note for note in notes), "blobs of the model that was there before"


def test_a_new_store_gets_what_every_version_reads(call, gguf, tmp_path):
    root = tmp_path / "store"
    assert call("build", gguf, "--name", "mine", "--store", root).code == 0
    assert files(root) == [f"manifests/registry.ollama.ai/{PATH}"]
    for version in ("0.24.0", "0.34.4", "0.40.0"):
        with FakeOllama(version=version) as server:
            server.store.folder = root
            assert [row.name for row in server.store.rows()] == ["mine:latest"]


def test_a_name_that_differs_only_in_case_is_kept_and_said(call, gguf, tmp_path):
    root = tmp_path / "store"
    write_v2(root, "library/Mine/latest", add_model(root, b"before"))
    done = call("build", gguf, "--name", "mine", "--store", root)
    assert done.code == 0, done.err
    assert "Kept the spelling Mine:latest, which the store already has" in done.err
    assert files(root) == [
        "manifests-v2/ollama.com/library/Mine/latest",
        "manifests/registry.ollama.ai/library/Mine/latest",
    ]
    assert Digest.of(gguf.read_bytes()).hex in v2_path(root, "library/Mine/latest").read_text()


def test_a_link_out_of_the_store_is_one_sentence_and_nothing_is_lost(call, gguf, tmp_path):
    root, outside = tmp_path / "store", tmp_path / "manifest"
    outside.write_bytes(add_model(root, b"before").to_bytes())
    write_link(v2_path(root, PATH), outside)
    checked = call("doctor", "--store", root)
    assert checked.code == 6
    assert checked.out.count("not a blob of this store") == 1
    before = outside.read_bytes()
    assert call("build", gguf, "--name", "mine", "--store", root).code == 0
    assert outside.read_bytes() == before
    assert "error" not in call("doctor", "--store", root).out


def test_what_doctor_prints_of_a_hostile_store_moves_no_cursor(call, tmp_path):
    root = tmp_path / "store"
    (root / "blobs").mkdir(parents=True)
    write_old(root, "library/mine\x1b[2J/latest", add_model(root, b"x", runner="\x1b[2J"))
    write_link(v2_path(root, "library/other/latest"), "no\x1b[2Jwhere")
    checked = call("doctor", "--store", root)
    assert "\x1b" not in checked.out + checked.err
    assert "\\x1b" in checked.out


@pytest.mark.parametrize("quick", [(), ("--quick",)])
def test_verify_finds_the_chat_template_of_an_upload_in_the_newer_layout(call, local_v2, gguf, quick):
    done = call("build", gguf, "--name", "mine", "--via", "upload", "--allow-mismatch")
    assert done.code == 0, done.err
    assert not old_path(local_v2.store.folder, PATH).exists()
    verified = call("verify", "mine", *quick)
    assert verified.code in {0, 6}, verified.err
    assert "no chat template is found" not in verified.err
