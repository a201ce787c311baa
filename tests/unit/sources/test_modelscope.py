"""ModelScope as a second site: the same verbs, held to its own library by the fake."""

import hashlib
import json
import os
import pickle
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelscope_hub import HubApi
from modelscope_hub.errors import NotExistError
from requests.cookies import RequestsCookieJar

from gguf2ollama import build, download, inspect
from gguf2ollama.api.quants import list_quants
from gguf2ollama.cli import run
from gguf2ollama.errors import NotFound, ServerRefused, ServerUnreachable, UsageProblem, VerificationFailed
from gguf2ollama.names import HubSource, UrlSource, parse_source
from gguf2ollama.oci import Digest
from gguf2ollama.sources.sites.modelscope import ModelScopeSite, parse_file
from gguf2ollama.sources.sites.settings import ModelScopeSettings
from tests.builders import build_shards, tiny_llama
from tests.fakes.file_server import WEB_PAGE, Answer, Cut, Spoil
from tests.fakes.hub_content import Hollow
from tests.fakes.hub_repositories import MB, QWEN
from tests.fakes.modelscope_server import FakeModelScope
from tests.fakes.ollama_server import FakeOllama

NAME = "m-Q4_K_M.gguf"
JSON_VALUES = st.none() | st.integers() | st.text()


@pytest.fixture
def site(monkeypatch, tmp_path):
    """A ModelScope, as the environment names it."""
    for name in [one for one in os.environ if one.startswith(("HF_", "HUGGING", "MODELSCOPE_"))]:
        monkeypatch.delenv(name)
    with FakeModelScope() as found:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", found.url)
        monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
        monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "ms-home"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield found


@pytest.fixture
def model(tmp_path):
    return tiny_llama(tmp_path / "tiny.gguf").read_bytes()


@pytest.fixture
def api(site, tmp_path):
    """Its own library."""
    return HubApi(endpoint=site.url, token="")


@pytest.fixture
def ask(site):
    """Return a function that asks for a repository, and for its files."""

    def one(name="o/r", revision="master"):
        with ModelScopeSite(ModelScopeSettings.from_environment(), retry_pauses=(0.0, 0.0)) as way:
            info = way.info(name, revision=revision)
            return info, way.files(name, commit=info.commit)

    return one


class TestNames:
    @pytest.mark.parametrize(
        "text,rest",
        [
            ("ms://o/r-GGUF", {}),
            ("ms://o/r-GGUF:Q4_K_M", {"quant": "Q4_K_M"}),
            ("ms://o/r-GGUF/a/b.gguf@v1", {"path": "a/b.gguf", "revision": "v1"}),
            ("https://modelscope.cn/models/o/r-GGUF", {}),
            ("https://www.modelscope.cn/models/o/r-GGUF/files", {}),
            ("https://www.modelscope.cn/models/o/r-GGUF/summary", {}),
            (
                "https://modelscope.cn/models/o/r-GGUF/resolve/master/b.gguf",
                {"path": "b.gguf", "revision": "master"},
            ),
            (
                "https://modelscope.cn/models/o/r-GGUF/file/view/master/a%2Fb.gguf?status=2",
                {"path": "a/b.gguf", "revision": "master"},
            ),
            (
                "https://modelscope.cn/api/v1/models/o/r-GGUF/repo?Revision=v1&FilePath=a%2Fb.gguf",
                {"path": "a/b.gguf", "revision": "v1"},
            ),
            ("modelscope.cn/o/r-GGUF:Q8_0", {"quant": "Q8_0"}),
            ("modelscope.cn/models/o/r-GGUF", {}),
            ("https://modelscope.ai/models/o/r-GGUF", {"site": "ms-ai"}),
            ("ms-ai://o/r-GGUF", {"site": "ms-ai"}),
            ("http://mirror:8080/ms/models/o/r-GGUF", {}),
        ],
    )
    def test_places_and_pages_are_read(self, text, rest):
        found = parse_source(text, modelscope_endpoint="http://mirror:8080/ms")

        assert found == HubSource(owner="o", repo="r-GGUF", **{"site": "ms", **rest})
        assert parse_source(str(found)) == found

    @pytest.mark.parametrize(
        "text",
        [
            "https://modelscope.cn/datasets/o/r",
            "https://modelscope.cn/models/o",
            "https://modelscope.cn/models/o/r/resolve/master/../x.gguf",
            "https://modelscope.cn/api/v1/models/o/r/repo?FilePath=../x.gguf",
            "https://modelscope.cn/api/v1/models/o/r/repo?Revision=..%2Fx&FilePath=x.gguf",
            "ms://o",
            "ms://o/r/../x",
        ],
    )
    def test_others_are_refused(self, text):
        with pytest.raises(UsageProblem, match="ModelScope"):
            parse_source(text)

    def test_another_site_is_a_url(self):
        url = "https://example.com/models/o/r"
        assert parse_source(url) == UrlSource(url=url)

    @given(st.text(alphabet="abr-_./%2e:@#?=&FilePath", max_size=60))
    def test_whatever_stands_behind_the_host_leads_nowhere_else(self, rest):
        try:
            found = parse_source(f"https://modelscope.cn/{rest}")
        except UsageProblem:
            return
        assert isinstance(found, HubSource)
        assert ".." not in (found.path or "").split("/")


