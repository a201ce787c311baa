"""A server lists some models more than once; that Ollama 0.40 does was read in its source, not tried."""

from gguf2ollama.api.listing import list_once
from gguf2ollama.ollama import LocalModel
from gguf2ollama.ollama.fields import Fields

HEX = "ab" * 32


def row(name, digest, runner=None):
    content = {"name": name, "size": 5, "digest": digest}
    if runner is not None:
        content["details"] = {"runner": runner}
    return LocalModel.parse(Fields(content, origin="the test"))


def test_a_model_with_several_manifests_is_listed_once_as_llama_cpp_runs_it():
    rows = [row("a:latest", "1", "ggml"), row("b:latest", "2"), row("a:latest", HEX, "llamacpp")]
    assert list_once(rows).models == (rows[2], rows[1])
    assert list_once(reversed(rows)).models == (rows[2], rows[1])


def test_a_copy_of_a_model_that_is_listed_is_not_listed():
    rows = [
        row("a:latest", "1", "ggml"),
        row("a:latest", HEX, "llamacpp"),
        row(f"llamacpp:{HEX}", HEX, "llamacpp"),
    ]
    listed = list_once(rows)
    assert [model.name for model in listed.models] == ["a:latest"]
    assert listed.abandoned == ()


def test_a_copy_without_its_model_is_listed_as_abandoned():
    rows = [
        row("a:latest", "1"),
        row(f"llamacpp:{HEX}", HEX, "llamacpp"),
        row("llamacpp:latest", "2", "llamacpp"),
    ]
    listed = list_once(rows)
    assert [model.name for model in listed.models] == ["a:latest", "llamacpp:latest"]
    assert listed.abandoned == (rows[1],)


def test_what_older_servers_list_stays_as_it_is():
    rows = [row("b:latest", "2"), row("a:latest", "1")]
    assert list_once(rows).models == tuple(rows)
