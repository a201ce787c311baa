"""``gguf2ollama build``, from the call to the server and back."""

import hashlib
import itertools
import json
import os

import pytest

from gguf2ollama.names import TEMPORARY_NAMESPACE
from tests.builders import build_gguf, tiny_llama
from tests.calling_templates import JSON_CALLS
from tests.fakes.hub_server import FakeHub
from tests.fakes.ollama_server import Answer, Cut, Die, FakeOllama


def models(server):
    return set(server.store.models)


def steps(server):
    """Return what was asked of a server, digests left out and what was asked again and again told once."""
    endpoints = (
        one.replace(one.split("/")[-1], "DIGEST") if "blobs" in one else one for one in server.endpoints()
    )
    return [one for one, _ in itertools.groupby(endpoints)]


def leftovers(server):
    return [name for name in map(str, models(server)) if TEMPORARY_NAMESPACE in name]


def test_a_name_is_made_from_that_of_the_file(call, server, gguf):
    done = call("build", gguf, "--json")
    assert done.code == 0, done.err
    assert done.json["name"] == "tiny-chat:q4_k_m"
    assert done.json["created"] is True
    assert call("list", "--json").json[0]["name"] == "tiny-chat:q4_k_m"


def test_the_order_is_upload_create_check_load_compare_name(call, server, gguf):
    assert call("build", gguf, "--name", "mine", "--via", "upload").code == 0
    assert steps(server) == [
        "GET /api/version",
        "POST /api/show",  # how the context of a model of that name was chosen
        "GET /api/tags",
        "HEAD /api/blobs/DIGEST",
        "POST /api/blobs/DIGEST",
        "POST /api/create",
        "POST /api/show",
        "POST /api/generate",
        "POST /api/chat",
        "POST /api/generate",
        "POST /api/copy",
        "DELETE /api/delete",
    ]
    assert leftovers(server) == []


def test_a_server_on_this_machine_pulls_from_us(call, server, gguf):
    done = call("build", gguf, "--name", "mine")
    assert done.code == 0, done.err
    assert "Transport: pull (Ollama's model directory was not found on this machine)" in done.err
    assert "POST /api/pull" in server.endpoints()
    assert "POST /api/create" not in server.endpoints()
    assert models(server) == {"mine:latest"}


def test_what_a_server_cannot_pull_is_uploaded(call, server, gguf):
    refused = 'pull model manifest: Get "http://127.0.0.1:9/v2/": dial tcp: connect: connection refused'
    server.inject("POST /api/pull", Cut(after_lines=1, error=refused))
    done = call("build", gguf, "--name", "mine")
    assert done.code == 0, done.err
    assert "connection refused" in done.err
    assert "falling back to upload" in done.err
    assert "POST /api/create" in server.endpoints()
    assert models(server) == {"mine:latest"}
    held = server.store.find("mine")[1].metadata["tokenizer.chat_template"]
    assert "keeps Ollama from taking the template for one that it knows" in held


def test_the_store_of_the_server_is_written_where_it_is_ours(call, server, gguf, tmp_path, monkeypatch):
    server.store.folder = tmp_path / "models"
    (server.store.folder / "blobs").mkdir(parents=True)
    monkeypatch.setenv("OLLAMA_MODELS", str(server.store.folder))
    done = call("build", gguf, "--name", "mine")
    assert done.code == 0, done.err
    assert "Transport: link" in done.err
    assert any(path.samefile(gguf) for path in (server.store.folder / "blobs").iterdir())
    assert not any(one.startswith("POST /api/blobs") for one in server.endpoints())
    assert models(server) == {"mine:latest"}


@pytest.mark.parametrize("via", ["link", "pull"])
def test_a_requested_transport_that_does_not_work_is_an_error(call, server, gguf, via):
    server.inject("POST /api/pull", Cut(after_lines=1, error="dial tcp: connection refused"))
    done = call("build", gguf, "--via", via)
    assert done.code == {"link": 2, "pull": 5}[via], done.err
    assert "POST /api/create" not in server.endpoints()
    assert models(server) == set()


def test_no_load_does_not_load(call, server, gguf):
    assert call("build", gguf, "--no-load").code == 0
    assert "POST /api/generate" not in server.endpoints()


def test_a_blob_that_the_server_had_is_blamed_and_not_the_file(call, server, tmp_path):
    gguf = tiny_llama(tmp_path / "calling.gguf", chat_template=JSON_CALLS)  # whose header stays as it is
    call("build", gguf, "--via", "upload")
    server.inject("POST /api/create", Answer(status=400, body='{"error":"EOF"}'))
    done = call("build", gguf, "--via", "upload")
    assert done.code == 5, done.err
    assert f"sha256-{hashlib.sha256(gguf.read_bytes()).hexdigest()}" in done.err
    assert "hint: delete that file from the folder `blobs`" in done.err


