"""Digests, descriptors, manifest and config, held to blobs that Ollama 0.34.4 wrote."""

import contextlib
import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import InvalidInput
from gguf2ollama.oci import (
    Descriptor,
    Digest,
    Manifest,
    ManifestEntry,
    ManifestList,
    MediaType,
    ModelConfig,
    go_json,
    hash_stream,
    parameter_size_label,
    parse_manifest,
)

# written by `ollama create` of 0.34.4: parameters and messages of a model
PARAMS_OF_OLLAMA = (
    b'{"num_ctx":4096,"stop":["\\u003c|im_end|\\u003e","\\u003cx\\u003e"],"temperature":0.5}\n',
    "b61f7a1162c649feb9f356b2457531f1385c44473c93b1463767704fd570b92b",
)
MESSAGES_OF_OLLAMA = (
    b'[{"role":"user","content":"hey"},{"role":"assistant","content":"yo \\u003cb\\u003e"}]\n',
    "7aa62e58297361820b9440f81cd43f46d672a77925871aae5bb9e905a36b39fb",
)


def test_parameters_get_the_digest_that_ollama_gave_them():
    content, digest = PARAMS_OF_OLLAMA
    ours = go_json({"num_ctx": 4096, "stop": ["<|im_end|>", "<x>"], "temperature": 0.5})
    assert ours == content
    assert Digest.of(ours).hex == digest


def test_messages_get_the_digest_that_ollama_gave_them():
    content, digest = MESSAGES_OF_OLLAMA
    ours = go_json([{"role": "user", "content": "hey"}, {"role": "assistant", "content": "yo <b>"}])
    assert ours == content
    assert Digest.of(ours).hex == digest


def test_config_gets_the_digest_that_ollama_gave_it():
    config = ModelConfig(family="llama", families=("llama",), parameter_size="134.52M", file_type="Q4_1")
    assert (
        Digest.of(config.to_bytes()).hex == "94f61fc54f91827c3e63506764809495f456f6bfa720dd54b4702ae0da86528c"
    )


def test_config_names_renderer_parser_and_requires_only_when_set():
    config = ModelConfig(
        family="a", families=("a",), parameter_size="1B", file_type="F16", requires="0.35.0", parser="p"
    )
    assert json.loads(config.to_bytes()) == {
        "model_format": "gguf",
        "model_family": "a",
        "model_families": ["a"],
        "model_type": "1B",
        "file_type": "F16",
        "parser": "p",
        "requires": "0.35.0",
    }


@pytest.mark.parametrize(
    "value,text",
    [
        (0.7, "0.7"),
        (1.0, "1"),
        (0.0, "0"),
        (-0.0, "-0"),
        (1.05, "1.05"),
        (1e-7, "1e-7"),
        (1.5e-9, "1.5e-9"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (0.00001, "0.00001"),
        (1.8943417807752579e-06, "0.0000018943417807752579"),
        (1.5e16, "15000000000000000"),
        (123456789.25, "123456789.25"),
    ],
)
def test_floats_are_written_as_go_writes_them(value, text):
    assert go_json(value) == f"{text}\n".encode()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive_the_way_through_json(value):
    assert float(json.loads(go_json(value))) == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("ab<&", max_size=3), inner),
        max_leaves=10,
    )
)
def test_json_survives_and_never_holds_what_go_escapes(value):
    encoded = go_json(value)
    assert json.loads(encoded) == value
    assert not set("<>&\u2028\u2029") & set(encoded.decode())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "a\udcff"])
def test_what_json_cannot_carry_is_refused(value):
    with pytest.raises(InvalidInput):
        go_json(value)


@pytest.mark.parametrize(
    "text",
    ["", "sha256", "sha256:", "sha256:xyz", "md5:" + "a" * 64, "sha256:" + "A" * 64, "sha256/" + "a" * 64],
)
def test_a_digest_that_is_none_is_refused(text):
    with pytest.raises(InvalidInput):
        Digest.parse(text)


def test_a_digest_reads_from_both_of_its_forms():
    digest = Digest.of(b"")
    assert Digest.parse(str(digest)) == Digest.parse(digest.blob_name) == digest


