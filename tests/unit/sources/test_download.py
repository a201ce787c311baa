import errno
import hashlib
import os
import random
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants, try_to_load_from_cache
from huggingface_hub.hf_api import RepoFile
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import (
    InvalidInput,
    NotEnoughSpace,
    NotFound,
    ServerRefused,
    ServerUnreachable,
    UsageProblem,
    VerificationFailed,
)
from gguf2ollama.events import ignore
from gguf2ollama.sources.catalogue.gguf_files import RepositoryFile
from gguf2ollama.sources.downloads import part_file
from gguf2ollama.sources.downloads.download import Download
from gguf2ollama.sources.repository import read_repository
from gguf2ollama.sources.sites.huggingface import HubSite, parse_file
from gguf2ollama.sources.sites.settings import HubSettings
from tests.fakes.hub_content import Hollow
from tests.fakes.hub_server import WEB_PAGE, Answer, Cut, FakeHub, NoRanges, Spoil, WrongRange

NAME = "model-Q4_K_M.gguf"


@pytest.fixture
def get(hub, settings):
    """Return a function that downloads files of a repository, all GGUF ones by default."""

    def one(*names, name="o/r", folder=None, use=settings, pauses=(0.0, 0.0), **options):
        with HubSite(use, retry_pauses=pauses) as site:
            repository = read_repository(name, revision=None, settings=use, site=site)
            download = Download(
                site=site,
                cached=use.cached(name, revision="main"),
                repository=name,
                commit=repository.info.commit,
                folder=folder,
                **({"known_digest": ignore, "progress": ignore, "notify": ignore} | options),
            )
            wanted = [file for file in repository.files if file.name in names or not names]
            return download.run(wanted)

    return one


def part_of(settings, content):
    digest = hashlib.sha256(content).hexdigest()
    return settings.cache / "models--o--r" / "blobs" / f"{digest}.incomplete"


def test_a_file_is_where_all_tools_look_for_it(hub, get, settings, content):
    hub.add("o/r", {NAME: content})

    [done] = get()

    assert done.path.read_bytes() == content
    assert done.sha256 == hashlib.sha256(content).hexdigest()
    assert done.bytes_fetched == len(content)
    assert str(done.path) == try_to_load_from_cache(
        "o/r", NAME, cache_dir=settings.cache, revision=hub.repositories["o/r"].refs["main"]
    )


def test_shards_come_with_progress_of_each(hub, get, content):
    names = [f"m-0000{no}-of-00003.gguf" for no in (1, 2, 3)]
    hub.add("o/r", {name: content + name.encode() for name in names})
    seen = {}

    get(progress=lambda update: seen.update({update.task: update.is_complete}))

    assert seen == {f"downloading {name}": True for name in names}


def test_a_file_comes_over_several_connections_and_each_byte_once(hub, get, content, monkeypatch):
    monkeypatch.setattr(part_file, "_LEAST_SEGMENT", 64 << 10)
    hub.add("o/r", {NAME: content})

    [done] = get()

    assert done.path.read_bytes() == content
    assert len(hub.lines("GET cdn")) == 8
    assert len(hub.lines("GET site", "/resolve/")) == 1
    assert hub.sent == {NAME: len(content)}


def test_the_number_of_connections_is_a_setting(hub, get, settings, content, monkeypatch):
    monkeypatch.setattr(part_file, "_LEAST_SEGMENT", 64 << 10)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("GGUF2OLLAMA_CONNECTIONS", "3")
    hub.add("o/r", {NAME: content})

    get(use=replace(HubSettings.from_environment(), cache=settings.cache))

    assert len(hub.lines("GET cdn")) == 3


@pytest.mark.parametrize("text", ["0", "65", "-1", "many", "1e9", "٣"])
def test_a_number_of_connections_that_makes_no_sense_is_a_usage_problem(monkeypatch, text):
    monkeypatch.setenv("GGUF2OLLAMA_CONNECTIONS", text)

    with pytest.raises(UsageProblem, match="GGUF2OLLAMA_CONNECTIONS"):
        HubSettings.from_environment()


def test_a_file_outside_of_lfs_is_held_to_its_digest_in_git(hub, get, content):
    hub.add("o/r", {NAME: content, "config.json": b"{}"})
    hub.inject("GET site /resolve/", Spoil(), times=-1)

    with pytest.raises(VerificationFailed, match="the Git object"):
        get("config.json")


