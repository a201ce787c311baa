"""Errors of the linter are what a real ``ollama create`` refuses, and no others."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gguf2ollama.api.lint import lint_modelfile
from gguf2ollama.ggufio import split
from gguf2ollama.modelfiles import Finding, Modelfile, lint
from tests.builders import tiny_llama
from tests.live.ollama_oracle import Oracle, OracleMissing, running_oracle
from tests.live.servers import RunningOllama
from tests.unit.modelfiles.strategies import go_templates, modelfile_texts

pytestmark = pytest.mark.live

MANY = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))

ACCEPTED = (
    "FROM ./m.gguf\n",
    "# of mine\nfrom ./m.gguf\n",
    "FROM m*.gguf\n",
    'FROM "./m.gguf"\n',
    "FROM ./folder\n",
    "FROM ./shards\n",
    "FROM ./shards/part-*.gguf\n",
    "FROM ./weights\n",
    "FROM ./m.gguf\nSYSTEM 'Be brief.'\nMESSAGE user Hi\nMESSAGE assistant Hello.\n",
    "FROM ./m.gguf\nPARAMETER temperature 7\nPARAMETER top_p -1\nPARAMETER mirostat 1\nPARAMETER stop a b\n",
    'FROM ./m.gguf\nPARAMETER temperature "0.5"\nPARAMETER use_mmap T\nPARAMETER num_ctx +5\n',
    "FROM ./m.gguf\nREQUIRES 1.2.3-rc.1+x.01\n",
    "FROM ./m.gguf\nREQUIRES v0.30\nRENDERER nonsense\nPARSER nonsense\n",
    "FROM ./m.gguf\nTEMPLATE {{ .Promt }}{{ index .Messages 7 }}\n",
    'FROM ./m.gguf\nTEMPLATE """{{ define "x" }}{{ end }}{{ template "y" . }}"""\n',
    "FROM ./m.gguf\nTEMPLATE {{ 1i }}\n",
    "FROM ./m.gguf\nTEMPLATE {% if x %}\nTEMPLATE two\nSYSTEM one\nSYSTEM \n",
    'FROM ./m.gguf\nLICENSE "MIT\nPARAMETER nonsense 1\nLICENSE b"\n',
    "FROM ./m.gguf\nPARAMETER system Be brief.\n",
    "\ufeffFROM ./m.gguf\r\nSYSTEM \u200bx\r\n",
    "FROM ./projector.gguf\n",
)
REFUSED = (
    "SYSTEM x\n",
    "FROM ./n.gguf\n",
    "FROM /nowhere/m.gguf\n",
    "FROM ./m.gguf # mine\n",
    "FROM './m.gguf'\n",
    "FROM ./m.gguf\nFROM ./n.gguf\n",
    "FROM ./empty\n",
    "FROM ./text.gguf\n",
    "FROM ./text.txt\n",
    "FROM ./cut.gguf\n",
    "FROM ./adapter.gguf\n",
    "FROM ./shards/part-00001-of-00002.gguf\n",
    "FROM ./m.gguf\nADAPTER ./adapter.gguf\n",
    "FROM ./m.gguf\nADAPTER ./nowhere.gguf\n",
    "FROM ./m.gguf\nDRAFT ./nowhere.gguf\n",
    "FROM ./m.gguf\nPARAMETER temperature 0.7 # warm\n",
    "FROM ./m.gguf\nPARAMETER num_ctx 8k\n",
    "FROM ./m.gguf\nPARAMETER num_ctx 4096.0\n",
    "FROM ./m.gguf\nPARAMETER use_mmap yes\n",
    "FROM ./m.gguf\nPARAMETER temprature 1\n",
    "FROM ./m.gguf\nPARAMETER Temperature 1\n",
    "FROM ./m.gguf\nPARAMETER  temperature 1\n",
    "FROM ./m.gguf\nPARAMETER temperature=1\n",
    "FROM ./m.gguf\nPARAMETER typical_p 1\n",
    "FROM ./m.gguf\nPARAMETER tfs_z 1\n",
    "FROM ./m.gguf\nREQUIRES soon\n",
    "FROM ./m.gguf\nREQUIRES 1.2.3-01\n",
    "FROM ./m.gguf\nREQUIRES 1.2-rc\n",
    "FROM ./m.gguf\nMESSAGE tool x\n",
    "FROM ./m.gguf\nMESSAGE User x\n",
    "FROM ./m.gguf\nNONSENSE x\n",
    "FROM ./m.gguf\nSYSTEM You are\nbrief.\n",
    'FROM ./m.gguf\nSYSTEM """x""" # y\n',
    'FROM ./m.gguf\nLICENSE "MIT\n',
    'FROM ./m.gguf\nTEMPLATE """{{ sub 3 1 }}"""\n',
    "FROM ./m.gguf\nTEMPLATE {{ .Prompt | upper }}\n",
    'FROM ./m.gguf\nTEMPLATE {{ template "x" }}\n',
    "FROM ./m.gguf\nTEMPLATE {{ $x }}\n",
    "FROM ./m.gguf\nTEMPLATE {{ messages[0].content }}\n",
    "FROM ./m.gguf\nTEMPLATE {{ if .System }}\n",
)
_HIDES_THE_REST = "PARAMETER system Be brief."  # refused on purpose, with a warning, where parsing ends
_LINES = sorted(
    {line for text in (*ACCEPTED, *REFUSED) for line in text.splitlines()[1:]} - {_HIDES_THE_REST}
)


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    try:
        with running_oracle() as running:
            yield running
    except OracleMissing as reason:
        pytest.skip(f"missing part: {reason}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files that the Modelfiles name."""
    folder = tmp_path_factory.mktemp("modelfiles")
    model = tiny_llama(folder / "m.gguf", chat_template=None)
    for name in ("folder", "shards", "empty"):
        (folder / name).mkdir()
    tiny_llama(folder / "folder" / "x.gguf")
    split(model, folder / "shards" / "part", max_tensors=12)
    (folder / "weights").write_bytes(model.read_bytes())
    (folder / "text.gguf").write_text("version https://git-lfs.github.com/spec/v1\n")
    (folder / "text.txt").write_text("a model\n")
    (folder / "cut.gguf").write_bytes(model.read_bytes()[:300])
    tiny_llama(folder / "adapter.gguf", metadata={"general.type": "adapter"})
    tiny_llama(folder / "projector.gguf", metadata={"general.type": "mmproj"})
    return folder


