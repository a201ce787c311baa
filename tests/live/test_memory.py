"""The estimate of a model's memory against what a real Ollama logs and reports for it."""

import re

import pytest

from gguf2ollama import build
from gguf2ollama.memory.record import ContextRecord
from gguf2ollama.ollama import Client

pytestmark = pytest.mark.live

MIB = 1 << 20
KINDS = {"model": "weights", "KV": "kv", "compute": "compute", "output": "output"}
_BUFFER = re.compile(
    rb"^\S*: +(CPU\S*) +(model|KV|compute|output) buffer size = +([0-9.]+) MiB", re.MULTILINE
)
_STARTED = re.compile(rb"starting llama-server")


def logged(log, start):
    """Return the MiB of each kind of buffer that the last llama-server wrote."""
    text = log.read_bytes()[start:]
    text = text[[match.start() for match in _STARTED.finditer(text)][-1] :]
    # what is found out to fit memory is logged as well; the last of each is what was allocated
    last = {(kind.decode(), device): float(size) for device, kind, size in _BUFFER.findall(text)}
    found = dict.fromkeys(KINDS.values(), 0.0)
    for (kind, _), size in last.items():
        found[KINDS[kind]] += size
    return found


@pytest.mark.parametrize("context", [2048, 4096, 8192])
def test_the_estimate_is_what_a_server_logs_and_reports(ollama_server, smollm2, context):
    start = ollama_server.log.stat().st_size
    with Client(ollama_server.url) as client:
        result = build(
            smollm2,
            name=f"memory-{context}",
            host=ollama_server.url,
            context=context,
            verify=False,
            load=False,
        )
        client.unload(result.name)
        client.load(result.name)
        (running,) = [model for model in client.ps() if model.name == str(result.name.short)]
        client.unload(result.name)
    found = logged(ollama_server.log, start)
    inspection = result.plan.inspection
    estimate = inspection.memory.estimate(context, room=inspection.room)
    assert running.context_length == context
    assert estimate.kv / MIB == pytest.approx(found["kv"], rel=0.005)
    assert estimate.weights / MIB == pytest.approx(found["weights"], rel=0.005)
    assert estimate.output / MIB == pytest.approx(found["output"], abs=0.01)
    assert estimate.compute / MIB == pytest.approx(found["compute"], rel=0.15)
    total = sum(found.values())
    assert 0.97 * total <= estimate.total / MIB <= 1.1 * total
    assert running.size == pytest.approx(estimate.total, rel=0.1)


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_the_choice_is_recorded_on_every_transport_and_kept(ollama_server, smollm2, via, monkeypatch):
    def make():
        lines = []
        keywords = {"via": via, "verify": False, "load": False}
        build(smollm2, name=f"recorded-{via}", host=ollama_server.url, notify=lines.append, **keywords)
        return next(line for line in lines if line.startswith("Context: "))

    assert "as recorded" not in make()
    with Client(ollama_server.url) as client:
        record = ContextRecord.find(client.show(f"recorded-{via}").license)
        client.copy(f"recorded-{via}", to=f"copied-{via}")
        assert ContextRecord.find(client.show(f"copied-{via}").license) == record
    assert record.tokens == 8192
    monkeypatch.setattr("gguf2ollama.memory.hardware._linux_ram", lambda: (800 * MIB, None))
    assert "8,192 tokens (as recorded in recorded-" in make()
