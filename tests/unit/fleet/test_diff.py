"""How a model on a host differs from the file, and what a plan says of many hosts."""

import dataclasses

import pytest

from gguf2ollama import Parameter, inspect
from gguf2ollama.fleet.changes import NOT_IN_FILE, Change, FleetPlan, HostPlan
from gguf2ollama.fleet.diff import Difference, compare, own_licenses
from gguf2ollama.fleet.file import parse_fleet
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import ModelInfo
from gguf2ollama.ollama.fields import Fields
from gguf2ollama.planning.options import BuildOptions
from gguf2ollama.planning.plan import BuildPlan
from gguf2ollama.planning.target import Destination, parse_version
from tests.builders import tiny_llama

DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    path = tiny_llama(tmp_path_factory.mktemp("diff") / "tiny.gguf", metadata={"general.license": "mit"})
    parameters = [Parameter(name="temperature", value=0.3), Parameter(name="stop", value="###")]
    inspection = inspect(path, verify=False, system="Be brief.", context=512, parameters=parameters)
    destination = Destination(location="x", version=parse_version("0.34.4"), transport="pull")
    made = inspection.with_records(options=BuildOptions(system="Be brief."), transport="pull")
    return BuildPlan(
        name=ModelName.parse("x"), inspection=made, destination=destination, options=BuildOptions()
    )


def shown(plan, *, digest=DIGEST, **changes):
    """Return what a host shows of a model that was made by a plan, but for the changes."""
    recipe = plan.inspection.recipe
    made = dataclasses.replace(recipe.made, digest=digest)
    fields = {
        "template": recipe.modelfile.template or recipe.chat_template,
        "system": recipe.modelfile.system or "",
        "parameters": 'temperature 0.3\nnum_ctx 512\nstop "###"',
        "license": "\n".join(dataclasses.replace(recipe, made=made).licenses),
        "modelfile": f"FROM /blobs/sha256-{DIGEST}\n",
    }
    return ModelInfo.parse(Fields(fields | changes, origin="a server"))


def test_nothing_differs_from_what_was_made(plan):
    assert compare(shown(plan), plan, digest=DIGEST, layers=frozenset({DIGEST})) == ()


@pytest.mark.parametrize(
    "changes,expected",
    [
        ({"system": "Ramble."}, ("system", "Ramble.", "Be brief.")),
        ({"system": ""}, ("system", None, "Be brief.")),
        (
            {"parameters": 'temperature 0.9\nnum_ctx 512\nstop "###"'},
            ("parameters.temperature", "0.9", "0.3"),
        ),
        ({"parameters": "temperature 0.3\nnum_ctx 512"}, ("parameters.stop", None, "###")),
        (
            {"parameters": 'temperature 0.3\nnum_ctx 512\ntop_k 3\nstop "###"'},
            ("parameters.top_k", "3", None),
        ),
        ({"template": "{{ .Prompt }}"}, ("template", "{{ .Prompt }}", None)),
        ({"messages": [{"role": "user", "content": "Hi"}]}, ("messages", "1", "0 (others)")),
        ({"modelfile": f"FROM /blobs/sha256-{'cd' * 32}\n"}, ("weights", "cd" * 6, "ab" * 6)),
    ],
)
def test_what_was_changed_by_hand_is_found(plan, changes, expected):
    [found] = compare(shown(plan, **changes), plan, digest=DIGEST, layers=frozenset({DIGEST}))
    assert found.is_drift
    what, current, wanted = expected
    assert (found.what, found.current) == (what, current)
    assert wanted is None or found.wanted == wanted


def test_what_the_file_changes_is_not_called_a_change_on_the_host(plan):
    recipe = plan.inspection.recipe
    older = dataclasses.replace(recipe.made, recipe="0" * 64)
    old = dataclasses.replace(
        plan,
        inspection=dataclasses.replace(plan.inspection, recipe=dataclasses.replace(recipe, made=older)),
    )
    [found] = compare(shown(old, system="Be verbose."), plan, digest=DIGEST)
    assert (found.what, found.is_drift) == ("system", False)
    [found] = compare(shown(old), plan, digest=DIGEST)
    assert (found.what, found.current) == ("recipe", "0" * 12)


def test_other_weights_are_found_by_the_record(plan):
    [found] = compare(shown(plan, digest="cd" * 32), plan, digest=DIGEST)
    assert (found.what, found.current, found.wanted) == ("weights", "cd" * 6, "ab" * 6)


def test_before_a_download_the_source_decides(plan):
    assert compare(shown(plan), plan, digest="") == ()


def test_a_model_without_a_record_is_said_to_have_none(plan):
    found = compare(shown(plan, license="mit"), plan, digest=DIGEST)
    assert [(d.what, d.current) for d in found] == [("source", "not recorded in the model")]


def test_licences_are_compared_without_our_lines(plan):
    assert own_licenses(shown(plan).license) == "mit"
    [found] = compare(shown(plan, license=shown(plan).license.replace("mit", "other")), plan, digest=DIGEST)
    assert found.what == "license"


# plans of several hosts

FLEET = parse_fleet("models: {x: a/b}", environ={})


def fleet_plan(*hosts):
    return FleetPlan(fleet=FLEET, hosts=hosts)


def host(*changes, **values):
    return HostPlan(name="a", url="http://x", version="0.34.4", changes=changes, **values)


KEEP, CREATE = Change(model="x", action="keep"), Change(model="x", action="create", bytes_to_send=5)


@pytest.mark.parametrize(
    "hosts,code",
    [
        ([host(KEEP)], 0),
        ([host(KEEP, CREATE)], 10),
        ([host(Change(model="x", action="fail", exit_code=3)), host(CREATE)], 3),
        ([host(error="away", exit_code=5), host(CREATE)], 5),
        ([host(error="away", exit_code=5), host(Change(model="x", action="fail", exit_code=3))], 1),
    ],
)
def test_the_exit_code_is_that_of_the_failures_or_of_changes(hosts, code):
    assert fleet_plan(*hosts).exit_code == code


@pytest.mark.parametrize(
    "deleted,models,needs", [(1, 3, False), (1, 2, True), (2, 5, True), (2, 6, False), (0, 0, False)]
)
def test_more_than_a_third_of_the_models_is_deleted_by_force_only(deleted, models, needs):
    changes = [Change(model=f"m{i}", action="delete", reason=NOT_IN_FILE) for i in range(deleted)]
    assert host(*changes, model_count=models).needs_force is needs


def test_a_model_that_is_named_absent_is_not_counted_there():
    assert not host(Change(model="x", action="delete", reason="state: absent"), model_count=1).needs_force


def test_bytes_and_room():
    assert host(CREATE, KEEP, free_bytes=4).fits is False
    assert host(CREATE, free_bytes=5).fits is True
    assert host(CREATE).fits is None
    unknown = host(dataclasses.replace(CREATE, bytes_to_send=None), free_bytes=1)
    assert (unknown.bytes_to_send, unknown.fits) == (None, None)


def test_the_fingerprint_is_of_what_would_change():
    before = fleet_plan(host(CREATE)).fingerprint
    assert fleet_plan(host(CREATE, free_bytes=9)).fingerprint == before
    difference = Difference(what="system", current="a", wanted="b")
    for other in (
        host(KEEP),
        host(dataclasses.replace(CREATE, target="other weights")),
        host(dataclasses.replace(CREATE, differences=(difference,))),
        host(CREATE, error="away"),
    ):
        assert fleet_plan(other).fingerprint != before
