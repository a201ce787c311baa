"""From the Hub through to a server, with no copy here."""

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama import build
from gguf2ollama.errors import ServerRefused, ServerUnreachable, UsageProblem
from gguf2ollama.oci import Digest
from gguf2ollama.sources.repository import read_repository
from gguf2ollama.sources.sites.huggingface import HubSite
from gguf2ollama.sources.sites.remote_streams import FileStream
from tests.builders import build_shards, tiny_llama
from tests.fakes.hub_server import Answer, Cut, FakeHub, NoRanges
from tests.fakes.ollama_server import FakeOllama

NAME = "m-Q4_K_M.gguf"


@pytest.fixture
def read(hub, settings):
    """Return a function that reads a file of a repository to its end."""

    def one(*, pauses=(0.0, 0.0), piece=65_536):
        with HubSite(settings, retry_pauses=pauses) as site:
            found = read_repository("o/r", revision=None, settings=settings, site=site)
            stream = FileStream(site.remote_file("o/r", found.files[0], commit=found.info.commit))
            with io.BufferedReader(stream, piece) as reader:
                return reader.read()

    return one


class TestFileStream:
    def test_it_gives_the_file(self, hub, read, content):
        hub.add("o/r", {NAME: content})
        assert read() == content

    def test_a_hundred_cuts_cost_next_to_nothing(self, hub, read, content):
        hub.add("o/r", {NAME: content})
        chance = random.Random(7)  # noqa: S311 - the same every time
        for _ in range(100):
            hub.inject("GET cdn", Cut(after_bytes=chance.randrange(1, len(content) // 60)))

        assert read() == content
        assert hub.sent[NAME] < len(content) * 1.05

    def test_what_fails_for_the_moment_is_asked_for_again(self, hub, read, content):
        hub.add("o/r", {NAME: content})
        hub.inject("GET cdn", Answer(503))

        assert read() == content

    def test_a_fault_that_stays_is_told(self, hub, read, content):
        hub.add("o/r", {NAME: content})
        hub.inject("GET cdn", Answer(503), times=-1)

        with pytest.raises(ServerRefused, match="returned HTTP 503"):
            read()

    def test_connections_that_bring_nothing_end_it(self, hub, read, content):
        hub.add("o/r", {NAME: content})
        hub.inject("GET cdn", Cut(after_bytes=0), times=-1)

        with pytest.raises(ServerUnreachable):
            read()

    def test_a_server_without_ranges_cannot_go_on(self, hub, read, content):
        hub.add("o/r", {NAME: content})
        hub.inject("GET cdn", Cut(after_bytes=99))
        hub.inject("GET cdn", NoRanges())

        with pytest.raises(ServerRefused, match="cannot continue within a file"):
            read()

    @given(
        sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=8),
        cuts=st.lists(st.integers(0, 3000), max_size=4),
    )
    def test_reads_of_any_length_give_the_file(self, sizes, cuts, tmp_path_factory):
        from gguf2ollama.sources.sites.settings import HubSettings  # noqa: PLC0415 - of this one alone

        content = random.Random(1).randbytes(6000)  # noqa: S311 - the same every time
        with FakeHub() as hub:
            hub.add("o/r", {NAME: content})
            for cut in cuts:
                hub.inject("GET cdn", Cut(after_bytes=cut))
            use = HubSettings(endpoint=hub.url, cache=tmp_path_factory.getbasetemp())
            with HubSite(use, retry_pauses=(0.0,) * 5) as site:
                found = read_repository("o/r", revision=None, settings=use, site=site)
                stream = FileStream(site.remote_file("o/r", found.files[0], commit=found.info.commit))
                got = b""
                while piece := stream.read(sizes[len(got) % len(sizes)]):
                    got += piece
        assert got == content


class TestRoute:
    @pytest.fixture(autouse=True)
    def _environment(self, hub, monkeypatch, tmp_path):
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    @pytest.fixture
    def server(self):
        with FakeOllama(version="0.34.4") as server:
            yield server

    def test_a_model_goes_through_and_leaves_no_copy(self, hub, server, tmp_path):
        content = tiny_llama(tmp_path / "tiny.gguf").read_bytes()
        hub.add("o/r", {NAME: content})

        built = build("o/r", host=server.url, stream=True, verify=False, name="mine")

        assert built.plan.destination.transport == "upload"
        assert str(Digest.of(content)) in server.store.blobs
        assert not list((tmp_path / "hf").rglob("*.gguf"))

    def test_what_the_server_has_is_not_fetched(self, hub, server, tmp_path):
        content = tiny_llama(tmp_path / "tiny.gguf").read_bytes()
        hub.add("o/r", {NAME: content})
        build("o/r", host=server.url, stream=True, verify=False, name="mine")
        hub.forget_sent()
        told = []

        build("o/r", host=server.url, stream=True, verify=False, name="again", notify=told.append)

        assert hub.sent[NAME] <= 256 << 10  # its header
        assert any("nothing fetched" in line for line in told)

    def test_shards_go_through_each(self, hub, server, tmp_path):
        shards = build_shards(tmp_path, name="m-q4_k_m", count=2, metadata={"llama.context_length": 512})
        hub.add("o/r", {path.name: path.read_bytes() for path in shards})

        build("o/r", host=server.url, stream=True, verify=False, name="mine")

        assert {str(Digest.of(path.read_bytes())) for path in shards} <= set(server.store.blobs)

    def test_an_ollama_that_takes_no_shards_is_told(self, hub, tmp_path):
        shards = build_shards(tmp_path, name="m-q4_k_m", count=2, metadata={"llama.context_length": 512})
        hub.add("o/r", {path.name: path.read_bytes() for path in shards})

        with FakeOllama(version="0.17.4") as server, pytest.raises(UsageProblem, match="not support shards"):
            build("o/r", host=server.url, stream=True, verify=False)

    def test_a_file_of_this_machine_is_not_streamed(self, server, tmp_path):
        with pytest.raises(UsageProblem, match="needs a repository"):
            build(tiny_llama(tmp_path / "tiny.gguf"), host=server.url, stream=True, verify=False)

    @pytest.mark.parametrize("options", [{"store": "store"}, {"via": "pull"}])
    def test_it_is_an_upload_to_a_server(self, options):
        with pytest.raises(UsageProblem, match=r"upload to a server|exclude each other"):
            build("o/r", stream=True, **options)