def test_a_file_that_the_server_got_whole_and_does_not_read_is_invalid(call, server, gguf):
    server.inject("POST /api/create", Answer(status=400, body='{"error":"EOF"}'))
    assert call("build", gguf, "--via", "upload").code == 4


def test_what_is_there_is_not_uploaded_again(call, server, gguf):
    call("build", gguf, "--via", "upload")
    call("build", gguf, "--via", "upload")
    assert sum(one.startswith("POST /api/blobs") for one in server.endpoints()) == 1


def test_a_dry_run_asks_only_for_the_version_and_an_old_model_and_shows_the_plan(call, server, gguf):
    done = call("build", gguf, "--dry-run")
    assert done.code == 0
    assert "num_ctx" in done.out
    assert "Would create tiny-chat:q4_k_m" in done.err
    assert server.endpoints() == ["GET /api/version", "POST /api/show"]


def test_run_asks_the_model_that_was_made(call, server, gguf):
    done = call("build", gguf, "--run", "Say hi")
    assert (done.code, done.out) == (0, "Hello there!\n")


def test_model_options_reach_the_server(call, server, gguf, tmp_path):
    template = tmp_path / "template"
    template.write_text("{{ .System }}{{ .Prompt }}!", encoding="utf-8")
    done = call(
        *(
            "build",
            gguf,
            "--name",
            "mine",
            "--ctx",
            "1k",
            "--param",
            "temperature=0.5",
            "--param",
            "stop=END",
        ),
        *("--system-file", "-", "--template", template),
        stdin="Be brief.",
    )
    assert done.code == 0, done.err
    shown = call("show", "mine", "--json").json
    assert (shown["system"], shown["template"]) == ("Be brief.", "{{ .System }}{{ .Prompt }}!")
    assert shown["parameters"]["num_ctx"] == 1024
    assert shown["parameters"]["temperature"] == 0.5


@pytest.mark.parametrize(
    "version,files", [("0.34.4", 3), ("0.32.15", 3), ("0.29.0", 1), ("0.5.5", 1), ("0.0.0", 3)]
)
def test_shards_are_handed_over_as_the_version_takes_them(call, monkeypatch, shards, version, files):
    with FakeOllama(version=version) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        done = call("build", shards[1], "--no-load", "--via", "upload")
        assert done.code == 0, done.err
        assert sum(one.startswith("POST /api/blobs") for one in server.endpoints()) == files


@pytest.mark.parametrize("version", ["dev", "0.0.0", "1.2.3"])
def test_a_version_that_is_not_known_is_treated_as_the_newest_and_said(call, monkeypatch, gguf, version):
    with FakeOllama(version=version) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        done = call("build", gguf, "--name", "mine")
        assert done.code == 0, done.err
        assert (done.err.count(version), done.err.count("newest known version")) == (2, 1)
        verified = call("verify", "mine", "--quick")
        assert verified.code == 0, verified.err
        assert "newest known version" in verified.err


def test_a_store_for_an_ollama_that_is_not_known_yet_says_what_it_is_treated_as(call, gguf, tmp_path):
    done = call("build", gguf, "--store", tmp_path / "store", "--for-ollama", "1.2.3")
    assert done.code == 0, done.err
    assert "newest known version" in done.err
    assert call("build", gguf, "--store", tmp_path / "store", "--for-ollama", "dev").code == 2


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_server_that_is_too_old_for_an_upload_is_named(call, monkeypatch, gguf, dry):
    with FakeOllama(version="0.5.4") as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        done = call("build", gguf, "--via", "upload", *dry)
    assert done.code == 2
    assert "0.5.4" in done.err
    assert "update Ollama" in done.err
    assert not any(one.startswith("POST") for one in server.endpoints())


def test_such_a_server_pulls_a_model_all_the_same(call, monkeypatch, shards):
    with FakeOllama(version="0.5.4") as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        done = call("build", shards[0], "--name", "mine", "--via", "pull")
        assert done.code == 0, done.err
        assert set(server.store.models) == {"mine:latest"}


def test_a_read_back_that_differs_ends_with_6_and_leaves_nothing(call, server, gguf):
    server.altered["system"] = "Something else."
    done = call("build", gguf, "--name", "mine", "--json")
    assert done.code == 6
    assert "its system prompt is 'Something else.', expected empty" in done.error["message"]
    assert models(server) == set()


