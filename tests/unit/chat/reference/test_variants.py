"""The templates that a GGUF carries, and which of them is taken."""

import pytest

from gguf2ollama.chat.reference import chat_templates, choose_variant
from gguf2ollama.ggufio import open_gguf
from tests.builders import build_gguf


def test_the_templates_of_a_file_are_given_by_name(tmp_path):
    path = build_gguf(
        tmp_path / "x.gguf",
        metadata={
            "tokenizer.chat_template.tool_use": "with tools",
            "tokenizer.chat_template.rag": "with documents",
            "tokenizer.chat_template.empty": " ",
            "tokenizer.chat_templates": ["tool_use", "rag"],
            "tokenizer.chat_template": "plain",
        },
    )
    with open_gguf(path) as gguf:
        found = chat_templates(gguf.metadata)
    assert list(found.items()) == [
        ("default", "plain"),
        ("tool_use", "with tools"),
        ("rag", "with documents"),
    ]


@pytest.mark.parametrize(
    "metadata, found",
    [
        ({}, {}),
        ({"tokenizer.chat_template": ""}, {}),
        ({"tokenizer.chat_template": 3, "tokenizer.chat_template.": "x"}, {}),
        ({"tokenizer.chat_template.default": "x"}, {"default": "x"}),
        ({"tokenizer.chat_template": "y", "tokenizer.chat_template.default": "x"}, {"default": "y"}),
    ],
)
def test_what_is_no_template_is_left_out(metadata, found):
    assert chat_templates(metadata) == found


@pytest.mark.parametrize(
    "names, plain, with_tools",
    [
        ([], None, None),
        (["default"], "default", "default"),
        (["default", "tool_use"], "default", "tool_use"),
        (["default", "rag"], "default", "default"),
        (["rag"], "rag", "rag"),
        (["rag", "tool_use"], None, "tool_use"),
    ],
)
def test_the_variant_is_the_one_that_transformers_takes(names, plain, with_tools):
    templates = dict.fromkeys(names, "x")
    assert choose_variant(templates, has_tools=False) == plain
    assert choose_variant(templates, has_tools=True) == with_tools
