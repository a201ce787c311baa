from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gguf2ollama.api.modelfile_source import expand_modelfile
from gguf2ollama.errors import InvalidModelfile, NotFound, UsageProblem
from gguf2ollama.ggufio import split
from gguf2ollama.modelfiles import Message, Parameter
from tests.builders import build_gguf, tiny_llama


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_llama(tmp_path / "model.gguf")
    return tmp_path


def expanded(folder: Path, text: str, **keywords: object) -> tuple[str, dict[str, Any]]:
    path = folder / "Modelfile"
    path.write_text(text)
    source, found = expand_modelfile(path, keywords)
    return str(source).removeprefix(f"{folder}/"), dict(found)


def test_instructions_are_options(folder: Path) -> None:
    source, found = expanded(
        folder,
        'FROM ./model.gguf\nSYSTEM Be brief.\nTEMPLATE """{{ .Prompt }}"""\nLICENSE MIT\nMESSAGE user Hi\n'
        "PARAMETER top_k 3\nPARAMETER stop a\nPARAMETER stop b\nPARAMETER mirostat 1\n",
    )
    assert source == "model.gguf"
    assert found == {
        "system": "Be brief.",
        "template": "{{ .Prompt }}",
        "licenses": ("MIT",),
        "messages": (Message(role="user", content="Hi"),),
        "parameters": (
            Parameter(name="top_k", value=3),
            Parameter(name="stop", value="a"),
            Parameter(name="stop", value="b"),
        ),
    }


def test_keywords_precede_the_modelfile(folder: Path) -> None:
    _, found = expanded(
        folder,
        "FROM ./model.gguf\nSYSTEM Be brief.\nTEMPLATE x\nPARAMETER top_k 3\nPARAMETER stop a\n",
        system="",
        template=None,
        parameters=(Parameter(name="stop", value="c"),),
        name="mine",
    )
    assert (found["system"], found["template"], found["name"]) == ("", "x", "mine")
    assert found["parameters"] == (Parameter(name="top_k", value=3), Parameter(name="stop", value="c"))


def test_what_keywords_replace_is_said(folder: Path) -> None:
    said: list[str] = []
    path = folder / "Modelfile"
    path.write_text(
        "FROM ./model.gguf\nSYSTEM Be brief.\nPARAMETER num_ctx 512\nPARAMETER stop a\nPARAMETER stop b\n"
        "PARAMETER top_k 3\nMESSAGE user Hi\n"
    )
    _, found = expand_modelfile(
        path,
        {"system": "", "context": 1024, "messages": (), "parameters": (Parameter(name="stop", value="c"),)},
        notify=said.append,
    )
    assert said == [
        f"--system replaces SYSTEM of {path}",
        f"--ctx replaces PARAMETER num_ctx of {path}",
        f"--param stop replaces PARAMETER stop of {path}",
    ]
    assert found["parameters"] == (Parameter(name="top_k", value=3), Parameter(name="stop", value="c"))


def test_a_chat_template_replaces_a_template(folder: Path) -> None:
    said: list[str] = []
    path = folder / "Modelfile"
    path.write_text("FROM ./model.gguf\nTEMPLATE {{ .Prompt }}\n")
    _, found = expand_modelfile(path, {"chat_template": "{{ messages }}"}, notify=said.append)
    assert "template" not in found
    assert said == [f"--chat-template replaces TEMPLATE of {path}"]


def test_an_adapter_is_refused_with_its_base_and_the_command_that_merges_it(folder: Path) -> None:
    build_gguf(
        folder / "lora.gguf",
        metadata={"general.type": "adapter", "general.base_model.0.name": "Smol Base"},
    )
    with pytest.raises(
        UsageProblem, match=r"line 2: ADAPTER: .*lora\.gguf is a LoRA adapter for Smol Base"
    ) as e:
        expanded(folder, "FROM ./model.gguf\nADAPTER ./lora.gguf\n")
    assert "llama-export-lora -m BASE.gguf --lora" in str(e.value.hint)


