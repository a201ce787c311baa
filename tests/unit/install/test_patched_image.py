"""A model whose header carries another chat template: detected, laid out and remembered as what it is."""

import hashlib
import os

import pytest

from gguf2ollama import inspect
from gguf2ollama.errors import InvalidGguf, InvalidInput, UsageProblem
from gguf2ollama.events import ignore
from gguf2ollama.ggufio import (
    HeaderPatch,
    MergedView,
    PatchedView,
    ShardSet,
    TypedValue,
    ValueType,
    open_gguf,
    split,
)
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.oci import Digest
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.planning.layers import lay_out_image
from gguf2ollama.planning.templates.template_patch import patch_template
from tests.builders import CHATML_TEMPLATE, build_shards, tiny_llama
from tests.unit.conftest import hash_weights, settle

KEY = "tokenizer.chat_template"
OWN = (
    "{% for message in messages %}[{{ message.role }}] {{ message.content }} ~~ {% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
OTHER = OWN.replace("~~", "||")


@pytest.fixture
def chat_shards(gguf):
    return [settle(path) for path in split(gguf, gguf.with_name("part"), max_tensors=9)]


def image_with(source, text, *, takes_shards=True):
    found = inspect(source, chat_template=text)
    return lay_out_image(found.files, recipe=found.recipe, takes_shards=takes_shards, patch=found.patch)


def content_of(layer):
    with layer.open() as stream:
        return stream.read()


def test_detection_and_recipe_are_those_of_the_new_template(gguf):
    before, after = inspect(gguf), inspect(gguf, chat_template=OWN)
    assert before.detection.profile is not None
    assert after.detection.profile is None
    assert (after.recipe.template_origin, after.recipe.chat_template) == ("native", OWN)
    assert "given with --chat-template" in after.recipe.template.source
    untried = inspect(gguf, chat_template=OWN, verify=False)
    assert any("(given with --chat-template) renders its chats" in warning for warning in untried.warnings)
    assert after.model.metadata[KEY] == CHATML_TEMPLATE, "the file is as it was"


def test_a_base_model_that_is_given_a_chat_template_chats(tmp_path):
    found = inspect(tiny_llama(tmp_path / "base.gguf", chat_template=None), chat_template=CHATML_TEMPLATE)
    assert found.detection.kind == "chat"
    assert list(found.patch.changes) == [KEY]


def test_the_files_own_template_needs_no_patch(gguf):
    assert not inspect(gguf, chat_template=CHATML_TEMPLATE).patch
    (layer,) = image_with(gguf, CHATML_TEMPLATE).weights
    assert layer.is_file


def test_variants_give_way_to_the_new_template(tmp_path):
    path = tiny_llama(tmp_path / "variants.gguf", metadata={f"{KEY}.tool_use": "{{ tools }}"})
    assert set(inspect(path, chat_template=CHATML_TEMPLATE).patch.changes) == {f"{KEY}.tool_use"}


@pytest.mark.parametrize("text", ["", " \n", "{% if %}", "{{ 1 | }}", "x" * ((1 << 20) + 1), "a\x00b"])
def test_an_invalid_chat_template_is_refused(gguf, text, tmp_path):
    with pytest.raises(UsageProblem, match="chat template"):
        inspect(gguf, chat_template=text)
    with pytest.raises(UsageProblem, match="chat template"):
        patch_template(gguf, tmp_path / "out.gguf", chat_template=text)


def test_a_whole_file_becomes_a_new_header_and_its_own_data(gguf, tmp_path):
    (layer,) = image_with(gguf, OWN).weights
    assert not layer.is_file
    assert (layer.name, layer.size) == (gguf.name, len(content_of(layer)))
    written = patch_template(gguf, tmp_path / "out.gguf", chat_template=OWN).path
    assert content_of(layer) == written.read_bytes()


def test_of_shards_only_the_first_is_changed(chat_shards):
    first, *others = image_with(chat_shards[1], OWN).weights
    assert not first.is_file
    assert all(layer.is_file for layer in others)
    assert [layer.name for layer in (first, *others)] == [path.name for path in chat_shards]
    model = ShardSet.from_paths(chat_shards)
    patch = HeaderPatch(changes={KEY: TypedValue(ValueType.STRING, OWN)})
    assert content_of(first) == PatchedView(model.shards[0], patch).open().read()


def test_a_later_shard_that_repeats_the_template_is_changed_too(tmp_path):
    for number, path in enumerate(build_shards(tmp_path, count=3, metadata={KEY: CHATML_TEMPLATE})):
        if number == 2:
            patch = HeaderPatch(changes={KEY: TypedValue(ValueType.STRING, CHATML_TEMPLATE)})
            PatchedView(ShardSet.discover(path).shards[2], patch).copy_to(path.with_name("new"))
            path.with_name("new").replace(path)
    layers = image_with(tmp_path, OWN).weights
    assert [layer.is_file for layer in layers] == [False, True, False]


def test_shards_as_one_carry_it_in_the_one_header(chat_shards, tmp_path):
    (layer,) = image_with(chat_shards[0], OWN, takes_shards=False).weights
    (tmp_path / "made.gguf").write_bytes(content_of(layer))
    made = open_gguf(tmp_path / "made.gguf")
    assert made.metadata[KEY] == OWN
    assert made.split is None
    assert [tensor.name for tensor in made.tensors] == [
        tensor.name for tensor in ShardSet.from_paths(chat_shards).tensors
    ]


@pytest.mark.parametrize("takes_shards", [True, False])
def test_a_digest_is_remembered_of_this_header_and_no_other(gguf, chat_shards, tmp_path, takes_shards):
    place = tmp_path / "digests.json"

    def digests(source, text, report=ignore):
        image = image_with(source, text, takes_shards=takes_shards)
        found = hash_weights(image, cache=DigestCache(place), progress=report)
        expected = [Digest(hashlib.sha256(content_of(layer)).hexdigest()) for layer in image.weights]
        assert list(found.values()) == expected
        return found

    for source in (gguf, chat_shards[0]):
        firsts = {next(iter(digests(source, text).values())) for text in (None, OWN, OTHER, None)}
        assert len(firsts) == 3
        for text in (None, OWN, OTHER):
            updates = []
            digests(source, text, updates.append)
            assert updates == [], "it was remembered"


def test_a_file_that_was_changed_is_noticed_under_another_header(gguf, tmp_path):
    image = image_with(gguf, OWN)
    gguf.touch()
    with pytest.raises(InvalidGguf):
        hash_weights(image, cache=DigestCache(tmp_path / "digests.json"), progress=ignore)


@pytest.mark.parametrize("takes_shards", [True, False])
def test_a_layer_is_written_as_it_is_read(chat_shards, tmp_path, takes_shards):
    for layer in image_with(chat_shards[0], OWN, takes_shards=takes_shards).weights:
        counts = []
        with (tmp_path / "made").open("wb") as target:
            layer.write_to(target, report=counts.append)
        assert (tmp_path / "made").read_bytes() == content_of(layer)
        assert sum(counts) == layer.size


def test_merged_layers_are_remembered_with_their_header(chat_shards, tmp_path):
    place = tmp_path / "digests.json"
    image = image_with(chat_shards[0], None, takes_shards=False)
    found = hash_weights(image, cache=DigestCache(place), progress=ignore)
    assert str(found[image.weights[0].name]) == (
        f"sha256:{MergedView(ShardSet.from_paths(chat_shards)).sha256()}"
    )
    assert DigestCache(place).get(tuple(map(str, chat_shards))) is None


@pytest.mark.parametrize("count", [-1, 1])
def test_a_blob_that_comes_shorter_or_longer_is_not_kept(tmp_path, count):
    store = LocalStore(tmp_path / "store")
    content = b"x" * 100
    with pytest.raises(InvalidInput, match="has 100 bytes, expected"):
        store.add_file(
            lambda target: os.write(target.fileno(), content), Digest.of(content), size=100 + count
        )
    assert list((store.root / "blobs").iterdir()) == []
    assert (
        store.add_file(lambda target: os.write(target.fileno(), content), Digest.of(content), size=100)
        == "copied"
    )
    assert store.check_blob(Digest.of(content), size=100) == "intact"
