"""The verbs of the Hub, and the others with a repository for a source."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from gguf2ollama.cli import run
from tests.builders import tiny_llama
from tests.cli.json_keys import check_output
from tests.fakes.hub_content import Hollow
from tests.fakes.hub_repositories import QWEN
from tests.fakes.hub_server import WEB_PAGE, Answer, FakeHub, Stall

REPOSITORY = "Qwen/Qwen2.5-7B-Instruct-GGUF"


@pytest.fixture
def call(hub, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def one(*arguments):
        code = run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return one


@pytest.fixture
def model(tmp_path):
    return tiny_llama(tmp_path / "tiny.gguf").read_bytes()


def test_quants_is_a_table_with_a_choice(hub, call):
    hub.add(REPOSITORY, {path: Hollow(size, b"GGUF") for path, size in QWEN.items()})

    code, out, err = call("quants", REPOSITORY)

    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["QUANT", "SIZE", "SHARDS", "BITS/WEIGHT", "FITS", "FILE"]
    assert [row[0] for row in rows[1:]] == [
        *("Q2_K", "Q3_K_M", "Q4_0", "Q4_K_M", "Q5_0", "Q5_K_M", "Q6_K", "Q8_0", "FP16")
    ]
    assert "Default: Q4_K_M" in err


def test_quants_as_json_has_files_and_sizes(hub, call, model):
    hub.add("o/r", {"m-Q4_K_M.gguf": model, "mmproj-F16.gguf": model})

    table = json.loads(call("quants", "o/r", "--json")[1])

    check_output(("quants",), table)
    assert table["models"][0] | {"fits_memory": None, "place": None} == {
        "quantization": "Q4_K_M",
        "size_bytes": len(model),
        "files": ["m-Q4_K_M.gguf"],
        "missing_shards": [],
        "bits_per_weight": None,
        "fits_memory": None,
        "place": None,
    }
    assert table["other_files"][0]["kind"] == "projector"
    assert table["default"]["reason"] == "the only model there"


def test_download_prints_where_the_files_are(hub, call, model, tmp_path):
    hub.add("o/r", {"m-Q4_K_M.gguf": model, "m-Q8_0.gguf": model})

    code, out, _ = call("download", "o/r", "--quant", "q8_0", "--local-dir", tmp_path / "here")

    assert (code, out.strip()) == (0, str(tmp_path / "here" / "m-Q8_0.gguf"))


def test_inspect_tells_how_little_was_fetched(hub, call, model):
    hub.add("o/r", {"m-Q4_K_M.gguf": Hollow(5_000_000_000, model)})

    code, _, err = call("inspect", "o/r")
    told = json.loads(call("inspect", "o/r", "--json")[1])

    assert code == 0
    assert "of 5.0 GB: hf://o/r/m-Q4_K_M.gguf@main" in err
    assert told["origin"]["commit"] == hub.repositories["o/r"].refs["main"]


def test_modelfile_says_how_to_get_the_files(hub, call, model):
    hub.add("o/r", {"m-Q4_K_M.gguf": model})

    out = call("modelfile", "o/r")[1]

    assert "FROM ./m-Q4_K_M.gguf" in out
    assert "gguf2ollama download hf://o/r/m-Q4_K_M.gguf@main --local-dir ." in out


@pytest.mark.parametrize(
    "arguments,code,sentence",
    [
        (("build", "o/none"), 3, "repository o/none not found at"),
        (("build", "o/r", "--quant", "q9"), 3, "o/r has no quantization 'q9'"),
        (("build", "o/r", "--file", "x.gguf"), 3, "o/r has no GGUF 'x.gguf'"),
        (("build", "o/r", "--revision", "v9"), 3, "o/r has no revision 'v9'"),
        (("build", "o/gated"), 5, "o/gated is gated"),
        (("build", "o/cut"), 4, "o/cut has 1 of the 2 shards of m-Q8_0; missing: m-Q8_0-00002-of-00002.gguf"),
        (("build", "o/weights"), 3, "o/weights has no GGUF file, only safetensors"),
        (("build", "o/large"), 7, "bytes needed"),
        (("build", "o/several"), 2, "o/several has 2 models: a-7b-Q4_0.gguf, b-7b-Q4_0.gguf"),
        (("quants", "./nowhere.gguf"), 2, "not a repository on Hugging Face"),
        (("download", "./nowhere.gguf"), 2, "is on this machine"),
    ],
)
def test_bad_input_is_a_sentence_and_an_exit_code(hub, call, model, tmp_path, arguments, code, sentence):
    hub.add("o/r", {"m-Q4_K_M.gguf": model, "m-Q8_0.gguf": model})
    hub.add("o/gated", {"m-Q4_K_M.gguf": model}, access="gated", readers={"hf_good"})
    hub.add("o/cut", {"m-Q8_0-00001-of-00002.gguf": model})
    hub.add("o/weights", {"model.safetensors": b""})
    hub.add("o/large", {"m-Q4_0.gguf": Hollow(1 << 49, model)})
    hub.add("o/several", {"a-7b-Q4_0.gguf": model, "b-7b-Q4_0.gguf": model})
    extra = ("--store", tmp_path / "store") if arguments[0] == "build" else ()

    found, _, err = call(*arguments, *extra)

    assert found == code, err
    assert f"error: {sentence}" in err or sentence in err
    assert "hint: " in err


@pytest.mark.parametrize(
    "answer,sentence",
    [
        (WEB_PAGE, "does not respond as a Hugging Face Hub does: it sends a web page"),
        (
            Answer(body="[]", headers={"Content-Type": "application/json"}),
            "does not respond as a Hugging Face Hub does",
        ),
        (Answer(429, headers={"Retry-After": "900"}), "rate limited by"),
        (Answer(403, headers={"X-Error-Message": "Access to this resource is disabled."}), "is disabled"),
    ],
)
def test_answers_of_no_use_are_explained(hub, call, answer, sentence):
    hub.inject("GET site /api", answer, times=-1)

    code, _, err = call("quants", "o/r")

    assert code == 5
    assert sentence in err


def test_an_expired_token_is_told_and_never_shown(hub, call, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_expiredsecret")

    code, out, err = call("quants", "o/r", "--verbose")

    assert code == 5
    assert "invalid or expired" in err
    assert "expiredsecret" not in out + err


def test_a_token_that_is_none_is_told_and_never_shown(hub, call, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_sécret pass")

    code, out, err = call("quants", "o/r")

    assert code == 2
    assert "cret" not in out + err


def test_a_hub_that_is_not_there_is_told(call, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    code, _, err = call("build", "o/r", "--store", "nowhere")

    assert code == 5
    assert "cannot connect to 127.0.0.1:9" in err
    assert "hint: check the network; HF_HUB_OFFLINE=1 uses what was downloaded before" in err


def test_an_endpoint_that_is_no_address_is_told(call, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "huggingface.co")

    assert call("quants", "o/r")[0] == 2


def start_download(hub, *, until):
    process = subprocess.Popen(
        [sys.executable, "-m", "gguf2ollama", "download", "o/r"], stderr=subprocess.PIPE
    )
    while hub.sent.get("m-Q4_K_M.gguf", 0) < until:
        assert process.poll() is None
        time.sleep(0.05)
    return process


@pytest.mark.slow
def test_a_killed_download_is_gone_on_with(hub, call, content):
    hub.add("o/r", {"m-Q4_K_M.gguf": content})
    hub.inject("GET cdn", Stall(after_bytes=1_500_000))
    killed = start_download(hub, until=1_500_000)
    time.sleep(0.2)
    killed.kill()
    killed.communicate()

    code, out, err = call("download", "o/r", "--json")

    assert code == 0, err
    check_output(("download",), json.loads(out))
    assert json.loads(out)["downloaded_bytes"] == len(content) - 1_500_000
    assert hub.sent["m-Q4_K_M.gguf"] == len(content)


@pytest.mark.slow
def test_a_download_over_several_connections_that_is_killed_again_and_again_comes_whole(
    monkeypatch, tmp_path
):
    """How much is fetched again: benchmarks/RESULTS.md; without a journal it would be several times that."""
    content = random.Random(9).randbytes(16_000_000)  # noqa: S311 - the same every time
    with FakeHub(rate=2_000_000) as hub:
        hub.add("o/r", {"m-Q4_K_M.gguf": content})
        for name, value in {"HF_ENDPOINT": hub.url, "HF_HOME": tmp_path, "HF_TOKEN": ""}.items():
            monkeypatch.setenv(name, str(value))
        kills = 8
        for number in range(1, kills + 1):
            killed = start_download(hub, until=number * len(content) // (kills + 1))
            killed.kill()
            killed.communicate()
        requests = len(hub.lines("GET cdn"))
        last = start_download(hub, until=0)
        assert last.wait(timeout=60) == 0
        last.stderr.close()
        sent = hub.sent["m-Q4_K_M.gguf"]

    [path] = tmp_path.glob("hub/*/snapshots/*/m-Q4_K_M.gguf")
    assert path.read_bytes() == content
    assert requests >= 3 * kills
    assert sent < 1.5 * len(content)
    assert [found.name for found in path.resolve().parent.iterdir()] == [path.resolve().name]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there, a program is not interrupted by a signal")
def test_an_interrupted_download_ends_though_nothing_comes(hub, call, content):
    hub.add("o/r", {"m-Q4_K_M.gguf": content})
    hub.inject("GET cdn", Stall(after_bytes=1_000_000))
    process = start_download(hub, until=1_000_000)
    process.send_signal(signal.SIGINT)

    _, err = process.communicate(timeout=10)

    assert process.returncode == 130
    assert err.endswith(b"interrupted\n")


@pytest.mark.slow
def test_two_downloads_at_once_fetch_a_file_once(hub, call, content):
    hub.add("o/r", {"m-Q4_K_M.gguf": content})

    both = [start_download(hub, until=0) for _ in range(2)]

    assert [process.communicate(timeout=60) and process.returncode for process in both] == [0, 0]
    assert hub.sent == {"m-Q4_K_M.gguf": len(content)}