@pytest.fixture(scope="module")
def create(newest_ollama: RunningOllama, folder: Path) -> Callable[[str], str]:
    """Return a function that creates a model of a Modelfile and returns the error, if there is one."""

    def create(text: str) -> str:
        (folder / "Modelfile").write_bytes(text.encode())
        done = subprocess.run(
            [newest_ollama.program, "create", "linted", "-f", folder / "Modelfile"],
            env=newest_ollama.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stderr if done.returncode else ""

    return create


def errors(findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "error"]


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_ollama_accepts_has_no_error(create: Callable[[str], str], folder: Path, text: str) -> None:
    assert create(text) == ""
    assert errors(lint_modelfile(text.encode(), folder=folder)) == []


@pytest.mark.parametrize("text", REFUSED)
def test_what_ollama_refuses_has_an_error(create: Callable[[str], str], folder: Path, text: str) -> None:
    assert create(text)
    assert errors(lint_modelfile(text.encode(), folder=folder))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=st.lists(st.sampled_from(_LINES), min_size=1, max_size=3))
def test_lines_in_any_order_are_refused_exactly_where_there_is_an_error(
    create: Callable[[str], str], folder: Path, lines: list[str]
) -> None:
    text = "\n".join(["FROM ./m.gguf", *lines, ""])
    found = errors(lint_modelfile(text.encode(), folder=folder))
    assert bool(found) == bool(create(text)), found


@MANY
@given(text=modelfile_texts)
def test_a_text_has_an_error_exactly_where_ollamas_client_refuses_it(
    oracle: Oracle, tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    answer = oracle.ask("modelfile", text.encode())
    commands = answer["commands"] or []
    templates = [command["args"] for command in commands if command["name"] == "template"]
    refused = (
        answer["error"]
        or answer["request_error"]
        or any(command["name"] in {"adapter", "typical_p"} for command in commands)
        or (templates and oracle.ask("template", templates[-1].encode()))
    )
    findings = lint_modelfile(text.encode(), folder=tmp_path_factory.getbasetemp())
    if any(finding.code == "syntax" and finding.level == "warning" for finding in findings):
        return  # what is refused on purpose, and hides the rest: `PARAMETER system …`
    of_files = {"missing-file", "invalid-gguf", "empty-folder", "trailing-comment", "kept-quotes"}
    found = [finding for finding in errors(findings) if finding.code not in of_files]
    assert bool(found) == bool(refused), found


@MANY
@given(text=go_templates)
def test_a_template_has_an_error_exactly_where_ollama_refuses_it(oracle: Oracle, text: str) -> None:
    found = errors(lint(Modelfile(sources=("x",), template=text)))
    refused = bool(text) and bool(oracle.ask("template", text.encode()))
    assert [finding.code for finding in found] == ["invalid-template"] * refused
