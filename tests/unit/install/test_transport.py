"""Which way a model goes, and whose store is whose."""

import dataclasses

import pytest

from gguf2ollama.errors import ServerProblem, UsageProblem
from gguf2ollama.install.stores import find_store
from gguf2ollama.install.transport import choose_transport
from gguf2ollama.names import ServerAddress
from gguf2ollama.oci import Digest
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.store import LocalStore
from tests.fakes.ollama_server import Answer, FakeOllama


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """Return this user a home with nothing in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setattr("pathlib.Path.home", lambda: folder)
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    return folder


@pytest.fixture
def server():
    with FakeOllama() as server:
        yield server


@pytest.fixture
def client(server):
    with Client(server.url, stall_timeout=1, retry_pauses=()) as client:
        yield client


def make_store(folder):
    (folder / "blobs").mkdir(parents=True)
    return folder


@pytest.fixture
def theirs(server, tmp_path):
    """Return the folder of the server's store."""
    server.store.folder = make_store(tmp_path / "models")
    return server.store.folder


def test_the_store_that_the_environment_names_is_found(client, theirs):
    assert find_store(client, environ={"OLLAMA_MODELS": str(theirs)}) == LocalStore(theirs)


@pytest.mark.parametrize("form", ['"{}"', " {} ", "'{}'"])
def test_the_environment_is_read_as_ollama_reads_it(client, theirs, form):
    assert find_store(client, environ={"OLLAMA_MODELS": form.format(theirs)}) == LocalStore(theirs)


def test_the_store_in_the_users_home_is_found(client, server, home):
    server.store.folder = make_store(home / ".ollama" / "models")
    assert find_store(client, environ={}) == LocalStore(server.store.folder)


def test_the_store_of_another_server_is_not_taken_and_the_right_one_is(client, server, home, tmp_path):
    other = make_store(tmp_path / "other")
    server.store.folder = make_store(home / ".ollama" / "models")
    assert find_store(client, environ={"OLLAMA_MODELS": str(other)}) == LocalStore(server.store.folder)
    assert list((other / "blobs").iterdir()) == []


def test_a_server_that_sees_none_of_our_folders_has_no_store_for_us(client, server, tmp_path):
    # as one in a container, or behind a tunnel
    ours = make_store(tmp_path / "ours")
    assert find_store(client, environ={"OLLAMA_MODELS": str(ours)}) is None
    assert list((ours / "blobs").iterdir()) == []
    assert server.store.blobs == {}


def test_looking_for_a_store_leaves_nothing_in_it(client, theirs):
    find_store(client, environ={"OLLAMA_MODELS": str(theirs)})
    assert list((theirs / "blobs").iterdir()) == []


def test_a_server_that_says_yes_to_anything_is_not_believed(client, server, theirs):
    server.inject("HEAD /api/blobs/", Answer(status=200), times=5)
    assert find_store(client, environ={"OLLAMA_MODELS": str(theirs)}) is None
    assert list((theirs / "blobs").iterdir()) == []


def test_a_server_that_fails_has_no_store_for_us(client, server, theirs):
    server.inject("HEAD /api/blobs/", Answer(status=500), times=5)
    assert find_store(client, environ={"OLLAMA_MODELS": str(theirs)}) is None
    assert list((theirs / "blobs").iterdir()) == []


def test_a_folder_that_is_not_a_store_is_left_alone(client, server, tmp_path):
    assert find_store(client, environ={"OLLAMA_MODELS": str(tmp_path)}) is None
    assert server.endpoints() == []


def test_a_store_that_is_not_ours_to_write_is_not_taken(client, server, theirs, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, _: not str(path).endswith("blobs"))
    assert find_store(client, environ={"OLLAMA_MODELS": str(theirs)}) is None
    assert server.endpoints() == []


def test_a_store_whose_blobs_lie_elsewhere_is_not_taken(client, theirs, tmp_path):
    (theirs / "blobs").rename(tmp_path / "elsewhere")
    (theirs / "blobs").symlink_to(tmp_path / "elsewhere")
    assert find_store(client, environ={"OLLAMA_MODELS": str(theirs)}) is None


def test_a_user_without_a_home_is_accepted(client, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.home", no_home)
    assert find_store(client, environ={}) is None


@pytest.mark.parametrize("via", ["auto", "link"])
def test_a_link_is_chosen_where_the_store_is_ours(client, theirs, monkeypatch, via):
    monkeypatch.setenv("OLLAMA_MODELS", str(theirs))
    choice = choose_transport(client, via=via)
    assert (choice.transport, choice.store) == ("link", LocalStore(theirs))
    assert choice.reason


@pytest.mark.parametrize("via", ["auto", "pull"])
def test_a_pull_comes_next_once_the_server_has_pulled_something_and_nothing_of_it_stays(client, server, via):
    choice = choose_transport(client, via=via)
    assert (choice.transport, choice.store) == ("pull", None)
    assert server.endpoints().count("POST /api/pull") == 1
    assert server.store.models == {}


def test_a_pull_may_be_planned_without_a_trial(client, server):
    assert choose_transport(client, via="pull", tests_pull=False).transport == "pull"
    assert server.endpoints() == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, '{"error": "connect: connection refused"}'),
        Answer(200, '{"status": "success"}\n'),  # pulled from somebody else
    ],
)
def test_where_the_server_cannot_pull_the_transport_is_an_upload_and_that_is_said(client, server, answer):
    server.inject("POST /api/pull", answer)
    lines = []
    choice = choose_transport(client, via="auto", notify=lines.append)
    assert choice.transport == "upload"
    assert lines[0].startswith("Pull failed (")
    assert lines[0].endswith("falling back to upload")
    server.inject("POST /api/pull", answer)
    with pytest.raises(ServerProblem):
        choose_transport(client, via="pull")
    assert server.store.models == {}


def test_a_link_that_does_not_work_is_an_error_with_a_hint(client):
    with pytest.raises(UsageProblem, match="was not found") as caught:
        choose_transport(client, via="link")
    assert "OLLAMA_MODELS" in caught.value.hint


def test_an_upload_is_what_it_takes_for_another_machine(client):
    client.address = ServerAddress.parse("gpu.example:11434")
    assert choose_transport(client, via="auto").transport == "upload"
    assert choose_transport(client, via="upload").transport == "upload"


@pytest.mark.parametrize("via", ["link", "pull"])
def test_another_machine_takes_no_link_and_no_pull(client, server, via):
    client.address = ServerAddress.parse("192.0.2.7:11434")
    with pytest.raises(UsageProblem, match="on another") as caught:
        choose_transport(client, via=via)
    assert "--via upload" in caught.value.hint
    assert server.endpoints() == []


def test_a_store_knows_what_the_server_was_given_there(client, theirs):
    store = find_store(client, environ={"OLLAMA_MODELS": str(theirs)})
    digest = store.add_bytes(b"content")
    assert client.has_blob(digest)
    assert not client.has_blob(dataclasses.replace(digest, hex=Digest.of(b"other").hex))
