"""The zoo itself: its files are whole, small and the same every time, and their chat templates work."""

import pytest

from gguf2ollama.ggufio import open_gguf
from tests.reference import assistant, render, system, user
from tests.zoo.maker import recipe_names
from tests.zoo.models import CORPUS, MODELS, corpus_is_there, model_of_template

EMBEDS_TOO = {"qwen3-embedding"}  # a decoder's architecture, and a chat template that nothing is made of
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
each_chat = pytest.mark.parametrize(
    "model", [model for model in MODELS.values() if model.style], ids=lambda model: model.name
)
QUESTION, ANSWER = "zoo-question", "zoo-answer"


@pytest.mark.slow
@each_model
def test_a_file_is_small_the_same_every_time_and_has_its_keys_and_special_tokens(model, tmp_path):
    first, second = (model.make(tmp_path / name, chat_template=model.own_template) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < (32 << 20 if model.name == "gemma3n" else 2 << 20)
    metadata = open_gguf(first).metadata
    architecture = metadata["general.architecture"]
    assert architecture == model.architecture
    assert metadata[f"{architecture}.block_count"] > 0
    tokens = metadata["tokenizer.ggml.tokens"]
    assert len(tokens) == len(set(tokens)) == len(metadata["tokenizer.ggml.token_type"])
    roles = {"bos", "eos", "eot", "eom", "padding", "unknown", "seperator", "mask"}
    assert set(model.vocabulary.roles) <= roles
    for role, text in model.vocabulary.roles.items():
        assert tokens[metadata[f"tokenizer.ggml.{role}_token_id"]] == text
    assert metadata.get("tokenizer.chat_template") == model.own_template


@pytest.mark.slow
@each_chat
def test_a_template_of_our_own_shows_each_message_and_invites_an_answer(model):
    roles = model.vocabulary.roles
    chat = (system("Be brief."), user(QUESTION), assistant(ANSWER), user("Bye"))
    prompt = render(model.own_template, chat, bos=roles.get("bos", ""), eos=roles.get("eos", ""))
    places = [prompt.index(text) for text in ("Be brief.", QUESTION, ANSWER, "Bye")]
    assert places == sorted(places)
    closed = render(model.own_template, (*chat, assistant("Hi", tool_calls=())), bos="", eos="")
    assert "Hi" in closed


def test_each_recipe_is_used_and_each_architecture_has_a_model():
    assert {model.made_of for model in MODELS.values()} == set(recipe_names())
    assert len({model.architecture for model in MODELS.values()}) > 111


def test_a_model_embeds_or_has_chats():
    for model in MODELS.values():
        assert model.embeds != (model.style is not None) or model.name in EMBEDS_TOO


def test_each_chat_template_of_the_corpus_belongs_to_one_model():
    owned = [stem for model in MODELS.values() for stem in model.templates]
    assert len(owned) == len(set(owned))
    if not corpus_is_there():
        pytest.skip(f"{len(owned)} chat templates are not compared: {CORPUS} is not there")
    stems = {path.stem for path in CORPUS.glob("*.jinja")}
    assert stems == set(owned)
    assert all(model_of_template(stem) for stem in stems)
