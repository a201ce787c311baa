"""A model that was not given a name never replaces other weights."""

import pytest

from gguf2ollama import build
from gguf2ollama.errors import NameTaken
from tests.builders import tiny_llama
from tests.calling_templates import JSON_CALLS
from tests.fakes.ollama_server import FakeOllama


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)


@pytest.fixture
def same_name(tmp_path):
    """Return two files of one name with other weights."""
    paths = [tmp_path / folder / "tiny-Q8_0.gguf" for folder in ("a", "b")]
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        tiny_llama(path, seed=seed, chat_template=JSON_CALLS)  # whose header no transport changes
    return paths


@pytest.fixture(params=["store", "pull", "upload"])
def place(request, tmp_path):
    """Return the keywords of a place to build at."""
    if request.param == "store":
        yield {"store": tmp_path / "store"}
        return
    with FakeOllama() as server:
        yield {"host": server.url, "via": request.param}


def test_other_weights_are_not_replaced_without_a_word(same_name, place):
    first, second = same_name
    assert build(first, **place).name.short == "tiny:q8_0"
    with pytest.raises(NameTaken) as caught:
        build(second, **place)
    assert "tiny:q8_0 already exists" in caught.value.message
    assert "--replace" in caught.value.hint
    assert caught.value.exit_code == 2


def test_they_are_where_that_is_wanted(same_name, place):
    first, second = same_name
    build(first, **place)
    assert build(second, **place, replace=True).name == build(first, **place, name="tiny:q8_0").name


def test_the_same_weights_are_built_again_with_other_settings(same_name, place):
    build(same_name[0], **place)
    assert build(same_name[0], **place, system="new").name.short == "tiny:q8_0"


def test_nothing_is_downloaded_for_a_name_that_is_taken(same_name, place, hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    build(same_name[0], **place)
    hub.add("o/tiny-GGUF", {"tiny-Q8_0.gguf": same_name[1].read_bytes()})
    with pytest.raises(NameTaken):
        build("o/tiny-GGUF", **place)
    assert not list((tmp_path / "hf").rglob("*.gguf"))
