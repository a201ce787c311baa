"""Examples of provisioning plan offline, and are what Kubernetes, Compose and systemd read."""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from gguf2ollama.fleet.file import parse_fleet
from gguf2ollama.fleet.plan import plan
from gguf2ollama.fleet.schema import json_schema
from gguf2ollama.names import HubSource, ServerAddress, parse_source
from tests.builders import tiny_llama
from tests.fakes.ollama_server import FakeOllama

CHECKOUT = Path(__file__).parents[3]
EXAMPLES = CHECKOUT / "examples" / "provisioning"
MANIFESTS = sorted((CHECKOUT / "integrations" / "kubernetes").glob("*.yaml"))
VARIABLES = {"OLLAMA_TOKEN": "x", "LAB_PASSWORD": "x"}


def files_of_models():
    """Return each file of models among the examples, also those in ConfigMaps, with its text."""
    yield from ((path.name, path.read_text("utf-8")) for path in EXAMPLES.glob("*.models.yaml"))
    for path in MANIFESTS:
        for document in yaml.safe_load_all(path.read_text("utf-8")):
            for name, text in document.get("data", {}).items():
                yield f"{path.name}-{name}", text


@pytest.mark.parametrize("name,text", list(files_of_models()), ids=lambda value: value[:40].split("\n")[0])
def test_a_file_of_models_plans_without_a_network(name, text, hub, monkeypatch, tmp_path):
    """Against a server and a Hub of the tests, which has the repositories that the file names."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fleet = parse_fleet(text, file=name, folder=tmp_path, environ=VARIABLES)
    content = tiny_llama(tmp_path / "tiny.gguf").read_bytes()
    for model in fleet.models:
        source = parse_source(model.source) if model.source else None
        if isinstance(source, HubSource):
            quant = source.quant or model.keywords["quant"]
            hub.add(source.repo_id, {f"model-{quant.upper()}.gguf": content})
    with FakeOllama(version="0.34.4") as server:
        address = ServerAddress.parse(server.url)
        hosts = [dataclasses.replace(fleet.hosts[0], address=address, token=None, ca=None)]
        found = plan(dataclasses.replace(fleet, hosts=tuple(hosts)), environ=VARIABLES)
    assert found.exit_code == 10, found
    assert found.count("create") >= 1
    assert found.failures == 0


@pytest.mark.parametrize("name,text", list(files_of_models()), ids=lambda value: value[:40].split("\n")[0])
def test_a_file_of_models_fits_the_schema(name, text):
    jsonschema.validate(yaml.safe_load(text), json_schema())


def test_containers_have_no_rights_they_do_not_need():
    for path in MANIFESTS:
        for document in yaml.safe_load_all(path.read_text("utf-8")):
            pod = document.get("spec", {}).get("template", {}).get("spec", {})
            for container in (*pod.get("containers", []), *pod.get("initContainers", [])):
                if container["image"].startswith("gguf2ollama"):
                    rights = {**pod["securityContext"], **container["securityContext"]}
                    assert rights["runAsNonRoot"]
                    assert rights["readOnlyRootFilesystem"]
                    assert not rights["allowPrivilegeEscalation"]


def test_the_image_runs_as_a_user_without_rights():
    lines = (CHECKOUT / "integrations/kubernetes/Dockerfile").read_text("utf-8").splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users[-1] == "USER 10001"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_the_unit_is_one_of_systemd(tmp_path):
    unit = tmp_path / "ollama-models.service"
    unit.write_text((EXAMPLES / "ollama-models.service").read_text("utf-8"))
    (tmp_path / "ollama.service").write_text("[Service]\nExecStart=/bin/true\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit],
        capture_output=True,
        text=True,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert "ollama-models" not in done.stderr
