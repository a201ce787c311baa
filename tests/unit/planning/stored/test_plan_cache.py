"""A plan that is made again is the same plan, and nothing is rendered for it."""

import json
import os
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama import families
from gguf2ollama.errors import InvalidInput
from gguf2ollama.families import fill_in
from gguf2ollama.ggufio import ShardSet
from gguf2ollama.modelfiles import Parameter
from gguf2ollama.ollama import ServerVersion
from gguf2ollama.planning import model_plan as plan_module
from gguf2ollama.planning.model_plan import plan_model
from gguf2ollama.planning.options import ModelOptions
from gguf2ollama.planning.stored import plan_cache
from gguf2ollama.planning.stored.choice_form import choice_form
from gguf2ollama.planning.stored.plan_cache import NOT_STORED, PlanCache
from gguf2ollama.planning.stored.value_json import Forms
from gguf2ollama.planning.target import target_of
from gguf2ollama.sources.model import ModelFiles
from tests.builders import CHATML_TEMPLATE, CHATML_TOKENS, tiny_llama
from tests.calling_templates import JSON_CALLS, REFUSED_SYSTEM, XML_CALLS
from tests.reference import OWN_TEMPLATES

DATED = "{{ strftime_now('%d %b %Y') }}" + CHATML_TEMPLATE
FAMILYS = OWN_TEMPLATES["chatml"]
# a turn ends with a control token that is not the header's, which gets a place there
OTHER_END = CHATML_TEMPLATE.replace("<|im_end|>", "<|im_over|>")
SWITCHED = "{% if '/quiet' in messages[-1].content %}!{% endif %}" + CHATML_TEMPLATE
UNRULY = "{% if messages|length == 3 %}{{ messages|tojson(indent=3) }}{% endif %}" + CHATML_TEMPLATE
# by this text llama.cpp knows a template for which it trims all contents: a built-in parser is selected
TRIMMED = "{# You have access to the following functions in JSONSchema format #}" + XML_CALLS


def target(version, **options):
    return target_of(ServerVersion.parse(version), **options)


SUBJECTS = {
    "plain": (CHATML_TEMPLATE, {}, {"target": target("0.34.4")}),
    "uploaded": (FAMILYS, {}, {"target": target("0.34.4", create_replaces_template=True)}),
    "before 0.30": (XML_CALLS, {}, {"target": target("0.24.0")}),
    "with a date before 0.11": (DATED, {}, {"target": target("0.9.0")}),
    "with a built-in parser": (TRIMMED, {}, {"target": target("0.34.4")}),
    "with a companion": (JSON_CALLS, {}, {"target": target("0.34.4")}),
    "with another header": (REFUSED_SYSTEM, {}, {"target": target("0.34.4")}),
    "with a switch in a text": (SWITCHED, {}, {"target": target("0.34.4")}),
    "that nothing renders": (UNRULY, {}, {"target": target("0.29.0")}),
    "without a chat template": (None, {}, {}),
    "with a token that ends answers": (OTHER_END, {}, {"target": target("0.34.4")}),
    "with a system message": (CHATML_TEMPLATE, {"system": "Be brief."}, {}),
    "with a TEMPLATE": (CHATML_TEMPLATE, {"template": "{{ .Prompt }}"}, {}),
    "that is not compared": (FAMILYS, {"verify": False}, {}),
}


@pytest.fixture
def place(tmp_path):
    return tmp_path / "cache" / "plans"


@pytest.fixture
def model(tmp_path):
    return files_of(tmp_path)


def files_of(folder, chat_template=CHATML_TEMPLATE, *, fim=False, **options):
    fills = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>") if fim else ()
    tokens = (*fills, "<|im_over|>", *CHATML_TOKENS)
    path = tiny_llama(folder / "tiny.gguf", chat_template=chat_template, special_tokens=tokens, **options)
    return ModelFiles(model=ShardSet.discover(path))


