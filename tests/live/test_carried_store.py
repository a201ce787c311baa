"""A model directory that was written without a server is joined to that of another machine."""

import shutil

import pytest

from gguf2ollama import build
from gguf2ollama.ollama import Client
from tests.builders import tiny_llama
from tests.live import parts
from tests.live.conftest import missing
from tests.live.servers import find_program, running_ollama

pytestmark = pytest.mark.live


@pytest.mark.parametrize("part", parts.OLLAMAS, ids=lambda part: part.version)
def test_two_directories_become_one_and_both_models_chat(tmp_path, monkeypatch, part):
    monkeypatch.setenv("GGUF2OLLAMA_PARTS", str(parts.cache_dir()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program = find_program(part)
    if program is None:
        missing(f"Ollama {part.version}")
    home = tmp_path / "home"
    home.mkdir()
    for number, (name, store) in enumerate((("theirs", home / "models"), ("carried", tmp_path / "usb"))):
        gguf = tiny_llama(tmp_path / f"{name}.gguf", seed=number)
        build(gguf, name=name, store=store, for_ollama=part.version)
    with running_ollama(part, program, home) as server, Client(server.url) as client:
        assert [model.name for model in client.list()] == ["theirs:latest"]
        shutil.copytree(tmp_path / "usb", server.store, dirs_exist_ok=True)
        assert {model.name for model in client.list()} == {"theirs:latest", "carried:latest"}
        for name in ("theirs", "carried"):
            assert list(client.chat(name, [{"role": "user", "content": "Hi"}], options={"num_predict": 2}))
