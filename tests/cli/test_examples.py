"""The examples do what they say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gguf2ollama.modelfiles import lint, parse_modelfile
from tests.builders import tiny_llama
from tests.cli.example_modelfiles import examples

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(server, *arguments):
    folders = [str(Path(sys.executable).parent), os.environ["PATH"]]
    return subprocess.run(
        [str(argument) for argument in arguments],
        env=os.environ | {"OLLAMA_HOST": server.url, "PATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def models(tmp_path):
    """Return a folder for models, beside that of the cache."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_a_server_is_provisioned_once(call, server, models):
    for name in ("first", "second"):
        (models / name).mkdir()
        tiny_llama(models / name / "model.gguf")
    done = example(server, EXAMPLES / "provision.sh", models)
    assert (done.returncode, done.stdout) == (0, "first: made\nsecond: made\n"), done.stderr
    done = example(server, EXAMPLES / "provision.sh", models)
    assert (done.returncode, done.stdout) == (0, "first: there already\nsecond: there already\n"), done.stderr
    assert {one["name"] for one in call("list", "--json").json} == {"first:latest", "second:latest"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_provisioning_goes_on_after_a_bad_model_and_fails_at_the_end(server, models):
    for name in ("bad", "good"):
        (models / name).mkdir()
    (models / "bad" / "model.gguf").write_bytes(b"GGUF")
    tiny_llama(models / "good" / "model.gguf")
    done = example(server, EXAMPLES / "provision.sh", models)
    assert (done.returncode, done.stdout) == (1, "good: made\n")
    assert "bad: failed with exit code 4" in done.stderr


@pytest.mark.slow
def test_the_library_builds_with_progress_of_its_own(call, server, tmp_path):
    path = tiny_llama(tmp_path / "model.gguf")
    done = example(server, sys.executable, EXAMPLES / "library.py", path, "mine")
    assert done.returncode == 0, done.stderr
    assert "Created mine:latest" in done.stdout
    assert "100 %" in done.stderr
    assert call("show", "mine", "--json").json["parameters"]["num_ctx"] == 2048
    done = example(server, sys.executable, EXAMPLES / "library.py", tmp_path / "nowhere.gguf", "mine")
    assert done.returncode == 3


@pytest.mark.parametrize("path,text", examples().items(), ids=lambda value: getattr(value, "stem", ""))
def test_an_example_modelfile_is_what_its_profile_gives_and_has_no_fault(path, text):
    assert path.read_bytes().decode() == text, "run `make docs`"
    modelfile = parse_modelfile(text)
    assert [finding for finding in lint(modelfile) if finding.level == "error"] == []
