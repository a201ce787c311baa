"""The pages of the reference that people write say what the code does."""

import ast
import json
import re
from pathlib import Path

import gguf2ollama
from gguf2ollama import build, errors
from gguf2ollama.cli._app import run  # `cli.run` is a verb's module once that was called
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.fleet.plan_file import parse_plan_file
from gguf2ollama.fleet.schema import json_schema
from gguf2ollama.planning.lock import read_lock
from tests.builders import tiny_llama
from tests.fakes.hub_server import FakeHub
from tests.fakes.ollama_server import FakeOllama

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"


def cells_in_code(page, *, heading=None):
    """Return what stands in back quotes in the first column of the tables of a page, or of its part."""
    text = (DOCS / page).read_text(encoding="utf-8")
    if heading is not None:
        _, _, text = text.partition(f"\n## {heading}\n")
        text = text.partition("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


# environment


def is_environment(node):
    return getattr(node, "attr", getattr(node, "id", "")).strip("_") == "environ"


def asked(tree):
    """Yield the expressions by which a module asks for variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and is_environment(node.value):
            yield node.slice
        elif isinstance(node, ast.Compare) and any(map(is_environment, node.comparators)):
            yield node.left
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get":
            if is_environment(node.func.value):
                yield node.args[0]
        elif isinstance(node, ast.Call) and any(map(is_environment, node.args)):
            yield from (argument for argument in node.args if not is_environment(argument))


def named_constants(tree):
    """Return the tuples of texts that a module gives a name."""
    return {
        node.targets[0].id: [item.value for item in node.value.elts]
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Tuple)
        and all(isinstance(item, ast.Constant) for item in node.value.elts)
    }


def variables_of(path):
    """Return the variables that a module reads, through helpers and loops of its own as well."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for expression in asked(tree):
        if isinstance(expression, ast.Constant):
            found.add(expression.value)
        elif isinstance(expression, ast.Name):
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef) and expression.id in [one.arg for one in node.args.args]:
                    found |= given_to(node.name, tree)
                elif isinstance(node, ast.comprehension) and getattr(node.target, "id", "") == expression.id:
                    found.update(named_constants(tree).get(getattr(node.iter, "id", ""), ()))
    return {name for name in found if isinstance(name, str) and re.fullmatch(r"[A-Z][A-Z0-9_]+", name)}


def given_to(function, tree):
    """Return the texts that a module calls a function of its own with."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        argument.value
        for call in calls
        if getattr(call.func, "id", "") == function
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }


READ = set().union(*(variables_of(path) for path in (CHECKOUT / "gguf2ollama").rglob("*.py")))
BY_OTHERS = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NO_COLOR", "LOCALAPPDATA"}
"""Read by urllib, Rich and platformdirs."""


def test_variables_are_found_in_the_code():
    direct, by_a_helper, in_a_loop = {"OLLAMA_HOST", "HF_TOKEN"}, {"HF_HUB_OFFLINE"}, {"SYSTEMROOT"}
    assert direct | by_a_helper | in_a_loop <= READ


def test_every_variable_that_the_code_reads_is_on_the_page():
    assert READ - cells_in_code("environment.md") == set()


def test_every_variable_on_the_page_is_read():
    assert cells_in_code("environment.md") - READ == BY_OTHERS


# exit codes


def test_every_error_has_its_exit_code_on_the_page():
    text = (DOCS / "exit-codes.md").read_text(encoding="utf-8")
    rows = {
        name: int(code)
        for code, names in re.findall(r"^\| (\d+) \|.*\| ([^|]*) \|$", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    classes = [getattr(errors, name) for name in errors.__all__]
    assert rows == {one.__name__: one.exit_code for one in classes if issubclass(one, Gguf2OllamaError)}


# files


def paths_of(value, *, before=""):
    """Yield the keys of a JSON value, as ``files[].path``."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{before}{key}"
            if not (before == "" and key == "plan"):  # what `plan --json` prints, documented there
                yield from paths_of(inner, before=f"{before}{key}.")
    elif isinstance(value, list):
        for inner in value:
            yield from paths_of(inner, before=f"{before.removesuffix('.')}[].")


def test_every_key_of_a_lock_file_is_on_the_page(tmp_path, monkeypatch):
    model = tiny_llama(tmp_path / "model-Q8_0.gguf")
    lock = tmp_path / "lock.json"
    with FakeHub() as hub:
        hub.add("owner/repo", {"model-Q8_0.gguf": model.read_bytes()})
        for name, value in {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hub")}.items():
            monkeypatch.setenv(name, value)
        build("owner/repo", store=tmp_path / "store", lock=lock)
    assert read_lock(lock).repository == "owner/repo"
    keys = set(paths_of(json.loads(lock.read_text(encoding="utf-8"))))
    assert keys == cells_in_code("files.md", heading="Lock file")


def test_every_key_of_a_plan_file_is_on_the_page(tmp_path, monkeypatch):
    tiny_llama(tmp_path / "model.gguf")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ollama.models.yaml").write_text("models: {mine: ./model.gguf}\n", encoding="utf-8")
    with FakeOllama() as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert run(("plan", "-o", "models.plan")) == 10
    text = (tmp_path / "models.plan").read_text(encoding="utf-8")
    assert parse_plan_file(text, file="models.plan").fingerprint
    assert set(paths_of(json.loads(text))) == cells_in_code("files.md", heading="Plan file")


def test_every_key_of_a_file_of_models_is_on_its_page():
    text = (DOCS / "how-to" / "provisioning.md").read_text(encoding="utf-8").partition("## The file")[2]
    top = json_schema()["properties"]
    keys = {*top, *find_properties(top["models"]), *find_properties(top["hosts"])}
    assert {"source", "url", "prune"} <= keys
    assert [key for key in keys if not re.search(rf"`{key}\b", text)] == []


def find_properties(value):
    """Return the first properties that a schema lists, however deep."""
    if isinstance(value, dict) and "properties" in value:
        return value["properties"]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for one in inner if (found := find_properties(one))), None)


# Python


def test_every_name_of_the_package_is_on_the_page():
    text = (DOCS / "python.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: gguf2ollama\.(\w+)$", text, re.MULTILINE))
    assert {*gguf2ollama.__all__, "errors"} - {*errors.__all__, "__version__"} == shown
