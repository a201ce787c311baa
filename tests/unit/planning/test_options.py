"""Keywords of the verbs, and the options that they become."""

from dataclasses import fields

import pytest

from gguf2ollama import Parameter, inspect
from gguf2ollama.planning.options import (
    BuildKeywords,
    BuildOptions,
    ModelKeywords,
    ModelOptions,
    read_keywords,
)
from gguf2ollama.sources.model import SourceSelection


@pytest.mark.parametrize("keywords,options", [(ModelKeywords, ModelOptions), (BuildKeywords, BuildOptions)])
def test_every_option_is_a_keyword_and_what_is_left_chooses_the_model(keywords, options):
    selection = {field.name for field in fields(SourceSelection)}
    assert set(keywords.__annotations__) == selection | {field.name for field in fields(options)}


def test_keywords_become_a_selection_and_options():
    top_k = Parameter(name="top_k", value=3)
    selection, options = read_keywords(
        "build", BuildOptions, {"quant": "q8_0", "parameters": [top_k], "name": "mine"}
    )
    assert selection == SourceSelection(quant="q8_0")
    assert options == BuildOptions(name="mine", parameters=(top_k,))


@pytest.mark.parametrize(
    "keyword,message",
    [
        ("sytem", "unexpected keyword argument 'sytem'; did you mean 'system'?"),
        ("quants", "unexpected keyword argument 'quants'; did you mean 'quant'?"),
        ("zzz", "unexpected keyword argument 'zzz'"),
        ("name", "unexpected keyword argument 'name'"),  # of a build, not of an inspection
    ],
)
def test_unknown_keywords_are_errors_before_anything_is_read(keyword, message):
    with pytest.raises(TypeError) as caught:
        inspect("no-such-file.gguf", **{keyword: "x"})
    assert str(caught.value).startswith(f"inspect() got an {message}")