def test_files_are_listed_as_the_library_of_the_hub_lists_them(hub, settings):
    files = {f"UD-Q{number}/model-{number:03}.gguf": b"GGUF" * number for number in range(120)}
    commit = hub.add("o/r", files | {"README.md": b"# hi"}).refs["main"]
    api = HfApi(endpoint=hub.url, token=False)

    with HubSite(settings) as site:
        info, ours = site.info("o/r", revision="main"), site.files("o/r", commit=commit)

    theirs = [entry for entry in api.list_repo_tree("o/r", recursive=True) if isinstance(entry, RepoFile)]
    assert [(file.path, file.size, file.sha256) for file in ours] == [
        (entry.path, entry.size, entry.lfs and entry.lfs.sha256) for entry in theirs
    ]
    assert info.commit == api.model_info("o/r").sha == commit


def test_what_is_there_is_not_downloaded_again(hub, get, content):
    hub.add("o/r", {NAME: content})
    get()

    [again] = get()

    assert again.bytes_fetched == 0
    assert hub.sent[NAME] == len(content)


def test_a_hundred_cuts_cost_next_to_nothing(hub, get, content):
    hub.add("o/r", {NAME: content})
    chance = random.Random(100)  # noqa: S311 - the same every time
    for _ in range(100):
        hub.inject("GET cdn", Cut(after_bytes=chance.randrange(len(content) // 60)))

    [done] = get(pauses=(0.0,) * 20)

    assert done.path.read_bytes() == content
    assert len(hub.lines("GET cdn")) == 101
    assert hub.sent[NAME] < len(content) * 1.05


def test_a_new_call_goes_on_where_a_killed_one_ended(hub, get, settings, content):
    hub.add("o/r", {NAME: content})
    part = part_of(settings, content)
    part.parent.mkdir(parents=True)
    part.write_bytes(content[:1_500_000])

    [done] = get()

    assert done.path.read_bytes() == content
    assert hub.sent[NAME] == len(content) - 1_500_000
    assert not part.exists()


def test_a_server_without_ranges_sends_the_file_again(hub, get, content):
    hub.add("o/r", {NAME: content})
    hub.inject("GET cdn", Cut(after_bytes=1_000_000))
    hub.inject("GET cdn", NoRanges())

    assert get()[0].path.read_bytes() == content


def test_another_range_than_was_asked_for_is_not_taken(hub, get, content):
    hub.add("o/r", {NAME: content})
    hub.inject("GET cdn", Cut(after_bytes=1_000_000))
    hub.inject("GET cdn", WrongRange(shift=4))

    assert get()[0].path.read_bytes() == content


def test_a_whole_file_with_the_length_of_the_rest_is_asked_for_anew(hub, get, content):
    hub.add("o/r", {NAME: content})
    hub.inject("GET cdn", Cut(after_bytes=1_000_000))
    hub.inject("GET cdn", Answer(body="the rest, it says"))

    assert get()[0].path.read_bytes() == content


def test_a_damaged_file_is_kept_aside_and_fetched_again_once(hub, get, settings, content):
    hub.add("o/r", {NAME: content})
    hub.inject("GET cdn", Spoil(at=1_234_567))
    told = []

    [done] = get(notify=told.append)

    assert done.path.read_bytes() == content
    aside = part_of(settings, content).with_suffix(".damaged")
    assert str(aside) in told[0]
    assert aside.stat().st_size == len(content)


def test_a_file_that_stays_damaged_ends_it(hub, get, content):
    hub.add("o/r", {NAME: content})
    hub.inject("GET cdn", Spoil(), times=-1)

    with pytest.raises(VerificationFailed, match="checksum mismatch after two downloads"):
        get()
    assert len(hub.lines("GET cdn")) == 2


def test_a_damaged_file_of_another_tool_is_found(hub, get, content):
    hub.add("o/r", {NAME: content})
    [done] = get()
    done.path.resolve().write_bytes(b"GGUF" + content[4:])

    [again] = get()

    assert again.path.read_bytes() == content


def test_a_known_digest_is_not_computed_again(hub, get, content):
    hub.add("o/r", {NAME: content})
    [done] = get()
    tasks = []

    get(known_digest=lambda _: done.sha256, progress=tasks.append)

    assert tasks == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_fails_for_the_moment_is_asked_for_again(hub, get, content, status):
    hub.add("o/r", {NAME: content})
    for line in ("GET site /api/models/o/r/revision", "GET site /api/models/o/r/tree", "GET cdn"):
        hub.inject(line, Answer(status, headers={"Retry-After": "0"}))

    assert get()[0].path.read_bytes() == content


def test_a_fault_that_stays_is_told(hub, get, content):
    hub.add("o/r", {NAME: content})
    hub.inject("GET cdn", Answer(503), times=-1)

    with pytest.raises(ServerRefused, match="returned HTTP 503"):
        get()


def test_a_rate_limit_that_is_too_long_to_wait_for_is_told(hub, get, content):
    hub.add("o/r", {NAME: content})
    hub.inject("GET cdn", Answer(429, headers={"Retry-After": "3600"}))

    with pytest.raises(ServerRefused, match="rate limited") as error:
        get()
    assert "3600 seconds" in (error.value.hint or "")


@pytest.mark.parametrize(
    "answer,problem",
    [
        (WEB_PAGE, "web page"),
        (
            Answer(body="version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
            "Git LFS pointer",
        ),
    ],
)
def test_a_mirror_that_sends_something_else_is_told(hub, get, content, answer, problem):
    hub.add("o/r", {NAME: content})
    hub.inject("GET site resolve", answer, times=-1)

    with pytest.raises(ServerRefused, match=problem):
        get()


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(hub, get):
    hub.add("o/r", {NAME: Hollow(1 << 60)})

    with pytest.raises(NotEnoughSpace, match="bytes needed"):
        get()
    assert hub.lines("GET cdn") == []


def test_a_folder_gets_the_files_under_their_names(hub, get, settings, tmp_path, content):
    hub.add("o/r", {f"Q4_K_M/{NAME}": content, "config.json": b"{}"})
    folder = tmp_path / "here"

    get(folder=folder)

    assert (folder / "Q4_K_M" / NAME).read_bytes() == content
    assert (folder / "config.json").read_bytes() == b"{}"
    assert sorted(path.name for path in (folder / "Q4_K_M").iterdir()) == [NAME]
    assert not list(settings.cache.rglob(NAME))
    assert [done.bytes_fetched for done in get(NAME, folder=folder)] == [0]


@pytest.fixture
def no_links(monkeypatch):
    """Make neither symbolic nor hard links possible, as on exFAT."""

    def refuse(*_arguments, **_options):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "symlink_to", refuse)


def test_where_links_cannot_be_made_one_copy_is_kept(hub, get, settings, content, no_links):
    hub.add("o/r", {NAME: content})
    [done] = get()
    files = [path for path in settings.cache.rglob("*") if path.is_file()]
    whole = [path for path in files if path.stat().st_size == len(content)]
    assert whole == [done.path]
    assert done.path.name == NAME
    [again] = get()
    assert (again.path, again.bytes_fetched, again.sha256) == (done.path, 0, done.sha256)


def test_what_the_library_left_without_links_is_used(hub, get, settings, content, tmp_path, no_links):
    commit = hub.add("o/r", {NAME: content}).refs["main"]
    path = settings.cache / "models--o--r" / "snapshots" / commit / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    [done] = get()
    assert (done.path, done.bytes_fetched) == (path, 0)
    [copy] = get(folder=tmp_path / "out")
    assert (copy.path.read_bytes(), copy.bytes_fetched) == (content, 0)


def test_a_damaged_file_without_links_is_fetched_again(hub, get, settings, content, no_links):
    commit = hub.add("o/r", {NAME: content}).refs["main"]
    path = settings.cache / "models--o--r" / "snapshots" / commit / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(len(content)))
    [done] = get()
    assert done.path.read_bytes() == content
    assert done.path == path


def test_a_folder_is_filled_from_the_cache(hub, get, tmp_path, content):
    hub.add("o/r", {NAME: content})
    get()

    [done] = get(folder=tmp_path / "here")

    assert done.bytes_fetched == 0
    assert done.path.read_bytes() == content


def test_another_file_in_the_folder_stays(hub, get, tmp_path, content):
    hub.add("o/r", {NAME: content})
    (tmp_path / NAME).write_bytes(b"mine")

    with pytest.raises(UsageProblem, match="already exists and is not"):
        get(folder=tmp_path)
    assert (tmp_path / NAME).read_bytes() == b"mine"


def test_the_token_goes_to_the_hub_alone(hub, get, settings, content):
    hub.add("o/r", {NAME: content}, access="gated", readers={"hf_good"})

    get(use=replace(settings, token="hf_good"))

    told = {one.line.split()[1]: one.headers.get("authorization") for one in hub.seen}
    assert told == {"site": "Bearer hf_good", "cdn": None}


@pytest.mark.parametrize(
    "token,problem",
    [(None, "is gated$"), ("hf_stranger", "has no access"), ("hf_expired", "invalid or expired")],
)
def test_what_is_gated_is_explained_and_no_token_shown(hub, get, settings, content, token, problem):
    hub.add("o/r", {NAME: content}, access="gated", readers={"hf_good"})

    with pytest.raises(ServerRefused, match=problem) as error:
        get(use=replace(settings, token=token))
    assert "hf_" not in f"{error.value} {error.value.hint}".replace("hf_TOKEN", "")


def test_a_hub_that_is_not_there_is_told(hub, get, settings):
    gone = replace(settings, endpoint="http://127.0.0.1:9")

    with pytest.raises(ServerUnreachable, match="cannot connect to"):
        get(use=gone, pauses=())


def test_without_a_network_the_cache_is_used(hub, get, settings, content):
    hub.add("o/r", {NAME: content, "other-Q8_0.gguf": content[:99]})
    [done] = get(NAME)
    offline = replace(settings, is_offline=True)

    with pytest.raises(NotFound, match="HF_HUB_OFFLINE"):
        read_repository("o/r", revision=None, settings=offline, site=None)
    found = read_repository("o/r", revision=hub.repositories["o/r"].refs["main"], settings=offline, site=None)

    assert [(file.path, file.sha256) for file in found.files] == [(NAME, done.sha256)]


def test_a_blob_in_a_store_for_all_repositories_keeps_its_digest(hub, get, settings, content, tmp_path):
    hub.add("o/r", {NAME: content})
    [done] = get()
    blob = settings.cache / "models--o--r" / "blobs" / done.sha256
    shared = tmp_path / ("0123456789abcdef" * 4)  # named by its digest in Xet
    blob.rename(shared)
    blob.symlink_to(shared)

    cached = settings.cached("o/r", revision="main")
    [file] = cached.files(commit=hub.repositories["o/r"].refs["main"])

    assert (file.path, file.sha256) == (NAME, done.sha256)
    assert get()[0].bytes_fetched == 0


def test_xet_is_left_to_the_library_when_asked_for(hub, get, settings, content):
    hub.add("o/r", {NAME: content}, is_xet=True)
    use = replace(settings, wants_xet=True)

    [done] = get(use=use)

    assert done.sha256 == hashlib.sha256(content).hexdigest()
    assert done.path.read_bytes() == content
    assert (
        "huggingface" in hub.seen[-1].headers["user-agent"] or "hf_hub" in hub.seen[-1].headers["user-agent"]
    )


def test_what_the_library_got_is_checked(hub, get, settings, content):
    hub.add("o/r", {NAME: content}, is_xet=True)
    hub.inject("GET cdn", Spoil())

    [done] = get(use=replace(settings, wants_xet=True))

    assert done.path.read_bytes() == content
    assert len(list(done.path.resolve().parent.glob("*.damaged"))) == 1


@pytest.mark.parametrize("wants_xet", [False, True])
def test_what_is_announced_as_xet_comes_by_ranges_where_xet_cannot_be_had(
    hub, get, settings, content, wants_xet
):
    if wants_xet and not has_xet():
        pytest.skip("an older library gets it itself, over plain HTTP")
    hub.add("o/r", {NAME: content}, is_xet=True, announces_xet=True)
    hub.inject("GET cdn", Cut(after_bytes=1_000_000))
    told = []

    [done] = get(use=replace(settings, wants_xet=wants_xet), notify=told.append)

    assert done.path.read_bytes() == content
    assert hub.sent[NAME] == len(content)
    assert bool(told) == bool(hub.lines("xet-read-token")) == wants_xet
    assert all("over HTTP instead" in line for line in told)
    assert str(done.path) == try_to_load_from_cache(
        "o/r", NAME, cache_dir=settings.cache, revision=hub.repositories["o/r"].refs["main"]
    )


class TestTheWayToTheHub:
    def test_an_own_authority_is_trusted_when_it_is_named(self, tmp_path, content, monkeypatch):
        pem = Path(__file__).parents[2] / "fakes" / "loopback.pem"
        with FakeHub(certificate=pem) as hub:
            hub.add("o/r", {NAME: content})
            use = HubSettings(endpoint=hub.url, cache=tmp_path)
            with HubSite(use, retry_pauses=()) as site, pytest.raises(ServerUnreachable, match="certificate"):
                site.info("o/r", revision="main")
            monkeypatch.setenv("SSL_CERT_FILE", str(pem))
            with HubSite(use, retry_pauses=()) as site:
                assert site.info("o/r", revision="main").name == "o/r"

    @pytest.mark.slow
    def test_a_download_trusts_an_own_authority_too(self, tmp_path, content, monkeypatch):
        pem = Path(__file__).parents[2] / "fakes" / "loopback.pem"
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):  # which of them the library reads is its own
            monkeypatch.setenv(name, str(pem))
        program = "import sys; from gguf2ollama.cli import run; sys.exit(run(['download', 'o/r']))"
        with FakeHub(certificate=pem) as hub:
            hub.add("o/r", {NAME: content})
            own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
            done = subprocess.run(
                [sys.executable, "-c", program],
                env=os.environ | own,
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr
        assert Path(done.stdout.strip()).read_bytes() == content

    def test_nothing_is_taken_from_an_address_that_is_not_encrypted(
        self, hub, tmp_path, content, monkeypatch
    ):
        pem = Path(__file__).parents[2] / "fakes" / "loopback.pem"
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        commit = hub.add("o/r", {NAME: content}).refs["main"]
        with FakeHub(certificate=pem) as safe:
            safe.inject("GET", Answer(302, headers={"Location": f"{hub.url}/o/r/resolve/{commit}/{NAME}"}))
            with (
                HubSite(HubSettings(endpoint=safe.url, cache=tmp_path), retry_pauses=()) as site,
                pytest.raises(ServerRefused, match="not encrypted"),
                site.open_header("o/r", RepositoryFile(path=NAME, size=len(content)), commit=commit),
            ):
                pass

    def test_a_proxy_is_gone_through(self, hub, settings, content, monkeypatch):
        hub.add("o/r", {NAME: content})
        monkeypatch.setenv("HTTP_PROXY", hub.url)
        far = replace(settings, endpoint="http://hub.invalid")

        with HubSite(far, retry_pauses=()) as site:
            assert site.info("o/r", revision="main").name == "o/r"

    def test_the_next_page_of_a_list_is_asked_for_at_the_hub_alone(self, hub, settings):
        hub.add("o/r", {f"m{number}.gguf": b"" for number in range(60)})
        body = '[{"type": "file", "path": "a.gguf", "size": 1, "oid": "0"}]'
        link = {"Link": '<http://elsewhere.invalid/next>; rel="next"'}
        hub.inject("tree", Answer(body=body, headers=link))

        with (
            HubSite(settings, retry_pauses=()) as site,
            pytest.raises(ServerRefused, match="continues on another server"),
        ):
            site.files("o/r", commit=hub.repositories["o/r"].refs["main"])

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
    def test_no_answer_makes_anything_but_an_error_of_ours(self, value):
        entry = {"type": "file", "path": value, "size": value, "lfs": {"oid": value, "size": value}}
        try:
            found = parse_file(entry)
        except InvalidInput:
            return
        assert found is None or not found.path.startswith("/")

    @given(st.text(alphabet="ab./\\:~\0", max_size=12))
    def test_a_listed_path_stays_in_its_folder(self, path):
        found = parse_file({"type": "file", "path": path, "size": 1})
        assert found is None or (Path("/x") / found.path).resolve().is_relative_to("/x")


def has_xet():
    """Return whether the library here knows Xet."""
    return find_spec("hf_xet") is not None and hasattr(constants, "HUGGINGFACE_HEADER_X_XET_HASH")
