"""A model is laid out as Ollama would have: the same bytes, and so the same digests."""

import dataclasses

import pytest

from gguf2ollama import Parameter, inspect
from gguf2ollama.errors import InvalidGguf, NotFound
from gguf2ollama.ggufio import MergedView, ShardSet
from gguf2ollama.modelfiles import Message
from gguf2ollama.oci import Digest
from gguf2ollama.planning.layers import lay_out_image
from tests.builders import build_gguf, tiny_llama


def texts(image):
    return {(text.media_type.name, text.content) for text in image.texts}


def test_config_and_small_layers_have_the_bytes_that_ollama_writes(image_of, tmp_path):
    # read from the store of Ollama 0.34.4 after /api/create was asked for the same
    path = tiny_llama(tmp_path / "tiny.gguf")
    image = image_of(
        path,
        system="Sys & <b>",
        context=512,
        licenses=("A", "B"),
        parameters=[
            Parameter(name="temperature", value=0.7),
            Parameter(name="top_k", value=20),
            Parameter(name="seed", value=1),
            Parameter(name="stop", value="a<b>"),
        ],
    )
    assert image.config.content == (
        b'{"model_format":"gguf","model_family":"llama","model_families":["llama"],"model_type":"30K",'
        b'"file_type":"F32"}\n'
    )
    small = {kind: content for kind, content in texts(image) if kind not in {"TEMPLATE", "LICENSE"}}
    assert small == {
        "SYSTEM": b"Sys & <b>",
        "PARAMS": b'{"num_ctx":512,"seed":1,"stop":["a\\u003cb\\u003e"],"temperature":0.7,"top_k":20}\n',
    }
    assert [text.content for text in image.texts if text.media_type.name == "LICENSE"] == [b"A", b"B"]


def test_the_layers_stand_in_the_order_of_ollama(image_of, tmp_path):
    path = tiny_llama(tmp_path / "tiny.gguf", metadata={"general.license": "apache-2.0"})
    image = image_of(path, system="Be brief.", template="{{ .System }}{{ .Prompt }}")
    digests = {layer.name: Digest.of(layer.name.encode()) for layer in image.weights}
    kinds = [layer.media_type.rpartition(".")[2] for layer in image.manifest(digests).layers]
    assert kinds == ["model", "template", "system", "license", "params"]


def test_messages_are_a_layer_of_their_own(tmp_path):
    found = inspect(tiny_llama(tmp_path / "tiny.gguf"))
    wanted = found.recipe.modelfile
    messages = (Message(role="user", content="Hi"), Message(role="assistant", content="<Hello>"))
    recipe = dataclasses.replace(found.recipe, modelfile=dataclasses.replace(wanted, messages=messages))
    image = lay_out_image(found.files, recipe=recipe, takes_shards=True)
    assert image.texts[-1].content == (
        b'[{"role":"user","content":"Hi"},{"role":"assistant","content":"\\u003cHello\\u003e"}]\n'
    )


def test_shards_stay_as_they_are_where_they_are_taken(image_of, shards):
    image = image_of(shards[1])
    assert [layer.name for layer in image.weights] == [path.name for path in shards]
    assert all(layer.is_file for layer in image.weights)
    assert b'"requires":"0.35.0"' in image.config.content
    for layer, path in zip(image.weights, shards, strict=True):
        with layer.open() as stream:
            assert stream.read() == path.read_bytes()


def test_shards_are_one_where_they_are_not_taken(image_of, shards):
    image = image_of(shards[1], takes_shards=False)
    (layer,) = image.weights
    assert layer.name == "sharded.gguf"
    assert not layer.is_file
    assert b"requires" not in image.config.content
    with layer.open() as stream, MergedView(ShardSet.discover(shards[0])).open() as merged:
        assert stream.read() == merged.read()


def test_shards_under_other_names_get_those_by_which_ollama_finds_them(image_of, shards):
    for number, path in enumerate(shards):
        path.rename(path.with_name(f"part-{'zyx'[number]}.gguf"))
    names = [layer.name for layer in image_of(shards[0].parent).weights]
    assert [name[-20:] for name in names] == [f"-0000{number}-of-00003.gguf" for number in (1, 2, 3)]


def test_files_of_one_name_from_several_folders_get_distinct_names(image_of, tmp_path):
    path = tiny_llama(tmp_path / "model.gguf")
    (tmp_path / "other").mkdir()
    projector = build_gguf(
        tmp_path / "other" / "model.gguf", architecture="clip", metadata={"general.type": "mmproj"}
    )
    image = image_of(path, projectors=[projector])
    assert [layer.name for layer in image.weights] == ["model.gguf", "projector-model.gguf"]


def test_a_name_that_ollama_refuses_as_a_path_is_changed(image_of, tmp_path):
    try:
        path = tiny_llama(tmp_path / "a:b\\c.gguf")
    except OSError:
        pytest.skip("the file system takes no such name")
    assert [layer.name for layer in image_of(path).weights] == ["a-b-c.gguf"]


def test_each_open_of_a_layer_starts_at_its_beginning(image_of, gguf):
    (layer,) = image_of(gguf).weights
    with layer.open() as one, layer.open() as two:
        assert one.read(4) == two.read(4) == b"GGUF"


def test_a_file_that_was_changed_is_noticed(image_of, gguf):
    (layer,) = image_of(gguf).weights
    layer.require_unchanged()
    gguf.touch()
    with pytest.raises(InvalidGguf):
        layer.require_unchanged()
    with layer.open() as stream, pytest.raises(InvalidGguf):
        stream.read()
    gguf.unlink()
    with pytest.raises(NotFound):
        layer.require_unchanged()


def test_an_embedding_model_has_no_layer_for_a_chat(image_of, tmp_path):
    path = tiny_llama(tmp_path / "embeds.gguf", metadata={"llama.pooling_type": 1})
    assert {text.media_type.name for text in image_of(path).texts} <= {"PARAMS"}
