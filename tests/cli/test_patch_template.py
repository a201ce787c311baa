"""Another chat template: written to a file of its own, or carried by what is built."""

import pytest

from gguf2ollama.ggufio import ShardSet, open_gguf, split
from tests.builders import CHATML_TEMPLATE, build_gguf, tiny_llama

KEY = "tokenizer.chat_template"
OWN = (
    "{% for message in messages %}[{{ message.role }}] {{ message.content }} ~~ {% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
CHATML_MARK = "<|im_start|>"


@pytest.fixture
def jinja(tmp_path):
    path = tmp_path / "chat_template.jinja"
    path.write_text(OWN, encoding="utf-8")
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.gguf"


@pytest.fixture
def with_variants(tmp_path):
    variants = {"tokenizer.chat_templates": ["tool_use"], f"{KEY}.tool_use": "{{ tools }}"}
    return tiny_llama(tmp_path / "variants.gguf", metadata=variants)


def test_a_file_is_written_with_another_template_and_all_else_as_it_was(call, gguf, jinja, out):
    done = call("patch-template", gguf, "-o", out, "--chat-template", jinja)
    assert (done.code, done.out) == (0, ""), done.err
    assert f"Wrote {out}" in done.err
    before, after = open_gguf(gguf), open_gguf(out)
    assert after.metadata[KEY] == OWN
    assert list(before.metadata) == list(after.metadata)
    assert gguf.read_bytes()[before.data_offset :] == out.read_bytes()[after.data_offset :]


def test_a_template_can_come_from_stdin_and_be_put_back(call, gguf, jinja, out, tmp_path):
    assert call("patch-template", gguf, "-o", out, "--chat-template", jinja).code == 0
    back = tmp_path / "back.gguf"
    done = call("patch-template", out, "-o", back, "--chat-template", "-", "--json", stdin=CHATML_TEMPLATE)
    assert done.json == {"file": str(back), "size_bytes": gguf.stat().st_size, "removed_variants": []}
    assert back.read_bytes() == gguf.read_bytes()


def test_a_template_can_be_removed_once(call, gguf, out, tmp_path):
    assert call("patch-template", gguf, "-o", out, "--remove").code == 0
    assert KEY not in open_gguf(out).metadata
    done = call("patch-template", out, "-o", tmp_path / "again.gguf", "--remove")
    assert done.code == 3
    assert "no chat template" in done.err
    assert not (tmp_path / "again.gguf").exists()


def test_removed_variants_are_named(call, with_variants, jinja, out):
    done = call("patch-template", with_variants, "-o", out, "--chat-template", jinja)
    assert "also removed: the chat template's variants tool_use" in done.err
    assert [key for key in open_gguf(out).metadata if key.startswith(KEY)] == [KEY]


def test_one_variant_can_be_changed_alone(call, with_variants, jinja, out):
    done = call("patch-template", with_variants, "-o", out, "--chat-template", jinja, "--variant", "tool_use")
    assert done.code == 0, done.err
    assert "also removed" not in done.err
    metadata = open_gguf(out).metadata
    assert (metadata[KEY], metadata[f"{KEY}.tool_use"]) == (CHATML_TEMPLATE, OWN)


def test_a_file_that_is_there_is_kept_unless_forced(call, gguf, jinja, out):
    out.write_text("precious")
    arguments = ("patch-template", gguf, "-o", out, "--chat-template", jinja)
    done = call(*arguments)
    assert (done.code, out.read_text()) == (2, "precious")
    assert "--force" in done.err
    assert call(*arguments, "--force").code == 0
    assert open_gguf(out).metadata[KEY] == OWN


def test_the_file_itself_is_not_written_to(call, gguf, jinja):
    before = gguf.read_bytes()
    assert call("patch-template", gguf, "-o", gguf, "--chat-template", jinja, "--force").code == 2
    assert gguf.read_bytes() == before


def test_the_first_shard_is_written_and_goes_with_the_others(call, gguf, jinja, tmp_path):
    shards = split(gguf, tmp_path / "part", max_tensors=9)
    new = tmp_path / "new"
    new.mkdir()
    done = call("patch-template", shards[0], "-o", new / shards[0].name, "--chat-template", jinja)
    assert done.code == 0, done.err
    assert f"shard 1 of {len(shards)}" in done.err
    assert ShardSet.from_paths([new / shards[0].name, *shards[1:]]).metadata[KEY] == OWN
    done = call("patch-template", shards[1], "-o", new / "x.gguf", "--chat-template", jinja)
    assert done.code == 2
    assert "the first" in done.err


@pytest.mark.parametrize(
    "arguments,code,words",
    [
        ([], 2, "exactly one of --chat-template and --remove"),
        (["--chat-template", "{jinja}", "--remove"], 2, "exactly one of --chat-template and --remove"),
        (["--chat-template", "{nowhere}"], 3, "no such file"),
        (["--chat-template", "{jinja}", "--variant", "a.b"], 2, "invalid variant name"),
        (["--remove", "--variant", "rag"], 3, "no variant rag"),
    ],
)
def test_a_call_that_makes_no_sense_writes_nothing(call, gguf, jinja, out, arguments, code, words):
    places = {"jinja": jinja, "nowhere": jinja.with_name("nowhere")}
    done = call("patch-template", gguf, "-o", out, *(one.format(**places) for one in arguments))
    assert done.code == code, done.err
    assert words in done.err
    assert not out.exists()


BAD = {
    "empty": (b" \n", "is empty"),
    "not Jinja": (b"{% for message in messages %}\n{{ oops", "not valid Jinja: line 2"),
    "Go": (b"{{ range .Messages }}{{ .Content }}{{ end }}", "--template"),
    "not UTF-8": (b"\xfa\xfe", "not valid UTF-8"),
    "too long": (b"x" * ((1 << 20) + 1), "1,048,576"),
    "nested": (b"{{ " + b"(" * 50_000 + b" }}", "not valid Jinja"),
    "NUL": (b"a\x00b", "NUL"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("verb", ["patch-template", "build", "modelfile", "inspect"])
def test_an_invalid_chat_template_is_refused(call, server, gguf, jinja, out, kind, verb):
    content, words = BAD[kind]
    jinja.write_bytes(content)
    options = ["-o", out] if verb == "patch-template" else []
    done = call(verb, gguf, *options, "--chat-template", jinja)
    assert done.code == 2, done.err
    assert words in done.err
    assert not out.exists()
    assert not any(one.startswith("POST") for one in server.endpoints())


def test_inspect_and_modelfile_go_by_the_template_that_is_given(call, gguf, jinja, tmp_path):
    assert call("inspect", gguf, "--json").json["detection"]["family"] == "chatml"
    result = call("inspect", gguf, "--chat-template", jinja, "--json").json
    assert result["detection"]["family"] is None
    assert result["recipe"]["template"]["origin"] == "native"
    assert "--chat-template" in result["recipe"]["template"]["source"]
    assert result["recipe"]["patched_keys"] == [KEY]
    assert "written into the header" in call("inspect", gguf, "--chat-template", jinja).out
    written = call("modelfile", gguf, "--chat-template", jinja).out
    assert CHATML_MARK not in written
    assert "gguf2ollama patch-template" in written
    bare = tiny_llama(tmp_path / "bare.gguf", chat_template=None)
    result = call("inspect", bare, "--chat-template", "-", "--json", stdin=CHATML_TEMPLATE).json
    assert result["detection"]["family"] == "chatml"


def test_inspect_shows_what_is_left_out_of_the_header(call, with_variants, jinja):
    shown = call("inspect", with_variants, "--chat-template", jinja).out
    lines = {line.split()[0]: line for line in shown.splitlines() if "header" in line}
    assert {key: "removed from" in line for key, line in lines.items()} == {
        KEY: False,
        f"{KEY}.tool_use": True,
        "tokenizer.chat_templates": True,
    }


def test_the_template_that_is_there_already_changes_nothing(call, gguf):
    result = call("inspect", gguf, "--chat-template", "-", "--json", stdin=CHATML_TEMPLATE).json
    assert result["recipe"]["patched_keys"] == []
    written = call("modelfile", gguf, "--chat-template", "-", stdin=CHATML_TEMPLATE).out
    assert "patch-template" not in written


@pytest.mark.parametrize("via", ["link", "pull", "upload"])
@pytest.mark.parametrize("kind", ["file", "shards"])
def test_a_model_is_built_with_it_by_every_way(call, server, gguf, jinja, tmp_path, monkeypatch, via, kind):
    server.store.folder = tmp_path / "models"
    (server.store.folder / "blobs").mkdir(parents=True)
    monkeypatch.setenv("OLLAMA_MODELS", str(server.store.folder))
    shards = split(gguf, tmp_path / "part", max_tensors=9)
    source = gguf if kind == "file" else shards[1]
    done = call("build", source, "--name", "mine", "--chat-template", jinja, "--via", via)
    assert done.code == 0, done.err
    shown = call("show", "mine", "--json").json
    assert shown["template"].endswith(OWN)
    # where the server would put one of its own before it, it is made unlike all that are known
    assert (shown["template"] == OWN) == (via != "upload")
    assert open_gguf(gguf).metadata[KEY] == CHATML_TEMPLATE


def test_a_read_back_with_another_template_ends_with_6(call, server, gguf, jinja):
    server.altered["template"] = CHATML_TEMPLATE
    done = call("build", gguf, "--chat-template", jinja)
    assert done.code == 6, done.err
    assert "a TEMPLATE of the server's own is used instead of your chat template" in done.err


def test_only_the_first_shard_is_written_again(call, gguf, jinja, tmp_path):
    shards = split(gguf, tmp_path / "part", max_tensors=9)
    store = tmp_path / "store"
    assert call("build", shards[0], "--name", "m", "--store", store, "--chat-template", jinja).code == 0
    blobs = {path.stat().st_ino for path in (store / "blobs").iterdir()}
    assert [path.stat().st_ino in blobs for path in shards] == [False, *[True] * (len(shards) - 1)]


def test_an_embedding_model_may_have_a_chat_template_too(call, jinja, tmp_path):
    path = build_gguf(tmp_path / "embeds.gguf", architecture="bert", metadata={"bert.pooling_type": 1})
    done = call("inspect", path, "--chat-template", jinja, "--json")
    assert done.json["detection"]["kind"] == "embedding"
