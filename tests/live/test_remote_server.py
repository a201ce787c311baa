"""A real Ollama behind a proxy that speaks TLS, demands a key and has a path of its own: all commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.tls_proxy import CERTIFICATE, TlsProxy
from tests.live.servers import RunningOllama

pytestmark = pytest.mark.live

KEY = "k3y-of-the-proxy"


def test_it_is_built_used_verified_and_removed(
    newest_ollama: RunningOllama, smollm2: Path, tmp_path: Path
) -> None:
    with TlsProxy(newest_ollama.url, key=KEY) as proxy:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OLLAMA_")},
            "OLLAMA_HOST": proxy.url,
            "OLLAMA_API_KEY": KEY,
            "XDG_CACHE_HOME": str(tmp_path),
        }

        def call(*arguments: str | Path) -> str:
            command = [sys.executable, "-m", "gguf2ollama", *map(str, arguments), "--ca", str(CERTIFICATE)]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=280, check=False
            )
            assert done.returncode == 0, done.stderr
            assert KEY not in done.stdout + done.stderr
            return done.stdout

        try:
            call("build", smollm2, "--name", "remote", "--via", "upload")
            assert "remote:latest" in call("list")
            assert "llama" in call("show", "remote")
            assert call("run", "remote", "Say hello.").strip()
            assert "remote:latest" in call("ps")
            call("verify", "remote", "--source", smollm2)
            call("cp", "remote", "remote-again")
            call("stop", "remote")
        finally:
            call("rm", "remote", "remote-again")
        assert "remote" not in call("list")
        assert not proxy.refused
        assert "POST /api/create" in proxy.passed
