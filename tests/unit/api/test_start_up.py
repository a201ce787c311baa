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


def loaded_by(path, how):
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, path, path.with_name(how), how],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.slow
def test_only_a_build_that_verifies_loads_what_renders_and_learns(tmp_path):
    path = tiny_llama(tmp_path / "tiny.gguf")
    rooms = {"gguf2ollama.chat.selection", "gguf2ollama.chat.llamacpp", "gguf2ollama.gotmpl"}
    assert rooms <= loaded_by(path, "verify")
    loaded = loaded_by(path, "not")
    assert [name for name in loaded if name.startswith(("gguf2ollama.chat.", "gguf2ollama.gotmpl"))] == []
    assert "httpx" not in loaded
