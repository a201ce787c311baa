"""Plan and apply: one file, several servers (fakes on sockets)."""

from __future__ import annotations

import json
import os

import pytest

from gguf2ollama.install import hashing
from gguf2ollama.memory import hardware
from gguf2ollama.ollama import Client
from tests.builders import tiny_llama
from tests.fakes.ollama_server import Answer, Die, FakeOllama
from tests.fakes.tls_proxy import CERTIFICATE

SECRET = "s3cret-t0ken-value"


@pytest.fixture
def hosts(monkeypatch):
    """Two servers, one of a version that rewrites what is uploaded."""
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    with FakeOllama(version="0.34.4") as new, FakeOllama(version="0.32.15") as old:
        yield new, old


@pytest.fixture
def file(tmp_path, gguf, hosts):
    """Return a function that writes a file of models for these servers."""

    def write(models: str, *, more: str = "", via: str = "auto"):
        path = tmp_path / "ollama.models.yaml"
        lines = [
            f"  {name}: {{url: '{host.url}', via: {via}}}" for name, host in zip("ab", hosts, strict=True)
        ]
        path.write_text("\n".join(["models:", models, "hosts:", *lines, more]), encoding="utf-8")
        return path

    return write


MODELS = """
  one: ./Tiny-Chat-Q4_K_M.gguf
  two:
    source: ./Tiny-Chat-Q4_K_M.gguf
    system: Be brief.
    parameters: {temperature: 0.3, stop: [x, y]}
    context: 512
"""


def actions(plan):
    return {
        (host["name"], model["name"].removesuffix(":latest")): model["action"]
        for host in plan["hosts"]
        for model in host["models"]
    }


@pytest.mark.parametrize("via", ["auto", "upload"])
def test_what_is_missing_is_made_once_and_a_second_apply_changes_nothing(call, file, hosts, via):
    path = file(MODELS, via=via)
    planned = call("plan", path, "--json")
    assert planned.code == 10
    assert set(actions(planned.json).values()) == {"create"}
    weights = (path.parent / "Tiny-Chat-Q4_K_M.gguf").stat().st_size
    to_send = {host["name"]: host["bytes_to_send"] for host in planned.json["hosts"]}
    assert all(weights <= count < weights + 4096 for count in to_send.values()), "once, with its header"

    done = call("apply", path, "--json")
    assert done.code == 0, done.err
    assert done.json["bytes_sent"] == to_send

    again = call("apply", path, "--json")
    assert again.code == 0
    assert not again.json["changed"]
    assert again.json["bytes_sent"] == {"a": 0, "b": 0}
    assert {result["state"] for result in again.json["results"]} == {"unchanged"}
    assert call("plan", path).code == 0
    for host in hosts:
        with Client(host.url) as client:
            assert client.show("two").system == "Be brief."


def test_weights_are_hashed_once_for_all_hosts(call, file, tmp_path, monkeypatch):
    path, hashed = file(MODELS), []
    os.utime(tmp_path / "Tiny-Chat-Q4_K_M.gguf", (1e9, 1e9))  # not changed just now
    hash_stream = hashing.hash_stream

    def counting(stream, **keywords):
        hashed.append(stream)
        return hash_stream(stream, **keywords)

    monkeypatch.setattr(hashing, "hash_stream", counting)
    assert call("apply", path).code == 0
    assert len(hashed) == 1
    assert call("apply", path).code == 0
    assert len(hashed) == 1


def test_a_changed_parameter_is_one_update_that_sends_no_weights(call, file):
    path = file(MODELS)
    call("apply", path)
    path.write_text(path.read_text().replace("0.3", "0.7"))
    planned = call("plan", path)
    assert planned.code == 10
    assert "~ two:latest: update" in planned.out
    assert "parameters.temperature: 0.3 → 0.7" in planned.out
    assert "changed on the host" not in planned.out
    done = call("apply", path, "--json")
    changed = [result for result in done.json["results"] if result["state"] == "done"]
    assert {(result["model"], result["action"], result["bytes_sent"]) for result in changed} == {
        ("two:latest", "update", 0)
    }


