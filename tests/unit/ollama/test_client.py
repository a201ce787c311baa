"""What the client asks and what it makes of the answers."""

import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import (
    InvalidInput,
    NotEnoughSpace,
    NotFound,
    RunnerStopped,
    ServerRefused,
    ServerStalled,
    ServerUnreachable,
    UsageProblem,
)
from gguf2ollama.names import ServerAddress
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client, ServerFeatures, ServerVersion, ToolCall
from gguf2ollama.ollama.errors import ApiCall
from gguf2ollama.ollama.rest import _lines
from tests.fakes.ollama_server import Answer, Choke, Cut, Die, FakeOllama

CONTENT = b"0123456789" * 200_000
DIGEST = Digest.of(CONTENT)
HELLO = [{"role": "user", "content": "hello"}]
CALL = ApiCall(address="http://h", method="POST", path="/api/chat")


def upload(client, **changed):
    call = {"digest": DIGEST, "size": len(CONTENT), "label": "weights"} | changed
    return client.upload_blob(lambda: io.BytesIO(CONTENT), **call)


@pytest.fixture
def model(client, gguf):
    content = gguf.read_bytes()
    digest = Digest.of(content)
    client.upload_blob(gguf, digest=digest, size=len(content))
    client.create("smol", files={gguf.name: digest}, template="<think></think>{{ .Tools }}").drain()
    return "smol"


def test_the_package_imports_without_the_http_library():
    program = "import gguf2ollama.ollama, sys; sys.exit('httpcore2' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_environment_says_where_the_server_is(server, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", server.url)
    with Client() as client:
        assert client.version().text == "0.34.4"


def test_a_server_behind_a_path_is_found():
    with FakeOllama(path="/behind/a/proxy") as server, Client(server.url) as client:
        assert client.features().keeps_shards
        assert server.seen[0].target == "/behind/a/proxy/api/version"


def test_nothing_is_sent_that_was_not_given(client, server):
    with pytest.raises(UsageProblem):
        client.create("smol").drain()
    assert server.seen[-1].content == {"model": "smol"}


def test_create_sends_what_was_given(client, server, model):
    client.create(
        "other",
        from_=model,
        system="Be brief.",
        parameters={"stop": ["a"]},
        messages=HELLO,
        licenses=["MIT"],
        renderer="r",
        parser="p",
        requires="0.34.1",
    ).drain()
    assert server.seen[-1].content == {
        "model": "other",
        "from": "smol",
        "system": "Be brief.",
        "parameters": {"stop": ["a"]},
        "messages": HELLO,
        "license": ["MIT"],
        "renderer": "r",
        "parser": "p",
        "requires": "0.34.1",
    }


def test_chat_sends_what_was_given(client, server, model):
    tools = [{"type": "function", "function": {"name": "f"}}]
    client.chat(
        model, HELLO, tools=tools, options={"seed": 1}, think="high", answer_format="json", keep_alive=-1
    ).drain()
    assert server.seen[-1].content == {
        "model": "smol",
        "messages": HELLO,
        "tools": tools,
        "options": {"seed": 1},
        "think": "high",
        "format": "json",
        "keep_alive": -1,
    }


def test_generate_sends_what_was_given(client, server, model):
    client.generate(model, "hi", system="s", raw=True, think=False).drain()
    assert server.seen[-1].content == {
        "model": "smol",
        "prompt": "hi",
        "raw": True,
        "system": "s",
        "think": False,
    }


