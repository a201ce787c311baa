"""What is refused before anything of a real model is fetched, by the program as a user runs it."""

import os
import subprocess
import sys

import pytest

from gguf2ollama.ggufio import open_gguf
from tests.fakes.hub_server import FakeHub
from tests.refused_builds import NAME, REFUSALS

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def hub(smollm2):
    with FakeHub() as hub:
        hub.add("o/r", {NAME: smollm2})
        yield hub


@pytest.mark.parametrize("case", REFUSALS)
def test_no_byte_of_a_real_model_is_fetched_for_what_is_refused(hub, smollm2, tmp_path, case):
    own = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "OLLAMA_MODELS": str(tmp_path / "none"),
    }
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")} | own

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "gguf2ollama", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stderr

    REFUSALS[case].check(run, hub, tmp_path, header_bytes=open_gguf(smollm2).data_offset)
    assert not [path for path in (tmp_path / "hf").rglob("*") if path.is_file() and "blobs" in path.parts]
