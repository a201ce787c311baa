"""Rooms that load what they export, and patterns that are compiled, when they are used."""

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import gguf2ollama
from gguf2ollama._lazy import lazy_pattern

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


def test_a_pattern_does_what_a_compiled_one_does():
    pattern = lazy_pattern(r"(?P<word>[a-z]+)", re.IGNORECASE)
    assert pattern.fullmatch("Word")["word"] == "Word"
    assert pattern.search("12 ab", 1).span() == (3, 5)
    assert pattern.sub("x", "a1b") == "x1x"
    assert (pattern.pattern, pattern.groups) == (r"(?P<word>[a-z]+)", 1)
    assert lazy_pattern(b"a+").match(b"aab")[0] == b"aa"


def test_a_pattern_is_compiled_when_it_is_first_used():
    pattern = lazy_pattern("(")
    with pytest.raises(re.error):
        pattern.match("")


_IMPORT_ALL = """
import pkgutil, re, sys
import gguf2ollama
compile = re.compile
def watch(*arguments, **names):
    caller = sys._getframe(1).f_globals["__name__"]
    if caller.startswith("gguf2ollama") and caller != "gguf2ollama._lazy":
        print(caller)
    return compile(*arguments, **names)
re.compile = watch
for module in pkgutil.walk_packages(gguf2ollama.__path__, "gguf2ollama."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
"""


@pytest.mark.slow
def test_no_module_compiles_a_pattern_when_it_is_imported():
    done = subprocess.run([sys.executable, "-c", _IMPORT_ALL], capture_output=True, text=True, check=True)
    assert done.stdout == ""