def test_thinking_and_tool_calls_are_read(client, server, model):
    server.reply = [
        {"thinking": "hm"},
        {"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"x": [1, None]}}}]},
    ]
    thought, called, last = client.chat(model, HELLO)
    assert thought.thinking == "hm"
    assert called.tool_calls == (ToolCall(name="f", arguments={"x": [1, None]}, id="1"),)
    assert last.done_reason == "stop"
    assert last.metrics.total_duration == 0.003


def test_a_value_that_json_cannot_carry_is_a_usage_problem(client):
    with pytest.raises(UsageProblem, match="cannot be sent"):
        client.create("smol", parameters={"temperature": float("nan")})


def test_text_that_is_no_unicode_is_sent_all_the_same(client, model):
    client.create("other", from_=model, system="\udc80").drain()


def test_render_asks_for_the_whole_prompt(client, server, model):
    client.render(model, HELLO)
    assert server.seen[-1].content["truncate"] is False


GONE = Answer(
    status=500,
    body=json.dumps(
        {
            "error": 'llama-server apply-template error: Post "http://127.0.0.1:40123/apply-template": dial'
            " tcp 127.0.0.1:40123: connect: connection refused"
        }
    ),
)
CRASHED = Answer(
    status=500, body='{"error": "llama-server process has terminated: signal: segmentation fault"}'
)


@pytest.mark.parametrize("verb", ["render", "load", "chat"])
def test_a_model_that_was_unloaded_under_a_request_is_asked_again(client, server, model, verb):
    ask = {
        "render": lambda: client.render(model, HELLO),
        "load": lambda: client.load(model, tokens=1),
        "chat": lambda: client.chat(model, HELLO).drain(),
    }[verb]
    endpoint = "POST /api/generate" if verb == "load" else "POST /api/chat"
    server.inject(endpoint, GONE)
    ask()
    assert server.endpoints().count(endpoint) == 2


def test_a_model_whose_runner_ends_again_and_again_is_given_up(client, server, model):
    server.inject("POST /api/chat", GONE, times=100)
    with pytest.raises(RunnerStopped, match="connection refused"):
        client.render(model, HELLO)
    assert server.endpoints().count("POST /api/chat") == 3  # with the two pauses of the fixture


def test_a_model_that_crashes_is_loaded_once(client, server, model):
    server.inject("POST /api/generate", CRASHED, times=100)
    with pytest.raises(ServerRefused, match="segmentation fault"):
        client.load(model, tokens=1)
    assert server.endpoints().count("POST /api/generate") == 1


def test_a_server_that_cannot_say_whether_it_has_a_blob_is_refusing(client, server):
    server.inject("HEAD /api/blobs/", Answer(500))
    with pytest.raises(ServerRefused, match="HTTP 500"):
        client.has_blob(DIGEST)


def test_render_wants_a_server_that_renders(client, server, model):
    server.inject("POST /api/chat", Answer(body='{"message": {"content": "hi"}, "done": true}'))
    with pytest.raises(ServerRefused, match="did not return the prompt") as caught:
        client.render(model, HELLO)
    assert "0.11.5" in caught.value.hint


def test_a_server_of_another_kind_is_named(client, server):
    server.inject("GET /api/version", Answer(body="<html>", content_type="text/html"))
    server.inject("GET /api/version", Answer(body='{"version": ""}'))
    server.inject("GET /api/version", Answer(404, "File Not Found"))
    server.inject("GET /api/version", Answer(500, '{"error": {"code": 500, "message": "model loading"}}'))
    for text in ("an HTML page", "did not return a version", "not an Ollama server", "model loading"):
        with pytest.raises(ServerRefused, match=text):
            client.version()


def test_a_build_that_names_no_release_counts_as_the_newest(client, server):
    server.inject("GET /api/version", Answer(body='{"version": " dev\\u001b[2J"}'))
    version = client.version()
    assert version.text == "dev?[2J"
    assert "dev?[2J" in version.note
    assert ServerFeatures.of(version) == ServerFeatures.of(ServerVersion.parse("0.40.2"))


def test_a_redirect_is_not_followed(client, server):
    with FakeOllama() as other:
        server.inject("POST /api/show", Answer(307, headers={"Location": f"{other.url}/api/show"}))
        with pytest.raises(ServerRefused, match="redirects to") as caught:
            client.show("smol")
        assert caught.value.status == 307
        assert other.seen == []


def test_no_server_is_said_with_what_to_do(server):
    server.stop()
    with Client(server.url) as client, pytest.raises(ServerUnreachable, match=server.url) as caught:
        client.version()
    assert "ollama serve" in caught.value.hint


@pytest.mark.parametrize("host", ["gguf2ollama.invalid", "a" * 64])
def test_a_host_that_is_none_is_unreachable(host):
    with Client(ServerAddress(host=host)) as client, pytest.raises(ServerUnreachable, match=host):
        client.version()


def test_several_threads_share_a_client(client, server):
    contents = [bytes([number]) * 300_000 for number in range(8)]

    def send(content):
        return client.upload_blob(lambda: io.BytesIO(content), digest=Digest.of(content), size=len(content))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(send, contents))
    assert len(server.store.blobs) == 8


