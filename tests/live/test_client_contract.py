"""The client against a fake and against real servers: the same tests for all.

What passes here on both sides is what the tests of other parts may rely on when they use the fake.
"""

import io
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gguf2ollama.errors import (
    InvalidGguf,
    InvalidInput,
    InvalidModelfile,
    InvalidShards,
    NotFound,
    ServerRefused,
    UsageProblem,
)
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client, ServerFeatures, ServerVersion
from tests.builders import build_gguf, build_shards, tiny_llama
from tests.fakes.ollama_server import FakeOllama
from tests.live import parts

TEMPLATE = (
    "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
)
SYSTEM = 'Du bist "höflich"\u200b\n"""'
PARAMETERS = {"num_ctx": 512, "temperature": 0.25, "stop": ["<|im_end|>", 'a "b"\n'], "seed": 7}
HELLO = [{"role": "user", "content": "hello"}]
TAKE_FILES = [  # what nearly every test begins with
    part for part in parts.OLD_OLLAMAS if ServerFeatures.of(ServerVersion.parse(part.version)).takes_files
]
FAKES_ALONE = [parts.Ollama(version="0.40.2")]  # no real one can be built: it is held to what 0.34.4 does
SERVERS = [
    *(pytest.param(("fake", part), id=f"fake-{part.version}") for part in [*parts.OLLAMAS, *FAKES_ALONE]),
    *(pytest.param(("real", part), id=part.version, marks=pytest.mark.live) for part in parts.OLLAMAS),
    *(pytest.param(("fake", part), id=f"fake-{part.version}") for part in TAKE_FILES),
    *(
        pytest.param(("real", part), id=part.version, marks=[pytest.mark.live, pytest.mark.older])
        for part in TAKE_FILES
    ),
]


@pytest.fixture(scope="module", params=SERVERS)
def server(request, ollama_pool, tmp_path_factory):
    kind, part = request.param
    if kind == "real":
        yield ollama_pool(part)
        return
    with FakeOllama(version=part.version) as fake:
        if fake.store.features.manifests_v2:
            fake.store.folder = tmp_path_factory.mktemp("models")
        yield fake


@pytest.fixture(scope="module")
def client(server):
    with Client(server.url) as client:
        yield client


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("contract") / "tiny.gguf")


def tells_capabilities(client):
    return client.version() >= ServerVersion.parse("0.6.4")


def test_the_clock_of_a_server_on_this_machine_is_that_of_this_machine(client):
    assert abs(datetime.now(UTC) - client.clock()) < timedelta(hours=1)


def send(client, content):
    digest = Digest.of(content)
    client.upload_blob(lambda: io.BytesIO(content), digest=digest, size=len(content))
    return digest


@pytest.fixture
def model(client, gguf):
    """Make a model with everything on it, and remove it again."""
    client.create(
        "contract/tiny",
        files={gguf.name: send(client, gguf.read_bytes())},
        template=TEMPLATE,
        system=SYSTEM,
        parameters=PARAMETERS,
        messages=[{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}],
        licenses=["Apache-2.0", "MIT"],
    ).drain()
    yield "contract/tiny"
    client.unload("contract/tiny")
    client.delete("contract/tiny")


def test_the_server_says_its_version(client, server):
    expected = getattr(server, "version", None) or server.store.version
    assert client.version().text == expected
    assert client.features().takes_files


def test_a_blob_is_there_after_its_upload_and_not_sent_twice(client):
    content = b"a blob of its own" * 100_000
    digest = Digest.of(content)
    updates = []
    assert not client.has_blob(digest)
    sent = [
        client.upload_blob(
            lambda: io.BytesIO(content), digest=digest, size=len(content), progress=updates.append
        )
        for _ in range(2)
    ]
    assert sent == [True, False]
    assert client.has_blob(digest)
    assert [update.done for update in updates] == sorted({update.done for update in updates})
    assert updates[-1].is_complete


def test_an_empty_blob_can_be_sent(client):
    assert client.has_blob(send(client, b""))


def test_a_blob_with_another_digest_is_refused_and_kept_only_under_its_true_one(client):
    promised, true = Digest.of(b"promised"), Digest.of(b"sent")
    with pytest.raises(InvalidInput, match="weights does not match its digest"):
        client.upload_blob(lambda: io.BytesIO(b"sent"), digest=promised, size=4, label="weights")
    assert (client.has_blob(promised), client.has_blob(true)) == (False, True)


def test_what_was_created_reads_back_as_it_was_asked_for(client, model):
    shown = client.show(model)
    assert shown.template == TEMPLATE
    assert shown.system == SYSTEM
    assert shown.parameters == PARAMETERS | {"stop": tuple(PARAMETERS["stop"])}
    assert shown.messages == (("user", "1 + 1?"), ("assistant", "2"))
    assert shown.license == "Apache-2.0\nMIT"
    assert shown.capabilities == (("completion",) if tells_capabilities(client) else ())
    assert shown.details.family == "llama"
    assert shown.details.format == "gguf"
    assert shown.metadata["llama.context_length"] == 2048
    assert shown.modified is not None


