"""The context length of a model: chosen by memory, printed, recorded in the model, and kept."""

import json

import pytest

from gguf2ollama.memory import hardware
from gguf2ollama.names import ServerAddress
from tests.builders import tiny_llama
from tests.fakes.ollama_server import Answer

MIB = 1 << 20
TRAINED = 1 << 20  # tokens, 256 bytes of KV cache each


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine without a GPU; returns a function that changes its RAM."""

    def has(mib):
        monkeypatch.setattr(hardware, "_linux_ram", lambda: (mib * MIB, mib * MIB))

    monkeypatch.setattr(hardware, "_cgroup_limit", lambda: None)
    for name in ("_nvidia", "_amd"):
        monkeypatch.setattr(hardware, name, lambda: iter([]))
    has(400)
    return has


@pytest.fixture
def gguf(tmp_path):
    return tiny_llama(tmp_path / "Tiny-Chat-Q4_K_M.gguf", metadata={"llama.context_length": TRAINED})


def num_ctx(call, name="mine"):
    return call("show", name, "--json").json["parameters"].get("num_ctx")


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_what_was_chosen_is_printed_recorded_and_kept(call, server, gguf, machine, via):
    first = call("build", gguf, "--name", "mine", "--via", via)
    chosen = num_ctx(call)
    assert 2048 < chosen < TRAINED
    assert f"Context: {chosen:,} tokens (the largest for which half of the RAM" in first.err
    assert "assumed: OLLAMA_KV_CACHE_TYPE f16" in first.err
    record = call("show", "mine", "--license").out.splitlines()[-1]
    assert record.startswith(f"gguf2ollama: num_ctx {chosen} by --ctx auto for ")

    machine(800)
    again = call("build", gguf, "--name", "mine", "--via", via)
    assert num_ctx(call) == chosen
    assert f"Context: {chosen:,} tokens (as recorded in mine:latest: the largest" in again.err
    assert call("show", "mine", "--license").out.splitlines()[-1] == record

    assert call("build", gguf, "--name", "other", "--via", via).code == 0
    assert num_ctx(call, "other") > chosen


def test_what_no_longer_fits_is_chosen_again(call, server, gguf, machine):
    call("build", gguf, "--name", "mine")
    chosen = num_ctx(call)
    machine(100)
    call("build", gguf, "--name", "mine")
    assert 0 < num_ctx(call) < chosen


def test_other_weights_are_another_choice(call, server, gguf, tmp_path, machine):
    call("build", gguf, "--name", "mine")
    chosen = num_ctx(call)
    machine(800)
    larger = tiny_llama(tmp_path / "l.gguf", blocks=3, metadata={"llama.context_length": TRAINED})
    call("build", larger, "--name", "mine")
    assert num_ctx(call) > chosen


@pytest.mark.parametrize("option,expected", [("8k", 8192), ("max", TRAINED), ("server", None)])
def test_what_is_asked_for_replaces_what_was_recorded_and_is_not_kept(call, server, gguf, option, expected):
    call("build", gguf, "--name", "mine")
    chosen = num_ctx(call)
    call("build", gguf, "--name", "mine", "--ctx", option)
    assert num_ctx(call) == expected
    call("build", gguf, "--name", "mine")
    assert num_ctx(call) == chosen


def test_a_store_without_a_server_keeps_it_as_well(call, gguf, machine, tmp_path):
    def build():
        done = call("build", gguf, "--name", "mine", "--store", tmp_path / "models", "--json")
        return done.json["memory"]["context"]

    first = build()
    assert (first["requested"], first["is_recorded"]) == ("auto", False)
    machine(800)
    assert build() == first | {"is_recorded": True}


def test_a_model_that_cannot_be_shown_is_built_all_the_same(call, server, gguf):
    call("build", gguf, "--name", "mine")
    server.inject("POST /api/show", Answer(status=500, body='{"error": "damaged"}'))
    done = call("build", gguf, "--name", "mine")
    assert done.code == 0, done.err


@pytest.fixture
def elsewhere(monkeypatch):
    monkeypatch.setattr(ServerAddress, "is_loopback", property(lambda _: False))


def loaded(server, size, vram):
    model = {
        "name": "big:latest",
        "digest": "0" * 64,
        "size": size,
        "size_vram": vram,
        "context_length": 4096,
    }
    server.inject("GET /api/ps", Answer(body=json.dumps({"models": [model]})))


@pytest.mark.usefixtures("elsewhere")
def test_a_server_elsewhere_decides_itself(call, server, gguf):
    done = call("build", gguf, "--name", "mine", "--via", "upload")
    assert done.code == 0, done.err
    assert "Context: left to the server, as the memory of its machine is not known" in done.err
    assert num_ctx(call) is None


@pytest.mark.usefixtures("elsewhere")
def test_models_that_a_server_elsewhere_runs_show_what_fits_and_that_is_kept(call, server, gguf):
    loaded(server, 90_000 * MIB, 80_000 * MIB)
    done = call("build", gguf, "--name", "mine", "--via", "upload")
    assert "Context: 1,048,576 tokens (the model's full context: " in done.err
    assert "of 78.1 GiB that its models take on the GPU" in done.err
    assert num_ctx(call) == TRAINED
    call("build", gguf, "--name", "mine", "--via", "upload")
    assert num_ctx(call) == TRAINED


@pytest.mark.usefixtures("elsewhere")
def test_models_in_ram_show_nothing_of_a_gpu(call, server, gguf):
    loaded(server, 9000 * MIB, 0)
    call("build", gguf, "--name", "mine", "--via", "upload")
    assert num_ctx(call) is None


@pytest.mark.parametrize("arguments", [("--ctx", "2000000"), ("--param", "num_ctx=2000000")])
def test_whatever_sets_it_is_judged_alike(call, server, gguf, arguments):
    done = call("build", gguf, "--name", "mine", *arguments)
    source = "--ctx 2000000" if arguments[0] == "--ctx" else "--param"
    assert f"warning: num_ctx 2,000,000 ({source}) is beyond the 1,048,576 tokens" in done.err
    assert f"warning: num_ctx 1,048,576 ({source}) takes " in done.err
    assert num_ctx(call) == 2_000_000


def test_a_context_that_cannot_hold_the_system_prompt_is_warned_of(call, server, gguf):
    done = call("build", gguf, "--name", "mine", "--ctx", "1k", "--system", "Obey. " * 1000)
    assert "too small for the system prompt (about 1,500 tokens)" in done.err


def test_memory_in_use_is_a_remark(call, server, gguf, monkeypatch):
    monkeypatch.setattr(hardware, "_linux_ram", lambda: (400 * MIB, 10 * MIB))
    done = call("build", gguf, "--name", "mine")
    assert "0.4 GiB of RAM is in use now: the model may not load until that is free" in done.err
    assert num_ctx(call) > 2048


def test_memory_that_models_of_the_server_take_is_no_matter(call, server, gguf, monkeypatch):
    monkeypatch.setattr(hardware, "_linux_ram", lambda: (400 * MIB, 10 * MIB))
    loaded(server, 380 * MIB, 0)
    done = call("build", gguf, "--name", "mine")
    assert "in use now" not in done.err


@pytest.mark.parametrize("heads", [0, -1, [4]], ids=str)
def test_a_header_that_lies_is_built_with_a_warning(call, server, tmp_path, heads):
    keys = {"llama.attention.head_count_kv": heads, "llama.attention.head_count": heads}
    lying = tiny_llama(tmp_path / "lying.gguf", metadata=keys)
    done = call("build", lying, "--name", "mine", "--no-load", "--no-verify")
    assert done.code == 0, done.err
    assert (
        "warning: the memory that it takes cannot be estimated: invalid llama.attention.head_count"
        in done.err
    )
    assert num_ctx(call) == 4096


@pytest.mark.parametrize("trained", [1, 1 << 31, (1 << 32) - 1])
@pytest.mark.parametrize("verb", ["inspect", "build"])
def test_any_trained_context_is_planned(call, server, tmp_path, trained, verb):
    odd = tiny_llama(tmp_path / "odd.gguf", metadata={"llama.context_length": trained})
    done = call(verb, odd, "--json", "--no-verify", *(("--dry-run",) if verb == "build" else ()))
    assert done.code == 0, done.err
    assert done.json["memory"]["context"]["tokens"] >= 1


@pytest.mark.parametrize("tokens", ["0", "-5", "1", "99999999999"])
def test_any_num_ctx_is_planned_or_refused(call, server, gguf, tokens):
    done = call("build", gguf, "--param", f"num_ctx={tokens}", "--json", "--dry-run")
    assert done.code in {0, 2}, done.err
    assert "bug" not in done.err
