"""Rooms that load what they export when it is used."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import gguf2ollama

_PACKAGE = Path(gguf2ollama.__file__).parent
ROOMS = sorted(
    ".".join(("gguf2ollama", *path.relative_to(_PACKAGE).parent.parts))
    for path in _PACKAGE.rglob("__init__.py")
    if "lazy_exports(" in path.read_text(encoding="utf-8")
)


def test_rooms_are_found():
    assert "gguf2ollama.ollama_template" in ROOMS


@pytest.mark.parametrize("name", ROOMS)
def test_all_that_a_room_exports_is_there_and_no_module_takes_its_place(name):
    room = importlib.import_module(name)
    modules = {module.name for module in pkgutil.iter_modules(room.__path__)}
    assert not modules & set(room.__all__)
    assert set(dir(room)) == set(room.__all__)
    for exported in room.__all__:
        assert not isinstance(getattr(room, exported), ModuleType)


@pytest.mark.parametrize("name", ROOMS)
def test_what_a_room_does_not_export_is_no_attribute(name):
    with pytest.raises(AttributeError, match="nonsense"):
        importlib.import_module(name).nonsense  # noqa: B018
