"""Every command and every program in the documents runs, or a comment before it says why it does not.

Sites and the server are fakes on sockets, with stand-ins of the repositories that the documents name.
"""

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gguf2ollama import open_gguf, split
from gguf2ollama.cli import run
from tests.builders import CHATML_TEMPLATE, build_gguf, tiny_llama
from tests.fakes.hub_server import FakeHub
from tests.fakes.modelscope_server import FakeModelScope
from tests.fakes.ollama_server import FakeOllama

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*sorted(CHECKOUT.glob("README*.md")), *sorted((CHECKOUT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"(<!-- not run: [^>]+ -->\n)?```(\w+)\n(.*?)```", re.DOTALL)


def blocks(document, language):
    """Return the blocks of a document that are to be run, and how many are not."""
    found = [
        (mark, body)
        for mark, name, body in _BLOCK.findall(document.read_text(encoding="utf-8"))
        if name == language
    ]
    return [body for mark, body in found if not mark]


def documents_with(language):
    return [
        pytest.param(path, id=str(path.relative_to(CHECKOUT))) for path in DOCUMENTS if blocks(path, language)
    ]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A directory with a model, a server, and sites with the repositories that documents name."""
    folder = tmp_path / "work"
    folder.mkdir()
    tiny_llama(folder / "model.gguf")
    (folder / "chat_template.jinja").write_text(CHATML_TEMPLATE, encoding="utf-8")
    (folder / "Modelfile").write_text("FROM ./model.gguf\nPARAMETER temperature 0.5\n", encoding="utf-8")
    content = (folder / "model.gguf").read_bytes()
    library = tmp_path / ".lmstudio/models/owner/repo"
    library.mkdir(parents=True)
    (library / "other-Q4_K_M.gguf").write_bytes(content)
    (tmp_path / ".cache/huggingface/hub").mkdir(parents=True)
    half = -(-len(open_gguf(folder / "model.gguf").tensors) // 2)
    shards = split(folder / "model.gguf", tmp_path / "qwen2.5-7b-instruct-q4_k_m", max_tensors=half)
    qwen = {path.name: path.read_bytes() for path in shards} | {"qwen2.5-7b-instruct-q8_0.gguf": content}
    projector = build_gguf(tmp_path / "mmproj", metadata={"general.type": "mmproj"}, architecture="clip")
    gemma = {"gemma-3-4b-it-Q4_K_M.gguf": content, "mmproj-model-f16.gguf": projector.read_bytes()}
    with FakeHub() as hub, FakeModelScope() as modelscope, FakeOllama(version="0.34.4") as server:
        hub.add("Qwen/Qwen2.5-7B-Instruct-GGUF", qwen)
        hub.add("google/gemma-3-4b-it-GGUF", gemma)
        modelscope.add("Qwen/Qwen2.5-7B-Instruct-GGUF", qwen)
        settings = {
            "HF_ENDPOINT": hub.url,
            "MODELSCOPE_ENDPOINT": modelscope.url,
            "OLLAMA_HOST": server.url,
            "HF_HOME": str(tmp_path / ".cache/huggingface"),
            "MODELSCOPE_CACHE": str(tmp_path / "modelscope"),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "HF_TOKEN_PATH": os.devnull,
            "HOME": str(tmp_path),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
        yield folder


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("document", documents_with("console"))
def test_the_commands_of_a_document_run(document):
    for block in blocks(document, "console"):
        commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
        assert commands, f"nothing is run in {block!r}"
        for command in commands:
            assert command.startswith("gguf2ollama "), f"say why this is not run: {command}"
            if re.search(r"[|>*$~]", command):
                code = subprocess.run(["bash", "-c", command], check=False).returncode
            else:  # a process for each would take three times as long
                code = run(tuple(shlex.split(command, comments=True)[1:]))
            assert code == 0, command


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("document", documents_with("python"))
def test_the_programs_of_a_document_run(document):
    for program in blocks(document, "python"):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{program}\n{done.stdout}{done.stderr}"
