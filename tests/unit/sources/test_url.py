"""Models at plain URLs: looked at, downloaded into a cache of ours, and built from."""

import dataclasses
import os
import random

import pytest

from gguf2ollama import build, download, inspect
from gguf2ollama.cli import run
from gguf2ollama.errors import (
    InvalidGguf,
    InvalidInput,
    NotFound,
    ServerRefused,
    ServerUnreachable,
    UsageProblem,
)
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.oci import Digest
from gguf2ollama.planning.lock import write_lock
from gguf2ollama.sources.model import SourceSelection
from gguf2ollama.sources.resolve import fetch, resolve
from tests.builders import build_shards, tiny_llama
from tests.fakes.range_server import RangeServer, Reply

SIGNED = "?X-Amz-Signature=s3cret&X-Amz-Expires=60"


def find(source, *, digests=None, **selection):
    """Resolve a source as `build` does."""
    return resolve(
        source,
        selection=SourceSelection(**selection),
        room=None,
        digests=digests or DigestCache(),
    )


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    for name in [one for one in os.environ if one.startswith(("HF_", "MODELSCOPE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "cache" / "gguf2ollama" / "downloads"


@pytest.fixture
def model(tmp_path):
    return tiny_llama(tmp_path / "tiny.gguf").read_bytes()


@pytest.fixture
def server(model):
    with RangeServer(model) as found:
        yield found


def bytes_sent(server):
    return [one.headers.get("range") for one in server.requests if one.headers.get("range") != "bytes=0-0"]


def test_a_model_is_built_from_a_url_and_hashed_on_the_way(server, model, tmp_path):
    seen = []

    built = build(
        server.url("/a/m-Q4_K_M.gguf"), store=tmp_path / "store", verify=False, progress=seen.append
    )

    assert built.name.short == "m:q4_k_m"
    assert {update.task.split()[0] for update in seen} == {"downloading"}
    assert (tmp_path / "store" / "blobs" / Digest.of(model).blob_name).read_bytes() == model


def test_what_is_the_same_is_not_fetched_again(server, tmp_path):
    first = download(server.url())
    server.requests.clear()

    again = download(server.url())

    assert again.files[0].path == first.files[0].path
    assert (again.bytes_fetched, bytes_sent(server)) == (0, [])
    assert again.files[0].sha256 == first.files[0].sha256


@pytest.mark.parametrize("change", ["tag", "content"])
def test_what_has_changed_is_another_file(server, model, tmp_path, change):
    [first] = download(server.url()).files
    if change == "tag":
        server.tag = '"two"'
    server.content = tiny_llama(tmp_path / "other.gguf", seed=1).read_bytes() + b"\0" * (change == "content")

    [again] = download(server.url()).files

    assert again.path != first.path
    assert first.path.read_bytes() == model
    assert again.path.read_bytes() == server.content


def test_shards_are_asked_for_beside_the_one_that_was_named(server, tmp_path):
    shards = {
        path.name: path.read_bytes()
        for path in build_shards(tmp_path, name="m-q4_k_m", count=3, metadata={"llama.context_length": 512})
    }
    serve(server, shards)
    url = server.url("/x/m-q4_k_m-00002-of-00003.gguf")

    found = find(url + SIGNED).files
    built = build(url + SIGNED, store=tmp_path / "store", verify=False)

    assert len(found.model.shards) == 3
    assert built.plan.inspection.model.is_split
    assert all(path.read_bytes() == shards[path.name] for path in built.plan.inspection.files.paths)


def test_a_shard_that_is_missing_is_named(server, tmp_path):
    shards = build_shards(tmp_path, name="m", count=2, metadata={"llama.context_length": 512})
    serve(server, {shards[0].name: shards[0].read_bytes()})

    with pytest.raises(NotFound, match=r"no file at .*/m-00002-of-00002\.gguf"):
        build(server.url("/m-00001-of-00002.gguf"), store=tmp_path / "store")


def test_a_signature_is_shown_nowhere(server, cache, tmp_path, capsys):
    url = server.url("/m.gguf") + SIGNED

    for arguments in (
        ("build", url, "--store", tmp_path / "store", "--no-verify", "--verbose", "--json"),
        ("inspect", url, "--no-verify", "--verbose", "--json"),
        ("modelfile", url, "--no-verify", "--verbose"),
        ("download", url, "--verbose", "--json"),
        ("quants", url),
        ("merge", url, "-o", tmp_path / "merged.gguf"),
        ("split", url, "-o", tmp_path / "split"),
        ("patch-template", url, "-o", tmp_path / "patched.gguf", "--remove"),
        ("build", url, "--store", tmp_path / "store", "--quant", "Q8_0"),
        ("build", url, "--stream", "--host", "http://127.0.0.1:9"),
        ("build", url, "--store", tmp_path / "store", "--no-verify", "--lock", tmp_path / "lock"),
    ):
        run([str(one) for one in arguments])
    server.change = lambda _request, _reply: Reply(status=403)
    assert run(["build", url, "--store", str(tmp_path / "store"), "--verbose"]) == 5
    out, err = capsys.readouterr()

    assert "s3cret" not in out + err
    assert "is denied (HTTP 403)" in err
    names = [str(path) for path in tmp_path.rglob("*")]
    assert any(str(cache) in name for name in names)
    assert not any("s3cret" in name for name in names)
    assert not any(b"s3cret" in path.read_bytes() for path in tmp_path.rglob("*.json"))


def test_another_signature_is_the_same_file(server):
    download(server.url("/m.gguf") + SIGNED)
    server.requests.clear()

    assert download(server.url("/m.gguf") + "?X-Amz-Signature=another").bytes_fetched == 0


def test_a_name_need_not_tell_what_it_is(server, tmp_path):
    url = server.url("/files/4711") + "?download=true"

    assert inspect(url, verify=False).model.metadata["general.name"] == "Tiny"
    assert build(url, store=tmp_path / "store", verify=False).name.model == "4711"


def test_another_query_is_another_file(server):
    first = download(server.url("/m.gguf") + "?id=1").files[0].path

    assert download(server.url("/m.gguf") + "?id=2").files[0].path != first


def test_a_download_that_broke_off_goes_on(server, model):
    server.change = cutting(server, [70_000, 30])

    [done] = download(server.url()).files

    assert done.path.read_bytes() == model
    assert done.bytes_fetched == len(model)


@pytest.mark.parametrize("folder", [None, "here"])
def test_what_came_of_an_older_state_is_not_gone_on_with(server, model, tmp_path, folder):
    where = None if folder is None else tmp_path / folder
    server.content = bytes(1_000_000)

    def stop(update):
        if update.done:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        download(server.url(), folder=where, progress=stop)
    server.content, server.tag = model + bytes(1_000_000 - len(model)), '"two"'

    assert download(server.url(), folder=where).files[0].path.read_bytes() == server.content


@pytest.fixture
def interrupted(server):
    """Return a function that downloads, ends in the middle, and returns the part file that this leaves."""
    server.content = random.Random(8).randbytes(1_000_000)  # noqa: S311 - the same every time

    def stop(update):
        if update.done > 300_000:
            raise InterruptedError

    def interrupt(cache):
        with pytest.raises(InterruptedError):
            download(server.url(), progress=stop)
        server.requests.clear()
        [part] = cache.rglob("*.incomplete")
        return part

    return interrupt


def test_what_came_of_the_same_state_is_kept(server, interrupted, cache):
    part = interrupted(cache)
    there = part.stat().st_size

    [done] = download(server.url()).files

    assert done.path.read_bytes() == server.content
    assert 0 < there == len(server.content) - done.bytes_fetched
    assert not list(cache.rglob("*.incomplete"))
    assert not list(cache.rglob("*.ranges"))


def test_a_part_that_is_longer_than_the_file_is_not_taken(server, interrupted, cache):
    part = interrupted(cache)
    with part.open("ab") as stream:
        stream.write(b"\0" * 1_000_000)

    assert download(server.url()).files[0].path.read_bytes() == server.content


def test_a_part_of_a_file_without_a_mark_is_not_taken(server, interrupted, cache):
    server.tag = ""
    interrupted(cache)

    [done] = download(server.url()).files

    assert done.path.read_bytes() == server.content
    assert done.bytes_fetched == len(server.content)


def test_another_range_than_was_asked_for_is_not_taken(server, model, cache):
    def change(request, reply):
        if request.range == (0, 1):
            return reply
        return dataclasses.replace(
            reply, headers=reply.headers | {"Content-Range": f"bytes 1-9/{len(model)}"}
        )

    server.change = change

    with pytest.raises(ServerRefused, match="was requested"):
        download(server.url())
    assert not list(cache.rglob("model.gguf"))


def test_a_file_that_changes_while_it_comes_is_told(server, tmp_path):
    cut = cutting(server, [50_000])

    def change(request, reply):
        answer = cut(request, reply)
        if answer.sent is not None:
            server.tag = '"two"'
        return answer

    server.change = change

    with pytest.raises(InvalidInput, match="changed while it was being read"):
        download(server.url())


def test_a_server_without_ranges_is_downloaded_from(server, model):
    server.change = lambda _request, _reply: Reply(headers={"ETag": '"one"'}, body=model)

    assert download(server.url()).files[0].path.read_bytes() == model


def test_a_server_that_tells_no_length_is_told(server):
    server.change = lambda _request, _reply: Reply(headers={"Content-Length": ""}, body=b"", sent=0)

    with pytest.raises(ServerRefused, match="neither ranges nor the length"):
        download(server.url())


def test_a_web_page_is_told(server, tmp_path):
    server.content = b"<!doctype html><html><body>Sign in</body></html>"

    with pytest.raises(InvalidGguf, match="web page"):
        build(server.url(), store=tmp_path / "store")


def test_what_has_no_mark_is_known_by_its_length(server, model):
    server.tag = ""

    first = download(server.url()).files[0].path

    assert download(server.url()).bytes_fetched == 0
    server.content = model + b"\0"
    assert download(server.url()).files[0].path != first


def test_a_folder_gets_the_file_and_it_is_known_there(server, model, tmp_path):
    for _ in range(2):
        done = download(server.url("/m%20x.gguf"), folder=tmp_path / "here")
        assert done.files[0].path == tmp_path / "here" / "m x.gguf"
    assert done.bytes_fetched == 0
    assert done.files[0].path.read_bytes() == model


def test_nobody_is_there(tmp_path):
    with pytest.raises(ServerUnreachable, match="cannot connect to"):
        build("http://127.0.0.1:9/m.gguf", store=tmp_path / "store")


@pytest.mark.parametrize("selection", [{"quant": "Q8_0"}, {"file": "x"}, {"revision": "v1"}])
def test_what_is_for_repositories_is_refused(server, selection):
    with pytest.raises(UsageProblem, match="are for repositories"):
        inspect(server.url(), **selection)


def test_a_lock_file_needs_a_commit(server, tmp_path):
    built = build(server.url(), store=tmp_path / "store", verify=False)

    with pytest.raises(UsageProblem, match="which has commits"):
        write_lock(tmp_path / "lock", built.plan)


def test_what_was_downloaded_is_not_fetched_to_be_looked_at(server):
    digests = DigestCache()
    fetch(find(server.url(), digests=digests), digests=digests)
    server.requests.clear()

    origin = inspect(server.url(), verify=False).files.origin

    assert origin is not None
    assert (origin.bytes_fetched, bytes_sent(server)) == (0, [])


def serve(server, files):
    """Let a server have these files, by their names."""

    def change(request, _reply):
        content = files.get(request.path.partition("?")[0].rpartition("/")[2])
        if content is None:
            return Reply(status=404)
        server.content = content
        return server.right_answer(request)

    server.change = change


def cutting(server, counts):
    """Return answers that break off after so many bytes; what is asked to learn of the file comes whole."""
    left = list(counts)

    def change(request, reply):
        if request.range == (0, 1) or not left:
            return reply
        return Reply(status=reply.status, headers=reply.headers, body=reply.body, sent=left.pop(0))

    return change
