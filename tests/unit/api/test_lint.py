from __future__ import annotations

from pathlib import Path

import pytest

from gguf2ollama.api.lint import lint_modelfile
from gguf2ollama.ggufio import split
from tests.builders import CHATML_TEMPLATE, tiny_llama

# llama.cpp moves a system text into the first question unless the template looks at it, as here
ALONE = (
    "{% for m in messages %}{% set text = m.content | trim %}"
    "{% if m.role != 'system' %}{{ text }}{% endif %}{% endfor %}"
)
TOOLS = (
    "{% for t in tools %}{{ t | tojson }}{% endfor %}{% for m in messages %}{{ m.content }}"
    "{% if m.tool_calls %}<tool_response>{% endif %}{% endfor %}"
)
EACH = "{{ range .Messages }}{{ .Content }}{{ end }}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_llama(tmp_path / "model.gguf", metadata={"tokenizer.ggml.add_bos_token": True})
    return tmp_path


def found(text: str | bytes, folder: Path) -> list[tuple[str, str, int | None]]:
    data = text if isinstance(text, bytes) else text.encode()
    findings = lint_modelfile(data, folder=folder)
    return [(finding.level, finding.code, finding.line) for finding in findings]


def test_a_good_modelfile_has_no_findings(folder: Path) -> None:
    text = "# mine\nFROM ./model.gguf\nSYSTEM Be brief.\nPARAMETER stop <|im_end|>\nMESSAGE user Hi\n"
    assert found(text, folder) == []


@pytest.mark.parametrize(
    "text, finding",
    [
        ("SYSTEM x\n", ("error", "missing-from", None)),
        ("FROM ./modle.gguf\n", ("error", "missing-file", 1)),
        ("FROM modle.gguf\n", ("warning", "missing-file", 1)),
        ("FROM /nowhere/model.gguf\n", ("error", "missing-file", 1)),
        ("FROM ./model.gguf # mine\n", ("error", "trailing-comment", 1)),
        ("FROM './model.gguf'\n", ("error", "kept-quotes", 1)),
        ("FROM ./empty\n", ("error", "empty-folder", 1)),
        ("FROM ./model.gguf\nDRAFT ./small.gguf\n", ("error", "missing-file", 2)),
        ("FROM ./model.gguf\nNONSENSE x\n", ("error", "syntax", 2)),
        ("FROM ./model.gguf\nPARAMETER system x\n", ("warning", "syntax", 2)),
        ("FROM ./model.gguf\nFROM llama3.2\n", ("warning", "repeated-instruction", 1)),
        ("FROM ./model.gguf\nPARAMETER num_ctx 1000000\n", ("warning", "context-beyond-training", 2)),
        (
            'FROM ./model.gguf\nSYSTEM """a""" b\nPARAMETER stop """x"""\n',
            ("warning", "swallowed-instruction", 3),
        ),
    ],
)
def test_what_an_instruction_names_is_looked_for(
    folder: Path, text: str, finding: tuple[str, str, int | None]
) -> None:
    (folder / "empty").mkdir()
    assert finding in found(text, folder)


def test_a_mistyped_file_is_guessed(folder: Path) -> None:
    (finding,) = lint_modelfile(b"FROM ./modle.gguf\n", folder=folder)
    assert finding.hint == "did you mean ./model.gguf?"


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"GGUF\x03\x00"])
def test_a_file_that_is_not_a_whole_gguf_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.gguf").write_bytes(content)
    assert found("FROM ./x.gguf\n", tmp_path) == [("error", "invalid-gguf", 1)]


def test_shards_that_are_not_named_are_missed(folder: Path) -> None:
    split(folder / "model.gguf", folder / "part", max_tensors=12)
    assert found("FROM ./part-00001-of-00002.gguf\n", folder) == [("error", "missing-shards", 1)]
    assert found("FROM ./part-*.gguf\n", folder) == []
    assert found("FROM ./part-00001-of-00002.gguf\nFROM ./part-00002-of-00002.gguf\n", folder) == []


@pytest.mark.parametrize("kind, finding", [("adapter", "adapter"), ("mmproj", "missing-weights")])
def test_a_file_that_is_not_a_model_is_found(tmp_path: Path, kind: str, finding: str) -> None:
    tiny_llama(tmp_path / "x.gguf", metadata={"general.type": kind})
    assert [code for _, code, _ in found("FROM ./x.gguf\n", tmp_path)] == [finding]


