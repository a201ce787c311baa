"""What a call of the program loads: less than its rooms hold, since loading is most of what a call costs."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

_PROGRAM = """
import sys
from gguf2ollama.cli import run
code = run(sys.argv[1:])
print("loaded:", code, *sys.modules)
"""

NETWORK = {"httpcore2", "h11", "ssl", "http.client", "urllib.request", "importlib.metadata"}
READING = {"yaml", "jinja2", "numpy", "gguf", "huggingface_hub"}
ROOMS = {
    f"gguf2ollama.{room}" for room in ("chat", "families", "ggufio", "jinja", "planning.plan", "install")
}
GO_TEMPLATES = {
    "gguf2ollama.gotmpl.parse",
    "gguf2ollama.gotmpl.exec",
    "gguf2ollama.ollama_template.execute",
    "gguf2ollama.chat.synthesis.synthesis",
    "gguf2ollama.chat.answers.ollama_parsers",
}
# for TLS and proxies, for the Hub, for tensors, and for terminals
FOR_OTHERS = {"httpcore2", "http.client", "ssl", "urllib.request", "huggingface_hub", "numpy", "gguf", "rich"}
CHAT = {"gguf2ollama.chat.choice.selection", "gguf2ollama.chat.llamacpp.jinja_engine.interpreter"}


def loaded_by(*arguments):
    """Return the exit code of a call, and the modules that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    code, *modules = done.stdout.rpartition("loaded:")[2].split()
    return int(code), set(modules)


@pytest.mark.parametrize(
    "arguments, code",
    [
        (("--help",), 0),
        (("build", "--help"), 0),
        (("buidl",), 2),
        (("build", "--nmae", "x"), 2),
        (("build", "nope.gguf"), 3),
    ],
)
def test_help_and_wrong_calls_load_next_to_nothing(arguments, code):
    found, loaded = loaded_by(*arguments)
    assert found == code
    assert not loaded & (NETWORK | READING | ROOMS)
    assert "rich" not in loaded
    assert len(loaded) < 250


def test_an_option_that_cannot_be_is_found_before_anything_is_loaded_for_it(server, gguf):
    code, loaded = loaded_by("build", gguf, "--ctx", "banana")
    assert code == 2
    assert not loaded & (NETWORK | READING)
    assert server.endpoints() == []


@pytest.fixture
def store(server, tmp_path, monkeypatch):
    """Return the folder of the server's store, which is ours to write."""
    server.store.folder = tmp_path / "models"
    (server.store.folder / "blobs").mkdir(parents=True)
    monkeypatch.setenv("OLLAMA_MODELS", str(server.store.folder))


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("verify", ["--verify", "--no-verify"])
def test_a_link_loads_what_it_uses(verify, gguf):
    arguments = ("build", gguf, "--name", "mine", "--via", "link", "--no-load", "--quiet")
    if verify == "--no-verify":
        arguments = (*arguments, verify)
    chosen = CHAT if verify == "--verify" else set()
    for is_known in (False, True):
        code, loaded = loaded_by(*arguments)
        assert code == 0
        assert loaded & CHAT == (set() if is_known else chosen)
        assert not loaded & GO_TEMPLATES
        assert not loaded & FOR_OTHERS
        assert not loaded & {"gguf2ollama.verification.prompt_check", "gguf2ollama.install.upload"}
        assert len([name for name in loaded if name.startswith("gguf2ollama")]) < (194 if is_known else 272)
    assert not loaded & READING
