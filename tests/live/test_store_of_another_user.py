"""Builds for a server that another user runs, as the Linux service is: its store stays usable."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gguf2ollama.ollama import Client
from tests.builders import tiny_llama
from tests.live import parts
from tests.live.conftest import missing
from tests.live.servers import RunningOllama, as_user, find_program, running_ollama

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("setpriv") is None,
        reason="only root runs programs as other users",
    ),
]

SERVICE, ALICE = 64101, 64100


@pytest.fixture(params=["group", "world", "nobody else"])
def service(request, tmp_path_factory):
    """Return a server that another user runs, whose store its group, or everybody, may write."""
    program = find_program(parts.OLLAMAS[0])
    if program is None:
        missing(f"Ollama {parts.OLLAMAS[0].version}")
    folder = tmp_path_factory.mktemp("service")
    for place in (folder, folder / "models", folder / "models" / "blobs", folder / "models" / "manifests"):
        place.mkdir(exist_ok=True)
        os.chown(place, SERVICE, SERVICE)
        place.chmod({"group": 0o2775, "world": 0o777, "nobody else": 0o755}[request.param])
    with running_ollama(parts.OLLAMAS[0], program, folder, user=SERVICE) as server:
        yield server


def build(server: RunningOllama, gguf: Path, name: str, *options: str, user: int | None) -> str:
    """Build a model as a user, and return what was said."""
    home = gguf.parent / "home"
    home.mkdir(exist_ok=True)
    os.chown(home, user or 0, user or 0)
    done = subprocess.run(
        [
            *(as_user(user, groups=[SERVICE]) if user is not None else ()),
            *(
                sys.executable,
                "-m",
                "gguf2ollama",
                "build",
                str(gguf),
                "--name",
                name,
                "--no-load",
                "--no-verify",
            ),
            *options,
        ],
        capture_output=True,
        text=True,
        env=server.environment | {"HOME": str(home), "XDG_CACHE_HOME": str(home)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("user", [ALICE, None], ids=["another user", "root"])
def test_whoever_builds_the_weights_can_be_used_again(service, tmp_path, user):
    gguf = tiny_llama(tmp_path / "m.gguf")
    os.chown(gguf, ALICE, ALICE)
    said = build(service, gguf, "first", user=user)
    assert "hard-linked" not in said
    if user is not None:
        assert "Transport: pull" in said
        assert f"belongs to user {SERVICE}" in said
    build(service, gguf, "second", "--via", "pull", user=user)
    build(service, gguf, "third", "--via", "upload", user=user)
    with Client(service.url) as client:
        assert {model.name for model in client.list()} == {"first:latest", "second:latest", "third:latest"}
        client.create("fourth", from_="first").drain()
    owners = {path.stat().st_uid for path in service.store.rglob("*")}
    assert owners == {SERVICE}