def test_verbose_show_has_the_large_arrays(client, model):
    assert "hello" in client.show(model, verbose=True).metadata["tokenizer.ggml.tokens"]


def test_create_ends_with_success(client, model):
    statuses = list(client.create("contract/variant", from_=model))
    assert [status.text for status in statuses][-2:] == ["writing manifest", "success"]
    client.delete("contract/variant")


def test_a_variant_keeps_what_it_does_not_change(client, model):
    client.create("contract/variant", from_=model, system="Other.", parameters={"num_ctx": 256}).drain()
    shown = client.show("contract/variant")
    assert shown.system == "Other."
    assert shown.template == TEMPLATE
    assert shown.parameters == PARAMETERS | {"stop": tuple(PARAMETERS["stop"]), "num_ctx": 256}
    client.delete("contract/variant")


def test_the_list_tells_name_size_and_architecture(client, model):
    listed = {local.name: local for local in client.list()}["contract/tiny:latest"]
    assert listed.size >= 100_000
    assert listed.details.family == "llama"
    assert listed.modified is not None


def test_a_copy_outlives_its_source(client, model):
    client.copy(model, to="contract/copy:1")
    client.create("contract/gone", from_=model).drain()
    client.delete("contract/gone")
    assert client.show("contract/copy:1").system == SYSTEM
    client.delete("contract/copy:1")
    with pytest.raises(NotFound):
        client.show("contract/copy:1")


def test_names_are_found_in_any_case(client, model):
    assert client.show(model.upper()).system == SYSTEM


def test_a_chat_comes_in_pieces(client, model):
    chunks = list(client.chat(model, HELLO, options={"num_predict": 2, "stop": []}))
    assert len(chunks) > 1
    assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].done_reason == "length"
    assert chunks[-1].metrics.eval_count > 0
    assert chunks[-1].metrics.total_duration > 0
    assert all(chunk.metrics is None for chunk in chunks[:-1])


def test_generate_continues_a_prompt(client, model):
    last = client.generate(model, "hello", options={"num_predict": 2, "stop": []}).drain()
    assert last.done
    assert last.done_reason == "length"


def test_render_gives_the_prompt_instead_of_an_answer(client, model):
    if client.version() < ServerVersion.parse("0.11.5"):
        with pytest.raises(ServerRefused, match="did not return the prompt") as caught:
            client.render(model, HELLO)
        assert "0.11.5" in caught.value.hint
        return
    rendered = client.render(model, HELLO)
    assert SYSTEM in rendered
    assert rendered.endswith("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n")


def test_a_chat_that_is_closed_early_leaves_the_server_free(client, model, server):
    if client.version() >= ServerVersion.parse("0.30.0") and not isinstance(server, FakeOllama):
        pytest.skip("0.32.15 and 0.34.4 were seen to keep the next chat waiting, with the slot released")
    with client.chat(model, HELLO, options={"num_predict": 400, "stop": []}) as chunks:
        next(chunks)
    assert list(chunks) == []
    assert client.chat(model, HELLO, options={"num_predict": 1}).drain().done


def test_a_loaded_model_is_in_ps_until_it_is_unloaded(client, model):
    client.load(model, options={"num_ctx": 768}, keep_alive="10m")
    (running,) = client.ps()
    assert running.name == "contract/tiny:latest"
    assert running.context_length == (768 if client.version() >= ServerVersion.parse("0.10.0") else 0)
    assert running.size > 0
    assert running.expires is not None
    client.unload(model)
    for _ in range(200):
        if not client.ps():
            break
        threading.Event().wait(0.05)
    assert client.ps() == ()


def test_a_template_fills_in_between_two_texts(client, gguf):
    template = "{{ if .Suffix }}<{{ .Prompt }}|{{ .Suffix }}>{{ else }}{{ .Prompt }}{{ end }}"
    files = {gguf.name: send(client, gguf.read_bytes())}
    for name, text in {"contract/fills": template, "contract/plain": TEMPLATE}.items():
        client.create(name, files=files, template=text).drain()
    try:
        if client.version() >= ServerVersion.parse("0.11.5"):
            assert client.render_suffix("contract/fills", "a", suffix="b") == "<a|b>"
        client.generate("contract/fills", "a", suffix="b", options={"num_predict": 1}).drain()
        with pytest.raises(UsageProblem, match="does not support insert"):
            client.generate("contract/plain", "a", suffix="b")
    finally:
        for name in ("contract/fills", "contract/plain"):
            client.unload(name)
            client.delete(name)


