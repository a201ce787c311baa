"""A model whose answers need a built-in parser gets one with its TEMPLATE, whichever way it takes."""

from __future__ import annotations

import dataclasses
import json

import pytest

from gguf2ollama import build, inspect, modelfile
from gguf2ollama.api.inspect import inspect_for as api_inspect_for
from gguf2ollama.cli.render.plan import describe, inspection_json
from gguf2ollama.errors import VerificationFailed
from gguf2ollama.modelfiles import Weights, lint, parse_modelfile
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import Client, ServerVersion
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.planning.layers import lay_out_image
from gguf2ollama.planning.options import ModelOptions
from gguf2ollama.planning.target import target_of
from gguf2ollama.sources.model import SourceSelection
from tests.builders import tiny_llama
from tests.calling_templates import JSON_CALLS, UNREADABLE, XML_CALLS
from tests.fakes.ollama_server import FakeOllama


@pytest.fixture(autouse=True)
def _no_digests_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "none"))


# by this text llama.cpp knows a template for which it trims all contents, so that a TEMPLATE does better
TRIMMED = "{# You have access to the following functions in JSONSchema format #}" + XML_CALLS


@pytest.fixture
def calling(tmp_path):
    return tiny_llama(tmp_path / "calling.gguf", chat_template=TRIMMED)


def inspect_for(path, target):
    return api_inspect_for(path, selection=SourceSelection(), options=ModelOptions(), target=target)


def target(version, *, create_replaces_template=False):
    return target_of(ServerVersion.parse(version), create_replaces_template=create_replaces_template)


def test_inspect_shows_the_parser_and_why(calling):
    found = inspect_for(calling, target("0.34.4"))
    assert found.selection is not None
    chosen = found.selection.choice.chosen
    assert (chosen.origin, chosen.parser.name) == ("synthesised", "qwen3.5")
    assert (chosen.misses_calls, chosen.different("plain", "thinking")) == (False, 0)
    assert {"tools", "thinking"} <= set(found.recipe.capabilities)
    description = describe(found)
    assert "PARSER" in description
    assert "synthesised, qwen3.5" in description
    assert inspection_json(found)["recipe"]["parser"]["value"] == "qwen3.5"
    assert inspection_json(found)["recipe"]["requires"] == "0.32.15"


@pytest.mark.parametrize("text", [JSON_CALLS, UNREADABLE])
def test_others_get_none(tmp_path, text):
    found = inspect_for(tiny_llama(tmp_path / "other.gguf", chat_template=text), target("0.34.4"))
    assert found.recipe.parser.value is None
    assert "PARSER" not in describe(found)


@pytest.mark.parametrize("version", ["0.30.0", "0.32.14", "0.24.0"])
def test_an_ollama_without_the_parser_never_gets_it(calling, version):
    found = inspect_for(calling, target(version))
    assert found.recipe.parser.value is None
    assert found.selection is not None
    assert all(
        candidate.parser is None
        for candidate in (found.selection.choice.chosen, *found.selection.choice.others)
    )


def test_a_renderer_that_create_would_put_before_the_template_is_avoided(tmp_path):
    path = tiny_llama(
        tmp_path / "given.gguf",
        chat_template=TRIMMED,
        metadata={"general.architecture": "nemotron_h", "nemotron_h.context_length": 2048},
    )
    assert inspect_for(path, target("0.34.4", create_replaces_template=True)).recipe.parser.value is None
    assert inspect_for(path, target("0.34.4")).recipe.parser.value == "qwen3.5"


def test_the_modelfile_says_so_and_the_linter_takes_it(calling):
    text = modelfile(calling)
    parsed = parse_modelfile(text)
    assert (parsed.parser, parsed.requires) == ("qwen3.5", "0.32.15")
    assert "# it parses tool calls and reasoning" in text
    findings = lint(parsed, weights=Weights(chat_template=TRIMMED))
    assert not [finding for finding in findings if finding.level == "error"]


def test_a_store_holds_it_in_the_config(calling, tmp_path):
    build(calling, name="mine", store=tmp_path / "store", for_ollama="0.34.4")
    store = LocalStore(tmp_path / "store")
    manifest = store.read_manifest(ModelName.parse("mine"))
    config = json.loads(store.blob_path(manifest.config.digest).read_bytes())
    assert (config["parser"], config["requires"]) == ("qwen3.5", "0.32.15")
    assert "renderer" not in config


def test_shards_require_more(shards):
    found = inspect(shards[0])
    wanted = dataclasses.replace(found.recipe.modelfile, parser="qwen3.5", requires="0.32.15")
    recipe = dataclasses.replace(found.recipe, modelfile=wanted)
    for takes_shards, requires in ((True, "0.35.0"), (False, "0.32.15")):
        image = lay_out_image(found.files, recipe=recipe, takes_shards=takes_shards)
        assert json.loads(image.config.content)["requires"] == requires


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_a_server_gets_the_parser_and_is_read_back(calling, via):
    with FakeOllama() as server, Client(server.url) as client:
        built = build(calling, name="mine", host=server.url, via=via)
        assert built.differences == ()
        info = client.show("mine")
        assert (info.parser, info.renderer, info.requires) == ("qwen3.5", "", "0.32.15")
        assert info.template == built.plan.inspection.recipe.template.value


def test_a_server_that_leaves_the_parser_out_made_something_else(calling, monkeypatch):
    create = Client.create
    monkeypatch.setattr(
        Client, "create", lambda self, name, **wanted: create(self, name, **{**wanted, "parser": None})
    )
    with (
        FakeOllama() as server,
        pytest.raises(VerificationFailed, match=r"its parser is missing, expected qwen3\.5"),
    ):
        build(calling, name="mine", host=server.url, via="upload")