def test_what_was_changed_by_hand_is_found_and_put_right(call, file, hosts):
    path = file(MODELS)
    call("apply", path)
    with Client(hosts[0].url) as client:
        client.create("two", from_="two", system="Ramble.", parameters={"top_k": 3}).drain()
    planned = call("plan", path, "--json").json
    [two] = [model for model in planned["hosts"][0]["models"] if model["name"] == "two:latest"]
    found = {d["what"]: (d["current"], d["wanted"], d["changed_on_host"]) for d in two["differences"]}
    assert found["system"] == ("Ramble.", "Be brief.", True)
    assert found["parameters.top_k"] == ("3", None, True)
    assert call("apply", path).code == 0
    assert call("plan", path).code == 0


def test_other_weights_are_an_update(call, file, tmp_path):
    path = file(MODELS)
    call("apply", path)
    tiny_llama(tmp_path / "Tiny-Chat-Q4_K_M.gguf", seed=9)
    planned = call("plan", path, "--json").json
    assert set(actions(planned).values()) == {"update"}
    assert {d["what"] for h in planned["hosts"] for m in h["models"] for d in m["differences"]} == {"weights"}
    assert call("apply", path).code == 0
    assert call("plan", path).code == 0


def test_a_host_that_fails_hides_no_other_and_a_second_call_resumes(call, file, hosts):
    path = file(MODELS)
    hosts[0].inject("POST /api/blobs/", Die(after_bytes=10), times=20)
    done = call("apply", path, "--json")
    assert done.code == 5
    states = {(r["host"], r["model"]): r["state"] for r in done.json["results"]}
    assert {states["b", name] for name in ("one:latest", "two:latest")} == {"done"}
    assert "failed" in states.values()
    hosts[0]._faults.clear()
    again = call("apply", path, "--json")
    assert again.code == 0
    assert again.json["bytes_sent"]["b"] == 0
    assert call("plan", path).code == 0


def test_a_host_that_is_away_is_said_and_the_others_are_planned(call, file, hosts):
    path = file(MODELS)
    hosts[1].stop()
    planned = call("plan", path, "--json")
    assert planned.code == 5
    assert planned.json["hosts"][1]["error"]
    assert actions(planned.json) == {("a", "one"): "create", ("a", "two"): "create"}


def test_models_are_deleted_only_when_pruned_and_many_only_by_force(call, file, hosts, gguf):
    for name in ("x", "y"):
        call("build", gguf, "--name", name, "--host", hosts[0].url, "--no-load")
    path = file("  x: ./Tiny-Chat-Q4_K_M.gguf")
    assert "delete" not in call("plan", path).out
    planned = call("plan", path, "--prune")
    assert "- y:latest: delete (not in the file)" in planned.out
    assert "needs --force" in planned.out
    refused = call("apply", path, "--prune")
    assert refused.code == 2
    assert "1 of 2 models of host a" in refused.err
    with Client(hosts[0].url) as client:
        assert len(client.list()) == 2
    assert call("apply", path, "--prune", "--force").code == 0
    with Client(hosts[0].url) as client:
        assert [model.name for model in client.list()] == ["x:latest"]


def test_an_absent_model_is_deleted_and_then_nothing_is(call, file, hosts):
    call("apply", file(MODELS))
    path = file("  one: {state: absent}")
    assert call("plan", path).code == 10
    assert call("apply", path).code == 0
    assert call("plan", path).code == 0
    with Client(hosts[0].url) as client:
        assert [model.name for model in client.list()] == ["two:latest"]


def test_update_never_leaves_what_is_there(call, file):
    call("apply", file("  one: ./Tiny-Chat-Q4_K_M.gguf"))
    path = file("  one: {source: ./Tiny-Chat-Q4_K_M.gguf, system: other, update: never}")
    assert call("plan", path).code == 0


def test_update_always_makes_it_again(call, file):
    path = file("  one: {source: ./Tiny-Chat-Q4_K_M.gguf, update: always}")
    call("apply", path)
    done = call("apply", path, "--json").json
    assert {(r["action"], r["state"], r["bytes_sent"]) for r in done["results"]} == {("update", "done", 0)}


def test_a_saved_plan_is_applied_and_refused_once_a_host_has_changed(call, file, hosts, tmp_path):
    path, saved = file(MODELS), tmp_path / "plan.json"
    assert call("plan", path, "-o", saved).code == 10
    path.unlink()
    assert call("apply", saved).code == 0
    refused = call("apply", saved)
    assert refused.code == 6
    assert "have changed since" in refused.err
    assert call("apply", saved, "--prune").code == 2