@pytest.mark.parametrize(
    "via,words",
    [
        ("pull", "a TEMPLATE of the server's own is used, not the chat template in the GGUF"),
        ("upload", "a TEMPLATE of the server's own is used, not the chat template in the GGUF"),
    ],
)
def test_another_template_on_the_server_is_a_warning_while_prompts_are_right(call, server, gguf, via, words):
    server.altered["template"] = "{{ .Prompt }} of its own"
    done = call("build", gguf, "--name", "mine", "--json", "--via", via)
    assert done.code == 0, done.err
    assert words in done.json["server_warnings"][0]


def test_an_allowed_difference_is_reported(call, server, gguf):
    server.altered["system"] = "Something else."
    done = call("build", gguf, "--allow-mismatch")
    assert done.code == 0
    assert "its system prompt is 'Something else.'" in done.err


@pytest.mark.parametrize(
    "via,endpoint,fault,code",
    [
        ("upload", "POST /api/create", Answer(status=500, body='{"error": "no space left on device"}'), 7),
        ("upload", "POST /api/create", Cut(after_lines=1, error="something broke"), 5),
        ("upload", "POST /api/create", Cut(after_lines=1), 5),
        ("pull", "POST /api/pull", Cut(after_lines=1, error="no space left on device"), 7),
        ("pull", "POST /api/pull", Cut(after_lines=3, error="something broke"), 5),
        ("pull", "POST /api/pull", Cut(after_lines=2), 5),
        ("auto", "POST /api/pull", Cut(after_lines=1, error="no space left on device"), 7),
        ("auto", "POST /api/show", Answer(body="<html>", content_type="text/html"), 5),
        (
            "auto",
            "POST /api/generate",
            Answer(status=500, body='{"error": "requires more system memory"}'),
            7,
        ),
        ("pull", "POST /api/copy", Answer(status=500, body='{"error": "broken"}'), 5),
        ("upload", "POST /api/copy", Answer(status=500, body='{"error": "broken"}'), 5),
    ],
)
def test_a_failed_build_leaves_the_old_model_unchanged(call, server, gguf, via, endpoint, fault, code):
    assert call("build", gguf, "--name", "mine", "--system", "old").code == 0
    before = call("list", "--json").json
    server.inject(endpoint, fault, times=2 if endpoint == "POST /api/show" else 1)  # the first is no matter
    done = call("build", gguf, "--name", "mine", "--system", "new", "--via", via)
    assert done.code == code, done.err
    assert call("list", "--json").json == before
    assert leftovers(server) == []
    assert call("show", "mine", "--json").json["system"] == "old"


def test_a_server_that_dies_in_the_middle_of_every_upload_is_an_error(call, server, gguf, monkeypatch):
    monkeypatch.setattr("gguf2ollama.ollama.client._RETRY_PAUSES", ())
    server.inject("POST /api/blobs/", Die(after_bytes=1000), times=10)
    done = call("build", gguf, "--via", "upload")
    assert done.code == 5
    assert done.err.count("error:") == 1
    assert models(server) == set()


def test_without_a_server_the_hint_says_what_to_do(call, gguf, monkeypatch):
    with FakeOllama() as server:
        url = server.url
    monkeypatch.setenv("OLLAMA_HOST", url)
    done = call("build", gguf)
    assert done.code == 5
    assert "ollama serve" in done.err


def test_another_server_is_not_mistaken_for_ollama(call, server, gguf):
    server.inject("GET /api/version", Answer(body="<html>nginx</html>", content_type="text/html"))
    done = call("build", gguf)
    assert done.code == 5
    assert "OLLAMA_HOST" in done.err


@pytest.mark.parametrize("name", ["", "a b", "../up", "x" * 100, "a/b/c/d/e", "-x", "n:", "n:cloud"])
def test_a_name_that_ollama_refuses_is_refused_before_anything_is_sent(call, server, gguf, name):
    done = call("build", gguf, "--name", name)
    assert done.code == 2, done.err
    assert server.endpoints() == []


