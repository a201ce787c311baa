"""What says that a model embeds or ranks texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.families.embedding import known_pooling, read_embedding_signs

LLAMA = {"general.architecture": "llama"}


def kind(metadata, **more):
    signs = read_embedding_signs({**LLAMA, **metadata}, **more)
    return signs and signs.kind


@pytest.mark.parametrize(
    "name",
    [
        "Qwen3 Embedding 0.6B",
        "nomic-embed-text",
        "SFR-Embedding-Mistral",
        "llama_embed_8b",
        "text-embeddings",
    ],
)
def test_the_name_says_that_a_model_embeds(name):
    assert kind({"general.name": name}) == "embedding"
    assert kind({"general.basename": name}) == "embedding"
    assert kind({}, names=[name]) == "embedding"


@pytest.mark.parametrize("name", ["openPangu Embedded 1B", "Llama 3.2 Instruct", "Ranker", "Bembedx", ""])
def test_other_names_do_not(name):
    assert kind({"general.name": name}) is None


@pytest.mark.parametrize(
    "tag", ["sentence-transformers", "Feature-Extraction", "sentence-similarity", "mteb"]
)
def test_tags_of_header_and_site_say_it(tag):
    assert kind({"general.tags": ["gguf", tag]}) == "embedding"
    assert kind({}, tags=["gguf", tag]) == "embedding"


@pytest.mark.parametrize("tags", ["sentence-transformers", 7, ["text-generation", "conversational"], [7]])
def test_what_is_not_a_list_of_such_tags_says_nothing(tags):
    assert kind({"general.tags": tags}) is None


def test_an_architecture_without_output_says_it():
    assert kind({"general.architecture": "modern-bert"}) == "embedding"


@pytest.mark.parametrize(
    "name", ["bge-reranker-v2-m3", "Qwen3 Reranker 0.6B", "my-re-ranker", "mxbai-rerank-base"]
)
def test_a_reranker_goes_before_what_its_architecture_or_tags_say(name):
    assert kind({"general.name": name, "general.architecture": "bert"}) == "reranker"
    assert kind({"general.name": name}, tags=["sentence-transformers"]) == "reranker"
    assert kind({}, tags=["text-ranking"]) == "reranker"


def test_a_model_that_embeds_and_ranks_embeds():
    assert kind({"general.name": "embed-and-rerank"}, tags=["text-ranking", "mteb"]) == "embedding"


def test_an_encoder_with_a_head_that_scores_is_a_reranker():
    assert kind({"general.architecture": "bert"}, has_classifier=True) == "reranker"


@given(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.one_of(st.text(), st.integers()))))
def test_any_header_can_be_read(value):
    keys = ("general.tags", "general.name", "general.architecture")
    read_embedding_signs(dict.fromkeys(keys, value))
    known_pooling(dict.fromkeys(keys, value))


def test_pooling_is_known_of_architectures_of_one_publisher_and_of_qwen3_embedding():
    assert known_pooling({"general.architecture": "nomic-bert"})[0] == "mean"
    assert known_pooling({**LLAMA, "general.name": "Qwen3 Embedding 4B"})[0] == "last"
    assert known_pooling(LLAMA, names=["Qwen3-VL-Embedding-2B-Q8_0"])[0] == "last"
    assert known_pooling({"general.architecture": "bert", "general.name": "bge"}) is None
    assert known_pooling({**LLAMA, "general.name": "Qwen3 8B"}) is None
