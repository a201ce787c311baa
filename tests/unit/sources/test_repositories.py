"""The file lists of 80 real repositories, as they stood on Hugging Face in November 2026.

``repositories.json`` holds names and bytes (0 where they are not known), and what is expected: ``models``
(the first file of each, and its label), ``counts`` (of files, where there are several), ``companions``, the
``default``, and ``needs_header`` (whose header decides). A ``note`` says why where one could think otherwise.
"""

import json
from pathlib import Path

import pytest

from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.sources.catalogue.gguf_files import Kind, RepositoryFile
from gguf2ollama.sources.catalogue.selection import Catalogue

LISTS = json.loads(Path(__file__).with_name("repositories.json").read_text(encoding="utf-8"))


def catalogue(entry):
    files = [RepositoryFile(path=path, size=size) for path, size in entry["files"].items()]
    return Catalogue.of(files, repository=entry["repository"])


@pytest.mark.parametrize("entry", LISTS, ids=lambda entry: entry["repository"])
class TestRepository:
    def test_models_and_their_labels(self, entry):
        models = catalogue(entry).models

        assert {model.files[0].path: model.quant for model in models} == entry["models"]
        assert {
            model.files[0].path: len(model.files) for model in models if len(model.files) > 1
        } == entry.get("counts", {})

    def test_companions_are_not_models(self, entry):
        others = [variant for variant in catalogue(entry).variants if variant.kind is not Kind.MODEL]

        assert {other.files[0].path: other.kind.name.lower() for other in others} == entry["companions"]

    def test_headers_are_read_where_names_leave_it_open(self, entry):
        found = {variant.files[0].path for variant in catalogue(entry).variants if variant.needs_header}

        assert sorted(found) == entry.get("needs_header", [])

    def test_the_default_model(self, entry):
        if entry["default"] is None:
            with pytest.raises(Gguf2OllamaError):
                catalogue(entry).choose(place=lambda _: "ram")
        else:
            choice = catalogue(entry).choose(place=lambda _: "ram")
            assert choice.variant.files[0].path == entry["default"]

    def test_the_path_of_a_model_names_it(self, entry):
        found = catalogue(entry)
        whole = [model for model in found.models if not model.missing]

        for model in whole:
            assert found.choose(file=model.files[0].path, place=lambda _: None).variant == model

    def test_a_label_that_is_unique_names_its_model(self, entry):
        found = catalogue(entry)
        labels = [model.quant for model in found.models]

        for model in found.models:
            if model.quant and labels.count(model.quant) == 1 and not model.missing:
                assert found.choose(quant=model.quant.lower(), place=lambda _: None).variant == model