@pytest.mark.parametrize(
    "arguments,words",
    [
        (["--quantize", "q4_k_m"], "gguf2ollama quantize IN.gguf OUT.gguf Q4_K_M"),
        (["--ctx", "lots"], "auto, max or server"),
        (["--param", "temperature"], "temperature"),
        (["--param", "temprature=1"], "temprature"),
        (["--param", "temperature=hot"], "temperature"),
        (["--system", "a", "--system-file", "b"], "exclude"),
        (["--run", "x", "--dry-run"], "--run"),
        (["--for-ollama", "0.34.4"], "--store"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_before_anything_is_sent(call, server, gguf, arguments, words):
    done = call("build", gguf, *arguments)
    assert done.code == 2, done.err
    assert words in done.err
    assert not any(one.startswith("POST") for one in server.endpoints())


def test_bad_files_end_with_4_and_missing_ones_with_3(call, server, tmp_path):
    (tmp_path / "empty.gguf").touch()
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 1\n"
    (tmp_path / "pointer.gguf").write_text(pointer)
    (tmp_path / "page.gguf").write_text("<!DOCTYPE html><html></html>")
    for name, words in {"empty": "empty", "pointer": "LFS", "page": "web page"}.items():
        done = call("build", tmp_path / f"{name}.gguf")
        assert (done.code, words.lower() in done.err.lower()) == (4, True), done.err
    assert call("build", tmp_path / "nowhere.gguf").code == 3


def test_a_shard_that_is_missing_is_named(call, server, shards):
    shards[1].unlink()
    done = call("build", shards[0])
    assert done.code == 4
    assert "sharded-00002-of-00003.gguf" in done.err


def test_a_folder_with_two_models_is_a_choice(call, server, tmp_path):
    for name in ("one", "two"):
        build_gguf(tmp_path / f"{name}.gguf")
    done = call("build", tmp_path)
    assert done.code == 2
    assert "one.gguf" in done.err
    assert "two.gguf" in done.err


def test_of_two_projectors_in_a_folder_one_is_used_and_the_options_are_shown(call, server, tmp_path):
    build_gguf(tmp_path / "model.gguf")
    for name in ("mmproj-f16", "mmproj-f32"):
        build_gguf(tmp_path / f"{name}.gguf", architecture="clip", metadata={"general.type": "mmproj"})
    done = call("build", tmp_path, "--no-load")
    assert done.code == 0, done.err
    assert "mmproj-f16.gguf; --mmproj FILE takes another (mmproj-f32.gguf" in done.err
    done = call("build", tmp_path, "--no-mmproj", "--no-load", "--json")
    assert done.json["model"]["projectors"] == []
    done = call("build", tmp_path, "--mmproj", tmp_path / "mmproj-f32.gguf", "--no-load", "--json")
    assert done.code == 0, done.err
    assert [os.path.basename(one) for one in done.json["model"]["projectors"]] == ["mmproj-f32.gguf"]  # noqa: PTH119


def test_a_hub_source_needs_a_network_or_the_cache(call, server, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    done = call("build", "Qwen/Qwen2.5-7B-Instruct-GGUF")
    assert done.code == 3
    assert "unset HF_HUB_OFFLINE" in done.err


def test_a_store_is_written_with_no_server(call, gguf, tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    done = call("build", gguf, "--name", "mine", "--store", tmp_path / "store")
    assert done.code == 0, done.err
    manifest = json.loads((tmp_path / "store/manifests/registry.ollama.ai/library/mine/latest").read_bytes())
    for layer in (*manifest["layers"], manifest["config"]):
        blob = tmp_path / "store/blobs" / layer["digest"].replace(":", "-")
        assert blob.stat().st_size == layer["size"]


@pytest.mark.parametrize("version,layers,requires", [("0.34.4", 3, "0.35.0"), ("0.29.0", 1, None)])
def test_a_store_holds_shards_as_the_version_keeps_them(call, shards, tmp_path, version, layers, requires):
    store = tmp_path / "store"
    assert call("build", shards[0], "--name", "m", "--store", store, "--for-ollama", version).code == 0
    manifest = json.loads((store / "manifests/registry.ollama.ai/library/m/latest").read_bytes())
    weights = [layer for layer in manifest["layers"] if layer["mediaType"].endswith("image.model")]
    assert len(weights) == layers
    config = json.loads((store / "blobs" / manifest["config"]["digest"].replace(":", "-")).read_bytes())
    assert config.get("requires") == requires


@pytest.fixture
def repository(monkeypatch, tmp_path, gguf):
    """Return the cache of a Hub that has one model."""
    cache = tmp_path / "hf"
    with FakeHub() as hub:
        hub.add("o/r-GGUF", {gguf.name: gguf.read_bytes()})
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(cache))
        yield cache


def files_below(folder):
    return [path.name for path in folder.rglob("*") if path.suffix == ".gguf" or len(path.name) == 64]


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_a_download_that_lies_twice_is_said_and_removed_if_asked(call, server, repository, via):
    done = call("build", "o/r-GGUF", "--via", via)
    assert done.code == 0, done.err
    assert "The download stays in" in done.err
    assert "--discard-download" in done.err
    assert len(files_below(repository)) == 2
    again = call("build", "o/r-GGUF", "--via", via, "--discard-download")
    assert again.code == 0, again.err
    assert len(files_below(repository)) == 2, "it was there before"


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_a_download_is_discarded(call, server, repository, via):
    done = call("build", "o/r-GGUF", "--via", via, "--discard-download")
    assert done.code == 0, done.err
    assert "Removed" in done.err
    assert files_below(repository) == []
