"""Kubernetes: manifests by its schemas. Ansible: the collection on localhost, and over ssh to two hosts."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gguf2ollama.ollama import Client
from tests.builders import tiny_llama
from tests.fakes.ollama_server import FakeOllama
from tests.live.conftest import missing
from tests.live.servers import end

pytestmark = [pytest.mark.live, pytest.mark.fleet]

CHECKOUT = Path(__file__).parents[2]
MODEL = """
- hosts: all
  gather_facts: false
  tasks:
    - gguf2ollama.ollama.model:
        name: smol
        source: "{gguf}"
        system: {system}
        parameters: {{temperature: 0.3}}
        host: "{{{{ ollama }}}}"
        token: s3cret-t0ken
        verify: false
"""
ABSENT = """
- hosts: all
  gather_facts: false
  tasks: [{gguf2ollama.ollama.model: {name: smol, state: absent, host: "{{ ollama }}"}}]
"""
MODELS = """
- hosts: all
  gather_facts: false
  tasks: [{{gguf2ollama.ollama.models: {{file: "{file}", environment: {{TOKEN: s3cret-t0ken}}}}}}]
"""


def find(name: str) -> Path:
    beside = CHECKOUT / ".venv-integrations" / "bin"
    found = shutil.which(name, path=os.pathsep.join([str(beside), os.environ.get("PATH", "")]))
    return Path(found) if found else missing(name)


@pytest.mark.parametrize("name", ["job.yaml", "init-container.yaml"])
def test_a_manifest_is_valid(name: str) -> None:
    path = CHECKOUT / "integrations" / "kubernetes" / name
    done = subprocess.run(
        [find("kubernetes-validate"), "--strict", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed for resource" in done.stdout + done.stderr


@pytest.fixture
def hosts() -> Iterator[tuple[FakeOllama, FakeOllama]]:
    with FakeOllama(version="0.34.4") as first, FakeOllama(version="0.32.15") as second:
        yield first, second


Play = Callable[..., str]


@pytest.fixture
def play(tmp_path: Path, hosts: tuple[FakeOllama, FakeOllama]) -> Play:
    """Return a function that runs a playbook on both hosts, and returns what it printed."""
    ansible = find("ansible-playbook")
    collections = tmp_path / "collections" / "ansible_collections" / "gguf2ollama"
    collections.mkdir(parents=True)
    (collections / "ollama").symlink_to(CHECKOUT / "integrations" / "ansible")
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("OLLAMA_", "ANSIBLE_"))
    }
    environment |= {
        "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "ANSIBLE_NOCOLOR": "1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }

    def run(playbook: str, *options: str, connection: str = "ansible_connection=local") -> str:
        (tmp_path / "play.yml").write_text(playbook)
        names = ("first", "second")
        inventory = [
            f"{name} ollama={host.url} ansible_python_interpreter={sys.executable} {connection}"
            for name, host in zip(names, hosts, strict=True)
        ]
        (tmp_path / "inventory").write_text("\n".join(inventory) + "\n")
        done = subprocess.run(
            [ansible, "-i", tmp_path / "inventory", tmp_path / "play.yml", *options],
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert "s3cret-t0ken" not in done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def count_of(out: str, what: str) -> list[int]:
    """Return what the recap says of each host."""
    rows = [line for line in out.splitlines() if line.startswith(("first", "second")) and "changed=" in line]
    assert len(rows) == 2, out
    return [int(row.partition(f"{what}=")[2].split()[0]) for row in rows]


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[str]:
    """Run an ssh server for this user; return how Ansible connects to it."""
    program = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
    if program is None or shutil.which("ssh") is None:
        missing("sshd and ssh")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    options = [
        f"ListenAddress=127.0.0.1:{port}",
        f"HostKey={tmp_path / 'host'}",
        f"AuthorizedKeysFile={tmp_path / 'user.pub'}",
        *("PidFile=none", "StrictModes=no", "UsePAM=no", "PasswordAuthentication=no", "PermitRootLogin=yes"),
        "Subsystem=sftp internal-sftp",
    ]
    arguments = [argument for option in options for argument in ("-o", option)]
    process = subprocess.Popen([program, "-D", "-e", "-f", "/dev/null", *arguments], start_new_session=True)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield (
            f"ansible_host=127.0.0.1 ansible_port={port} ansible_ssh_private_key_file={tmp_path / 'user'}"
            " ansible_ssh_common_args='-o UserKnownHostsFile=/dev/null'"
        )
    finally:
        end(process)


def models(host: FakeOllama) -> list[str]:
    with Client(host.url, api_key="") as client:
        return [model.name for model in client.list()]


def walk(play: Play, hosts: tuple[FakeOllama, FakeOllama], gguf: Path, **connection: str) -> None:
    first = MODEL.format(gguf=gguf, system="Be brief.")
    out = play(first, "--check", "--diff", **connection)
    assert count_of(out, "changed") == [1, 1], out
    assert "+state: present" in out
    assert [models(host) for host in hosts] == [[], []]

    assert count_of(play(first, **connection), "changed") == [1, 1]
    assert [models(host) for host in hosts] == [["smol:latest"]] * 2
    assert count_of(play(first, **connection), "changed") == [0, 0]

    out = play(MODEL.format(gguf=gguf, system="Be kind."), "--check", "--diff", **connection)
    assert count_of(out, "changed") == [1, 1]
    assert "-system: Be brief." in out
    assert "+system: Be kind." in out

    assert count_of(play(ABSENT, **connection), "changed") == [1, 1]
    assert count_of(play(ABSENT, **connection), "changed") == [0, 0]
    assert [models(host) for host in hosts] == [[], []]


def test_on_localhost(play: Play, hosts: tuple[FakeOllama, FakeOllama], tmp_path: Path) -> None:
    walk(play, hosts, tiny_llama(tmp_path / "tiny.gguf"))


def test_over_ssh(play: Play, hosts: tuple[FakeOllama, FakeOllama], tmp_path: Path, sshd: str) -> None:
    walk(play, hosts, tiny_llama(tmp_path / "tiny.gguf"), connection=sshd)


def test_a_file_of_models(play: Play, hosts: tuple[FakeOllama, FakeOllama], tmp_path: Path) -> None:
    tiny_llama(tmp_path / "tiny.gguf")
    file = tmp_path / "ollama.models.yaml"
    file.write_text(
        "models: {one: {source: ./tiny.gguf, verify: false}}\nhosts:\n"
        + "".join(
            f"  {name}: {{url: '{host.url}', token: {{env: TOKEN}}}}\n"
            for name, host in zip("ab", hosts, strict=True)
        )
    )
    playbook = MODELS.format(file=file)
    assert count_of(play(playbook, "--limit", "first,second", "--forks", "1"), "changed") == [1, 0]
    assert [models(host) for host in hosts] == [["one:latest"]] * 2
    file.write_text(file.read_text().replace("one:", "two:").replace("verify", "verfy"))
    out = play(playbook)
    assert count_of(out, "failed") == [1, 1]
    assert "unknown key 'verfy' in model two; did you mean 'verify'?" in out


def test_a_model_without_a_source_is_refused(play: Play) -> None:
    out = play("- hosts: all\n  gather_facts: false\n  tasks: [{gguf2ollama.ollama.model: {name: smol}}]\n")
    assert count_of(out, "failed") == [1, 1]
