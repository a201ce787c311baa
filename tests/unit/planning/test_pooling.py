"""How a model makes one vector of a text, and what becomes of those that do not."""

import json

import pytest

from gguf2ollama import inspect, modelfile
from gguf2ollama.errors import InvalidGguf, UsageProblem
from gguf2ollama.ggufio import ShardSet, TypedValue, ValueType
from gguf2ollama.planning.pooling import choose_pooling
from gguf2ollama.sources.model import ModelFiles, Published, Value
from tests.builders import build_gguf, make_tensor, tiny_llama

KEY = "bert.pooling_type"


@pytest.fixture
def pool(tmp_path):
    """Return a function that chooses for a GGUF with a header."""

    def choose(metadata=None, *, architecture="bert", requested=None, tensors=None, name="m", **published):
        path = tmp_path / f"{name}.gguf"
        build_gguf(path, architecture=architecture, metadata=metadata, tensors=tensors)
        files = ModelFiles(model=ShardSet.discover(path), published=Published(**published))
        return choose_pooling(files, requested=requested)

    return choose


def written(pooling):
    return {key: value and value.value for key, value in pooling.patch.changes.items()}


@pytest.mark.parametrize("number,name", [(1, "mean"), (2, "cls"), (3, "last")])
def test_the_header_decides_and_stays_as_it_is(pool, number, name):
    found = pool({KEY: number}, pooling=Value(value="mean", source="published"))
    assert (found.choice.value, written(found)) == (name, {})


def test_a_number_of_a_width_that_llama_cpp_does_not_read_is_replaced(pool):
    found = pool({KEY: TypedValue(ValueType.INT32, 2)})
    assert found.patch.changes == {KEY: TypedValue(ValueType.UINT32, 2)}


@pytest.mark.parametrize("value", ["mean", 1.5, True, [1, 2]])
def test_a_key_of_another_type_is_an_error_in_words(pool, value):
    with pytest.raises(InvalidGguf, match=r"m\.gguf: bert\.pooling_type is .*, not the number") as caught:
        pool({KEY: value})
    assert "--pooling" in caught.value.hint
    assert written(pool({KEY: value}, requested="cls")) == {KEY: 2}


@pytest.mark.parametrize("number", [0, 5, 99])
def test_a_number_without_pooling_is_as_none(pool, number):
    with pytest.raises(UsageProblem, match=f"{KEY} is {number}") as caught:
        pool({KEY: number})
    assert "--pooling" in caught.value.hint
    found = pool({KEY: number}, pooling=Value(value="cls", source="here"))
    assert (found.choice, written(found)) == (Value(value="cls", source="here"), {KEY: 2})


def test_what_sentence_transformers_says_goes_before_what_is_known(pool):
    found = pool(architecture="nomic-bert", pooling=Value(value="cls", source="here"))
    assert written(found) == {"nomic-bert.pooling_type": 2}
    assert written(pool(architecture="nomic-bert")) == {"nomic-bert.pooling_type": 1}


def test_pooling_that_llama_cpp_does_not_have_is_said(pool):
    with pytest.raises(UsageProblem, match=r"no pooling max \(here\)"):
        pool(architecture="nomic-bert", pooling=Value(value="max", source="here"))


def test_nothing_is_guessed_of_an_encoder(pool):
    with pytest.raises(UsageProblem, match="does not say how it pools") as caught:
        pool()
    assert "generates text" not in caught.value.hint
    assert written(pool(requested="mean")) == {KEY: 1}


def test_tags_alone_ask_and_name_the_way_out(pool):
    with pytest.raises(UsageProblem, match=r"embedding model \(tag sentence-transformers\)") as caught:
        pool(architecture="llama", tags=("sentence-transformers",))
    assert "none for a model that generates text" in caught.value.hint
    found = pool(architecture="llama", tags=("sentence-transformers",), requested="none")
    assert (found.choice.value, written(found)) == (None, {})


def test_a_model_without_any_sign_does_not_embed(pool):
    assert pool(architecture="llama") is None


def test_none_takes_the_key_out_and_is_refused_where_nothing_would_be_left(pool):
    assert written(pool({"llama.pooling_type": 3}, architecture="llama", requested="none")) == {
        "llama.pooling_type": None
    }
    with pytest.raises(UsageProblem, match="generates no text"):
        pool(requested="none")


@pytest.mark.parametrize(
    "options",
    [
        {"metadata": {KEY: 4}},
        {"tensors": [make_tensor("token_embd.weight"), make_tensor("cls.output.weight")]},
        {"tags": ("text-ranking",)},
        {"name": "bge-reranker-base"},
    ],
    ids=["pooling", "head", "tag", "name"],
)
def test_a_reranker_is_refused_with_the_program_that_serves_it(pool, options):
    with pytest.raises(UsageProblem, match="is a reranker") as caught:
        pool(**options)
    assert "llama-server --rerank --model" in caught.value.hint


def test_a_reranker_that_is_a_language_model_is_built_with_a_warning(pool):
    found = pool(architecture="qwen3", name="Qwen3-Reranker-0.6B")
    assert found.choice.value is None
    assert any("reranker" in warning for warning in found.warnings)
    with pytest.raises(UsageProblem, match="is a reranker") as caught:
        pool({"qwen3.pooling_type": 4}, architecture="qwen3", name="Qwen3-Reranker-0.6B")
    assert "--pooling none" in caught.value.hint


@pytest.mark.parametrize("end,is_added", [("<|endoftext|>", True), ("<|im_end|>", False)])
def test_qwen3_embedding_pools_the_end_of_the_text_and_gets_one(pool, end, is_added):
    metadata = {"tokenizer.ggml.tokens": ["a", end], "tokenizer.ggml.eos_token_id": 1}
    found = pool(metadata, architecture="qwen3", name="Qwen3-Embedding-0.6B-Q8_0")
    eos = {"tokenizer.ggml.add_eos_token": True} if is_added else {}
    assert written(found) == {"qwen3.pooling_type": 3, **eos}


def test_a_build_embeds_with_what_lies_in_the_folder(tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_lasttoken": True}))
    prompts = {"query": "Query: ", "document": ""}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    metadata = {"general.tags": ["mteb"], "llama.context_length": 4096}
    path = tiny_llama(tmp_path / "e5.gguf", metadata=metadata)

    found = inspect(path)

    assert found.detection.kind == "embedding"
    assert found.recipe.capabilities == ("embedding",)
    assert found.patch.changes["llama.pooling_type"].value == 3
    assert found.describe_embeddings()[1:] == ("Prompt 'query' of its authors: 'Query: ' before a text",)
    assert found.recipe.parameters["num_batch"].value == 4096


def test_a_modelfile_cannot_change_the_header(tmp_path):
    path = tiny_llama(tmp_path / "Qwen3-Embedding.gguf")
    with pytest.raises(UsageProblem, match=r"only if its header has llama\.pooling_type") as caught:
        modelfile(path)
    assert "gguf2ollama build" in caught.value.hint


@pytest.mark.parametrize("option", ["max", "rank", ""])
def test_an_unknown_pooling_is_refused_before_anything_is_read(option):
    with pytest.raises(UsageProblem, match="invalid --pooling"):
        inspect("nowhere.gguf", pooling=option)
