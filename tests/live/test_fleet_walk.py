"""Five real Ollamas of both releases, three of them behind what people put before them: the whole walk.

`make test-fleet` runs it, and prints what each host was sent and how long it took.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gguf2ollama import patch_template
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.names import TEMPORARY_NAMESPACE
from gguf2ollama.ollama import Client
from tests import fakes
from tests.live import parts, servers
from tests.live.conftest import missing
from tests.live.servers import find_program

pytestmark = [pytest.mark.live, pytest.mark.fleet]

TOKEN, PASSWORD = "t0ken-of-the-rack", "p4ssword-of-the-lab"
CERTIFICATE = Path(fakes.__path__[0]) / "loopback.pem"
HOSTS = "abcde"
NGINX = """
daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off; client_max_body_size 0; proxy_request_buffering off; proxy_buffering off;
  proxy_http_version 1.1; proxy_read_timeout 600; proxy_set_header Authorization "";
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{
    listen 127.0.0.1:{tls_port} ssl; ssl_certificate {pem}; ssl_certificate_key {pem};
    location / {{
      if ($http_authorization != "Bearer {token}") {{ return 401; }}
      proxy_pass http://127.0.0.1:{tls_target}; proxy_set_header Host 127.0.0.1:{tls_target};
    }}
  }}
  server {{
    listen 127.0.0.1:{basic_port}; auth_basic lab; auth_basic_user_file {folder}/users;
    location / {{
      proxy_pass http://127.0.0.1:{basic_target}; proxy_set_header Host 127.0.0.1:{basic_target};
    }}
  }}
}}
"""
FILE = """
models:
  smol: ./smol.gguf
  brief:
    source: ./smol.gguf
    system: Be brief.
    parameters: {{temperature: {temperature}}}
    verify: false
  other: {{source: ./{other}, verify: false, hosts: [a, b, c]}}