@given(st.binary(max_size=5000))
def test_a_stream_is_hashed_whole(content):
    counts = []
    assert hash_stream(io.BytesIO(content), advance=counts.append) == (Digest.of(content), len(content))
    assert sum(counts) == len(content)


@pytest.mark.parametrize(
    "parameters,label",
    [
        (134515008, "134.52M"),
        (7_615_616_512, "7.6B"),
        (1_000_000_000, "1B"),
        (2_000_000, "2M"),
        (23_456, "23K"),
        (512, "512"),
    ],
)
def test_sizes_are_labelled_as_ollama_labels_them(parameters, label):
    assert parameter_size_label(parameters) == label


def _manifest() -> Manifest:
    layer = Descriptor(media_type=MediaType.MODEL.value, digest=Digest.of(b"m"), size=1, from_="m.gguf")
    config = Descriptor(media_type=MediaType.CONFIG.value, digest=Digest.of(b"c"), size=1)
    return Manifest(config=config, layers=(layer,))


def test_a_manifest_reads_back_as_it_was_written():
    manifest = _manifest()
    assert Manifest.parse(manifest.to_bytes()) == manifest
    assert manifest.to_bytes().startswith(
        b'{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{'
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"layers": {}}',
        b'{"layers": [], "config": null}',
        b'{"layers": [], "config": {"mediaType": 1, "digest": "", "size": 0}}',
        b'{"layers": [], "config": {"mediaType": "x", "digest": "sha256:' + b"a" * 64 + b'", "size": -1}}',
        b"[" * 100_000,
    ],
)
def test_a_manifest_that_is_none_is_refused(content):
    with pytest.raises(InvalidInput):
        Manifest.parse(content)


@given(st.binary(max_size=200))
def test_a_manifest_is_parsed_or_refused(content):
    with contextlib.suppress(InvalidInput):
        Manifest.parse(content)


def test_a_manifest_says_what_runs_it_and_how_its_weights_are_written():
    manifest = replace(_manifest(), runner="llamacpp", format="gguf")
    assert manifest.to_bytes().endswith(b'],"runner":"llamacpp","format":"gguf"}\n')
    assert Manifest.parse(manifest.to_bytes()) == manifest
    assert b"runner" not in _manifest().to_bytes()


def test_a_list_of_manifests_reads_back_and_prefers_llama_cpp():
    entries = (
        ManifestEntry(digest=Digest.of(b"a"), runner="ggml", format="gguf"),
        ManifestEntry(digest=Digest.of(b"b")),
        ManifestEntry(digest=Digest.of(b"c"), runner="LlamaCpp", format="gguf"),
    )
    both = ManifestList(entries=entries)
    assert parse_manifest(both.to_bytes()) == both
    assert both.preferred == (entries[2], entries[0], entries[1])
    with pytest.raises(InvalidInput, match="list of manifests"):
        Manifest.parse(both.to_bytes())


LIST = b'{"mediaType": "application/vnd.ollama.manifest.list.v2+json", "manifests": %s}'
ENTRY = b'{"digest": "sha256:' + b"a" * 64 + b'"}'


@pytest.mark.parametrize(
    "entries",
    [
        b"null",
        b"[]",
        b"{}",
        b"[1]",
        b"[{}]",
        b'[{"digest": "sha256:12"}]',
        b'[{"digest": "sha256:../../etc/passwd"}]',
        ENTRY.replace(b"}", b', "runner": 5}').join((b"[", b"]")),
        ENTRY.replace(b"}", b', "mediaType": "application/vnd.ollama.manifest.list.v2+json"}').join(
            (b"[", b"]")
        ),
        b"[" + b",".join([ENTRY] * 101) + b"]",
    ],
)
def test_a_list_of_manifests_that_is_none_is_refused(entries):
    with pytest.raises(InvalidInput):
        parse_manifest(LIST % entries)


def test_a_list_of_manifests_may_say_nothing_of_its_entries():
    assert parse_manifest(LIST % (b"[" + ENTRY + b"]")) == ManifestList(
        entries=(ManifestEntry(digest=Digest("a" * 64)),)
    )
