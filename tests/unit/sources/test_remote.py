import os
import time

import pytest

from gguf2ollama import build, download, inspect, plan_build
from gguf2ollama.api.quants import list_quants
from gguf2ollama.errors import InvalidGguf, InvalidShards, NotFound, ServerRefused, UsageProblem
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.oci import Digest
from gguf2ollama.sources.model import SourceSelection
from gguf2ollama.sources.resolve import fetch, resolve
from tests.builders import build_gguf, build_shards, tiny_llama
from tests.fakes.hub_content import Hollow
from tests.fakes.hub_repositories import KNOWN, MB
from tests.fakes.ollama_server import FakeOllama
from tests.zoo import mtp
from tests.zoo.projectors import make_projector

SHARDED = "Qwen/Qwen2.5-7B-Instruct-GGUF"


def find(source, *, digests=None, **selection):
    """Resolve a source as `build` does."""
    return resolve(
        source,
        selection=SourceSelection(**selection),
        room=None,
        digests=digests or DigestCache(),
    )


@pytest.fixture
def hub(hub, monkeypatch, tmp_path):
    """The Hub, as the environment names it."""
    for name in [one for one in os.environ if one.startswith(("HF_", "HUGGING"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return hub


@pytest.fixture
def model(tmp_path):
    return tiny_llama(tmp_path / "tiny.gguf").read_bytes()


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    metadata = {"llama.context_length": 512}
    paths = build_shards(folder, name="m-q4_k_m", count=2, metadata=metadata)
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture
def projector(tmp_path):
    path = build_gguf(tmp_path / "mmproj.gguf", metadata={"general.type": "mmproj"}, architecture="clip")
    return path.read_bytes()


def test_five_gigabytes_are_looked_at_by_a_few_megabytes(hub, tmp_path):
    tokens = [f"token{number:06}" for number in range(150_000)]
    vocabulary = {
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * len(tokens),
        "tokenizer.ggml.merges": [f"{one} x" for one in tokens],
    }
    whole = tiny_llama(tmp_path / "big.gguf", metadata=vocabulary).read_bytes()
    hub.add("o/r", {"big-Q4_K_M.gguf": Hollow(5_000 * MB, whole)})

    found = inspect("o/r", verify=False)

    assert found.model.metadata["general.name"] == "Tiny"
    origin = found.files.origin
    assert origin is not None
    assert len(whole) * 0.9 < origin.bytes_fetched < 20 * MB
    assert sum(hub.sent.values()) < 20 * MB


def test_shards_are_looked_at_in_order(hub, shards):
    hub.add("o/r", {f"Q4_K_M/{name}": content for name, content in shards.items()})

    found = inspect("o/r:q4_k_m", verify=False)

    assert [path.as_posix() for path in found.files.paths] == [f"Q4_K_M/{name}" for name in sorted(shards)]
    assert found.model.is_split


def test_the_projector_comes_along(hub, model, projector):
    hub.add("o/r", {"m-Q4_K_M.gguf": model, "mmproj-F16.gguf": projector, "mmproj-F32.gguf": projector})

    ref = find("o/r")
    for found in (ref.files, fetch(ref, digests=DigestCache())):
        assert [shard.path.name for shard in found.projectors] == ["mmproj-F16.gguf"]


def test_a_file_that_says_it_is_no_projector_is_refused(hub, model):
    hub.add("o/r", {"m-Q4_K_M.gguf": model, "mmproj-F16.gguf": model})

    with pytest.raises(UsageProblem, match="is not a projector"):
        find("o/r")


def test_what_is_in_the_cache_is_not_fetched_to_be_looked_at(hub, model):
    hub.add("o/r", {"m-Q4_K_M.gguf": model})
    download("o/r")
    hub.forget_sent()

    found = inspect("o/r", verify=False)

    assert hub.sent == {}
    assert found.files.origin is not None
    assert found.files.origin.bytes_fetched == 0


def test_without_a_network_the_cache_is_looked_at(hub, model, monkeypatch):
    hub.add("o/r", {"m-Q4_K_M.gguf": model})
    path = download("o/r").files[0].path
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.seen.clear()

    assert inspect("o/r", verify=False).files.paths == (path.relative_to(path.parent),)
    assert download("o/r").files[0].path == path
    assert [row.variant.quant for row in list_quants("o/r").rows] == ["Q4_K_M"]
    assert hub.seen == []


def test_the_digest_of_a_download_is_handed_on(hub, model):
    hub.add("o/r", {"m-Q4_K_M.gguf": model})
    digests = DigestCache()

    found = fetch(find("o/r"), digests=digests)

    assert digests.get((str(found.paths[0].resolve()),)) == Digest.of(model)


def test_a_build_hashes_nothing_that_was_downloaded(hub, shards, tmp_path):
    hub.add("o/r", shards)
    seen = []

    built = build("o/r", store=tmp_path / "store", progress=seen.append, verify=False)

    assert built.name.short == "m:q4_k_m"
    assert {update.task.split()[0] for update in seen} == {"downloading"}
    blobs = sorted(path.name for path in (tmp_path / "store" / "blobs").iterdir())
    assert {Digest.of(content).blob_name for content in shards.values()} < set(blobs)


def test_a_file_that_was_linked_and_touched_is_not_hashed_again(hub, model, tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "store"))
    hub.add("o/r", {"m-Q4_K_M.gguf": model})
    build("o/r", store=tmp_path / "store", verify=False)
    now = time.time_ns()
    os.utime(tmp_path / "store" / "blobs" / Digest.of(model).blob_name, ns=(now, now))  # as Ollama does
    seen = []

    build("o/r", store=tmp_path / "store", verify=False, progress=seen.append)

    assert seen == []


@pytest.mark.parametrize("revision", ["../x", "a/../b", "", "-x", "a//b", "a b"])
def test_what_is_no_revision_is_refused(hub, model, revision):
    hub.add("o/r", {"m-Q4_K_M.gguf": model})

    with pytest.raises(UsageProblem, match="invalid revision"):
        inspect("o/r", revision=revision)


def test_a_dry_run_downloads_nothing(hub, model, tmp_path):
    hub.add("o/r", {"m-Q4_K_M.gguf": Hollow(5_000 * MB, model)})

    plan = plan_build("o/r", store=tmp_path / "store", verify=False)

    assert plan.bytes_to_fetch == 5_000 * MB
    assert sum(hub.sent.values()) < 2 * MB
    assert not (tmp_path / "store").exists()


def test_another_revision_is_another_model(hub, model):
    repository = hub.add("o/r", {"m-Q4_K_M.gguf": model})
    old = repository.refs["main"]
    repository.commit({"m-Q8_0.gguf": model}, branch="main")
    repository.refs["v1"] = old

    for revision in ("v1", old):
        assert [row.variant.quant for row in list_quants("o/r", revision=revision).rows] == ["Q4_K_M"]
        assert inspect("o/r", verify=False, revision=revision).files.origin.commit == old
    assert len(list_quants("o/r").rows) == 2


def test_a_revision_with_a_slash_is_one(hub, model):
    hub.add("o/r", {"m-Q4_K_M.gguf": model})
    hub.repositories["o/r"].refs["refs/pr/3"] = hub.repositories["o/r"].refs["main"]

    done = download("hf://o/r@refs/pr/3")

    assert done.files[0].path.read_bytes() == model


@pytest.mark.parametrize("name", KNOWN)
def test_known_repositories_are_listed_with_a_choice(hub, name):
    hub.add(name, {path: Hollow(size, b"GGUF") for path, size in KNOWN[name].items()})

    table = list_quants(name)

    assert table.choice is not None
    assert all(row.bits_per_weight is None or 1 < row.bits_per_weight < 17 for row in table.rows)


def test_bits_per_weight_are_of_the_number_that_the_hub_tells(hub, model):
    hub.add("o/r", {"m-Q4_K_M.gguf": Hollow(1000, model)}, facts={"gguf": {"total": 2000}})

    assert list_quants("o/r").rows[0].bits_per_weight == 4.0


def test_a_repository_without_gguf_names_those_that_carry_it(hub):
    hub.add("o/r", {"model-00001-of-00002.safetensors": b"", "config.json": b"{}"})
    tags = {"tags": ["gguf", "base_model:quantized:o/r"]}
    hub.add("p/r-GGUF", {"m.gguf": b"GGUF"}, facts=tags)

    with pytest.raises(NotFound, match="only safetensors") as error:
        inspect("o/r")
    assert error.value.hint == "these repositories carry GGUF of it: p/r-GGUF"


@pytest.mark.parametrize(
    "source,selection,problem",
    [
        ("o/r:Q4_K_M", {"quant": "Q8_0"}, "contradicts SOURCE"),
        ("hf://o/r/m-Q4_K_M.gguf", {"file": "x.gguf"}, "contradicts SOURCE"),
        ("hf://o/r@main", {"revision": "v1"}, "contradicts SOURCE"),
        ("tiny.gguf", {"quant": "Q8_0"}, "is on this machine"),
    ],
)
def test_a_selection_that_contradicts_the_source_is_refused(hub, model, source, selection, problem):
    hub.add("o/r", {"m-Q4_K_M.gguf": model})

    with pytest.raises(UsageProblem, match=problem):
        find(source, **selection)


def test_headers_that_do_not_belong_together_are_refused(hub, shards, model):
    names = sorted(shards)
    hub.add("o/r", {names[0]: shards[names[0]], names[1]: model})

    with pytest.raises(InvalidShards):
        inspect("o/r")


def test_a_file_that_is_none_is_told(hub):
    hub.add("o/r", {"m-Q4_K_M.gguf": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n"})

    with pytest.raises(InvalidGguf, match="Git LFS pointer"):
        inspect("o/r")


def test_what_is_gated_is_explained_before_it_is_looked_at(hub, model):
    hub.add("o/r", {"m-Q4_K_M.gguf": model}, access="gated", readers={"hf_good"})

    with pytest.raises(ServerRefused, match="is gated"):
        inspect("o/r")


def test_a_token_of_the_environment_opens_what_is_gated(hub, model, monkeypatch):
    hub.add("o/r", {"m-Q4_K_M.gguf": model}, access="gated", readers={"hf_good"})
    monkeypatch.setenv("HF_TOKEN", "hf_good")

    assert inspect("o/r", verify=False).model.metadata["general.name"] == "Tiny"
    assert download("o/r").files[0].path.read_bytes() == model


def find_with(source, **keywords):
    return resolve(source, selection=SourceSelection(), room=None, digests=DigestCache(), **keywords).files


class TestProjector:
    @pytest.fixture(autouse=True)
    def _repository(self, hub, model, projector):
        names = ("mmproj-F16.gguf", "mmproj-F32.gguf")
        hub.add("o/r", {"m-Q4_K_M.gguf": model, **dict.fromkeys(names, projector)})

    def test_another_of_the_repository_is_used_on_demand(self):
        files = find_with("o/r", projectors=["mmproj-F32.gguf"])
        assert [shard.path.name for shard in files.projectors] == ["mmproj-F32.gguf"]
        assert [file.path for file in files.origin.files] == ["m-Q4_K_M.gguf", "mmproj-F32.gguf"]

    def test_none_is_used_on_demand(self):
        assert find_with("o/r", takes_projector=False).projectors == ()

    def test_one_that_is_neither_here_nor_there_is_named(self):
        with pytest.raises(NotFound, match="mmproj-Q2_K"):
            find_with("o/r", projectors=["mmproj-Q2_K.gguf"])

    def test_what_else_could_be_used_is_said(self):
        lines = []
        find_with("o/r", notify=lines.append)
        assert any("--mmproj FILE takes another (mmproj-F32.gguf" in line for line in lines)


class TestProjectorOfAnotherWidth:
    @pytest.fixture(autouse=True)
    def _repository(self, hub, model, tmp_path):
        projector = make_projector(tmp_path / "p.gguf", width=64).read_bytes()
        hub.add("o/r", {"m-Q4_K_M.gguf": model, "mmproj-F16.gguf": projector})

    def test_is_left_out_with_a_warning_and_not_fetched(self):
        files = find_with("o/r")
        assert (files.projectors, [file.path for file in files.origin.files]) == ((), ["m-Q4_K_M.gguf"])
        assert files.left_out == (
            "mmproj-F16.gguf is not used as projector: it is for models of width 64, and this one has 32",
        )

    def test_is_refused_where_it_is_given(self):
        with pytest.raises(UsageProblem, match="does not fit the model"):
            find_with("o/r", projectors=["mmproj-F16.gguf"])


class TestDraft:
    @pytest.fixture(autouse=True)
    def _repository(self, hub, tmp_path):
        model = mtp.make_model(tmp_path / "m.gguf").read_bytes()
        draft = mtp.make_draft(tmp_path / "d.gguf").read_bytes()
        hub.add("o/r", {"Zoo-35-F32.gguf": model, "mtp-Zoo-35-F32.gguf": draft})

    def test_of_the_repository_goes_with_its_model_and_is_fetched(self):
        lines = []
        ref = resolve(
            "o/r", selection=SourceSelection(), room=None, digests=DigestCache(), notify=lines.append
        )
        assert any(line.startswith("Draft: mtp-Zoo-35-F32.gguf") for line in lines)
        files = fetch(ref, digests=DigestCache())
        assert [shard.path.name for shard in files.drafts] == ["mtp-Zoo-35-F32.gguf"]
        assert [file.path for file in files.origin.files] == ["Zoo-35-F32.gguf", "mtp-Zoo-35-F32.gguf"]

    def test_is_not_fetched_where_it_cannot_be_used(self):
        files = find_with("o/r", version="0.31.1")
        assert (files.drafts, [file.path for file in files.origin.files]) == ((), ["Zoo-35-F32.gguf"])

    def test_of_the_repository_or_of_this_machine_is_used_on_demand(self, tmp_path):
        assert find_with("o/r", draft="mtp-Zoo-35-F32.gguf").drafts
        assert find_with("o/r", draft=tmp_path / "d.gguf").drafts[0].path == tmp_path / "d.gguf"
        with pytest.raises(UsageProblem, match="cannot draft"):
            find_with("o/r", draft=tmp_path / "m.gguf")


class TestHeadersThatSettle:
    """Names and sizes leave open what a file is: its header is read, once for each name."""

    def test_an_adapter_called_model_is_none(self, hub, tmp_path):
        adapter = build_gguf(tmp_path / "a.gguf", metadata={"general.type": "adapter"}).read_bytes()
        hub.add("o/r", {"model-q8_0.gguf": adapter, "model-f16.gguf": adapter + bytes(32)})
        with pytest.raises(UsageProblem, match=r"model-q8_0\.gguf is a LoRA adapter"):
            find_with("o/r")

    def test_a_merged_model_called_lora_is_one(self, hub, model):
        hub.add("o/r", {"my-lora-f16.gguf": model})
        assert find_with("o/r").model.name == "my-lora-f16"

    @pytest.mark.parametrize("quant", [None, "q4_k_m", "q8_0"])
    def test_a_projector_of_which_neither_name_nor_size_says_it_comes_along(
        self, hub, model, projector, quant
    ):
        files = {f"model-{label}.gguf": model for label in ("q4_K_M", "q8_0")}
        hub.add("o/r", files | {"projector-fp16.gguf": projector})
        found = find("o/r", quant=quant).files
        assert [shard.path.name for shard in found.projectors] == ["projector-fp16.gguf"]

    def test_a_projector_without_a_word_for_it_comes_along(self, hub, projector, tmp_path):
        large = tiny_llama(tmp_path / "m.gguf", blocks=32, width=128).read_bytes()
        hub.add("o/r", {"m-F16.gguf": large, "extra/m-eyes-F16.gguf": projector})
        assert [shard.path.name for shard in find_with("o/r").projectors] == ["m-eyes-F16.gguf"]

    def test_of_several_names_the_one_that_is_a_language_model_is_the_default(self, hub, model, tmp_path):
        encoder = tiny_llama(
            tmp_path / "t5.gguf", metadata={"general.architecture": "t5encoder"}
        ).read_bytes()
        hub.add("o/r", {"m-Q4_K_M.gguf": model, "t5xxl-Q4_K_M.gguf": encoder})
        assert find_with("o/r").model.name == "m-Q4_K_M"

    def test_no_header_is_read_where_names_say_enough(self, hub, model):
        hub.add("o/r", {"m-Q4_K_M.gguf": model, "m-Q8_0.gguf": model, "m-F16.gguf": model})
        hub.forget_sent()
        find_with("hf://o/r/m-Q8_0.gguf")
        assert not any("Q4_K_M" in path or "F16" in path for path in hub.sent)


def test_a_path_that_is_neither_a_file_nor_in_a_repository_is_called_both(hub, model):
    hub.add("o/r", {"m-Q4_K_M.gguf": model})
    for source in ("modles/x.gguf", "o/r/x.gguf"):
        with pytest.raises(NotFound, match="no such file, and "):
            find(source)


class TestPieces:
    @pytest.fixture
    def pieces(self, hub, model):
        """A model that is cut into pieces smaller than its header."""
        size = -(-len(model) // 12)
        cut = [model[start : start + size] for start in range(0, len(model), size)]
        files = {f"m-Q6_K.gguf.part{number}of12": piece for number, piece in enumerate(cut, start=1)}
        hub.add("o/r", files)
        return files

    @pytest.mark.usefixtures("pieces")
    def test_they_are_read_as_one_file_and_joined_once(self, model):
        ref = find("o/r")
        assert (ref.files.model.name, ref.files.label) == ("m-Q6_K", "Q6_K")
        paths = set()
        for _ in range(2):
            (shard,) = fetch(ref, digests=DigestCache()).model.shards
            assert shard.path.read_bytes() == model
            assert shard.path.name == "m-Q6_K.gguf"
            paths.add(shard.path)
        assert len(paths) == 1

    @pytest.mark.usefixtures("pieces")
    def test_they_become_a_model(self, model, tmp_path):
        built = build("o/r", store=tmp_path / "store", verify=False)
        assert built.name.short == "m:q6_k"
        (shard,) = built.plan.inspection.model.shards
        assert shard.size == len(model)

    def test_without_one_of_them_it_is_named_and_nothing_is_made(self, hub, pieces):
        hub.add("o/r", {path: piece for path, piece in pieces.items() if "part7of12" not in path})
        with pytest.raises(InvalidShards, match=r"missing: m-Q6_K\.gguf\.part7of12"):
            find("o/r")

    @pytest.mark.usefixtures("pieces")
    def test_they_are_not_passed_through(self):
        with FakeOllama() as server, pytest.raises(UsageProblem, match="pieces"):
            build("o/r", host=server.url, stream=True, verify=False)
