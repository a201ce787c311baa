"""Another user of this machine: what they see of a model on its way from us to a real Ollama."""

import contextlib
import json
import os
import socket
import subprocess
import sys

import pytest

from gguf2ollama import build
from gguf2ollama.names import TEMPORARY_NAMESPACE
from gguf2ollama.ollama import Client
from gguf2ollama.ollama.manifest_server import PrivateRegistry
from tests.builders import tiny_llama

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can run a program as another user"
    ),
]

_NOBODY = 65534
# as nobody: listens on ::1, tries to listen on 127.0.0.1, keeps silent connections, and guesses paths
_STRANGER = """
import encodings.idna, json, os, socket, sys
port, space, user = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
os.setgroups([])
os.setgid(user)
os.setuid(user)
found = {"uid": os.getuid(), "answers": [], "stolen": [], "heard": []}
for address in ("127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1"):
    for option in (None, socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        thief = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        if ":" in address:
            thief.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if option is not None:
            thief.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            thief.bind((address, port))
            thief.listen()
            found["stolen"].append(address)
        except OSError:
            pass
        thief.close()
listener = socket.socket(socket.AF_INET6)
listener.bind(("::1", port))
listener.listen(64)
silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
for number in range(1, len(silent), 2):
    try:
        silent[number].sendall(b"GET /v2/ HTTP/1.1\\r\\nX: ")
    except OSError:
        pass
guesses = ["/", "/v2/", "/v2/_catalog", f"/v2/{space}/{'0' * 32}/manifests/1", f"/v2/{space}/../manifests/1"]
for path in guesses:
    with socket.create_connection(("127.0.0.1", port)) as asking:
        asking.sendall(f"GET {path} HTTP/1.0\\r\\n\\r\\n".encode())
        answer = b""
        while piece := asking.recv(1 << 16):
            answer += piece
    found["answers"].append([int(answer.split()[1]), len(answer.partition(b"\\r\\n\\r\\n")[2])])
print("ready", flush=True)
sys.stdin.readline()
listener.settimeout(0.2)
try:
    while True:
        found["heard"].append(listener.accept()[0].recv(1 << 16).decode())
except TimeoutError:
    pass
print(json.dumps(found))
"""


@contextlib.contextmanager
def stranger(port):
    """Run the stranger beside what listens on a port of 127.0.0.1."""
    arguments = [sys.executable, "-c", _STRANGER, str(port), TEMPORARY_NAMESPACE, str(_NOBODY)]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
    with process:
        try:
            yield process
        finally:
            process.kill()


def has_ipv6():
    """Return whether something can listen on ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no ::1 here, so nobody can listen there")
def test_another_user_sees_nothing_and_keeps_nothing_from_being_made(ollama_server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    offer, started = PrivateRegistry.offer, []
    with contextlib.ExitStack() as strangers:

        def offer_beside_a_stranger(registry, *arguments):
            name = offer(registry, *arguments)
            if not started:
                port = int(name.host.rpartition(":")[2])
                started.append((port, strangers.enter_context(stranger(port))))
                assert started[0][1].stdout.readline() == "ready\n"
            return name

        monkeypatch.setattr(PrivateRegistry, "offer", offer_beside_a_stranger)
        path = tiny_llama(tmp_path / "secret.gguf", seed=31)
        build(path, name="secret", host=ollama_server.url, via="pull", system="a secret", load=False)
        port, process = started[0]
        with socket.create_connection(("::1", port)) as proof:  # that the stranger would have heard
            proof.sendall(b"proof")
        found = json.loads(process.communicate("\n", timeout=60)[0])
    assert found["uid"] == _NOBODY
    assert found["heard"] == ["proof"]
    assert found["stolen"] == []
    assert found["answers"] == [[404, 0]] * 5
    with Client(ollama_server.url) as client:
        assert client.show("secret").system == "a secret"
        client.delete("secret")
