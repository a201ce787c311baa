"""What a model was made of travels inside it, without credentials, and is shown."""

import pytest

from gguf2ollama.oci import Digest
from gguf2ollama.planning.stored.record import BuildRecord
from tests.builders import tiny_llama
from tests.calling_templates import JSON_CALLS


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_a_model_says_what_it_was_made_of(call, server, tmp_path, via):
    gguf = tiny_llama(tmp_path / "calling.gguf", chat_template=JSON_CALLS)  # whose header stays as it is
    assert call("build", gguf, "--name", "mine", "--via", via, "--system", "Be brief.").code == 0
    made = call("show", "mine", "--json").json["made_from"]
    assert made["source"] == made["file"] == gguf.name
    assert made["sha256"] == Digest.of(gguf.read_bytes()).hex
    assert (made["transport"], made["given"], made["commit"]) == (via, ["system"], None)
    assert str(gguf.parent) not in call("show", "mine", "--license").out
    overview = call("show", "mine").out
    assert "MADE FROM" in overview
    assert made["sha256"] in overview


def test_it_stays_with_a_copy(call, server, gguf):
    call("build", gguf, "--name", "mine")
    call("cp", "mine", "other")
    assert (
        call("show", "other", "--json").json["made_from"] == call("show", "mine", "--json").json["made_from"]
    )


def test_what_is_no_option_leaves_the_recipe_as_it_was_whatever_the_transport(call, server, gguf):
    recipes = set()
    for via in ("pull", "upload"):
        call("build", gguf, "--name", "mine", "--via", via, "--ctx", "512", "--no-load")
        recipes.add(call("show", "mine", "--json").json["made_from"]["recipe_sha256"])
    call("build", gguf, "--name", "mine", "--ctx", "1024", "--no-load")
    assert call("show", "mine", "--json").json["made_from"]["recipe_sha256"] not in recipes


def test_shards_are_one_record(call, server, shards):
    call("build", shards[0], "--name", "mine", "--via", "pull")
    made = BuildRecord.find(call("show", "mine", "--license").out)
    assert made is not None
    assert made.count == 3
    assert made.file == shards[0].name