def test_a_saved_plan_is_refused_once_a_source_has_changed(call, file, tmp_path):
    path, saved = file(MODELS), tmp_path / "plan.json"
    assert call("plan", path, "-o", saved).code == 10
    tiny_llama(tmp_path / "Tiny-Chat-Q4_K_M.gguf", seed=5)
    assert call("apply", saved).code == 6


def test_a_plan_in_markdown_has_a_row_for_each_change(call, file):
    out = call("plan", file(MODELS), "--markdown").out
    assert "| a | one:latest | create |" in out
    assert "**4 to create**" in out


def test_tokens_are_sent_to_their_host_alone_and_are_nowhere_in_output(
    call, hosts, tmp_path, gguf, monkeypatch
):
    monkeypatch.setenv("MY_TOKEN", SECRET)
    monkeypatch.setenv("OLLAMA_API_KEY", "k3y-of-another")
    path, saved, report = (tmp_path / name for name in ("m.yaml", "plan.json", "report.json"))
    path.write_text(
        f"models: {{one: ./{gguf.name}}}\nhosts:\n  a: {{url: '{hosts[0].url}', token: {{env: MY_TOKEN}}}}\n"
        f"  b: {{url: '{hosts[1].url}', user: me, password: {{env: MY_TOKEN}}}}\n"
    )
    texts = [call("plan", path, "-o", saved, "-v"), call("apply", saved, "--json", "--report", report, "-v")]
    assert [done.code for done in texts] == [10, 0]
    assert {seen.headers.get("Authorization") for seen in hosts[0].seen} == {f"Bearer {SECRET}"}
    assert all(seen.headers.get("Authorization", "").startswith("Basic ") for seen in hosts[1].seen)
    everything = "".join(done.out + done.err for done in texts) + saved.read_text() + report.read_text()
    assert SECRET not in everything
    assert "k3y-of-another" not in everything
    assert json.loads(report.read_text())["changed"]