def test_an_embedding_model_loads_too(client, tmp_path):
    path = tiny_llama(tmp_path / "embed.gguf", chat_template=None, metadata={"llama.pooling_type": 1})
    client.create("contract/embed", files={path.name: send(client, path.read_bytes())}).drain()
    try:
        told = client.show("contract/embed").capabilities
        assert told == (("embedding",) if tells_capabilities(client) else ())
        client.load("contract/embed")
        assert [running.name for running in client.ps()] == ["contract/embed:latest"]
        with pytest.raises(UsageProblem, match="does not support chat"):
            client.chat("contract/embed", HELLO)
        one, other = client.embed("contract/embed", ["hello", "a longer text"]).vectors
        assert len(one) == len(other) == 32
        assert one != other
        assert client.embed("contract/embed", ["the end"]).tokens > 1
    finally:
        client.unload("contract/embed")
        client.delete("contract/embed")


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.show("contract/missing"),
        lambda client: client.copy("contract/missing", to="contract/other"),
        lambda client: client.delete("contract/missing"),
        lambda client: client.load("contract/missing"),
        lambda client: client.unload("contract/missing"),
        lambda client: client.chat("contract/missing", HELLO),
        lambda client: client.generate("contract/missing", "hello"),
        lambda client: client.push("contract/missing").drain(),
    ],
    ids=["show", "copy", "delete", "load", "unload", "chat", "generate", "push"],
)
def test_a_missing_model_is_not_found(client, ask):
    with pytest.raises(NotFound, match="no model contract/missing") as caught:
        ask(client)
    assert "gguf2ollama list" in caught.value.hint


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, model: client.create("bad name!", from_=model).drain(),
        lambda client, model: client.copy(model, to="bad name!"),
        lambda client, _: client.delete("bad name!"),
        lambda client, _: client.pull("bad name!").drain(),
    ],
    ids=["create", "copy", "delete", "pull"],
)
def test_a_name_that_ollama_refuses_is_a_usage_problem(client, model, ask):
    with pytest.raises(UsageProblem, match="invalid model name"):
        ask(client, model)


def test_nothing_to_make_a_model_of_is_a_usage_problem(client):
    with pytest.raises(UsageProblem, match="no source to create contract/empty"):
        client.create("contract/empty").drain()


def test_a_path_that_is_not_relative_is_refused(client, gguf):
    if client.version() < ServerVersion.parse("0.5.13"):
        pytest.skip("it takes any path")
    digest = send(client, gguf.read_bytes())
    with pytest.raises(ServerRefused, match="file path must be relative") as caught:
        client.create("contract/path", files={"/tiny.gguf": digest}).drain()
    assert caught.value.status == 400


def test_a_template_that_does_not_parse_is_refused(client, model):
    with pytest.raises(InvalidModelfile, match="template error"):
        client.create("contract/template", from_=model, template="{{ if }").drain()


def test_a_blob_that_was_never_sent_is_missed(client):
    with pytest.raises(ServerRefused, match="has disappeared from the store"):
        client.create("contract/blob", files={"never.gguf": Digest.of(b"never sent")}).drain()


@pytest.mark.parametrize("content", [b"GGUF\x03\x00\x00\x00\x05", b"<html>"], ids=["cut", "other"])
def test_what_is_no_gguf_is_refused(client, content):
    digest = send(client, content)
    with pytest.raises(InvalidGguf, match="does not accept the file as GGUF"):
        client.create("contract/stranger", files={"stranger.gguf": digest}).drain()


def test_an_incomplete_set_of_shards_is_refused(client, tmp_path):
    shards = build_shards(tmp_path, count=3)[:2]
    files = {shard.name: send(client, shard.read_bytes()) for shard in shards}
    if not client.features().takes_shards:  # it makes a layer of each, and a model that does not run
        client.create("contract/shards", files=files).drain()
        return
    with pytest.raises(InvalidShards, match="has 2 shards, expected 3"):
        client.create("contract/shards", files=files).drain()


def test_a_shard_under_a_plain_name_is_refused(client, tmp_path):
    shard = build_shards(tmp_path, count=3)[0]
    files = {"model.gguf": send(client, shard.read_bytes())}
    if not client.features().takes_shards:  # it makes a model that does not run
        client.create("contract/shard", files=files).drain()
        return
    with pytest.raises(InvalidShards):
        client.create("contract/shard", files=files).drain()


@pytest.mark.parametrize("server", SERVERS[:4:2], indirect=True)
def test_an_adapter_is_refused_by_the_newest(client, tmp_path):
    adapter = build_gguf(tmp_path / "lora.gguf", metadata={"general.type": "adapter"})
    with pytest.raises(UsageProblem, match="does not accept LoRA adapters"):
        client.create("contract/lora", files={"lora.gguf": send(client, adapter.read_bytes())}).drain()


def test_a_model_that_the_registry_does_not_have_is_not_found(client):
    with registry_without_models() as address, pytest.raises(NotFound, match="the registry has no model"):
        client.pull(f"http://{address}/contract/missing", insecure=True).drain()


class registry_without_models:  # noqa: N801 - used as a function
    """An empty registry on loopback: every path is a 404."""

    def __enter__(self):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_error(404)

            def log_message(self, *_):
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return f"127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
