"""``gguf2ollama doctor``."""

import dataclasses
import json
import os
import time
from datetime import UTC, datetime, timedelta
from importlib import metadata
from types import SimpleNamespace

import pytest

from gguf2ollama.names import TEMPORARY_NAMESPACE
from gguf2ollama.ollama.store import LocalStore
from tests.fakes.hub_server import FakeHub
from tests.fakes.modelscope_server import FakeModelScope


@pytest.fixture
def store(call, gguf, tmp_path):
    folder = tmp_path / "store"
    assert call("build", gguf, "--name", "mine", "--store", folder).code == 0
    return folder


def blobs_of(store, name="library/mine/latest"):
    manifest = json.loads((store / "manifests/registry.ollama.ai" / name).read_bytes())
    digests = [layer["digest"] for layer in (*manifest["layers"], manifest["config"])]
    return [store / "blobs" / digest.replace(":", "-") for digest in digests]


def test_a_whole_store_is_well(call, store):
    done = call("doctor", "--store", store)
    assert (done.code, done.out) == (0, "")
    assert "no damage found" in done.err


def test_the_store_is_the_one_that_ollama_uses(call, store, monkeypatch):
    monkeypatch.setenv("OLLAMA_MODELS", str(store))
    done = call("doctor", "--no-network")
    assert (done.code, done.err) == (0, f"{store}: no damage found\n")
    assert f"ok: model directory: {store} belongs to you, and is writable" in done.out


def test_where_no_store_is_the_places_are_named(call, server, tmp_path, monkeypatch):
    stores = [LocalStore(tmp_path / name) for name in ("one", "other")]
    for module in ("doctor", "system_check"):
        monkeypatch.setattr(f"gguf2ollama.api.{module}.known_stores", lambda _environ: stores)
    done = call("doctor", "--no-network")
    assert done.code == 0
    assert f"no Ollama model directory found at {tmp_path / 'one'}, {tmp_path / 'other'}" in done.out
    assert "--store" in done.out
    assert f"ok: server: Ollama 0.34.4 at {server.url} (models: 0, loaded: 0)" in done.out


def test_a_blob_that_is_missing_is_an_error(call, store):
    blobs_of(store)[-1].unlink()
    done = call("doctor", "--store", store, "--json")
    assert done.code == 6
    assert "library/mine/latest needs it" in done.json["store"][0]["message"]


def test_a_blob_of_another_length_is_an_error(call, store):
    with blobs_of(store)[-1].open("ab") as stream:
        stream.write(b"x")
    assert call("doctor", "--store", store, "--quick").code == 6


def test_changed_bytes_are_found_by_hashing_alone(call, store):
    blob = blobs_of(store)[-1]
    content = bytearray(blob.read_bytes())
    content[5] ^= 1
    blob.write_bytes(content)
    assert call("doctor", "--store", store, "--quick").code == 0
    done = call("doctor", "--store", store)
    assert done.code == 6
    assert blob.name in done.out


def test_a_manifest_that_cannot_be_read_is_an_error(call, store):
    (store / "manifests/registry.ollama.ai/library/mine/latest").write_bytes(b"{")
    assert call("doctor", "--store", store).code == 6


def test_what_lies_about_is_noted_and_no_error(call, store):
    (store / "blobs" / ("sha256-" + "0" * 64)).touch()
    (store / "blobs" / ".sha256-x.abc.part").touch()
    own = store / "manifests/registry.ollama.ai/library/mine"
    temporary = store / "manifests/registry.ollama.ai" / TEMPORARY_NAMESPACE / "mine-abc"
    temporary.mkdir(parents=True)
    (temporary / "latest").write_bytes((own / "latest").read_bytes())
    done = call("doctor", "--store", store, "--json")
    assert done.code == 0
    assert [one["level"] for one in done.json["store"]] == ["note"] * 3
    assert any("left by an interrupted build" in one["message"] for one in done.json["store"])