def test_a_wrong_token_is_said_with_the_place_in_the_file(call, hosts, tmp_path, gguf, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", SECRET)
    hosts[0].inject("GET /api/version", Answer(status=401, body="no"), times=9)
    path = tmp_path / "m.yaml"
    path.write_text(
        f"models: {{one: ./{gguf.name}}}\nhosts:\n  a: {{url: '{hosts[0].url}', token: {{env: MY_TOKEN}}}}\n"
    )
    done = call("plan", path)
    assert done.code == 5
    assert f"{path}:3:3: host a" in done.out
    assert "does not accept its token" in done.out
    assert "check the variable MY_TOKEN" in done.out
    monkeypatch.delenv("MY_TOKEN")
    missing = call("plan", path)
    assert f"{path}:3:" in missing.out
    assert "MY_TOKEN is not set" in missing.out
    assert missing.code == 2


@pytest.mark.parametrize(
    "answer,code,expected",
    [
        (Answer(body="<html>welcome</html>", content_type="text/html"), 5, "host a: "),
        (Answer(body='{"version": ""}'), 5, "did not return a version"),
        (Answer(body='{"version": "0.5.0"}'), 2, "too old for uploads"),
    ],
)
def test_a_host_that_cannot_take_models_is_said_with_its_place(call, file, hosts, answer, code, expected):
    path = file(MODELS, via="upload")
    hosts[0].inject("GET /api/version", answer, times=9)
    done = call("plan", path, "--json")
    assert done.code == code
    message = done.json["hosts"][0]["error"]["message"]
    line = path.read_text().splitlines().index("hosts:") + 2
    assert message.startswith(f"{path}:{line}:3: host a: ")
    assert expected in message
    assert actions(done.json) == {("b", "one"): "create", ("b", "two"): "create"}


def test_a_host_without_room_stays_as_it_was(call, tmp_path, gguf, monkeypatch):
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    path = tmp_path / "m.yaml"
    with FakeOllama(version="0.34.4", disk_bytes=1000) as full, FakeOllama(version="0.34.4") as other:
        path.write_text(f"models: {{one: ./{gguf.name}}}\nhosts:\n  full: {full.url}\n  other: {other.url}\n")
        done = call("apply", path, "--json")
        assert done.code == 7
        states = {result["host"]: result["state"] for result in done.json["results"]}
        assert states == {"full": "failed", "other": "done"}
        with Client(full.url) as client:
            assert client.list() == ()


def test_a_certificate_that_is_not_known_is_said_with_its_place(call, tmp_path, gguf, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    path = tmp_path / "m.yaml"
    with FakeOllama(version="0.34.4", certificate=CERTIFICATE) as host:
        path.write_text(f"models: {{one: ./{gguf.name}}}\nhosts:\n  a: {host.url}\n")
        done = call("plan", path)
        assert done.code == 5
        assert f"{path}:3:3: host a: " in done.out
        assert "certificate" in done.out
        path.write_text(
            f"models: {{one: ./{gguf.name}}}\nhosts:\n  a: {{url: '{host.url}', ca: '{CERTIFICATE}'}}\n"
        )
        assert call("plan", path).code == 10


def test_a_source_that_is_gone_is_said_and_the_other_models_are_planned(call, file):
    path = file("  one: ./Tiny-Chat-Q4_K_M.gguf\n  two: ./gone.gguf")
    planned = call("plan", path, "--json")
    assert planned.code == 3
    assert actions(planned.json)["a", "one"] == "create"
    [two] = [model for model in planned.json["hosts"][0]["models"] if model["name"] == "two:latest"]
    assert two["action"] == "fail"
    assert two["reason"].startswith(f"{path}:3:3: model two:latest: ")
    done = call("apply", path)
    assert done.code == 3


def test_a_model_of_the_server_is_no_source(call, file):
    path = file("  one: ollama:other")
    done = call("plan", path)
    assert done.code == 2
    assert f"{path}:2:3: model one:latest: ollama:other is a model of a server" in done.out


def test_a_file_with_mistakes_is_refused_and_no_host_is_asked(call, file, hosts):
    path = file("  one: {sorce: x}\n  ONE: ./x.gguf")
    done = call("apply", path)
    assert done.code == 4
    assert f"{path}:2:9: unknown key 'sorce' in model one; did you mean 'source'?" in done.err
    assert f"{path}:3:3: 'ONE' and 'one' are the same model" in done.err
    assert not hosts[0].seen


def test_without_hosts_it_is_the_server_of_the_environment(call, server, gguf, tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text(f"models: {{one: ./{gguf.name}}}")
    assert call("apply", path).code == 0
    assert call("plan", path).code == 0
    with Client(server.url) as client:
        assert [model.name for model in client.list()] == ["one:latest"]


def test_one_host_of_several_is_named(call, file, hosts):
    path = file(MODELS)
    done = call("plan", path, "--host", "b", "--json")
    assert [host["name"] for host in done.json["hosts"]] == ["b"]
    assert call("plan", path, "--host", "c").code == 2


def test_lists_of_others_are_planned(call, server, tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("NAME ID SIZE MODIFIED\nsmol:latest 0123 1 GB 2 days ago\n")
    done = call("plan", path, "--from", "list")
    assert done.code == 10
    assert "+ smol:latest: create (pulled as smol:latest)" in done.out


def test_a_context_chosen_by_memory_is_kept_when_memory_changes(call, tmp_path, server, monkeypatch):
    monkeypatch.setattr(hardware, "_cgroup_limit", lambda: None)
    for name in ("_nvidia", "_amd"):
        monkeypatch.setattr(hardware, name, lambda: iter([]))
    tiny_llama(tmp_path / "x.gguf", metadata={"llama.context_length": 1 << 20})
    path = tmp_path / "m.yaml"
    path.write_text("models: {x: ./x.gguf}")
    monkeypatch.setattr(hardware, "_linux_ram", lambda: (400 << 20, 400 << 20))
    assert call("apply", path).code == 0
    with Client(server.url) as client:
        chosen = client.show("x").parameters["num_ctx"]
    monkeypatch.setattr(hardware, "_linux_ram", lambda: (900 << 20, 900 << 20))
    assert call("plan", path).code == 0
    path.write_text("models: {x: {source: ./x.gguf, context: 4096}}")
    assert f"parameters.num_ctx: {chosen} → 4096" in call("plan", path).out
