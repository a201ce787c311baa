"""The first rule, live: whatever file plain ``ollama create`` makes a working model of, so do we by default.

Each model of the zoo is made by a plain ``create`` and by our builds, and asked: what answers there answers
here, and prompts are the authors'. A few of the models here, all of them and all chat templates of the corpus
with the marker ``corpus``.
"""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gguf2ollama.ollama import Client
from tests.live import parts
from tests.live.zoo_trial import R1_NAME, ZooServer
from tests.zoo.models import CORPUS, MODELS, ZooModel, corpus_is_there

pytestmark = pytest.mark.live

# what Ollama treats in a way of its own by family, architecture, tokenizer or name, and the most usual ones
SPECIAL = (
    *("llama", "llama-2", "mistral-nemo", "qwen3", "gemma4", "laguna", "nemotron_h_moe", "gpt-oss"),
    *("deepseek2", "lfm2", "qwen35", "mamba", "bert", "qwen3-embedding"),
)
# of which Ollama treats nothing in a way of its own: on the older release, too, with the marker ``corpus``
USUAL = {"llama-2", "mistral-nemo", "lfm2", "qwen35", "mamba", "qwen3-embedding"}
TRIED = [
    pytest.param(part, name, id=f"{part.version}-{name}")
    for part in parts.OLLAMAS
    for name in SPECIAL
    if part == parts.OLLAMAS[0] or name not in USUAL
]
CALLED_R1 = ("deepseek-r1-qwen3", "r1-distill-qwen", "r1-distill-llama", "deepseek2", "qwen3", "gemma3")
THINKS = "qwen3"


@pytest.fixture(autouse=True)
def _a_home_of_its_own(monkeypatch, tmp_path):
    """Remember no digests; real parts are found all the same."""
    monkeypatch.setenv("GGUF2OLLAMA_PARTS", str(parts.cache_dir()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def server(ollama_server, monkeypatch):
    """Return a server whose store is ours, so that `--via auto` would link into it."""
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama_server.store))
    with ZooServer(ollama_server) as server:
        yield server


def subjects() -> Iterator[tuple[ZooModel, str | None]]:
    """Return each model with each chat template of the corpus that belongs to it, else with our own."""
    for model in MODELS.values():
        for stem in model.templates if corpus_is_there() else ():
            yield model, stem
        if not model.templates or not corpus_is_there():
            yield model, None


SUBJECTS = list(subjects())


def make(model, tmp_path, *, stem=None):
    template = model.chat_template() if stem is None else (CORPUS / f"{stem}.jinja").read_bytes().decode()
    return model.make(tmp_path / f"{model.name}.gguf", chat_template=template)


@pytest.mark.parametrize("ollama_server, name", TRIED, indirect=["ollama_server"])
def test_what_plain_create_makes_a_working_model_of_is_built_by_link_and_by_upload(server, name, tmp_path):
    model = MODELS[name]
    trial = server.try_model(model, make(model, tmp_path))
    assert trial.runs_plainly, trial
    assert list(trial.faults()) == []


@pytest.mark.parametrize("name", ["gpt2", "gemma4"])
def test_a_file_without_a_chat_template_is_built(server, name, tmp_path):
    model = MODELS[name]
    path = model.make(tmp_path / "model.gguf", chat_template=None)
    trial = server.try_model(model, path)
    assert trial.runs_plainly, trial
    assert list(trial.faults()) == []


@pytest.mark.parametrize("name", ["deepseek-r1-qwen3", "r1-distill-llama"])
def test_a_model_called_like_one_that_ollama_treats_in_a_way_of_its_own_is_built(server, name, tmp_path):
    model = MODELS[name]
    trial = server.try_model(model, make(model, tmp_path), names=(R1_NAME,))
    assert trial.runs_plainly, trial
    assert list(trial.faults()) == []


def test_a_model_that_was_built_and_verified_on_the_command_line_answers(server, tmp_path):
    path = make(MODELS[THINKS], tmp_path)
    ollama = server.ollama

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "gguf2ollama", *map(str, arguments)],
            env=ollama.environment | {"OLLAMA_HOST": ollama.url, "OLLAMA_MODELS": str(ollama.store)},
            capture_output=True,
            text=True,
            check=False,
        )

    built = run("build", path, "--name", "zoo-cli")
    assert built.returncode == 0, built.stderr
    assert server.ask("zoo-cli", embeds=False).state == "answered"
    verified = run("verify", "zoo-cli", "--json")
    assert verified.returncode in {0, 6}, verified.stderr  # a model that says letters may pass no check
    scores = json.loads(verified.stdout)["scores"]
    assert scores["plain"]["exact"] >= scores["plain"]["compared"] - 1 > 0  # an odd one may differ
    with Client(ollama.url) as client:
        client.delete("zoo-cli")


@pytest.mark.corpus
@pytest.mark.parametrize("model, stem", SUBJECTS, ids=[f"{model.name}-{stem}" for model, stem in SUBJECTS])
def test_no_file_of_the_zoo_that_plain_create_makes_work_is_refused(server, model, stem, tmp_path):
    is_usual = not model.templates or stem is None or stem == model.templates[0]
    names = ("zoo-ours", R1_NAME) if is_usual and model.name in CALLED_R1 else ("zoo-ours",)
    ways = ("link", "pull", "upload") if is_usual and model.name in SPECIAL else ("link", "upload")
    path = make(model, tmp_path, stem=stem)
    verified = ways if model.name in SPECIAL else ("link",)
    trial = server.try_model(model, path, ways=ways, names=names, verified=verified if is_usual else ())
    assert list(trial.faults()) == []


@pytest.mark.corpus
def test_the_corpus_is_there():
    if not corpus_is_there():
        count = sum(len(model.templates) for model in MODELS.values())
        pytest.skip(f"{count} chat templates are not tried in the zoo: {CORPUS} is not there")