def plan(files, place=None, *, options=None, **others):
    return plan_model(
        files, options=ModelOptions(**options or {}), room=None, cache=PlanCache(place), **others
    )


@pytest.fixture
def chosen_again(monkeypatch):
    """Return a list that grows with each model whose family is detected, which every choice begins with."""
    detect, seen = families.detect, []

    def counted(metadata, **others):
        seen.append(metadata)
        return detect(metadata, **others)

    monkeypatch.setattr(families, "detect", counted)
    return seen


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_plan_made_again_is_the_same_plan_and_chooses_nothing(tmp_path, place, chosen_again, name):
    chat_template, options, others = SUBJECTS[name]
    files = files_of(tmp_path, chat_template)
    expected = plan(files, options=options, **others)
    stored = plan(files, place, options=options, **others)
    count = len(chosen_again)
    recalled = plan(files, place, options=options, **others)
    assert expected == stored == recalled
    assert len(chosen_again) == count == 2
    if name == "with a token that ends answers":
        assert recalled.selection.ends.patch


def test_a_plan_made_again_starts_no_process_that_renders(model, place):
    class Renderer:
        """Fails whatever it is asked."""

    plan(model, place)
    assert plan(model, place, renderer=Renderer()) == plan(model)


@pytest.mark.parametrize(
    "options, others",
    [
        ({"parameters": (Parameter(name="stop", value="END"),)}, {}),
        ({"system": "Be brief."}, {}),
        ({"template": "{{ .Prompt }}"}, {}),
        ({"chat_template": CHATML_TEMPLATE + "{# other #}"}, {}),
        ({"verify": False}, {}),
        ({"exact": True}, {}),
        ({}, {"target": target("0.34.4", patch_copies=False)}),
        ({}, {"target": target("0.34.4")}),
        ({}, {"target": target("0.32.15")}),
        ({}, {"target": target("0.34.4", create_replaces_template=True)}),
        ({}, {"target": target("0.34.4", model_name="qwen3")}),
        ({}, {"target": target("0.34.4", rendering="TEMPLATE")}),
    ],
)
def test_what_was_chosen_for_other_options_is_not_recalled(model, place, chosen_again, options, others):
    plan(model, place)
    assert plan(model, place, options=options, **others) == plan(model, options=options, **others)
    assert len(chosen_again) == 3


def test_a_context_and_a_licence_choose_nothing_again(model, place, chosen_again):
    plan(model, place)
    other = {"context": "4096", "licenses": ("MIT",)}
    assert plan(model, place, options=other).recipe.parameters["num_ctx"].value == 4096
    assert len(chosen_again) == 1


def test_what_was_chosen_for_another_header_is_not_recalled(tmp_path, place, chosen_again):
    plan(files_of(tmp_path), place)
    plan(files_of(tmp_path, metadata={"tokenizer.ggml.add_bos_token": True}), place)
    assert len(chosen_again) == 2


def test_what_was_chosen_on_another_day_is_not_recalled(model, place, chosen_again, monkeypatch):
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2199, 1, 1, tzinfo=tz)

    plan(model, place)
    monkeypatch.setattr(plan_cache, "datetime", Tomorrow)
    plan(model, place)
    assert len(chosen_again) == 2


@pytest.mark.parametrize("change", ["content", "time", "new file", "gone"])
def test_code_that_changed_has_another_version(tmp_path, monkeypatch, change):
    room = tmp_path / "package" / "room"
    room.mkdir(parents=True)
    module = room / "module.py"
    module.write_text("A = 1")
    monkeypatch.setattr(plan_cache, "templates_root", lambda: tmp_path / "package")

    def version():
        plan_cache._code_version.cache_clear()
        return plan_cache._code_version()

    before = version()
    assert before == version() is not None
    if change == "content":
        module.write_text("A = 10")
    elif change == "time":
        os.utime(module, ns=(1, 1))
    elif change == "new file":
        (room / "other.py").touch()
    else:
        module.unlink()
    after = version()
    plan_cache._code_version.cache_clear()
    assert after != before
    assert (after is None) is (change == "gone")