class TestTheFake:
    """What it says, the library understands."""

    def test_the_library_downloads_files_of_both_kinds(self, site, api, tmp_path, content):
        site.add("o/r", {f"Q4/{NAME}": content, "config.json": b"{}"})

        folder = Path(api.download_repo("o/r", "model", local_dir=str(tmp_path / "here")))

        assert (folder / "Q4" / NAME).read_bytes() == content
        assert (folder / "config.json").read_bytes() == b"{}"
        [there] = [one for one in site.seen if one.line.startswith("GET cdn")]
        assert "authorization" not in there.headers

    def test_the_library_goes_on_after_a_cut(self, site, api, tmp_path, content):
        site.add("o/r", {NAME: content})
        site.inject("GET cdn", Cut(after_bytes=1_000_000))

        folder = Path(api.download_repo("o/r", "model", local_dir=str(tmp_path / "here")))

        assert (folder / NAME).read_bytes() == content
        assert len(site.lines("GET cdn")) == 2

    def test_the_library_is_told_what_is_not_there(self, site, api):
        site.add("o/private", {NAME: b"GGUF"}, access="private", readers={"ms-good"})
        for name in ("o/none", "o/private"):
            with pytest.raises(NotExistError):
                api.download_repo(name, "model")

    def test_the_library_may_read_what_is_private_with_its_token(self, site, tmp_path):
        site.add("o/private", {NAME: b"GGUF"}, access="private", readers={"ms-good"})
        api = HubApi(endpoint=site.url, token="ms-good")

        assert Path(api.download_repo("o/private", "model", local_dir=str(tmp_path))).is_dir()
        assert (tmp_path / NAME).read_bytes() == b"GGUF"