hosts:
  a: http://127.0.0.1:{a}
  b: http://127.0.0.1:{b}
  c: {{url: "http://127.0.0.1:{c}", via: upload}}
  d: {{url: "https://127.0.0.1:{d}", token: {{env: RACK_TOKEN}}, ca: "{pem}"}}
  e: {{url: "http://127.0.0.1:{e}", user: me, password: {{env: LAB_PASSWORD}}, via: upload}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A real Ollama on a port of its own, which can be killed and started again."""

    def __init__(self, part: parts.Ollama, folder: Path) -> None:
        program = find_program(part)
        if program is None:
            missing(f"Ollama {part.version}")
        folder.mkdir()
        self.program, self.folder, self.port = program, folder, free_port()
        self.store = folder / "models"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = servers._environment(self.folder) | {"OLLAMA_HOST": self.url}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        assert servers._answered(self.process, self.url)

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def has_begun(self) -> bool:
        """Return whether anything was sent."""
        return any(self.store.glob("blobs/*"))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[dict[str, Server]]:
    newest, older = parts.OLLAMAS[:2]
    found = {name: Server(older if name == "c" else newest, tmp_path / name) for name in HOSTS}
    try:
        for server in found.values():
            server.start()
        yield found
    finally:
        for server in found.values():
            if server.process is not None:
                servers.end(server.process)


@pytest.fixture
def nginx(fleet: dict[str, Server], tmp_path: Path) -> Iterator[tuple[int, int]]:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        missing("nginx")
    folder = tmp_path / "nginx"
    folder.mkdir(mode=0o755)
    tmp_path.chmod(0o755)  # its workers run as another user if this one is root
    tls_port, basic_port = free_port(), free_port()
    (folder / "users").write_text(f"me:{{PLAIN}}{PASSWORD}\n")
    (folder / "nginx.conf").write_text(
        ("" if os.getuid() else "user root;\n")
        + NGINX.format(
            folder=folder,
            tls_port=tls_port,
            basic_port=basic_port,
            pem=CERTIFICATE,
            token=TOKEN,
            tls_target=fleet["d"].port,
            basic_target=fleet["e"].port,
        )
    )
    process = subprocess.Popen([program, "-c", folder / "nginx.conf", "-p", folder], start_new_session=True)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", basic_port)):
                break
            time.sleep(0.05)
        yield tls_port, basic_port
    finally:
        servers.end(process)


class Walk:
    """Calls the program as a user does, and keeps all that it writes."""

    def __init__(self, fleet: dict[str, Server], ports: tuple[int, int], folder: Path) -> None:
        self.fleet, self.ports, self.folder = fleet, ports, folder
        self.path = folder / "ollama.models.yaml"
        self.written: list[str] = []
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("OLLAMA_", "XDG_"))},
            "OLLAMA_MODELS": str(fleet["a"].store),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "RACK_TOKEN": TOKEN,
            "LAB_PASSWORD": PASSWORD,
        }

    def write(self, *, temperature: float = 0.3, other: str = "smol.gguf") -> None:
        ports = {name: server.port for name, server in self.fleet.items()}
        ports |= {"d": self.ports[0], "e": self.ports[1]}
        self.path.write_text(FILE.format(temperature=temperature, other=other, pem=CERTIFICATE, **ports))

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "gguf2ollama", *map(str, arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def end(self, process: subprocess.Popen[str]) -> tuple[int, dict]:
        out, err = process.communicate(timeout=280)
        self.written += [out, err]
        return process.returncode, json.loads(out) if out.startswith("{") else {"text": out, "err": err}

    def call(self, *arguments: str | Path) -> tuple[int, dict]:
        began = time.monotonic()
        code, found = self.end(self.start(*arguments))
        print(f"  {' '.join(map(str, arguments[:1]))}: exit {code}, {time.monotonic() - began:.2f} s", end="")
        print(f", sent {found['bytes_sent']}" if "bytes_sent" in found else "")
        return code, found

    def apply(self) -> tuple[int, dict]:
        return self.call("apply", self.path, "--json", "--report", self.folder / "report.json")

    def plan(self) -> tuple[int, dict]:
        return self.call("plan", self.path, "--json")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def done(applied: dict) -> set[tuple[str, str, str]]:
    return {
        (result["host"], result["model"], result["action"])
        for result in applied["results"]
        if result["state"] == "done"
    }


def ask_all_the_while(
    url: str, name: str, stop: threading.Event, waits: list[float], lost: list[str]
) -> None:
    """Have a server generate a token again and again; keep how long each took, and what failed."""
    with Client(url) as client:
        while not stop.is_set():
            began = time.monotonic()
            try:
                client.generate(name, "Hi", options={"num_predict": 1}).drain()
            except Gguf2OllamaError as error:
                lost.append(error.message)
            waits.append(time.monotonic() - began)


@pytest.mark.timeout(900)
def test_the_walk(fleet: dict[str, Server], nginx: tuple[int, int], smollm2: Path, tmp_path: Path) -> None:
    shutil.copy(smollm2, tmp_path / "smol.gguf")
    patch_template(smollm2, tmp_path / "other.gguf", chat_template="{{ messages[-1].content }}")
    size = smollm2.stat().st_size
    walk = Walk(fleet, nginx, tmp_path)
    walk.write()

    print("\nplan: all is missing")
    code, plan = walk.plan()
    assert code == 10
    assert {host["transport"] for host in plan["hosts"]} == {"link", "pull", "upload"}
    linked, *sent = [host["bytes_to_send"] for host in plan["hosts"]]
    assert linked == 0
    assert all(size <= count < size + 4096 for count in sent), "each once, with its header"

    print("apply, and host b is killed in the middle")
    process = walk.start("apply", walk.path, "--json")
    wait_until(fleet["b"].has_begun)
    fleet["b"].kill()
    code, applied = walk.end(process)
    assert code == 5
    assert {host for host, _, _ in done(applied)} == set("acde")
    assert {result["host"] for result in applied["results"] if result["state"] == "failed"} == {"b"}
    fleet["b"].start()
    print("  b is back")
    code, applied = walk.apply()
    assert code == 0
    assert {host for host, _, _ in done(applied)} == {"b"}

    print("apply again: nothing")
    code, applied = walk.apply()
    assert (code, applied["changed"], set(applied["bytes_sent"].values())) == (0, False, {0})
    code, applied = walk.apply()
    assert (code, applied["changed"], set(applied["bytes_sent"].values())) == (0, False, {0})

    print("one parameter is changed; the models are asked all the while")
    walk.write(temperature=0.7)
    waits: list[float] = []
    lost: list[str] = []
    stop = threading.Event()
    asking = threading.Thread(target=ask_all_the_while, args=(fleet["a"].url, "brief", stop, waits, lost))
    asking.start()
    wait_until(lambda: len(waits) > 2)  # it is in memory
    code, applied = walk.apply()
    stop.set()
    asking.join()
    assert code == 0
    assert done(applied) == {(host, "brief:latest", "update") for host in HOSTS}
    assert set(applied["bytes_sent"].values()) == {0}
    print(
        f"  {len(waits)} requests meanwhile, {len(lost)} failed {lost}, the longest took {max(waits):.2f} s"
    )
    assert not lost

    print("other weights for one model, and we are killed in the middle")
    walk.write(temperature=0.7, other="other.gguf")
    before = {name: len(list(fleet[name].store.glob("blobs/*"))) for name in "bc"}
    process = walk.start("apply", walk.path, "--json")
    wait_until(lambda: any(len(list(fleet[n].store.glob("blobs/*"))) > before[n] for n in "bc"))
    process.kill()
    process.communicate()
    code, applied = walk.apply()
    assert code == 0
    assert {model for _, model, _ in done(applied)} <= {"other:latest"}
    assert walk.plan()[0] == 0
    for server in fleet.values():
        with Client(server.url) as client:
            names = [model.name for model in client.list()]
        assert not [name for name in names if name.startswith(TEMPORARY_NAMESPACE)], names

    print("a model is changed by hand on host d")
    with Client(fleet["d"].url) as client:
        client.create("brief", from_="brief", system="Ramble.").drain()
    code, plan = walk.plan()
    assert code == 10
    [brief] = [m for h in plan["hosts"] for m in h["models"] if m["differences"]]
    assert [(d["what"], d["changed_on_host"]) for d in brief["differences"]] == [("system", True)]
    assert walk.apply()[0] == 0
    assert walk.plan()[0] == 0

    print("a wrong token, an unknown certificate")
    walk.environment["RACK_TOKEN"] = "wr0ng"
    code, plan = walk.plan()
    assert code == 5
    assert "does not accept its token" in plan["hosts"][3]["error"]["message"]
    walk.environment["RACK_TOKEN"] = TOKEN
    text = walk.path.read_text()
    walk.path.write_text(text.replace(f', ca: "{CERTIFICATE}"', ""))
    code, plan = walk.plan()
    assert code == 5
    assert "certificate" in plan["hosts"][3]["error"]["message"]
    walk.path.write_text(text)

    everything = "".join([*walk.written, (tmp_path / "report.json").read_text()])
    for secret in (TOKEN, PASSWORD, "wr0ng"):
        assert secret not in everything
