import subprocess
import sys

import pytest

HEAVY = {"rich", "pygments", "httpx._main", "http.server"}


@pytest.mark.parametrize(
    "program",
    ["from gguf2ollama.ollama import Client; Client('127.0.0.1:1').close()", "import gguf2ollama.usecases"],
)
def test_neither_a_client_nor_the_use_cases_load_what_few_calls_need(program):
    code = f"{program}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_the_program_of_httpx_can_still_be_imported_when_a_client_was_opened():
    code = (
        "from gguf2ollama.ollama import Client; Client('127.0.0.1:1').close()\n"
        "import httpx._main; assert httpx._main.main"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