class TestAsking:
    def test_commit_and_files_are_told(self, site, ask):
        repository = site.add("o/r", {f"Q4/{NAME}": b"GGUF", "config.json": b"{}"})

        info, files = ask()

        assert info.commit == repository.refs["master"]
        assert {file.path: file.sha256 for file in files} == {
            f"Q4/{NAME}": hashlib.sha256(b"GGUF").hexdigest(),
            "config.json": hashlib.sha256(b"{}").hexdigest(),
        }

    @pytest.mark.parametrize("told,commit", [(None, "f" * 40), ("e" * 40, "master")])
    def test_a_commit_of_which_no_file_is_is_asked_for(self, site, ask, told, commit):
        repository = site.add("o/r", {NAME: b"GGUF", "other.txt": b""})
        before = repository.commits[repository.refs["master"]]
        repository.refs["master"] = "f" * 40  # the last one took a file away
        repository.commits["f" * 40] = {NAME: before[NAME]}
        if told:  # something else than the list tells is not believed
            body = {"Data": {"Commit": [{"Id": told}]}, "Success": True}
            site.inject("GET site /commits", Answer(body=json.dumps(body)))

        assert ask()[0].commit == commit

    def test_a_commit_that_a_file_is_of_is_not_asked_for(self, site, ask):
        repository = site.add("o/r", {NAME: b"GGUF"})

        assert ask()[0].commit == repository.refs["master"]
        assert site.lines("/commits") == []

    def test_where_no_commit_is_told_the_revision_stands_for_it(self, site, ask):
        site.add("o/r", {NAME: b"GGUF"})
        site.tells_commits = False

        info, files = ask()

        assert info.commit == "master"
        assert [file.path for file in files] == [NAME]

    @pytest.mark.parametrize("tells_by_status", [True, False])
    def test_a_revision_that_is_not_there_names_those_that_are(self, site, ask, tells_by_status):
        site.add("o/r", {NAME: b"GGUF"}).refs["v1"] = "0" * 40
        site.tells_by_status = tells_by_status

        with pytest.raises(NotFound, match="no revision 'main'") as error:
            ask(revision="main")
        assert error.value.hint == "it has master, v1"

    def test_a_list_that_is_cut_off_is_asked_for_folder_by_folder(self, site, ask):
        files = {f"{folder}/{number:04}.txt": b"" for folder in ("a", "b/c") for number in range(1600)}
        site.add("o/r", files | {NAME: b"GGUF"})

        assert {file.path for file in ask()[1]} == {*files, NAME}

    def test_a_folder_that_cannot_be_listed_whole_is_told(self, site, ask):
        site.add("o/r", {f"{number:04}.txt": b"" for number in range(3001)})

        with pytest.raises(ServerRefused, match="cut off"):
            ask()

    @pytest.mark.parametrize(
        "answer,problem",
        [
            (WEB_PAGE, "web page"),
            (Answer(body="[]"), "nothing about o/r"),
            (Answer(body='{"Data": {"Files": 3}}'), "no files of o/r"),
            (Answer(503), "returned HTTP 503"),
            (Answer(429, headers={"Retry-After": "900"}), "rate limited"),
        ],
    )
    def test_answers_of_no_use_are_explained(self, site, ask, answer, problem):
        site.add("o/r", {NAME: b"GGUF"})
        site.inject("GET site", answer, times=-1)

        with pytest.raises(ServerRefused, match=problem):
            ask()

    def test_what_fails_for_the_moment_is_asked_for_again(self, site, ask):
        site.add("o/r", {NAME: b"GGUF"})
        site.inject("GET site", Answer(503))

        assert ask()[1]

    @given(
        st.dictionaries(
            st.sampled_from(["Path", "Size", "Sha256", "Type"]), st.none() | st.integers() | st.text()
        )
    )
    def test_whatever_is_listed_stays_in_its_folder(self, entry):
        found = parse_file(entry)
        assert found is None or (Path("/x") / found.path).resolve().is_relative_to("/x")


