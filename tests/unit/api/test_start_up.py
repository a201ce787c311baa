"""What a build without verification need not load."""

import subprocess
import sys

import pytest

from tests.builders import tiny_llama

_PROGRAM = """
import sys
from gguf2ollama.api.build import build
build(sys.argv[1], store=sys.argv[2], verify=sys.argv[3] == "verify")
print(*sys.modules)
"""

# for templates in Go's language and for learning them, which most chat templates are taken without
NEEDED_BY_FEW = {
    "gguf2ollama.gotmpl.nodes",
    "gguf2ollama.gotmpl.parse",
    "gguf2ollama.gotmpl.exec",
    "gguf2ollama.ollama_template.execute",
    "gguf2ollama.ollama_template.introspect",
    "gguf2ollama.chat.synthesis.synthesis",
    "gguf2ollama.chat.answers.ollama_parsers",
}


def loaded_by(path, how):
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, path, path.with_name(how), how],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.fixture(autouse=True)
def _nothing_cached(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def in_rooms(loaded, *rooms):
    return sorted(name for name in loaded if name.startswith(tuple(f"gguf2ollama.{room}." for room in rooms)))


@pytest.mark.slow
def test_only_a_build_that_verifies_loads_what_renders_chats(tmp_path):
    path = tiny_llama(tmp_path / "tiny.gguf")
    assert {
        "gguf2ollama.chat.choice.selection",
        "gguf2ollama.chat.llamacpp.jinja_engine.interpreter",
    } <= loaded_by(path, "verify")
    assert "gguf2ollama.chat.choice.selection" not in loaded_by(path, "verify")  # what was chosen is known
    loaded = loaded_by(path, "not")
    assert in_rooms(loaded, "chat") == []
    assert "httpcore2" not in loaded


@pytest.mark.slow
@pytest.mark.parametrize("how", ["verify", "not"])
def test_no_build_of_a_model_whose_chat_template_serves_loads_what_learns_and_runs_go_templates(
    tmp_path, how
):
    loaded = loaded_by(tiny_llama(tmp_path / "tiny.gguf"), how)
    assert not NEEDED_BY_FEW & loaded
