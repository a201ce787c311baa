"""Which keys carry a chat template and its variants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio import GgufArray, PatchedView, Shard, chat_template_patch
from tests.builders import build_gguf

KEY = "tokenizer.chat_template"
NAMES = "tokenizer.chat_templates"
VARIANTS = {NAMES: ["tool_use", "rag"], f"{KEY}.tool_use": "tools", f"{KEY}.rag": "rag"}


def patched(folder: Path, metadata: dict[str, Any], wanted: str | None, **options: Any) -> dict[str, Any]:
    """Return what the header holds of chat templates after a change."""
    shard = Shard.open(build_gguf(folder / "m.gguf", metadata=metadata))
    header = PatchedView(shard, chat_template_patch(shard.gguf, wanted, **options)).header()
    return {
        key: list(value) if isinstance(value, GgufArray) else value
        for key, value in header.metadata.items()
        if key.startswith(KEY)
    }


def test_a_template_is_changed_added_or_removed(tmp_path: Path) -> None:
    assert patched(tmp_path, {KEY: "old"}, "new") == {KEY: "new"}
    assert patched(tmp_path, {}, "new") == {KEY: "new"}
    assert patched(tmp_path, {KEY: "old"}, None) == {}


def test_a_new_template_takes_the_place_of_all_variants(tmp_path: Path) -> None:
    assert patched(tmp_path, {KEY: "old"} | VARIANTS, "new") == {KEY: "new"}
    assert patched(tmp_path, {KEY: "old"} | VARIANTS, None) == {}


def test_variants_may_be_kept(tmp_path: Path) -> None:
    found = patched(tmp_path, {KEY: "old"} | VARIANTS, "new", keep_variants=True)
    assert found == {KEY: "new"} | VARIANTS


def test_a_variant_is_changed_added_or_removed_and_listed(tmp_path: Path) -> None:
    old = {KEY: "old"} | VARIANTS
    assert patched(tmp_path, old, "new", variant="rag") == old | {f"{KEY}.rag": "new"}
    assert patched(tmp_path, old, "new", variant="more") == old | {
        NAMES: ["tool_use", "rag", "more"],
        f"{KEY}.more": "new",
    }
    assert patched(tmp_path, old, None, variant="rag") == {
        KEY: "old",
        NAMES: ["tool_use"],
        f"{KEY}.tool_use": "tools",
    }
    assert patched(tmp_path, {KEY: "old"}, "new", variant="rag") == {
        KEY: "old",
        NAMES: ["rag"],
        f"{KEY}.rag": "new",
    }
    assert patched(tmp_path, {NAMES: ["rag"], f"{KEY}.rag": "rag"}, None, variant="rag") == {}


@pytest.mark.parametrize("told", [None, 7, "tool_use", [1, 2]])
def test_a_list_of_variants_that_is_none_is_made_again(tmp_path: Path, told: object) -> None:
    old = {f"{KEY}.tool_use": "tools", NAMES: told}
    found = patched(tmp_path, old, "new", variant="rag")
    assert found[NAMES] == ["tool_use", "rag"]


@pytest.mark.parametrize("wanted", ["same", None])
def test_what_is_so_already_needs_no_patch(tmp_path: Path, wanted: str | None) -> None:
    shard = Shard.open(build_gguf(tmp_path / "m.gguf", metadata={KEY: wanted}))
    assert not chat_template_patch(shard.gguf, wanted)
    assert not chat_template_patch(shard.gguf, None, variant="rag")
    assert chat_template_patch(shard.gguf, "other")


def test_a_template_that_exists_as_another_type_is_replaced(tmp_path: Path) -> None:
    assert patched(tmp_path, {KEY: ["same"]}, "same") == {KEY: "same"}


@pytest.mark.parametrize("variant", ["", "default", "a b", "a.b", "é", "x" * 65, "tokenizer\x00"])
def test_a_name_that_no_variant_has_is_refused(tmp_path: Path, variant: str) -> None:
    with pytest.raises(UsageProblem, match="invalid variant name"):
        patched(tmp_path, {}, "new", variant=variant)


def test_a_text_that_llama_cpp_would_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="NUL"):
        patched(tmp_path, {}, "a\x00b")