def test_an_upload_that_breaks_off_is_sent_again_from_its_start(client, server):
    server.inject("POST /api/blobs/", Die(after_bytes=500_000), times=2)
    updates = []
    assert upload(client, progress=updates.append)
    assert server.store.blobs == {str(DIGEST): CONTENT}
    assert [update.done for update in updates].count(0) == 3
    assert {update.task for update in updates} == {"uploading weights"}
    assert updates[-1].is_complete


def test_an_upload_that_breaks_off_again_and_again_is_given_up(client, server):
    server.inject("POST /api/blobs/", Die(after_bytes=500_000), times=3)
    with pytest.raises(ServerUnreachable, match="connection lost") as caught:
        upload(client)
    assert caught.value.hint
    assert server.store.blobs == {}


def test_a_server_that_dies_in_the_middle_of_an_upload_is_said(client, server):
    class Source(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > len(CONTENT) // 2 and not server.closing.is_set():
                server.stop()
            return super().read(size)

    with pytest.raises(ServerUnreachable) as caught:
        client.upload_blob(lambda: Source(CONTENT), digest=DIGEST, size=len(CONTENT))
    assert "ollama serve" in caught.value.hint


def test_a_server_that_takes_no_more_bytes_stalls(impatient, server):
    server.inject("POST /api/blobs/", Choke(after_bytes=1000), times=3)
    content = bytes(64 << 20)
    with pytest.raises(ServerStalled, match="accepted no data"):
        impatient.upload_blob(lambda: io.BytesIO(content), digest=Digest.of(content), size=len(content))


def test_an_upload_is_refused_once_and_not_again(client, server):
    server.inject("POST /api/blobs/", Answer(500, '{"error": "write x: no space left on device"}'))
    with pytest.raises(NotEnoughSpace):
        upload(client)
    assert server.endpoints() == [f"HEAD /api/blobs/{DIGEST}", f"POST /api/blobs/{DIGEST}"]


def test_a_full_disk_of_the_server_is_not_enough_space():
    with FakeOllama(disk_bytes=1000) as server, Client(server.url) as client:
        with pytest.raises(NotEnoughSpace, match="full") as caught:
            upload(client)
        assert "OLLAMA_MODELS" in caught.value.hint


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_file_that_changed_its_length_is_not_sent(client, server, size):
    with pytest.raises(InvalidInput, match="no longer has"):
        upload(client, size=size)
    assert server.store.blobs == {}


def test_a_file_that_is_gone_is_not_found(client, tmp_path):
    with pytest.raises(NotFound, match=r"gone\.gguf"):
        client.upload_blob(tmp_path / "gone.gguf", digest=DIGEST, size=1)


def test_a_stream_that_ends_too_soon_is_an_error(client, server, gguf, model):
    for fault, kind in (
        (Cut(after_lines=1), ServerUnreachable),
        (Cut(after_lines=1, is_proper=True), ServerRefused),
        (Cut(after_lines=0, is_proper=True), ServerRefused),
    ):
        server.inject("POST /api/create", fault)
        with pytest.raises(kind):
            client.create("other", from_=model).drain()
        server.inject("POST /api/chat", fault)
        with pytest.raises(kind):
            client.chat(model, HELLO).drain()


def test_an_error_in_the_middle_of_a_stream_is_raised_after_what_came_before(client, server, model):
    server.inject("POST /api/chat", Cut(after_lines=2, error="llama-server process has terminated"))
    came = []
    with pytest.raises(ServerRefused, match="failed with smol"):
        came.extend(chunk.content for chunk in client.chat(model, HELLO))
    server.inject("POST /api/chat", Cut(after_lines=2, error="model requires more system memory"))
    stream = client.chat(model, HELLO)
    assert [next(stream).content, next(stream).content] == ["Hello", " there"]
    with pytest.raises(NotEnoughSpace):
        next(stream)


@pytest.mark.parametrize("body", ["no json\n", '"text"\n', "[]\n", '{"done": 1}\n', '{"message": 3}\n'])
def test_a_line_that_is_no_answer_is_refused(client, server, model, body):
    server.inject("POST /api/chat", Answer(body=body, content_type="application/x-ndjson"))
    with pytest.raises(ServerRefused, match="POST /api/chat"):
        client.chat(model, HELLO).drain()


def test_the_last_line_needs_no_newline(client, server, model):
    body = '\n\n{"message": {"content": "a"}}\r\n{"done": true}'
    server.inject("POST /api/chat", Answer(body=body))
    assert [chunk.content for chunk in client.chat(model, HELLO)] == ["a", ""]


@given(st.lists(st.text("ab\n ", max_size=8).map(str.encode)))
def test_lines_are_the_same_however_they_are_cut(pieces):
    whole = [line.strip() for line in b"".join(pieces).split(b"\n")]
    assert list(_lines(iter(pieces), call=CALL)) == [line for line in whole if line]


def test_a_line_without_an_end_is_refused(client, server, model, monkeypatch):
    monkeypatch.setattr("gguf2ollama.ollama.rest._LINE_LIMIT", 100_000)
    server.inject("POST /api/chat", Answer(body='{"message": {"content": "' + "a" * 200_000 + '"}}\n'))
    with pytest.raises(ServerRefused, match="more than 100,000 bytes"):
        client.chat(model, HELLO).drain()


def test_an_answer_without_an_end_is_refused(client, server, monkeypatch):
    monkeypatch.setattr("gguf2ollama.ollama.rest._ANSWER_LIMIT", 100_000)
    for endpoint, ask, limit in (
        ("GET /api/version", client.version, "65,536"),
        ("GET /api/tags", client.list, "16,777,216"),
        ("GET /api/ps", client.ps, "16,777,216"),
        ("POST /api/show", lambda: client.show("smol"), "100,000"),
    ):
        server.inject(endpoint, Answer(body=" " * (int(limit.replace(",", "")) + 1) + "{}"))
        with pytest.raises(ServerRefused, match=f"more than {limit} bytes"):
            ask()


def test_an_endless_error_is_cut(client, server):
    server.inject("GET /api/tags", Answer(500, '{"error": "' + "x" * 10_000_000 + '"}'))
    with pytest.raises(ServerRefused) as caught:
        client.list()
    assert '{"error": "xxx' in caught.value.message
    assert len(caught.value.message) < 2000


def test_the_page_of_a_proxy_is_read_for_its_text(client, server):
    page = "<html><head><title>413 Request Entity Too Large</title></head></html>"
    server.inject("POST /api/blobs/", Answer(413, page, "text/html"))
    with pytest.raises(ServerRefused, match=r"of this size: 413 Request Entity Too Large$") as caught:
        upload(client)
    assert "client_max_body_size" in caught.value.hint


@pytest.mark.parametrize(
    "fault",
    [
        Answer(500, "x" * 1_000_000),
        Answer(body='{"error": "no"}\n' + "x" * 1_000_000),
        Answer(body='{"status": "success"}\n' + "x" * 1_000_000),
        Answer(body="x\n" * 500_000),
    ],
    ids=["error", "error line", "success", "nonsense"],
)
def test_no_answer_keeps_its_connection(client, server, fault):
    ends = []  # keeps the frames of a traceback alive, and with them whatever was not closed
    for _ in range(3):
        server.inject("POST /api/create", fault)
        try:
            ends.append(client.create("smol").drain())
        except ServerRefused as refused:
            ends.append(refused)
    server.wait_until_left()


def test_an_error_with_status_200_is_an_error(client, server):
    server.inject("GET /api/tags", Answer(body='{"error": "the moon is full"}'))
    with pytest.raises(ServerRefused, match="the moon is full"):
        client.list()


def test_a_connection_that_is_dropped_without_an_answer_is_a_lost_one(client, server):
    server.inject("GET /api/tags", Die(), times=3)
    with pytest.raises(ServerUnreachable, match="connection lost during GET /api/tags"):
        client.list()


def test_pull_and_push_tell_their_progress(client, server, model):
    client.push("smol").drain()
    client.delete("smol")
    statuses = list(client.pull("smol"))
    size = server.store.models["smol:latest"].size
    assert [(status.completed, status.total) for status in statuses if status.digest] == [
        (0, size),
        (size // 2, size),
        (size, size),
    ]
    assert statuses[-1].is_success
    assert server.seen[-1].content == {"model": "smol", "insecure": False}


def test_load_passes_on_other_refusals(client, model):
    with pytest.raises(NotFound):
        client.load("missing")
    client.load(model, options={"num_ctx": 99})
    assert client.ps()[0].context_length == 99
