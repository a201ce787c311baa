"""The wheel as ``pip install`` puts it into an empty environment, by each Python that there is here.

``make test`` takes the Python that it runs by, ``make test-wheel`` all of them. Programs run outside the
checkout, with an empty home and none of the variables of this environment.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import tiny_llama

CURRENT = f"{sys.version_info.major}.{sys.version_info.minor}"
SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
# what imports an optional dependency at module level may miss that, and nothing else
OPTIONAL = {"accelerate", "llama_cpp", "torch", "transformers", "xllamacpp"}

IMPORTS = """
import importlib, json, pkgutil
import gguf2ollama
missing, names = {}, []
for module in pkgutil.walk_packages(gguf2ollama.__path__, "gguf2ollama."):
    names.append(module.name)
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        missing[module.name] = error.name
print(json.dumps({"where": gguf2ollama.__file__, "names": names, "missing": missing}))
"""


def find_python(version):
    """Return the program of a Python: of this process, of pyenv, or on PATH."""
    if version == CURRENT:
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(pyenv.glob(f"{version}.*/bin/python"))
    return str(found[-1]) if found else shutil.which(f"python{version}")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(version, marks=() if version == CURRENT else pytest.mark.pythons)
        for version in SUPPORTED
    ],
)
def installed(request, wheel, tmp_path_factory):
    """Make an environment with the wheel and what it needs; return where its programs are."""
    if (python := find_python(request.param)) is None:
        pytest.skip(f"no Python {request.param} here")
    folder = tmp_path_factory.mktemp(f"python{request.param}")
    subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    command = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return programs


@pytest.fixture
def call(installed, tmp_path):
    """Run a program of that environment with an empty home, in an empty folder; return its process."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    # Windows starts no program without the second
    environment = {"PATH": str(installed), "SYSTEMROOT": os.environ.get("SYSTEMROOT", "")}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "OLLAMA_HOST": "127.0.0.1:9"}

    def run(program, *arguments):
        return subprocess.run(
            [installed / program, *arguments],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    return run


def test_its_dependencies_agree(call):
    done = call("python", "-m", "pip", "check", "--disable-pip-version-check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_is_imported(call, installed):
    done = call("python", "-W", "error", "-c", IMPORTS)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    package = Path(found["where"]).resolve().parent
    assert package.is_relative_to(installed.parent.resolve())
    assert len(found["names"]) == sum(1 for _ in package.rglob("*.py")) - 1  # that of the package itself
    assert set(found["missing"].values()) <= OPTIONAL, found["missing"]


def test_it_helps(call):
    done = call("gguf2ollama", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "build" in done.stdout


def test_it_builds_into_a_model_directory_and_finds_no_damage(call, tmp_path):
    model, store = tiny_llama(tmp_path / "tiny.gguf"), tmp_path / "store"
    done = call("gguf2ollama", "build", str(model), "--name", "tiny", "--store", str(store))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (store / "manifests/registry.ollama.ai/library/tiny/latest").is_file()
    done = call("gguf2ollama", "doctor", "--json", "--store", str(store))
    assert (done.returncode, json.loads(done.stdout)["store"]) == (0, []), done.stderr


def test_its_doctor_looks_at_a_machine_without_anything(call):
    done = call("gguf2ollama", "doctor", "--json", "--no-network")
    assert done.returncode == 0, done.stdout + done.stderr
    topics = {finding["topic"] for finding in json.loads(done.stdout)["system"]}
    assert {"program", "server", "memory", "environment"} <= topics
