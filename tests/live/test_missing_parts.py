"""A live test that cannot run says so, and in CI it fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITE = "tests/live/test_client_contract.py"


def run_without_parts(tmp_path, *, ci):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", SUITE, "-k", "version", "-p", "no:cacheprovider", "--color=no"],
        cwd=ROOT,
        env=environment | {"GGUF2OLLAMA_PARTS": str(tmp_path), "PATH": os.defpath, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_parts_the_tests_are_skipped_by_name_and_counted(tmp_path):
    run = run_without_parts(tmp_path, ci="")
    assert run.returncode == 0
    assert "missing part: Ollama 0.34.4" in run.stdout
    assert "2 live tests did not run, missing: Ollama 0.32.15, Ollama 0.34.4" in run.stdout


def test_in_ci_a_missing_part_fails_the_run(tmp_path):
    run = run_without_parts(tmp_path, ci="true")
    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    assert "missing part: Ollama 0.34.4, and CI=true" in run.stdout
