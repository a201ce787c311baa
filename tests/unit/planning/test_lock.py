import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama import Parameter, build
from gguf2ollama.errors import InvalidInput, NotFound, UsageProblem, VerificationFailed
from gguf2ollama.planning.lock import read_lock, write_lock
from tests.builders import build_shards, tiny_llama


@pytest.fixture
def hub(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    hub.add("o/r", {"m-Q4_K_M.gguf": tiny_llama(tmp_path / "tiny.gguf").read_bytes()})
    return hub


@pytest.fixture
def make(tmp_path):
    def one(source="o/r", **options):
        return build(source, store=tmp_path / "store", verify=False, **options)

    return one


@pytest.fixture
def lock(hub, make, tmp_path):
    path = tmp_path / "model.lock"
    write_lock(path, make().plan)
    return path


def test_it_records_commit_and_digests_and_no_token(hub, lock):
    recorded = json.loads(lock.read_text())

    [file] = hub.repositories["o/r"].commits[recorded["commit"]].values()
    assert recorded["repository"] == "o/r"
    assert recorded["files"] == [{"path": "m-Q4_K_M.gguf", "bytes": file.size, "sha256": file.sha256}]
    assert recorded["ollama"] == "0.34.4"
    assert "hf_good" not in lock.read_text()


def test_the_same_is_made_after_the_branch_has_moved(hub, make, lock, tmp_path):
    other = tiny_llama(tmp_path / "other.gguf", seed=1).read_bytes()
    hub.repositories["o/r"].commit({"m-Q4_K_M.gguf": other, "m-Q8_0.gguf": other})
    then = json.loads(lock.read_text())

    built = make(locked=lock)

    origin = built.plan.inspection.files.origin
    assert origin is not None
    assert origin.commit == then["commit"]
    assert origin.files[0].sha256 == then["files"][0]["sha256"]


@pytest.mark.parametrize(
    "options,what",
    [
        ({"for_ollama": "0.30.0"}, "version of Ollama"),
        ({"parameters": [Parameter(name="top_k", value=3)]}, "parameters"),
        ({"system": "Be brief."}, "system prompt"),
        ({"template": "{{ .Prompt }}"}, "the template was"),
        ({"context": 512}, "parameters"),
    ],
)
def test_what_would_be_another_model_is_not_made(make, lock, tmp_path, options, what):
    with pytest.raises(VerificationFailed, match=what):
        make(locked=lock, **options)


def test_another_pooling_would_be_another_model(hub, make, tmp_path):
    gguf = tiny_llama(tmp_path / "e.gguf", metadata={"general.tags": ["mteb"]}).read_bytes()
    hub.add("o/e", {"e-Q8_0.gguf": gguf})
    path = tmp_path / "e.lock"
    write_lock(path, make("o/e", pooling="cls").plan)
    assert make("o/e", pooling="cls", locked=path)
    with pytest.raises(VerificationFailed, match="would differ from the lock file"):
        make("o/e", pooling="mean", locked=path)


@pytest.mark.parametrize("context", ["auto", "max", "server", 512])
def test_the_context_is_that_of_the_lock_file_whatever_the_machine_has(
    hub, make, tmp_path, monkeypatch, context
):
    path = tmp_path / "model.lock"
    plan = make(context=context).plan
    write_lock(path, plan)
    recorded = plan.inspection.context.tokens
    assert (recorded is None) == (context == "server")

    monkeypatch.setattr("gguf2ollama.memory.hardware._linux_ram", lambda: (1 << 26, None))
    again = make(locked=path, name="elsewhere").plan
    assert again.inspection.context.tokens == recorded


def test_other_bytes_are_not_taken(make, lock):
    recorded = json.loads(lock.read_text())
    recorded["files"][0]["sha256"] = "0" * 64
    lock.write_text(json.dumps(recorded))

    with pytest.raises(VerificationFailed, match="differs from the lock file"):
        make(locked=lock)


def test_a_file_that_is_not_in_the_lock_file_is_not_taken(hub, make, tmp_path):
    hub.add("o/shards", {path.name: path.read_bytes() for path in build_shards(tmp_path, count=2)})
    lock = tmp_path / "shards.lock"
    write_lock(lock, make("o/shards").plan)
    recorded = json.loads(lock.read_text())
    removed = recorded["files"].pop()
    assert recorded["files"]
    lock.write_text(json.dumps(recorded))

    with pytest.raises(VerificationFailed, match=f"{removed['path']} in o/shards is not in the lock file"):
        make("o/shards", locked=lock)


def test_a_removed_commit_is_an_error(hub, make, lock):
    del hub.repositories["o/r"].commits[json.loads(lock.read_text())["commit"]]

    with pytest.raises(NotFound, match="no revision"):
        make(locked=lock)


def test_a_lock_of_another_repository_is_refused(make, lock):
    with pytest.raises(UsageProblem, match="is for hf://o/r, not o/other"):
        make("o/other", locked=lock)


def test_a_file_of_this_machine_cannot_be_locked(hub, make, tmp_path):
    with pytest.raises(UsageProblem, match="needs a repository"):
        write_lock(tmp_path / "lock", make(tiny_llama(tmp_path / "mine.gguf")).plan)


@given(
    value=st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_an_invalid_lock_file_is_refused(value, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "none.lock"
    path.write_text(json.dumps(value))
    with pytest.raises(InvalidInput, match="is not a lock file"):
        read_lock(path)


@pytest.mark.parametrize("key", ["format", "files", "commit", "context", "repository"])
def test_a_lock_file_edited_by_hand_is_refused(lock, key):
    recorded = json.loads(lock.read_text())
    for value in (None if key != "context" else "x", [], {"a": 1}):
        lock.write_text(json.dumps(recorded | {key: value}))
        with pytest.raises(InvalidInput):
            read_lock(lock)