def test_a_folder_that_is_not_a_model_directory_is_not_found(call, tmp_path):
    assert call("doctor", "--store", tmp_path).code == 3


UNKNOWN = "0123456789abcdef"


def leave(store, name, *, hours):
    """Put a copy of the model into a store under a temporary name, so many hours old; give its manifest."""
    own = store / "manifests/registry.ollama.ai/library/mine/latest"
    path = store / "manifests/registry.ollama.ai" / TEMPORARY_NAMESPACE / name / UNKNOWN
    path.parent.mkdir(parents=True)
    path.write_bytes(own.read_bytes())
    then = time.time() - hours * 3600
    os.utime(path, (then, then))
    return path


def test_fix_removes_abandoned_models_from_a_directory(call, store):
    old, young = leave(store, "old", hours=25), leave(store, "young", hours=23)
    part = store / "blobs/.sha256-x.0123456789ab.part"
    part.touch()
    os.utime(part, (0, 0))
    assert call("doctor", "--store", store, "--quick").code == 0
    assert old.exists()
    done = call("doctor", "--store", store, "--quick", "--fix")
    assert done.code == 0
    assert f"Removed {TEMPORARY_NAMESPACE}/old:{UNKNOWN}" in done.err
    assert (old.exists(), young.exists(), part.exists()) == (False, True, False)
    assert all(blob.exists() for blob in blobs_of(store))


def test_fix_of_a_store_alone_asks_no_server(call, store, server):
    assert call("doctor", "--store", store, "--fix").code == 0
    assert server.seen == []


def remember(server, gguf, call, *, hours):
    """Put an old temporary model on a server beside a model."""
    assert call("build", gguf, "--name", "mine", "--no-load", "--no-verify", "--via", "upload").code == 0
    then = datetime.now(UTC) - timedelta(hours=hours)
    left = dataclasses.replace(server.store.models["mine:latest"], modified=then)
    server.store.models[f"{TEMPORARY_NAMESPACE}/other:{UNKNOWN}"] = left


@pytest.mark.parametrize("is_named", [True, False])
def test_fix_removes_from_a_server_with_no_store_here(call, server, gguf, monkeypatch, is_named):
    monkeypatch.setattr("gguf2ollama.api.doctor.known_stores", lambda _environ: [])
    remember(server, gguf, call, hours=25)
    done = call("doctor", "--no-network", "--fix", *(["--host", server.url] if is_named else []))
    assert done.code == 0
    assert f"Removed {TEMPORARY_NAMESPACE}/other:{UNKNOWN}" in done.err
    assert list(server.store.models) == ["mine:latest"]


def test_fix_without_a_server_looks_after_the_store(call, store, monkeypatch):
    monkeypatch.setenv("OLLAMA_MODELS", str(store))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    old = leave(store, "old", hours=25)
    done = call("doctor", "--no-network", "--fix")
    assert done.code == 0
    assert "No server is running" in done.err
    assert not old.exists()


def test_a_server_that_was_named_has_to_answer(call, store):
    assert call("doctor", "--fix", "--host", "127.0.0.1:1", "--store", store).code == 5


def test_a_host_for_a_directory_alone_is_a_usage_error(call, store, server):
    assert call("doctor", "--host", server.url, "--store", store).code == 2


def test_a_linked_file_that_was_overwritten_in_place_is_found_without_hashing_all(call, store, gguf):
    blob = next(path for path in blobs_of(store) if path.samefile(gguf))
    gguf.write_bytes(gguf.read_bytes()[:-4] + b"\1\2\3\4")
    for options in ([], ["--quick"]):
        done = call("doctor", "--store", store, *options)
        assert done.code == 6
        assert f"error: {blob}: checksum mismatch, a file linked to it was overwritten in place" in done.out


