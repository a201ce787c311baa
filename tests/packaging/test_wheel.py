"""What a user gets from the wheel."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Unpack the wheel where nothing of the checkout is near."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed, *arguments):
    environment = os.environ | {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )


def files_below(folder, prefix):
    found = (path for path in (CHECKOUT / folder).rglob("*") if path.is_file())
    return {
        f"{prefix}/{path.relative_to(CHECKOUT / folder).as_posix()}"
        for path in found
        if "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_package_and_the_templates_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    information = {name for name in names if ".dist-info/" in name}
    assert names - information == files_below("gguf2ollama", "gguf2ollama") | files_below(
        "templates", "gguf2ollama/_templates"
    )
    assert {name.partition("/")[2] for name in information} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }


def test_an_installed_wheel_finds_its_templates(installed):
    code = (
        "import gguf2ollama; from gguf2ollama.families import load_profiles;"
        "from gguf2ollama.modelfiles import Modelfile, render_modelfile;"
        "print(gguf2ollama.__file__);"
        "print([p.family for p in load_profiles()]);"
        "print(all(p.go_template() for p in load_profiles()));"
        "print(render_modelfile(Modelfile(sources=('./x.gguf',))))"
    )
    done = run(installed, "-c", code)
    assert done.returncode == 0, done.stderr
    where, families, rendered, text = done.stdout.split("\n", 3)
    assert Path(where).is_relative_to(installed)
    assert "qwen2.5" in families
    assert rendered == "True"
    assert "FROM ./x.gguf" in text


def test_an_installed_wheel_runs_as_a_module(installed):
    done = run(installed, "-m", "gguf2ollama", "--version")
    assert (done.returncode, done.stdout.startswith("gguf2ollama")) == (0, True)
