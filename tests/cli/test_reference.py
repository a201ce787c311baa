"""The documents tell the truth."""

import re
from pathlib import Path

import pytest

from gguf2ollama.cli._verbs import VERBS
from tests.cli.reference import reference

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    "README.md",
    "README.zh-CN.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    *sorted(map(str, Path("docs").rglob("*.md"))),
]


def test_the_reference_is_that_of_the_commands():
    result = (CHECKOUT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert result == reference(), "run `make docs`"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_inside_the_project_lead_somewhere(document):
    text = (CHECKOUT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((CHECKOUT / document).parent / target).exists(), target


def test_every_verb_is_in_the_readme():
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert [verb for verb in VERBS if not re.search(rf"`{verb}`|gguf2ollama {verb}\b", text)] == []


@pytest.mark.loopback
def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    from tests.builders import tiny_llama  # noqa: PLC0415
    from tests.fakes.ollama_server import FakeOllama  # noqa: PLC0415

    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    tiny_llama(tmp_path / "model.gguf")
    monkeypatch.chdir(tmp_path)
    with FakeOllama() as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - our own text
        assert len(server.store.models) == 1
