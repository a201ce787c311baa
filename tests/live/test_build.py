"""The main job, for real: a GGUF becomes a model that a real Ollama runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import ollama
import pytest

from gguf2ollama import Parameter, ShardSet, build, merge, split
from gguf2ollama.errors import InvalidGguf, InvalidModelfile, ServerRefused, UsageProblem
from gguf2ollama.memory.record import ContextRecord
from gguf2ollama.names import TEMPORARY_NAMESPACE
from gguf2ollama.ollama import Client
from gguf2ollama.planning.stored.record import BuildRecord
from tests.builders import build_gguf, make_tensor, tiny_llama
from tests.live import parts
from tests.live.servers import find_program, running_ollama

pytestmark = pytest.mark.live

# a template that no profile explains, so that the one in the GGUF has to do
OWN_TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}] {{ message.content }} ~~ {% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
# in our own words, but near enough to Zephyr's that Ollama's detection takes it for that
NEAR_ZEPHYR = (
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content']"
    " + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] +"
    " eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content']"
    " + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n"
    "{% endif %}\n{% endfor %}"
)
STEADY = {"temperature": 0, "seed": 7, "num_predict": 24}
SHORT = ("--param", "num_predict=48")  # a model this small may not find an end


@pytest.fixture
def client(ollama_server):
    with Client(ollama_server.url) as client:
        yield client


@pytest.fixture
def host(ollama_server):
    return ollama_server.url


def names(client):
    return {model.name for model in client.list()}


def has_leftovers(client):
    return any(TEMPORARY_NAMESPACE in name for name in names(client))


def say(client, name, prompt="Say hi"):
    chunks = client.chat(name, [{"role": "user", "content": prompt}], options=STEADY)
    return "".join(chunk.content for chunk in chunks)


def command(ollama_server, *arguments, **options):
    environment = ollama_server.environment | {"OLLAMA_HOST": ollama_server.url}
    return subprocess.run(
        [sys.executable, "-m", "gguf2ollama", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


@pytest.fixture(scope="module")
def our_shards(smollm2, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ours")
    return split(smollm2, folder / "smol", max_tensors=100)


@pytest.fixture(scope="module")
def their_shards(smollm2, llama_tool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("theirs")
    tool = llama_tool("llama-gguf-split")
    options = ["--split", "--split-max-size", "40M"]
    subprocess.run([tool, *options, smollm2, folder / "smol"], check=True, capture_output=True)
    return sorted(folder.iterdir())


def test_the_readme_command_builds_and_answers(ollama_server, smollm2):
    done = command(ollama_server, "build", smollm2, "--name", "smol", *SHORT, "--run", "Say hi")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert f"Created smol:latest on {ollama_server.url}" in done.stderr


def test_the_official_client_and_the_program_list_show_and_run_what_was_built(ollama_server, smollm2):
    short = [Parameter(name="num_predict", value=48)]
    build(smollm2, name="official", host=ollama_server.url, load=False, parameters=short)
    with ollama.Client(host=ollama_server.url) as official:
        assert "official:latest" in {model.model for model in official.list().models}
        shown = official.show("official")
        assert "SmolLM" in shown.modelfile
        assert "num_ctx" in (shown.parameters or "")
        answer = official.chat("official", [{"role": "user", "content": "Say hi"}], options=STEADY)
        assert answer.message.content

    def program(*arguments):
        environment = ollama_server.environment | {"OLLAMA_HOST": ollama_server.url}
        return subprocess.run(
            [ollama_server.program, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            stdin=subprocess.DEVNULL,
        ).stdout

    assert "official:latest" in program("list")
    assert "SmolLM" in program("show", "official")
    assert program("run", "official", "Say hi").strip()


@pytest.mark.parametrize("maker", ["ours", "theirs"])
def test_shards_become_the_same_model_as_the_whole_file(
    client, host, smollm2, our_shards, their_shards, maker
):
    shards = our_shards if maker == "ours" else their_shards
    assert len(shards) > 2
    build(smollm2, name="whole", host=host, load=False)
    build(shards[-1], name=f"sharded-{maker}", host=host, load=False)
    assert say(client, f"sharded-{maker}") == say(client, "whole") != ""


def test_shards_under_other_names_are_put_in_order_by_their_headers(client, host, our_shards, tmp_path):
    for number, shard in enumerate(our_shards):
        shutil.copy(shard, tmp_path / f"part-{'zyxw'[number]}.gguf")
    build(tmp_path, name="renamed", host=host, load=False)
    assert say(client, "renamed")


def test_a_merged_file_becomes_the_same_model(client, host, smollm2, our_shards, tmp_path):
    merged = merge(ShardSet.discover(our_shards[0]), tmp_path / "merged.gguf")
    build(smollm2, name="whole", host=host, load=False)
    build(merged, name="merged", host=host, load=False)
    assert say(client, "merged") == say(client, "whole")


@pytest.mark.parametrize("via", ["link", "pull", "upload"])
def test_the_authors_default_system_prompt_is_rendered(
    client, host, ollama_server, smollm2, monkeypatch, via
):
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama_server.store))
    build(smollm2, name=f"system-{via}", host=host, via=via, load=False)
    rendered = client.render(f"system-{via}", [{"role": "user", "content": "Hi"}])
    assert rendered == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_ollama_create_by_itself_loses_the_default_system_prompt(ollama_server, client, smollm2, tmp_path):
    path = tmp_path / "Modelfile"
    path.write_text(f"FROM {smollm2}\n")
    create(ollama_server, "alone", path)
    rendered = client.render("alone", [{"role": "user", "content": "Hi"}])
    assert "SmolLM" not in rendered, "then this product is needed less"


def test_a_template_that_nobody_knows_is_rendered_by_the_gguf_itself(client, host, tmp_path):
    path = tiny_llama(tmp_path / "own.gguf", chat_template=OWN_TEMPLATE)
    built = build(path, host=host, via="pull")
    assert built.plan.inspection.recipe.template_origin == "native"
    assert client.render("own", [{"role": "user", "content": "Hi"}]) == "[user] Hi ~~ [assistant] "


def test_a_template_that_the_server_put_before_the_files_own_is_a_warning(client, ollama_server, tmp_path):
    path = tiny_llama(tmp_path / "zephyr.gguf", chat_template=NEAR_ZEPHYR)
    upload = ("--name", "displaced", "--via", "upload", "--no-verify")
    done = command(ollama_server, "build", path, *upload)
    assert done.returncode == 0, done.stderr
    assert "warning: a TEMPLATE of the server's own is used" in done.stderr
    given = tmp_path / "own.jinja"
    given.write_text(NEAR_ZEPHYR)
    upload = ("--name", "asked", "--via", "upload", "--no-verify", "--json", "--chat-template", given)
    done = command(ollama_server, "build", path, *upload)
    assert done.returncode == 6, done.stderr
    error = json.loads(done.stderr.splitlines()[-1])["error"]["message"]
    assert "a TEMPLATE of the server's own is used instead of your chat template" in error
    assert "asked:latest" not in names(client)
    assert not has_leftovers(client)
    allowed = command(ollama_server, "build", path, *upload, "--allow-mismatch")
    assert allowed.returncode == 0, allowed.stderr
    assert json.loads(allowed.stdout)["differences"]


def test_a_given_template_that_is_not_the_authors_is_taken_and_told(client, ollama_server, tmp_path):
    path = tiny_llama(tmp_path / "other.gguf", chat_template=OWN_TEMPLATE)
    given = tmp_path / "other.gotmpl"
    given.write_text('{{ .Prompt }} -> {{ .Response }}{{/* eq .Role "tool" */}}')
    done = command(ollama_server, "build", path, "--name", "other", "--template", given)
    assert done.returncode == 0, done.stderr
    assert "plain conversations render differently from the model's chat template" in done.stderr
    assert not has_leftovers(client)
    assert not client.ps()
    assert client.render("other", [{"role": "user", "content": "Hi"}]) == "Hi -> "


def test_what_detection_would_displace_is_made_in_another_way(client, host, tmp_path):
    path = tiny_llama(tmp_path / "zephyr.gguf", chat_template=NEAR_ZEPHYR)
    built = build(path, name="kept-out", host=host, via="upload")
    assert built.differences == ()
    assert built.plan.inspection.recipe.template_origin in {"synthesised", "profile", "patched"}
    assert not has_leftovers(client)
    assert not client.ps()
    assert client.render("kept-out", [{"role": "user", "content": "Hi"}]) == (
        "<|user|>\nHi<|im_end|>\n<|assistant|>\n"
    )


def test_a_failed_build_leaves_the_model_as_it_was(client, host, tmp_path):
    path = tiny_llama(tmp_path / "kept.gguf")
    build(path, host=host)
    before = {model.name: model.digest for model in client.list()}
    with pytest.raises(InvalidModelfile):
        build(path, host=host, template="{{ .Broken")
    assert {model.name: model.digest for model in client.list()} == before
    assert client.render("kept", [{"role": "user", "content": "Hi"}])


def test_a_new_build_replaces_the_old_one_and_its_blobs(ollama_server, client, host, tmp_path):
    first = tiny_llama(tmp_path / "first.gguf", seed=1)
    second = tiny_llama(tmp_path / "second.gguf", seed=2)
    build(first, name="replaced", host=host)
    blobs = set((ollama_server.store / "blobs").iterdir())
    build(second, name="replaced", host=host, system="Now be second.")
    assert client.show("replaced").system == "Now be second."
    assert blobs - set((ollama_server.store / "blobs").iterdir())
    assert not has_leftovers(client)


def test_a_model_in_memory_is_prompted_anew_after_it_was_replaced(client, host, tmp_path):
    path = tiny_llama(tmp_path / "loaded.gguf", chat_template=OWN_TEMPLATE)
    messages = [{"role": "user", "content": "Hi"}]
    build(path, host=host, template="old {{ .Prompt }}{{ .Response }}")
    assert client.render("loaded", messages).startswith("old")
    build(path, host=host, template="new {{ .Prompt }}{{ .Response }}")
    assert client.render("loaded", messages).startswith("new")


def test_an_architecture_that_the_server_cannot_run_is_found_now(client, host, tmp_path):
    path = build_gguf(
        tmp_path / "odd.gguf",
        architecture="nonsense",
        metadata={"nonsense.context_length": 128, "nonsense.block_count": 1},
    )
    # 0.34.4 takes it and fails to load it; 0.32.15 fails to copy it
    with pytest.raises((ServerRefused, InvalidGguf)) as caught:
        build(path, host=host)
    assert caught.value.hint
    assert "odd:latest" not in names(client)
    assert not has_leftovers(client)


def test_an_embedding_model_gets_no_template(client, host, tmp_path):
    path = tiny_llama(tmp_path / "embeds.gguf", metadata={"llama.pooling_type": 1})
    built = build(path, host=host)
    assert built.plan.inspection.recipe.capabilities == ("embedding",)
    assert "embedding" in client.show("embeds").capabilities


def test_a_projector_in_the_folder_comes_along(client, host, tmp_path):
    tiny_llama(tmp_path / "sees.gguf")
    build_gguf(
        tmp_path / "mmproj.gguf",
        architecture="clip",
        metadata={
            "general.type": "mmproj",
            "clip.has_vision_encoder": True,
            "clip.projector_type": "mlp",
            "clip.vision.block_count": 1,
        },
    )
    build(tmp_path, name="sees", host=host, load=False)
    assert "vision" in client.show("sees").capabilities


def test_a_system_text_that_no_modelfile_carries_is_built_all_the_same(client, host, tmp_path):
    path = tiny_llama(tmp_path / "quotes.gguf")
    text = 'Say """three quotes""" and \u00a0 no-break.'
    build(path, host=host, system=text)
    assert client.show("quotes").system == text


def test_everything_asked_for_is_on_the_server(client, host, tmp_path):
    path = tiny_llama(tmp_path / "asked.gguf")
    wanted = {"temperature": 0.25, "top_k": 7, "num_keep": 3, "repeat_penalty": 1.05, "seed": 42}
    parameters = [Parameter(name=name, value=value) for name, value in wanted.items()]
    stops = [Parameter(name="stop", value=text) for text in ("<|im_end|>", 'a "b" c', "\n\n", " x")]
    build(
        path, host=host, name="asked", context=512, parameters=[*parameters, *stops], licenses=("One", "Two")
    )
    shown = client.show("asked")
    assert {name: shown.parameters[name] for name in wanted} == wanted
    assert shown.parameters["num_ctx"] == 512
    assert "One" in shown.license
    assert "Two" in shown.license


@pytest.mark.parametrize(
    "metadata,words", [({"general.type": "adapter"}, "adapter"), ({"general.type": "mmproj"}, "projector")]
)
def test_what_runs_not_by_itself_is_refused(host, tmp_path, metadata, words):
    path = build_gguf(tmp_path / "part.gguf", metadata=metadata)
    with pytest.raises(UsageProblem, match=words):
        build(path, host=host)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_ctrl_c_in_the_middle_of_an_upload_leaves_nothing_behind(ollama_server, client, tmp_path):
    path = build_gguf(tmp_path / "big.gguf", tensors=[make_tensor("big.weight", shape=(8192, 6000))])
    blobs = ollama_server.store / "blobs"
    before_names, before_blobs = names(client), set(blobs.iterdir())
    process = subprocess.Popen(
        [sys.executable, "-m", "gguf2ollama", "build", path, "--name", "interrupted", "--via", "upload"],
        env=ollama_server.environment | {"OLLAMA_HOST": ollama_server.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: set(blobs.iterdir()) - before_blobs)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()[-1]) == (130, "interrupted")
    assert names(client) == before_names
    wait_until(lambda: set(blobs.iterdir()) == before_blobs)


def wait_until(is_so, *, seconds=30):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


@pytest.mark.parametrize("part", parts.OLLAMAS, ids=lambda part: part.version)
@pytest.mark.parametrize("layout", ["file", "shards"])
def test_a_store_written_with_no_server_runs(part, layout, smollm2, our_shards, tmp_path):
    program = find_program(part)
    if program is None:
        from tests.live.conftest import missing  # noqa: PLC0415

        missing(f"Ollama {part.version}")
    with running_ollama(part, program, tmp_path) as server:
        # into the store of a running server: it sees the model at once
        source = smollm2 if layout == "file" else our_shards[0]
        build(source, name="stored", store=server.store, for_ollama=part.version)
        with Client(server.url) as client:
            assert "stored:latest" in names(client)
            assert "SmolLM" in client.render("stored", [{"role": "user", "content": "Hi"}])
            assert say(client, "stored")
    with running_ollama(part, program, tmp_path) as server, Client(server.url) as client:
        assert "stored:latest" in names(client), "the server pruned what was written"
        assert say(client, "stored")


def test_a_store_links_and_does_not_copy(smollm2, tmp_path):
    source = tmp_path / "model.gguf"
    try:
        os.link(smollm2, source)
    except OSError:
        shutil.copy(smollm2, source)
    store = tmp_path / "store"
    build(source, name="stored", store=store)
    assert any(blob.samefile(source) for blob in (store / "blobs").iterdir())


def create(ollama_server, name, modelfile):
    """Have the server's own program make a model."""
    subprocess.run(
        [ollama_server.program, "create", name, "-f", modelfile],
        env=ollama_server.environment | {"OLLAMA_HOST": ollama_server.url},
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )


def test_the_modelfile_verb_gives_what_ollama_create_takes(ollama_server, client, smollm2, tmp_path):
    done = command(ollama_server, "modelfile", smollm2)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "Modelfile"
    path.write_text(done.stdout, encoding="utf-8", newline="")
    create(ollama_server, "by-hand", path)
    hand = client.show("by-hand")
    # a build may change the header, which a Modelfile cannot
    build(smollm2, name="by-us", host=ollama_server.url, via="upload", template=hand.template, load=False)
    ours = client.show("by-us")
    # what a Modelfile cannot say is that there are no stops: `create` adds those of the template it detects
    parameters = {name: value for name, value in hand.parameters.items() if name != "stop"}
    assert "stop" not in ours.parameters
    assert (hand.template, hand.system, parameters) == (ours.template, ours.system, dict(ours.parameters))
    *licenses, made, record = ours.license.splitlines()
    assert hand.license.splitlines() == licenses
    assert ContextRecord.find(record) is not None
    assert BuildRecord.find(made) is not None


def test_the_modelfile_of_shards_names_all_of_them(newest_ollama, our_shards, tmp_path):
    done = command(newest_ollama, "modelfile", our_shards[1])
    assert done.stdout.count("\nFROM ") + done.stdout.startswith("FROM ") == len(our_shards)
    path = tmp_path / "Modelfile"
    path.write_text(done.stdout, encoding="utf-8", newline="")
    create(newest_ollama, "shards-by-hand", path)
    with Client(newest_ollama.url) as client:
        assert say(client, "shards-by-hand")
