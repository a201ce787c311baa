import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

HEAVY = {"rich", "pygments", "httpx2", "http.server"}
LATER = {"httpcore2", "ssl", "jinja2", "yaml", "huggingface_hub"}  # while files are hashed, if at all


@pytest.mark.parametrize(
    "program, heavy",
    [
        ("from gguf2ollama.ollama import Client; Client('127.0.0.1:1').close()", HEAVY),
        ("import gguf2ollama.api", HEAVY | LATER),
        ("import gguf2ollama.sources", HEAVY | LATER),
    ],
)
def test_nothing_is_loaded_that_few_calls_need(program, heavy):
    code = f"{program}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())
