"""One file on two real servers of both releases: made, left alone, updated, and put right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gguf2ollama.cli import run
from gguf2ollama.ollama import Client
from gguf2ollama.planning.stored.record import BuildRecord
from tests.live import parts
from tests.live.conftest import OllamaPool

pytestmark = pytest.mark.live

FILE = """
models:
  fleet-one: {{source: "{gguf}", verify: false}}
  fleet-two:
    source: "{gguf}"
    system: Be brief.
    parameters: {{temperature: {temperature}, stop: ["###"]}}
    verify: false
hosts:
  new: {{url: "{new}"}}
  old: {{url: "{old}", via: upload}}
"""


@pytest.fixture
def apply(ollama_pool: OllamaPool, smollm2: Path, tmp_path: Path, capsys, monkeypatch):
    new, old = map(ollama_pool, parts.OLLAMAS[:2])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    path = tmp_path / "ollama.models.yaml"

    def call(verb: str, *arguments: str, temperature: float = 0.3):
        path.write_text(FILE.format(gguf=smollm2, new=new.url, old=old.url, temperature=temperature))
        capsys.readouterr()
        code = run([verb, str(path), "--json", *arguments])
        out, err = capsys.readouterr()
        assert out, err
        return code, json.loads(out)

    call.hosts = new, old  # type: ignore[attr-defined]
    yield call
    for host in (new, old):
        with Client(host.url) as client:
            for model in client.list():
                if model.name.startswith("fleet-"):
                    client.delete(model.name)


def test_it_is_made_left_alone_updated_and_put_right(apply, smollm2: Path) -> None:
    code, plan = apply("plan")
    assert code == 10
    assert [host["transport"] for host in plan["hosts"]] == ["pull", "upload"]

    code, done = apply("apply")
    assert code == 0
    size = smollm2.stat().st_size
    sent = done["bytes_sent"]
    assert all(count < size + 4096 for count in sent.values()), f"each host is sent {size} once: {sent}"

    code, again = apply("apply")
    assert (code, again["changed"]) == (0, False)
    assert again["bytes_sent"] == {"new": 0, "old": 0}

    assert apply("plan", temperature=0.7)[0] == 10
    code, changed = apply("apply", temperature=0.7)
    updated = [result["model"] for result in changed["results"] if result["state"] == "done"]
    assert updated == ["fleet-two:latest"] * 2
    assert changed["bytes_sent"] == {"new": 0, "old": 0}

    for server in apply.hosts:
        with Client(server.url) as client:
            client.create("fleet-two", from_="fleet-two", system="Ramble.").drain()
            assert BuildRecord.find(client.show("fleet-two").license) is not None
    code, plan = apply("plan", temperature=0.7)
    found = [model["differences"] for host in plan["hosts"] for model in host["models"]]
    assert [[(d["what"], d["changed_on_host"]) for d in differences] for differences in found] == [
        *([], [("system", True)]),
        *([], [("system", True)]),
    ]
    assert apply("apply", temperature=0.7)[0] == 0
    assert apply("plan", temperature=0.7)[0] == 0
