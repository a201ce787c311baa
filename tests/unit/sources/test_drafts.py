"""Which file drafts for a model: what lies beside it, what the user names, and what is refused."""

import pytest

from gguf2ollama import modelfile
from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio import Role, open_gguf, role_of
from gguf2ollama.sources.drafts import draft_problem, has_mtp_layers, runs_mtp_layers
from gguf2ollama.sources.local import find_model
from tests.builders import build_gguf, tiny_llama
from tests.zoo import mtp


@pytest.fixture
def folder(tmp_path):
    mtp.make_model(tmp_path / "Zoo-35-F32.gguf")
    return tmp_path


def draft_names(files):
    return [shard.path.name for shard in files.drafts]


def test_mtp_layers_alone_are_a_draft_and_within_a_model_they_are_not(tmp_path):
    draft = open_gguf(mtp.make_draft(tmp_path / "d.gguf"))
    model = open_gguf(mtp.make_model_with_mtp(tmp_path / "m.gguf"))
    assert (role_of(draft), role_of(model)) == (Role.DRAFT, Role.MODEL)
    assert has_mtp_layers(draft)
    assert has_mtp_layers(model)


def test_a_count_of_layers_without_layers_is_none(tmp_path):
    left_over = build_gguf(tmp_path / "m.gguf", metadata={"llama.nextn_predict_layers": 1})
    assert not has_mtp_layers(open_gguf(left_over))


@pytest.mark.parametrize("source", ["Zoo-35-F32.gguf", "."])
def test_the_draft_beside_a_model_comes_along_and_is_said(folder, source):
    mtp.make_draft(folder / "mtp-Zoo-35-F32.gguf")
    files = find_model(folder / source)
    assert draft_names(files) == ["mtp-Zoo-35-F32.gguf"]
    assert any("--no-draft leaves it out" in note for note in files.notes)
    assert files.shards[-1:] == files.drafts


def test_none_is_used_on_demand(folder):
    mtp.make_draft(folder / "mtp-Zoo-35-F32.gguf")
    assert find_model(folder, takes_draft=False).drafts == ()


def test_a_model_with_mtp_layers_needs_no_draft(tmp_path):
    mtp.make_model_with_mtp(tmp_path / "Zoo-35-F32.gguf")
    mtp.make_draft(tmp_path / "mtp-Zoo-35-F32.gguf")
    files = find_model(tmp_path)
    assert files.drafts == ()
    assert any("has MTP layers of its own" in note for note in files.notes)


def test_one_that_does_not_fit_is_left_out_and_said(folder):
    mtp.make_draft(folder / "mtp-Zoo-35-F32.gguf", tokens="llama-3")
    files = find_model(folder)
    assert files.drafts == ()
    assert files.notes == ("Not used: mtp-Zoo-35-F32.gguf (it has another vocabulary than the model)",)


def test_one_of_another_model_is_not_taken(folder):
    mtp.make_model(folder / "Other-7-F32.gguf")
    mtp.make_draft(folder / "mtp-Zoo-35-F32.gguf")
    assert draft_names(find_model(folder / "Other-7-F32.gguf")) == []
    assert draft_names(find_model(folder / "Zoo-35-F32.gguf")) == ["mtp-Zoo-35-F32.gguf"]


class TestProblems:
    @pytest.fixture
    def model(self, folder):
        return open_gguf(folder / "Zoo-35-F32.gguf")

    @pytest.mark.parametrize(
        "make, words",
        [
            (lambda path: mtp.make_draft(path, tokens="llama-3"), "another vocabulary"),
            (lambda path: mtp.make_draft(path, metadata={"qwen35.embedding_length": 32}), "of width 32"),
            (tiny_llama, r"does not load a model with another \(architecture llama\)"),
            (lambda path: build_gguf(path, architecture="eagle3"), "architecture eagle3"),
            (lambda path: build_gguf(path, architecture="gemma4-assistant"), "for gemma4"),
            (lambda path: build_gguf(path, architecture="dflash"), "another vocabulary"),
        ],
    )
    def test_are_named(self, folder, make, words):
        draft = make(folder / "d.gguf")
        with pytest.raises(UsageProblem, match=words):
            find_model(folder / "Zoo-35-F32.gguf", draft=draft)

    def test_a_given_draft_is_used(self, folder):
        draft = mtp.make_draft(folder / "any name")
        assert find_model(folder / "Zoo-35-F32.gguf", draft=draft).drafts[0].path == draft

    def test_an_older_ollama_does_not_run_it(self, tmp_path, model):
        draft = open_gguf(mtp.make_draft(tmp_path / "d.gguf"))
        assert draft_problem(draft, model=model, version="0.32.15") is None
        assert "does not load" in draft_problem(draft, model=model, version="0.31.1")

    def test_some_tokens_more_at_the_end_are_the_same_vocabulary(self, tmp_path, model):
        tokens = list(model.metadata["tokenizer.ggml.tokens"])
        longer = mtp.make_draft(tmp_path / "d.gguf", metadata={"tokenizer.ggml.tokens": [*tokens, "<pad>"]})
        assert draft_problem(open_gguf(longer), model=model) is None


@pytest.mark.parametrize(
    "architecture, version, runs",
    [
        ("qwen35", None, True),
        ("glm4moe", "0.34.4", True),
        ("glm4moe", "0.32.15", False),
        ("glm4", None, False),
    ],
)
def test_llama_cpp_only_loads_the_mtp_layers_of_some(architecture, version, runs):
    assert runs_mtp_layers(architecture, version=version) is runs


def test_a_modelfile_for_an_older_ollama_has_no_draft(folder):
    mtp.make_draft(folder / "mtp-Zoo-35-F32.gguf")
    assert "\nDRAFT " in modelfile(folder, verify=False)
    assert "\nDRAFT " not in modelfile(folder, verify=False, for_ollama="0.24.0")