class TestDownload:
    def test_a_file_is_where_its_library_looks_for_it(self, site, api, content, tmp_path):
        site.add("o/r", {NAME: content})

        [done] = download("ms://o/r").files

        assert done.path.read_bytes() == content
        assert done.sha256 == hashlib.sha256(content).hexdigest()
        cache = str(tmp_path / "ms")
        there = api.download_file("o/r", "model", NAME, cache_dir=cache, local_files_only=True)
        assert Path(there) == done.path
        assert site.sent[NAME] == len(content)

    def test_what_its_library_got_is_not_fetched_again(self, site, api, content, tmp_path):
        site.add("o/r", {NAME: content})
        api.download_repo("o/r", "model", cache_dir=str(tmp_path / "ms"))
        site.forget_sent()

        done = download("ms://o/r")

        assert (done.bytes_fetched, site.sent) == (0, {})

    def test_what_is_here_is_not_fetched_to_be_looked_at(self, site, model):
        repository = site.add("o/r", {NAME: model})
        download("ms://o/r")
        site.forget_sent()

        assert inspect("ms://o/r", verify=False).files.origin.bytes_fetched == 0
        assert site.sent == {}
        repository.commit({NAME: model + bytes(32)}, branch="master")
        assert inspect("ms://o/r", verify=False).files.origin.bytes_fetched > 0

    def test_the_folder_of_an_older_library_is_used(self, site, content, tmp_path):
        site.add("o/r.v1", {NAME: content})
        older = tmp_path / "ms" / "hub" / "models" / "o" / "r___v1"
        older.mkdir(parents=True)
        (older / NAME).write_bytes(content)

        done = download("ms://o/r.v1")

        assert [file.path for file in done.files] == [older / NAME]
        assert done.bytes_fetched == 0

    def test_a_branch_that_moved_brings_its_new_file(self, site, content):
        repository = site.add("o/r", {NAME: content})
        download("ms://o/r")
        repository.commit({NAME: content[::-1]}, branch="master")

        [done] = download("ms://o/r").files

        assert done.path.read_bytes() == content[::-1]
        assert not list(done.path.parent.glob("*.damaged"))

    def test_what_came_of_an_older_commit_is_not_gone_on_with(self, site, content):
        def stop(update):
            if update.done:
                raise InterruptedError

        repository = site.add("o/r", {NAME: bytes(len(content))})
        with pytest.raises(InterruptedError):
            download("ms://o/r", progress=stop)
        repository.commit({NAME: content}, branch="master")
        site.forget_sent()

        [done] = download("ms://o/r").files

        assert done.path.read_bytes() == content
        assert site.sent[NAME] == len(content)

    def test_a_hundred_cuts_cost_next_to_nothing(self, site, content, monkeypatch):
        monkeypatch.setattr("gguf2ollama.sources.sites.modelscope.ModelScopeSite", _patient)
        site.add("o/r", {NAME: content})
        chance = random.Random(3)  # noqa: S311 - the same every time
        for _ in range(100):
            site.inject("GET cdn", Cut(after_bytes=chance.randrange(len(content) // 60)))

        [done] = download("ms://o/r").files

        assert done.path.read_bytes() == content
        assert site.sent[NAME] < len(content) * 1.05

    def test_a_file_that_stays_damaged_ends_it(self, site, content):
        site.add("o/r", {NAME: content})
        site.inject("GET cdn", Spoil(), times=-1)

        with pytest.raises(VerificationFailed, match="checksum mismatch after two downloads") as error:
            download("ms://o/r")
        assert f"{NAME}.damaged" in (error.value.hint or "")

    def test_a_folder_gets_the_files(self, site, content, tmp_path):
        site.add("o/r", {NAME: content})

        [done] = download("ms://o/r", folder=tmp_path / "here").files

        assert done.path == tmp_path / "here" / NAME
        assert done.path.read_bytes() == content

    def test_without_a_network_the_cache_is_used(self, site, model, monkeypatch, tmp_path):
        site.add("o/r", {NAME: model})
        [done] = download("ms://o/r").files
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        site.seen.clear()

        assert inspect("ms://o/r", verify=False).model.metadata["general.name"] == "Tiny"
        assert download("ms://o/r").files[0].path == done.path
        assert build("ms://o/r", store=tmp_path / "store", verify=False)
        assert site.seen == []
        with pytest.raises(NotFound, match="HF_HUB_OFFLINE"):
            download("ms://o/other")


class TestToken:
    def test_it_goes_to_the_site_alone(self, site, content, monkeypatch):
        site.add("o/r", {NAME: content}, access="private", readers={"ms-good"})
        monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-good")

        download("ms://o/r")

        told = {one.line.split()[1]: one.headers.get("authorization") for one in site.seen}
        assert told == {"site": "Bearer ms-good", "cdn": None}
        assert all("ms-good" not in one.headers.get("cookie", "") for one in site.seen if " cdn " in one.line)

    def test_the_one_of_the_login_is_found(self, site, content, tmp_path):
        site.add("o/r", {NAME: content}, access="private", readers={"ms-good"})
        log_in(tmp_path / "ms-home", "ms-good")

        assert download("ms://o/r").files

    @pytest.mark.usefixtures("site")
    def test_a_login_whose_time_is_over_is_none(self, tmp_path):
        log_in(tmp_path / "ms-home", "ms-good", expires=int(time.time()) - 5)

        assert ModelScopeSettings.from_environment().token is None

    @pytest.mark.usefixtures("site")
    def test_a_file_of_cookies_can_run_nothing(self, tmp_path):
        class Hostile:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "hacked"),)

        target = tmp_path / "ms-home" / "credentials" / "cookies"
        target.parent.mkdir(parents=True)
        target.write_bytes(pickle.dumps(Hostile()))

        assert ModelScopeSettings.from_environment().token is None
        assert not (tmp_path / "hacked").exists()

    @pytest.mark.parametrize("access", ["private", "gated"])
    @pytest.mark.parametrize(
        "token,problem", [(None, "private or gated"), ("ms-stranger", "no access to it")]
    )
    def test_what_it_may_not_read_is_explained(self, site, monkeypatch, access, token, problem):
        site.add("o/r", {NAME: b"GGUF"}, access=access, readers={"ms-good"})
        if token:
            monkeypatch.setenv("MODELSCOPE_API_TOKEN", token)

        for read in (download, inspect):
            with pytest.raises((ServerRefused, NotFound)) as error:
                read("ms://o/r")
            assert "ms-stranger" not in f"{error.value} {error.value.hint}"
            assert problem in str(error.value) or access == "gated"

    @pytest.mark.usefixtures("site")
    def test_one_that_is_none_is_not_shown(self, monkeypatch):
        monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-sécret pass")

        with pytest.raises(UsageProblem) as error:
            download("ms://o/r")
        assert "cret" not in f"{error.value} {error.value.hint}"


class TestVerbs:
    @pytest.fixture
    def call(self, capsys):
        def one(*arguments):
            code = run([str(argument) for argument in arguments])
            return code, *capsys.readouterr()

        return one

    def test_quants_are_listed(self, site):
        site.add(
            "Qwen/Qwen2.5-7B-Instruct-GGUF", {path: Hollow(size, b"GGUF") for path, size in QWEN.items()}
        )

        table = list_quants("ms://Qwen/Qwen2.5-7B-Instruct-GGUF")

        assert table.choice is not None
        assert len(table.rows) == 9

    def test_five_gigabytes_are_looked_at_by_a_few_megabytes(self, site, model, call):
        site.add("o/r", {NAME: Hollow(5_000 * MB, model)})

        code, _, err = call("inspect", "ms://o/r")

        assert code == 0
        assert f"of 5.0 GB: ms://o/r/{NAME}@master" in err
        assert sum(site.sent.values()) < 20 * MB

    def test_shards_are_built_from_and_nothing_is_hashed(self, site, tmp_path):
        shards = build_shards(tmp_path, name="m-q4_k_m", count=2, metadata={"llama.context_length": 512})
        site.add("o/r", {f"Q4_K_M/{path.name}": path.read_bytes() for path in shards})
        seen = []

        built = build("ms://o/r:q4_k_m", store=tmp_path / "store", progress=seen.append, verify=False)

        assert built.name.short == "m:q4_k_m"
        assert {update.task.split()[0] for update in seen} == {"downloading"}

    def test_a_modelfile_says_how_to_get_the_files(self, site, model, call):
        site.add("o/r", {NAME: model})

        out = call("modelfile", "ms://o/r")[1]

        assert f"FROM ./{NAME}" in out
        assert f"gguf2ollama download ms://o/r/{NAME}@master --local-dir ." in out

    def test_download_prints_where_the_files_are(self, site, model, call, tmp_path):
        site.add("o/r", {NAME: model, "m-Q8_0.gguf": model})

        code, out, _ = call("download", "ms://o/r", "--quant", "q8_0", "--local-dir", tmp_path / "here")

        assert (code, out.strip()) == (0, str(tmp_path / "here" / "m-Q8_0.gguf"))

    @pytest.mark.parametrize("tells_by_status", [True, False])
    def test_what_is_published_beside_it_counts(self, site, model, tells_by_status):
        site.tells_by_status = tells_by_status
        config = json.dumps({"temperature": 0.7, "top_k": 20}).encode()
        site.add("o/r", {NAME: model, "system": b"Be brief."}, facts={"BaseModel": ["maker/Tiny"]})
        site.add("maker/Tiny", {"generation_config.json": config})

        recipe = inspect("ms://o/r", verify=False).recipe

        assert recipe.parameters["top_k"].source == "generation_config.json of maker/Tiny"
        assert recipe.system.value == "Be brief."
        assert not any("upstream" in one for one in inspect("ms://o/r", verify=False).warnings)

    def test_another_revision_is_another_model(self, site, model):
        repository = site.add("o/r", {NAME: model})
        old = repository.refs["master"]
        repository.commit({"m-Q8_0.gguf": model}, branch="master")

        assert len(list_quants("ms://o/r").rows) == 2
        assert len(list_quants("ms://o/r", revision=old).rows) == 1
        found = inspect("ms://o/r", verify=False, revision=old)
        assert found.files.origin.commit == old

    @pytest.mark.parametrize(
        "arguments,code,sentence",
        [
            (("inspect", "ms://o/none"), 3, "repository o/none not found at"),
            (("inspect", "ms://o/r:Q9"), 3, "o/r has no quantization 'Q9'"),
            (("inspect", "ms://o/r@v9"), 3, "o/r has no revision 'v9'"),
            (("inspect", "ms://o/weights"), 3, "o/weights has no GGUF file, only safetensors"),
            (("quants", "ms://o"), 2, "not a repository or file on ModelScope"),
        ],
    )
    def test_bad_input_is_a_sentence_and_an_exit_code(self, site, call, model, arguments, code, sentence):
        site.add("o/r", {NAME: model})
        site.add("o/weights", {"model.safetensors": b""})

        found, _, err = call(*arguments)

        assert found == code
        assert sentence in err
        assert "hint: " in err

    @pytest.mark.usefixtures("site")
    def test_a_site_that_is_not_there_is_told(self, monkeypatch):
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")

        with pytest.raises(ServerUnreachable, match="cannot connect to"):
            download("ms://o/r")

    def test_a_lock_file_makes_the_same_again(self, site, model, tmp_path):
        repository = site.add("o/r", {NAME: model})
        lock = tmp_path / "model.lock"
        build("ms://o/r", store=tmp_path / "store", verify=False, lock=lock)
        commit = repository.refs["master"]
        repository.commit({NAME: tiny_llama(tmp_path / "other.gguf", seed=1).read_bytes()}, branch="master")

        again = build("ms://o/r", store=tmp_path / "store", verify=False, locked=lock)

        assert json.loads(lock.read_text())["site"] == "ms"
        assert again.plan.inspection.files.origin.commit == commit
        with pytest.raises(UsageProblem, match="is for ms://o/r"):
            build("o/r", store=tmp_path / "store", locked=lock)

    def test_a_lock_file_without_a_commit_holds_by_digests(self, site, model, tmp_path):
        repository = site.add("o/r", {NAME: model})
        site.tells_commits = False
        lock = tmp_path / "model.lock"
        build("ms://o/r", store=tmp_path / "store", verify=False, lock=lock)
        assert build("ms://o/r", store=tmp_path / "store", verify=False, locked=lock)
        repository.commit({NAME: tiny_llama(tmp_path / "other.gguf", seed=1).read_bytes()}, branch="master")

        with pytest.raises(VerificationFailed, match="differs from the lock file"):
            build("ms://o/r", store=tmp_path / "store", verify=False, locked=lock)

    def test_a_model_goes_through_and_what_is_there_is_not_fetched(self, site, model, tmp_path):
        site.add("o/r", {NAME: model})
        with FakeOllama(version="0.34.4") as server:
            build("ms://o/r", host=server.url, stream=True, verify=False, name="mine")
            assert str(Digest.of(model)) in server.store.blobs
            sent = site.sent[NAME]
            build("ms://o/r", host=server.url, stream=True, verify=False, name="again")
        assert site.sent[NAME] - sent <= 256 << 10
        assert not list((tmp_path / "ms").rglob("*.gguf"))


def log_in(home, token, **options):
    """Keep a token as ``modelscope login`` does."""
    jar = RequestsCookieJar()
    jar.set("m_session_id", token, domain="modelscope.cn", path="/", **options)
    target = home / "credentials" / "cookies"
    target.parent.mkdir(parents=True)
    target.write_bytes(pickle.dumps(jar))


def _patient(settings, **options):
    return ModelScopeSite(settings, retry_pauses=(0.0,) * 20, **options)
