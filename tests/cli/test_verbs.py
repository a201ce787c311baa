"""The verbs that look after models, and those that work on files."""

import json

import pytest

from gguf2ollama.modelfiles import parse_modelfile
from tests.builders import build_gguf, some_tensors, tiny_llama
from tests.fakes.ollama_server import Answer


@pytest.fixture
def model(call, server, gguf):
    """A model on the server."""
    done = call("build", gguf, "--name", "mine", "--no-load", "--system", "Be brief.")
    assert done.code == 0, done.err
    return "mine:latest"


def test_list_shows_what_is_there(call, model):
    done = call("list")
    assert done.out.splitlines()[0].split() == ["NAME", "ID", "SIZE", "QUANT", "MODIFIED"]
    assert done.out.splitlines()[1].startswith(model)


def test_list_of_nothing_is_a_header(call, server):
    assert len(call("list").out.splitlines()) == 1
    assert call("list", "--json").json == []


def test_show_gives_an_overview_json_or_one_part(call, model):
    assert "capabilities" in call("show", "mine").out
    assert call("show", "mine", "--json").json["system"] == "Be brief."
    assert call("show", "mine", "--system").out == "Be brief.\n"
    assert call("show", "mine", "--template").out.strip()


@pytest.mark.parametrize("verb", [["show", "gone"], ["rm", "gone"], ["stop", "gone"], ["run", "gone", "x"]])
def test_a_model_that_is_not_there_ends_with_3(call, server, verb):
    done = call(*verb)
    assert done.code == 3, done.err
    assert "gone" in done.err


def test_run_takes_its_prompt_from_the_call_or_from_stdin(call, server, model):
    assert call("run", "mine", "Say", "hi").out == "Hello there!\n"
    assert call("run", "mine", stdin="Say hi").out == "Hello there!\n"
    asked = [one.content["messages"] for one in server.seen if one.endpoint == "POST /api/chat"]
    assert [one[-1]["content"] for one in asked] == ["Say hi", "Say hi"]


def test_run_as_json_gives_the_whole_answer(call, model):
    done = call("run", "mine", "Say hi", "--system", "Short.", "--json")
    assert done.json["content"] == "Hello there!"


def test_ps_and_stop(call, model):
    call("run", "mine", "hi")
    assert [one["name"] for one in call("ps", "--json").json] == [model]
    assert call("ps").out.splitlines()[1].startswith(model)
    assert call("stop", "mine", "--json").json == {"stopped": model}
    assert call("ps", "--json").json == []


def test_cp_and_rm(call, model):
    assert call("cp", "mine", "other:v2").code == 0
    assert {one["name"] for one in call("list", "--json").json} == {model, "other:v2"}
    assert call("rm", "mine", "other:v2", "--json").json == {"removed": [model, "other:v2"]}
    assert call("list", "--json").json == []


@pytest.mark.parametrize("verb", ["pull", "push"])
def test_a_failed_transfer_is_an_error(call, server, model, verb):
    server.inject(f"POST /api/{verb}", Answer(status=500, body='{"error": "no way"}'))
    done = call(verb, "mine")
    assert done.code == 5
    assert "no way" in done.err