def test_a_bos_that_the_tokenizer_adds_too_is_found_where_it_stands(folder: Path) -> None:
    text = f'FROM ./model.gguf\nTEMPLATE """\n<|im_start|>{EACH}"""\n'
    assert found(text, folder) == [("warning", "doubled-bos", 3)]
    tiny_llama(folder / "model.gguf", metadata={"tokenizer.ggml.add_bos_token": False})
    assert found(text, folder) == []


def test_a_system_prompt_that_the_chat_template_drops_is_found(tmp_path: Path) -> None:
    tiny_llama(tmp_path / "x.gguf", chat_template=ALONE)
    assert found("FROM ./x.gguf\nSYSTEM Be brief.\n", tmp_path) == [("warning", "unprinted-system", 2)]
    assert found(f"FROM ./x.gguf\nSYSTEM Be brief.\nTEMPLATE {EACH}\n", tmp_path) == []
    tiny_llama(
        tmp_path / "x.gguf",
        chat_template=ALONE.replace("text }}", "m.content }}").replace("m.content | trim", "1"),
    )
    assert found("FROM ./x.gguf\nSYSTEM Be brief.\n", tmp_path) == []


def test_a_template_that_the_chat_template_replaces_is_found(tmp_path: Path) -> None:
    tiny_llama(tmp_path / "x.gguf", chat_template=TOOLS)
    assert found(f"FROM ./x.gguf\nTEMPLATE {EACH}\n", tmp_path) == [("warning", "replaced-template", 2)]
    assert found("FROM ./x.gguf\nRENDERER qwen3.5\nTEMPLATE x\n", tmp_path) == [
        ("warning", "replaced-template", 3)
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_names_the_encoding(folder: Path, encoding: str) -> None:
    assert found("FROM ./model.gguf\nSYSTEM é\n".encode(encoding), folder) == []


def test_bytes_that_ollama_replaces_are_found(folder: Path) -> None:
    assert found(b"FROM ./model.gguf\n\nSYSTEM \xff\n", folder) == [("warning", "invalid-encoding", 3)]
    assert found("FROM ./model.gguf\nSYSTEM \ufffd\n", folder) == []


def test_values_in_go_notation_are_found_with_what_to_write(folder: Path) -> None:
    text = f'FROM x\nTEMPLATE """{{{{ range .Tools }}}}\n{{{{ .Function }}}}{{{{ end }}}}{EACH}"""\n'
    (finding,) = lint_modelfile(text.encode(), folder=folder)
    assert (finding.code, finding.line) == ("go-value", 3)
    assert finding.hint == "write {{ json .Function }}"
    assert "{qztool Temperature" in finding.message


def test_a_path_that_no_system_allows_is_missing(folder: Path) -> None:
    assert found(f"FROM ./{'x' * 5000}.gguf\n", folder) == [("error", "missing-file", 1)]
    assert found("FROM ~nobody-of-that-name/x.gguf\n", folder) == [("error", "missing-file", 1)]


def test_a_chatml_template_has_no_findings(folder: Path) -> None:
    assert "<|im_start|>" in CHATML_TEMPLATE
    text = "FROM ./model.gguf\nSYSTEM x\nPARAMETER stop <|im_start|>\nPARAMETER stop User:\n"
    assert found(text, folder) == []


def test_a_context_is_judged_with_the_system_prompt_and_the_memory_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gguf2ollama.memory.hardware._linux_ram", lambda: (64 << 20, None))
    tiny_llama(tmp_path / "model.gguf", metadata={"llama.context_length": 1 << 20})
    for text, finding in (
        (f"PARAMETER num_ctx 1024\nSYSTEM {'x' * 4000}\n", ("warning", "context-too-small", 2)),
        ("PARAMETER num_ctx 8\nPARAMETER num_ctx 1048576\n", ("warning", "context-beyond-memory", 3)),
    ):
        assert finding in found(f"FROM ./model.gguf\n{text}", tmp_path)
    assert found("FROM ./model.gguf\nPARAMETER num_ctx 2048\nSYSTEM Be brief.\n", tmp_path) == []


def test_a_context_without_a_file_is_judged_with_the_system_prompt_alone(tmp_path: Path) -> None:
    assert found("FROM llama3.2\nPARAMETER num_ctx 99999999\n", tmp_path) == []
    assert found("FROM llama3.2\nPARAMETER num_ctx 64\n", tmp_path) == [("warning", "context-too-small", 2)]
