"""``gguf2ollama build --all``: every model of a folder, and a second time nothing."""

import os

import pytest

from tests.builders import CHATML_TEMPLATE, build_gguf, tiny_llama


@pytest.fixture
def library(tmp_path):
    """Return a folder as LM Studio keeps it: two publishers, one name of both, and another file."""
    root = tmp_path / "models"
    for number, path in enumerate(
        (
            "one/alpha-GGUF/alpha-Q4_K_M.gguf",
            "one/alpha-GGUF/alpha-Q8_0.gguf",
            "two/alpha-GGUF/alpha-Q8_0.gguf",
        )
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        tiny_llama(root / path, seed=number, chat_template=CHATML_TEMPLATE)
    build_gguf(root / "one" / "alpha-GGUF" / "imatrix.gguf", metadata={"general.type": "imatrix"})
    return root


NAMES = ["alpha:q4_k_m", "one/alpha:q8_0", "two/alpha:q8_0"]


def states(done):
    return {model["name"]: model["state"] for model in done.json["models"]}


def test_all_are_built_into_a_store_and_nothing_is_copied(call, library, tmp_path):
    store = tmp_path / "store"
    done = call("build", "--all", library, "--store", store, "--json")
    assert done.code == 0, done.err
    assert states(done) == dict.fromkeys(NAMES, "created")
    assert [file["reason"] for file in done.json["skipped"]] == ["imatrix"]
    blobs = [*(store / "blobs").iterdir()]
    for path in library.rglob("alpha-*.gguf"):
        assert any(path.samefile(blob) or blob.read_bytes() == path.read_bytes() for blob in blobs)


def test_a_second_run_does_nothing(call, library, tmp_path):
    store = tmp_path / "store"
    assert call("build", "--all", library, "--store", store).code == 0
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    done = call("build", "--all", library, "--store", store, "--json")
    assert states(done) == dict.fromkeys(NAMES, "exists")
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before


def test_a_dry_run_creates_nothing(call, library, tmp_path):
    done = call("build", "--all", library, "--store", tmp_path / "store", "--dry-run")
    assert done.code == 0, done.err
    assert "alpha:q4_k_m" in done.out
    assert "would create" in done.out
    assert "3 models: 3 would be created" in done.err
    assert not (tmp_path / "store").exists()


def test_a_name_that_others_have_is_left_to_them(call, library, tmp_path):
    store = tmp_path / "store"
    call("build", library / "two/alpha-GGUF/alpha-Q8_0.gguf", "--name", "alpha:q4_k_m", "--store", store)
    done = call("build", "--all", library, "--store", store, "--json")
    assert done.code == 0, done.err
    assert states(done)["alpha:q4_k_m"] == "taken"
    replaced = call("build", "--all", library, "--store", store, "--replace", "--json")
    assert states(replaced)["alpha:q4_k_m"] == "created"


def test_a_server_gets_them_all(call, server, library):
    done = call("build", "--all", library, "--json")
    assert done.code == 0, done.err
    assert {f"{name}" for name in server.store.models} == set(NAMES)
    assert "POST /api/generate" not in server.endpoints()
    assert states(call("build", "--all", library, "--json")) == dict.fromkeys(NAMES, "exists")


def test_one_that_fails_does_not_keep_others_from_being_built(call, library, tmp_path):
    build_gguf(library / "one" / "aix.gguf", byte_order="big")
    done = call("build", "--all", library, "--store", tmp_path / "store")
    assert done.code == 1
    assert "1 of 4 models were not built" in done.err
    assert "aix.gguf is big-endian" in done.out
    assert "3 created, 1 failed" in done.err


def test_what_makes_images_is_skipped(call, library, tmp_path):
    build_gguf(library / "one" / "flux.gguf", architecture="flux", metadata={"tokenizer.ggml.model": None})
    done = call("build", "--all", library, "--store", tmp_path / "store", "--verbose")
    assert done.code == 0
    assert "flux.gguf" in done.err


@pytest.mark.parametrize(
    "options", [("--name", "x"), ("--quant", "q8_0"), ("--lock", "x.lock"), ("--run", "Hi"), ("--stream",)]
)
def test_options_for_one_model_are_refused(call, library, options):
    assert call("build", "--all", library, "--store", library / "s", *options).code == 2


def test_several_sources_are_for_all_alone(call, library):
    done = call("build", library, library)
    assert done.code == 2
    assert "--all" in done.err


def test_two_hundred_models_are_looked_at_once(call, tmp_path):
    first = tiny_llama(tmp_path / "first.gguf")
    for number in range(200):
        folder = tmp_path / "models" / f"m{number}"
        folder.mkdir(parents=True)
        os.link(first, folder / "same.gguf")
    done = call("build", "--all", tmp_path / "models", "--store", tmp_path / "store", "--json")
    assert [model["state"] for model in done.json["models"]] == ["created"]


def test_rerankers_are_skipped_as_files_that_are_no_models(call, library, tmp_path):
    metadata = {"bert.pooling_type": 4}
    build_gguf(library / "one" / "alpha-GGUF" / "bge-reranker.gguf", architecture="bert", metadata=metadata)
    done = call("build", "--all", library, "--store", tmp_path / "store", "--dry-run", "--json")
    assert done.code == 0, done.err
    assert states(done) == dict.fromkeys(NAMES, "new")
    assert "reranker, which Ollama has no endpoint for" in [file["reason"] for file in done.json["skipped"]]