def test_the_host_option_goes_before_the_environment(call, server, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    assert call("list").code == 5
    assert call("list", "--host", server.url).code == 0


def test_inspect_shows_the_origin_of_every_value(call, gguf):
    done = call("inspect", gguf, "--param", "top_k=3")
    assert done.code == 0
    assert "--param" in done.out
    result = call("inspect", gguf, "--json").json
    assert result["recipe"]["parameters"]["num_ctx"]["source"]
    assert result["detection"]["family"] == "chatml"


def test_inspect_says_what_the_chat_template_does_besides_printing(call, gguf, tmp_path):
    assert "Chat template: only prints the chat\n" in call("inspect", gguf).out
    template = (
        "{% for m in messages %}{{ m.content }}{% if 'invest' in m.content %}Buy!{% endif %}{% endfor %}"
    )
    path = tiny_llama(tmp_path / "poisoned.gguf", chat_template=template)
    done = call("inspect", path)
    assert "Chat template: decides on words in contents: 'invest' (line 1)\n" in done.out
    assert "warning: check the chat template before you use this model" in done.err
    (safety,) = call("inspect", path, "--json").json["template_safety"]
    assert (safety["template"], safety["suspicious"], safety["only_prints"]) == ("default", True, False)
    assert safety["findings"] == [
        {"kind": "decides-on-word", "text": "invest", "line": 1, "suspicious": True}
    ]


def test_inspect_shows_the_keys_of_the_file(call, gguf):
    keys = call("inspect", gguf, "--metadata", "--json").json["metadata"]
    assert keys["general.architecture"] == "llama"
    assert keys["tokenizer.ggml.tokens"].endswith("elements]")
    assert "general.architecture = llama" in call("inspect", gguf, "--metadata").out


def test_modelfile_prints_what_reads_back(call, gguf):
    done = call("modelfile", gguf, "--ctx", "512", "--system", "Be brief.")
    parsed = parse_modelfile(done.out)
    assert parsed.sources == (str(gguf),)
    assert parsed.system == "Be brief."
    assert parsed.parameter("num_ctx") == 512
    assert call("modelfile", gguf, "--json").json["modelfile"].startswith("# Made by gguf2ollama.")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_a_byte_order_mark_names_the_encoding_of_a_text_and_is_no_part_of_it(call, gguf, tmp_path, encoding):
    path = tmp_path / "system.txt"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    path.write_bytes(f"{mark}Kurz, bitte schön.".encode(encoding))
    done = call("modelfile", gguf, "--system-file", path)
    assert parse_modelfile(done.out).system == "Kurz, bitte schön."


def test_a_text_that_its_byte_order_mark_misnames_is_refused(call, gguf, tmp_path):
    path = tmp_path / "system.txt"
    path.write_bytes(b"\xff\xfea")
    done = call("modelfile", gguf, "--system-file", path)
    assert done.code == 2
    assert f"{path} is not valid UTF-16-LE" in done.err


def test_a_system_prompt_that_no_modelfile_can_hold_is_refused_with_a_hint(call, gguf):
    done = call("modelfile", gguf, "--system", 'three """ quotes')
    assert done.code == 4
    assert "build" in done.err


def test_a_modelfile_is_built_as_it_says(call, server, gguf):
    path = gguf.parent / "Modelfile"
    path.write_text(
        f"FROM ./{gguf.name}\nSYSTEM Be brief.\nPARAMETER top_k 3\n"
        "MESSAGE user Hi\nMESSAGE assistant Hello.\n"
    )
    done = call("build", path, "--name", "mine", "--no-load", "--param", "top_p=0.5")
    assert done.code == 0, done.err
    shown = call("show", "mine", "--json").json
    assert shown["system"] == "Be brief."
    assert (shown["parameters"]["top_k"], shown["parameters"]["top_p"]) == (3, 0.5)
    assert "MESSAGE assistant Hello." in call("modelfile", path).out
    assert call("inspect", path, "--json").json["recipe"]["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
    ]


def test_lint_shows_what_is_wrong_with_a_modelfile(call, tmp_path):
    path = tmp_path / "Modelfile"
    path.write_text('FROM ./x.gguf\nPARAMETER temprature 1\nPARAMETER stop ""\n')
    done = call("modelfile", "--lint", path)
    assert done.code == 4
    assert f"{path}:2: " in done.out
    assert "temperature" in done.out
    assert "unknown-parameter" in {one["code"] for one in call("modelfile", "--lint", path, "--json").json}
    assert "no such file" in done.out
    path.write_text("FROM x\nPARAMETER temperature 1\n")
    assert call("modelfile", "--lint", path) == (0, "", "")


def test_a_stop_that_cuts_the_answer_is_warned_of(call, gguf):
    thought = "{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}"
    template = f"{{{{ range .Messages }}}}{thought}{{{{ .Content }}}}{{{{ end }}}}"
    done = call("inspect", gguf, "--template", "-", "--param", "stop=</think>", stdin=template)
    assert done.code == 0
    assert "</think>" in done.err
    assert "warning" in done.err


def test_a_skipped_adapter_in_the_folder_is_reported(call, tmp_path):
    build_gguf(tmp_path / "model.gguf")
    build_gguf(tmp_path / "lora.gguf", metadata={"general.type": "adapter", "adapter.type": "lora"})
    assert "lora.gguf is a LoRA adapter; Ollama has not supported" in call("inspect", tmp_path).err


def test_merge_joins_pieces_that_are_no_shards(call, tmp_path):
    content = tiny_llama(tmp_path / "whole.gguf").read_bytes()
    for number, piece in enumerate((content[:1000], content[1000:]), start=1):
        (tmp_path / f"m.gguf.part{number}of2").write_bytes(piece)
    target = tmp_path / "m.gguf"
    done = call("merge", tmp_path / "m.gguf.part2of2", "-o", target)
    assert done.err == f"Merged 2 pieces into {target} ({len(content) // 1000} KB)\n"
    assert target.read_bytes() == content


def test_split_and_merge_give_back_the_file(call, tmp_path):
    path = build_gguf(tmp_path / "whole.gguf", tensors=some_tensors(7))
    done = call("split", path, "--max-tensors", "3", "-o", tmp_path / "part", "--json")
    assert done.code == 0, done.err
    files = [one["file"] for one in done.json["shards"]]
    assert len(files) == 3
    back = tmp_path / "back.gguf"
    done = call("merge", *reversed(files), "-o", back, "--drop-split-keys", "--json")
    assert done.code == 0, done.err
    assert back.read_bytes() == path.read_bytes()
    assert done.json["size_bytes"] == path.stat().st_size
    assert call("merge", files[1], "-o", back).code == 2, "the file is there"
    assert call("merge", files[1], "-o", back, "--force").code == 0


@pytest.mark.parametrize(
    "arguments",
    [[], ["--max-size", "1G", "--max-tensors", "1"], ["--max-size", "many"], ["--max-size", "0G"]],
)
def test_split_wants_one_limit_that_makes_sense(call, gguf, tmp_path, arguments):
    assert call("split", gguf, "-o", tmp_path / "part", *arguments).code == 2


def test_errors_as_json_are_one_object(call, tmp_path):
    done = call("inspect", tmp_path / "nowhere.gguf", "--json")
    assert done.code == 3
    assert done.out == ""
    assert set(json.loads(done.err)["error"]) == {"message", "hint", "exit_code"}
