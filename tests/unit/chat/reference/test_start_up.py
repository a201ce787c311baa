"""The process in which templates run starts for every call of the program: it loads what it needs."""

import subprocess
import sys


def test_the_worker_loads_nothing_of_the_end_that_asks_it():
    code = "import gguf2ollama.chat.reference.worker, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "jinja2" in loaded
    assert not {"subprocess", "gguf2ollama.chat.conversation", "gguf2ollama.oci"} & loaded