@pytest.mark.parametrize("content", [b"GGUF\x03\x00\x00\x00", b"\x00" * 100, b"<html>"])
@pytest.mark.parametrize("name", ["x", "x.gguf"])
def test_other_files_are_left_as_they_are(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert expand_modelfile(path, {"system": "a"}) == (path, {"system": "a"})


@pytest.mark.parametrize(
    "source", ["owner/repo", "owner/repo:Q4_K_M", "https://x.org/y", "\0", "~nobody-x/y"]
)
def test_other_sources_are_left_as_they_are(source: str) -> None:
    assert expand_modelfile(source, {}) == (source, {})


@pytest.mark.parametrize("name", ["hf.co/owner/repo:Q4_K_M", "https://example.org/m.gguf"])
def test_a_repository_or_a_url_in_from_is_a_source(folder: Path, name: str) -> None:
    assert expanded(folder, f"FROM {name}\n")[0] == name


def test_a_folder_in_from_is_a_source(folder: Path) -> None:
    assert expanded(folder, "FROM .\n")[0] in {str(folder), "."}


def test_draft_is_an_option(folder: Path) -> None:
    tiny_llama(folder / "small.gguf")
    text = "FROM ./model.gguf\nDRAFT ./small.gguf\n"
    assert expanded(folder, text)[1]["draft"] == folder / "small.gguf"
    assert expanded(folder, text, draft="other.gguf")[1]["draft"] == "other.gguf"


def test_a_model_of_the_server_in_from_is_a_source(folder: Path) -> None:
    source, found = expanded(folder, "FROM llama3.2:1b\nSYSTEM Be brief.\n")
    assert (source, found["system"]) == ("ollama:llama3.2:1b", "Be brief.")


def test_shards_and_a_projector_are_one_model(folder: Path) -> None:
    split(folder / "model.gguf", folder / "part", max_tensors=12)
    tiny_llama(folder / "mmproj.gguf", metadata={"general.type": "mmproj"})
    source, found = expanded(folder, "FROM ./part-*.gguf\nFROM ./mmproj.gguf\n")
    assert source.startswith("part-00001-of-")
    assert found["projectors"] == (folder / "mmproj.gguf",)


@pytest.mark.parametrize(
    "text, error, words",
    [
        ("FROM ./none.gguf\n", NotFound, "no such file"),
        ("FROM none.gguf\n", NotFound, "no such file"),
        ("FROM llama3.2\nFROM ./model.gguf\n", UsageProblem, "model llama3.2 of the server and other files"),
        ("FROM ./model.gguf\nFROM ./other.gguf\n", UsageProblem, "names 2 models"),
        ("FROM ./model.gguf\nDRAFT ./none.gguf\n", NotFound, "DRAFT ./none.gguf in .*: no such file"),
        ("FROM ./model.gguf\nDRAFT ./*.gguf\n", UsageProblem, "DRAFT in .* names 2 files"),
        ("FROM ./text.txt\n", UsageProblem, r"text\.txt, which is not a GGUF"),
        ("FROM ./inner\n", UsageProblem, "inner, which is a Modelfile itself"),
        ("FROM ./model.gguf\nADAPTER ./none\n", UsageProblem, "line 2: ADAPTER is not supported"),
        ("FROM ./model.gguf\nPARSER qwen3\n", UsageProblem, "line 2: PARSER is not supported"),
        ("FROM ./model.gguf\nPARAMETER temprature 1\n", InvalidModelfile, "temprature"),
        ("FROM ./model.gguf\nNONSENSE x\n", InvalidModelfile, "line 2"),
        ("SYSTEM x\n", InvalidModelfile, "no FROM"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    folder: Path, text: str, error: type[Exception], words: str
) -> None:
    tiny_llama(folder / "other.gguf")
    (folder / "text.txt").write_text("NONSENSE x")
    (folder / "inner").write_text("FROM llama3.2\n")
    with pytest.raises(error, match=words):
        expanded(folder, text)


def test_a_file_that_is_not_called_a_modelfile_is_not_complained_of(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("NONSENSE x\n")
    assert expand_modelfile(path, {}) == (path, {})