# each with credentials somewhere, or of a form that some part of the program cannot read
HOSTILE_VALUES = (
    "http://user:secret1@127.0.0.1:1/?token=secret12",
    "http://secret1@127.0.0.1:1",
    "user:se/secret1@127.0.0.1:1",
    "ftp://secret1@127.0.0.1:1",
    "http://[",
    "//",
    "-1",
    "~no-such-user/x",
    "/dev/null/x",
    "a\nb\x1b[31m\u202e",
    "\udcff",
)
HOSTILE_NAMES = (
    *("OLLAMA_HOST", "OLLAMA_MODELS", "OLLAMA_KEEP_ALIVE", "OLLAMA_API_KEY"),
    *("HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"),
    *("MODELSCOPE_ENDPOINT", "MODELSCOPE_CACHE", "MODELSCOPE_API_TOKEN", "MODELSCOPE_HOME"),
    *("XDG_CACHE_HOME", "GGUF2OLLAMA_CONNECTIONS", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy"),
)


@pytest.mark.usefixtures("server")
class TestSystem:
    @pytest.fixture(autouse=True)
    def _no_store(self, monkeypatch):
        monkeypatch.setattr("gguf2ollama.api.doctor.known_stores", lambda _environ: [])
        monkeypatch.setattr("gguf2ollama.api.system_check.known_stores", lambda _environ: [])

    def topics(self, done):
        return {finding["topic"]: finding for finding in done.json["system"]}

    def test_a_report_has_nothing_secret_in_it(self, call, monkeypatch):
        with FakeHub() as hub:
            hub.tokens = {"hf_secret1"}
            monkeypatch.setenv("HF_ENDPOINT", hub.url)
            monkeypatch.setenv("HF_TOKEN", "hf_secret1")
            monkeypatch.setenv("OLLAMA_API_KEY", "secret2")
            monkeypatch.setenv("ALL_PROXY", "user:secret3@proxy.invalid:1")
            monkeypatch.setenv("HTTPS_PROXY", "http://user:secret4@proxy.invalid:1/?secret5")
            monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
            done = call("doctor", "--json")
        assert done.code == 0
        assert "secret" not in done.out + done.err
        found = self.topics(done)
        assert found["Hub"]["message"] == f"{hub.url} answers; the token is accepted"
        for shown in ("HF_TOKEN=(set)", "ALL_PROXY=proxy.invalid:1", "HTTPS_PROXY=http://proxy.invalid:1/"):
            assert shown in found["environment"]["message"]

    @pytest.mark.parametrize(
        "token, level, said",
        [("hf_old", "warning", "does not accept the token"), (None, "ok", "without a token, gated")],
    )
    def test_whether_the_hub_takes_the_token_is_said(self, call, monkeypatch, token, level, said):
        monkeypatch.setenv("HF_TOKEN_PATH", os.devnull)
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        else:
            monkeypatch.delenv("HF_TOKEN", raising=False)
        with FakeHub() as hub:
            monkeypatch.setenv("HF_ENDPOINT", hub.url)
            found = self.topics(call("doctor", "--json"))["Hub"]
        assert found["level"] == level
        assert said in found["message"]

    def test_what_cannot_be_reached_is_a_warning_with_what_to_do(self, call, monkeypatch):
        monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
        done = call("doctor", "--json")
        assert done.code == 0
        for topic in ("server", "Hub"):
            assert self.topics(done)[topic]["level"] == "warning"
            assert self.topics(done)[topic]["hint"]

    @pytest.mark.parametrize(
        "name, value",
        [("OLLAMA_HOST", "http://:::"), ("HF_ENDPOINT", "huggingface.co"), ("SSL_CERT_FILE", "/nowhere.pem")],
    )
    def test_a_setting_that_cannot_work_is_an_error(self, call, monkeypatch, name, value):
        monkeypatch.setenv(name, value)
        done = call("doctor", "--json", "--no-network")
        assert done.code == 6
        (wrong,) = [finding for finding in done.json["system"] if finding["level"] == "error"]
        assert name in wrong["message"]

    @pytest.mark.parametrize("value", HOSTILE_VALUES)
    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_whatever_a_variable_holds_all_is_looked_at_and_nothing_secret_said(
        self, call, monkeypatch, name, value
    ):
        monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
        monkeypatch.setenv(
            "HF_ENDPOINT", "http://hub.invalid" if "PROXY" in name.upper() else "http://127.0.0.1:1"
        )
        if "PROXY" in name.upper():
            monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:1")
        monkeypatch.setenv(name, value)
        done = call("doctor", "--json")
        assert done.code in {0, 6}, done.err
        assert "secret1" not in done.out + done.err
        assert "bug in" not in done.out + done.err
        found = self.topics(done)
        assert {"program", "server", "memory", "environment", "Hub", "ModelScope"} <= set(found)
        assert [
            finding for finding in found.values() if finding["level"] != "ok" and not finding["hint"]
        ] == []

    def test_a_topic_that_cannot_be_looked_at_hides_no_other(self, call, monkeypatch):
        def fail():
            raise ZeroDivisionError("no")

        monkeypatch.setattr("gguf2ollama.api.system_check.find_hardware", fail)
        done = call("doctor", "--json", "--no-network")
        found = self.topics(done)
        assert (done.code, found["memory"]["level"]) == (6, "error")
        assert found["memory"]["message"] == "bug in gguf2ollama: ZeroDivisionError: no"
        assert found["environment"]["level"] == found["Hub"]["level"] == "ok"

    def test_modelscope_is_asked_where_it_is_set_up(self, call, monkeypatch):
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
        assert "ModelScope" not in self.topics(call("doctor", "--json"))
        with FakeModelScope() as site:
            monkeypatch.setenv("MODELSCOPE_ENDPOINT", site.url)
            found = self.topics(call("doctor", "--json"))
        assert found["ModelScope"]["message"] == f"{site.url} answers"
        found = self.topics(call("doctor", "--json"))
        assert (found["ModelScope"]["level"], bool(found["ModelScope"]["hint"])) == ("warning", True)

    def test_a_model_directory_of_another_user_that_is_closed_is_named(self, call, monkeypatch, tmp_path):
        store = LocalStore(tmp_path / "closed")
        monkeypatch.setattr("gguf2ollama.api.system_check.known_stores", lambda _environ: [store])

        def refuse(path, **_options):
            if path == store.root:
                raise PermissionError(13, "Permission denied", str(path))
            return os.path.isdir(path)  # noqa: PTH112 - what is replaced

        monkeypatch.setattr("pathlib.Path.is_dir", refuse)
        found = self.topics(call("doctor", "--json", "--no-network"))["model directory"]
        assert (found["level"], str(store.root) in found["message"]) == ("note", True)
        assert "builds go through the server" in found["hint"]

    def test_the_versions_of_what_it_depends_on_are_listed(self, call):
        found = self.topics(call("doctor", "--json", "--no-network"))["dependencies"]["message"]
        for package in ("click", "huggingface-hub", "gguf"):
            assert f"{package} {metadata.version(package)}" in found
        assert "pytest" not in found

    def test_a_disk_that_is_nearly_full_is_a_warning(self, call, monkeypatch):
        monkeypatch.setattr(
            "gguf2ollama.api.system_check.shutil.disk_usage", lambda _path: SimpleNamespace(free=10**9)
        )
        found = self.topics(call("doctor", "--json", "--no-network"))["downloads"]
        assert (found["level"], found["message"][-11:]) == ("warning", "1.0 GB free")

    def test_an_extra_that_is_missing_comes_with_its_command(self, call, monkeypatch):
        wanted = ["click", "no-such-package>=1; extra == 'engine'", "click>=8 ; extra == 'engine'"]
        monkeypatch.setattr("gguf2ollama.api.system_check.metadata.requires", lambda _name: wanted)
        found = self.topics(call("doctor", "--json", "--no-network"))["extra engine"]
        assert "no-such-package is not installed, click 8" in found["message"]
        assert found["hint"] == "pip install 'gguf2ollama[engine]'"
