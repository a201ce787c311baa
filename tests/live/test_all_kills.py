"""SIGKILL, SIGTERM and SIGINT at any point of every way to build, hundreds of times: ``make test-kills``."""

import collections
import itertools
import os
import random
import signal
import time

import pytest

from gguf2ollama.names import TEMPORARY_NAMESPACE
from tests.builders import tiny_llama
from tests.live import parts
from tests.live.test_kills import Checked, age, command, finish, running

pytestmark = [pytest.mark.live, pytest.mark.kills]

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
EACH = 16  # of each signal for each way
GO_CHATML = (
    "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
)
MESSAGES = [{"role": "user", "content": "Hi"}]


def test_builds_by_link_pull_and_upload_ended_by_sigkill_sigterm_and_sigint(tmp_path):
    noise = random.Random(8)  # noqa: S311 - the same every time
    model = tiny_llama(tmp_path / "model.gguf", width=256, blocks=4)
    older = tiny_llama(tmp_path / "older.gguf", seed=12)
    with running(parts.OLLAMAS[0], tmp_path) as (server, client):
        check = Checked(server.store)

        def start(source, name, via, *options):
            arguments = ["build", source, "--name", name, "--via", via, "--replace", *options]
            return command(*arguments, environment=server.environment, folder=tmp_path)

        assert finish(start(older, "older", "link"))[0] == 0
        for via, number in itertools.product(("link", "pull", "upload"), SIGNALS):
            ends = collections.Counter()
            began = time.monotonic()
            assert finish(start(model, "model", via))[0] == 0
            seconds = time.monotonic() - began
            for at in range(EACH):
                if noise.random() < 0.5:
                    client.delete("model")
                process = start(model, "model", via)
                time.sleep(seconds * noise.uniform(0.0, 1.1))
                process.send_signal(number)
                code, err = finish(process)
                ends[code] += 1
                require_good_end(number, code, err)
                check()
                if number != signal.SIGKILL:
                    assert temporary(client) == [], f"after {number.name}: {err}"
                if number == signal.SIGKILL or at == EACH - 1 or not client.list()[1:]:
                    assert finish(start(model, "model", via, "--no-load"))[0] == 0
                    assert temporary(client) == []
            print(f"{via}, {number.name}: {EACH} builds ended with {dict(ends)}", flush=True)  # noqa: T201
        check()
        assert {found.name for found in client.list()} == {"model:latest", "older:latest"}
        assert client.render("model", MESSAGES)
        assert client.render("older", MESSAGES)


def require_good_end(number, code, err):
    """Require that a call ended as one that is interrupted, or was through already."""
    if number == signal.SIGKILL:
        assert code in {-signal.SIGKILL, 0}
        return
    # a signal that comes before our first line has Python's own effect
    is_before_us = code == -number or "gguf2ollama/cli" not in err.replace(os.sep, "/")
    assert code in {128 + number, -number, 0} or is_before_us, err
    if not is_before_us:
        assert "Traceback" not in err
        assert "Exception ignored" not in err


def temporary(client):
    """Return the temporary models that a server has."""
    return [model.name for model in client.list() if f"{TEMPORARY_NAMESPACE}/" in model.name]


def test_a_merge_that_is_ended_leaves_the_old_file_or_the_new(tmp_path):
    from gguf2ollama import split  # noqa: PLC0415

    whole = tiny_llama(tmp_path / "big.gguf", width=512, blocks=4)
    shards = split(whole, tmp_path / "shards", max_tensors=14)
    target, wanted = tmp_path / "merged.gguf", whole.read_bytes()
    noise = random.Random(7)  # noqa: S311 - the same every time

    def start():
        arguments = ["merge", shards[0], "-o", target, "--force", "--drop-split-keys"]
        return command(*arguments, environment=dict(os.environ), folder=tmp_path)

    began = time.monotonic()
    assert finish(start())[0] == 0
    seconds = time.monotonic() - began
    for number in SIGNALS * 24:
        target.write_bytes(b"old")
        process = start()
        time.sleep(seconds * noise.uniform(0.0, 1.1))
        process.send_signal(number)
        require_good_end(number, *finish(process))
        assert target.read_bytes() in {b"old", wanted}
    age(tmp_path)
    assert finish(start())[0] == 0
    assert target.read_bytes() == wanted
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize("part", parts.OLLAMAS, ids=lambda part: part.version)
def test_builds_of_one_file_and_of_one_name_at_once_all_succeed(part, tmp_path):
    model, template = tiny_llama(tmp_path / "model.gguf", width=128), tmp_path / "chatml.gotmpl"
    template.write_text(GO_CHATML)
    with running(part, tmp_path) as (server, client):
        check = Checked(server.store)
        for via, has_one_name in itertools.product(("link", "pull", "upload"), (False, True)):
            names = ["same"] * 5 if has_one_name else [f"n{number}" for number in range(5)]
            builds = [
                command(
                    *("build", model, "--name", name, "--via", via, "--replace", *options),
                    environment=server.environment,
                    folder=tmp_path,
                )
                # the server runs all in one process, with the settings of the model that it is started for
                for name, options in zip(names, itertools.cycle(((), ("--template", template))), strict=False)
            ]
            assert [(code, err) for code, err in map(finish, builds) if code] == []
            assert temporary(client) == []
            check()
        assert {found.name for found in client.list()} == {
            "same:latest",
            *(f"n{at}:latest" for at in range(5)),
        }
