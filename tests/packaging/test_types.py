"""A project of somebody else that uses every public verb, as its type checker and its interpreter see it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gguf2ollama
from tests.builders import build_shards, tiny_llama
from tests.fakes.ollama_server import FakeOllama

CHECKOUT = Path(__file__).resolve().parents[2]

# every verb with its result; what it does is tested elsewhere
PROJECT = """
from __future__ import annotations

import sys
from pathlib import Path

import gguf2ollama as g

host, folder = sys.argv[1], Path(sys.argv[2])
seen: list[g.Update] = []
lines: list[str] = []


def main() -> None:
    gguf = folder / "tiny.gguf"
    example = g.Message(role="user", content="Hi")
    inspection: g.Inspection = g.inspect(
        gguf, context=512, parameters=[g.Parameter(name="top_k", value=3)], messages=[example]
    )
    text: str = g.modelfile(gguf, for_ollama="0.34.4", system="Be brief.")
    plan: g.BuildPlan = g.plan_build(gguf, host=host, name="mine", via="upload")
    options: g.BuildOptions = plan.options
    result: g.BuildResult = g.build(
        gguf, host=host, name="mine", progress=seen.append, notify=lines.append, verify=False
    )
    assert (result.name.short, options.name) == ("mine:latest", "mine")
    assert result.plan.inspection.files.origin is None
    assert "FROM" in text and inspection.recipe.capabilities
    models: tuple[g.LocalModel, ...] = g.list_models(host=host)
    assert [model.name for model in models] == ["mine:latest"]
    info: g.ModelInfo = g.show("mine", host=host)
    assert info.capabilities
    answer: str = g.run("mine", "Say hi", host=host)
    assert answer
    loaded: tuple[g.RunningModel, ...] = g.ps(host=host)
    g.stop("mine", host=host)
    g.cp("mine", "other", host=host)
    g.rm(["other", "mine"], host=host)
    assert g.list_models(host=host) == () and len(loaded) <= 1
    fleet: g.Fleet = g.parse_fleet(f"models: {{ours: {gguf}}}", environ={})
    planned: g.FleetPlan = g.plan(fleet, host=host)
    applied: g.Applied = g.apply(fleet, host=host, notify=lines.append)
    assert planned.exit_code == 10 and applied.exit_code == 0
    exported: tuple[g.ExportedModel, ...] = g.export(host)
    checked: tuple[g.CheckedModel, ...] = g.outdated(host)
    assert [model.name.short for model in exported] == [model.name.short for model in checked]
    results: tuple[g.ModelResult, ...] = g.update(host=host).results
    g.rm(["ours"], host=host)
    assert not results
    merged: Path = g.merge(folder / "sharded-00001-of-00002.gguf", folder / "whole.gguf")
    parts: tuple[Path, ...] = tuple(g.split(merged, folder / "part", max_tensors=1))
    assert parts
    shards: g.ShardSet = g.ShardSet.discover(parts[0])
    try:
        engine: g.Engine = g.load(gguf, engine="llama.cpp", gpu_layers=99)
        report: g.LoadReport = engine.report
        taken: g.EngineMemory = report.after
        lines.extend(chunk.content for chunk in engine.generate(f"{taken.resident} bytes"))
        measured: list[g.Measurement] = list(g.measure(gguf, gpu_layers=[99]))
        assert measured
    except g.UsageProblem as error:
        assert "layers" in str(error)
    patched: g.PatchedFile = g.patch_template(gguf, folder / "patched.gguf", chat_template="{{ messages }}")
    assert patched.path.exists() and shards.is_split
    (folder / "models").mkdir()
    library: g.LibraryResult = g.build_all([folder / "models"], host=host, dry_run=True)
    assert not library.models
    model = inspection.model
    memory: g.MemoryEstimate = g.estimate_memory(model.metadata, context=512, tensors=model.tensors)
    assert memory.total == sum(device.total for device in memory.by_device.values())
    survey: g.TemplateSurvey = g.survey_templates(folder)
    assert survey
    try:
        quantized: Path = g.quantize(gguf, folder / "q4.gguf", "Q4_X")
        assert quantized
    except g.UsageProblem as error:
        assert "Q4_X" in str(error)
    try:
        g.download(str(gguf))
    except g.UsageProblem as error:
        hint: str | None = error.hint
        assert hint
    try:
        g.verify("none", host=host)
    except g.NotFound as error:
        assert error.exit_code == 3


main()
"""

WRONG = """
from gguf2ollama import build

build("o/r", quant="q8_0", sytem="Be brief.")
"""


def run(*arguments, folder):
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "OLLAMA_MODELS": str(folder / "no")}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def check_types(folder, text):
    (folder / "project.py").write_text(text)
    (folder / "mypy.ini").write_text("[mypy]\nstrict = true\n")
    return run("-m", "mypy", "--strict", "project.py", folder=folder)


@pytest.mark.slow
def test_every_verb_type_checks_and_runs_from_outside(tmp_path):
    done = check_types(tmp_path, PROJECT)
    assert done.returncode == 0, done.stdout
    tiny_llama(tmp_path / "tiny.gguf")
    (tmp_path / "one.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    build_shards(tmp_path, name="sharded", count=2, metadata={"llama.context_length": 512})
    with FakeOllama() as server:
        done = run("project.py", server.url, tmp_path, folder=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_keyword_that_no_verb_has_is_refused_by_both(tmp_path):
    done = check_types(tmp_path, WRONG)
    assert 'Unexpected keyword argument "sytem"' in done.stdout
    done = run("project.py", folder=tmp_path)
    expected = "build() got an unexpected keyword argument 'sytem'; did you mean 'system'?"
    assert f"TypeError: {expected}" in done.stderr


@pytest.mark.slow
def test_the_python_of_the_readme_type_checks(tmp_path):
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    done = check_types(tmp_path, code)
    assert done.returncode == 0, done.stdout


def test_the_project_of_these_tests_uses_what_is_public():
    """What is left is what a verb takes or gives by itself, or needs a network."""
    unused = {name for name in gguf2ollama.__all__ if not re.search(rf"\bg\.{name}\b", PROJECT)}
    errors = {name for name in unused if isinstance(getattr(gguf2ollama, name), type)}
    assert unused - errors <= {
        "__version__",
        "Progress",
        "list_quants",
        "open_gguf",
        "check_system",
        "doctor",
        "pull",
        "push",
    }