def test_what_fails_is_not_stored(tmp_path, place, chosen_again):
    files = files_of(tmp_path, "{{ raise_exception('no') }}")
    for _ in range(2):
        with pytest.raises(InvalidInput, match="rejects every conversation"):
            plan(files, place)
    assert len(chosen_again) == 2


def test_a_cache_that_cannot_be_written_is_ignored(model, tmp_path):
    (tmp_path / "file").touch()
    assert plan(model, tmp_path / "file" / "plans") == plan(model)


TEXT = Forms().of(str)


def recall(place, *inputs, made="made"):
    return PlanCache(place).recall(inputs, lambda: made, form=lambda: TEXT)


def test_what_was_made_is_recalled_by_its_inputs(place):
    assert recall(place, 1) == "made"
    assert recall(place, 1, made="made again") == "made"
    assert recall(place, "1", made="other") == "other"
    assert recall(None, 1, made="without a place") == "without a place"


def test_the_oldest_files_go(place, monkeypatch):
    monkeypatch.setattr(plan_cache, "_CAP_FILES", 2)
    made = []
    for number in range(3):
        recall(place, number)
        (path,) = set(place.iterdir()) - set(made)
        made.append(path)
        os.utime(path, ns=(number, number))
    assert set(place.iterdir()) == set(made[1:])


def test_what_is_too_large_or_has_no_form_is_not_stored(place, monkeypatch):
    assert recall(place, 1, made=1) == 1
    monkeypatch.setattr(plan_cache, "_CAP_BYTES", 100)
    assert recall(place, 1, made="x" * 100) == "x" * 100
    assert not place.exists()


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A model, its plan, and the folder with what was found out for it."""
    folder = tmp_path_factory.mktemp("stored")
    files = files_of(folder, FAMILYS)
    return files, plan(files, folder / "plans"), folder / "plans"


@given(st.data())
def test_a_damaged_file_counts_as_missing(stored, data):
    files, expected, place = stored
    path = data.draw(st.sampled_from(sorted(place.iterdir())))
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[position] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[position:]
    path.write_bytes(content)
    assert plan(files, place) == expected


def test_no_letter_may_have_changed(stored):
    files, expected, place = stored
    for path in sorted(place.iterdir()):
        content = path.read_bytes()
        letters = [position for position, byte in enumerate(content) if chr(byte).isalpha()]
        for position in letters[:: max(1, len(letters) // 40)]:
            changed = bytearray(content)
            changed[position] ^= 1
            path.write_bytes(changed)
            assert plan(files, place) == expected, (path, position)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.data(), JSON)
def test_values_of_other_types_are_refused(stored, data, strange):
    """What is read has the declared types, all of it: it could be written again."""
    inspection = stored[1]
    form = choice_form()
    value = json.loads(json.dumps(form.write((inspection.detection, inspection.selection))))
    inner, key = data.draw(st.sampled_from(list(places(value))))
    inner[key] = strange
    try:
        choice = form.read(value)
    except NOT_STORED:
        return
    assert form.read(form.write(choice)) == choice


def places(value):
    """Yield each list or object in a value, with each of its keys."""
    for key, item in enumerate(value) if isinstance(value, list) else value.items():
        yield value, key
        if isinstance(item, list | dict):
            yield from places(item)


def test_how_a_model_fills_in_the_middle_is_found_once(tmp_path, place, monkeypatch):
    find, seen = fill_in.find_fill_in, []

    def counted(metadata, **others):
        seen.append(metadata)
        return find(metadata, **others)

    monkeypatch.setattr(plan_module, "find_fill_in", counted)
    files = files_of(tmp_path, metadata={"general.name": "Coder"}, fim=True)
    expected, recalled = plan(files, place), plan(files, place)
    assert expected == recalled
    assert "insert" in recalled.recipe.capabilities
    assert len(seen) == 1
