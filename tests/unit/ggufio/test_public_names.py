from __future__ import annotations

import inspect

from gguf2ollama import ggufio


def test_every_name_is_there_once() -> None:
    assert all(hasattr(ggufio, name) for name in ggufio.__all__)
    assert len(set(ggufio.__all__)) == len(ggufio.__all__)


def test_every_public_class_and_function_says_what_it_does() -> None:
    for name in ggufio.__all__:
        thing = getattr(ggufio, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), name
