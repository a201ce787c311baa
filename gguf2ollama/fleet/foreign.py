"""Lists of models in other forms: of Helm's values, of Ansible's variables, of ``ollama list``.

Names of Hugging Face (``hf.co/owner/repo:Q4_K_M``) are built from there, all others pulled from their
registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from gguf2ollama.errors import InvalidInput, UsageProblem
from gguf2ollama.fleet.entries import Fleet, ModelEntry
from gguf2ollama.fleet.nodes import Place, Problems, Reader, compose, is_null
from gguf2ollama.names import ModelName

if TYPE_CHECKING:
    from gguf2ollama.fleet.nodes import Node

__all__ = ["Form", "parse_foreign"]

Form: TypeAlias = Literal["helm", "ansible", "list"]

_HUB = ("hf.co/", "huggingface.co/")
_HELM_LISTS = ("pull", "run")  # `create` has Modelfiles of the chart's own


def parse_foreign(text: str, *, form: Form, file: str) -> Fleet:
    """Return a fleet without hosts of a list in another form.

    Args:
        text: The list.
        form: Its form.
        file: Its name, for errors.

    Raises:
        InvalidInput: It has another form, or names what is no model.
    """
    problems = Problems(file=file)
    found: dict[str, ModelEntry] = {}
    names = _listed(text, problems) if form == "list" else _named(text, form, problems)
    for place, name in names:
        try:
            entry = _entry(name, place)
        except UsageProblem as error:
            problems.add(place, error.message)
        else:
            found.setdefault(entry.name.full.lower(), entry)
    problems.check(hint=_HINTS[form])
    if not found:
        raise InvalidInput(f"{file}: no models found", hint=_HINTS[form])
    return Fleet(file=file, folder=Path(file).parent, text=text, models=tuple(found.values()), hosts=())


_HINTS: Mapping[Form, str] = {
    "helm": "give the values of the chart: a list, or ollama.models with pull and run",
    "ansible": "give a list of names, or a variable that holds one",
    "list": "give what `ollama list` prints",
}


def _entry(text: str, place: Place) -> ModelEntry:
    name = ModelName.parse(text)
    if text.startswith(_HUB):
        return ModelEntry(name=name, source=text, place=place)
    return ModelEntry(name=name, pull=name, place=place)


def _listed(text: str, problems: Problems) -> Iterator[tuple[Place, str]]:
    lines = text.splitlines()
    if not lines or not lines[0].upper().startswith("NAME"):
        problems.add(Place(file=problems.file, line=1, column=1), "the first line does not begin with NAME")
        return
    for number, line in enumerate(lines[1:], start=2):
        if line.strip():
            yield Place(file=problems.file, line=number, column=1), line.split()[0]


def _named(text: str, form: Form, problems: Problems) -> Iterator[tuple[Place, str]]:
    reader = Reader(problems)
    root = compose(text, file=problems.file)
    if root is None or is_null(root):
        return
    find: Callable[[Reader, Node], Iterator[Node]] = _helm_lists if form == "helm" else _ansible_lists
    for node in find(reader, root):
        for item in reader.sequence(node, what="the models"):
            yield from _item(reader, item)


def _item(reader: Reader, item: Node) -> Iterator[tuple[Place, str]]:
    """Yield the name that an item is, or has."""
    node = item
    if item.id == "mapping":
        keys = reader.mapping(item, what="a model")
        if "name" not in keys:
            reader.report(item, "a model has no name")
            return
        node = keys["name"][1]
    if name := reader.text(node, what="the name of a model"):
        yield reader.place(node), name


def _helm_lists(reader: Reader, root: Node) -> Iterator[Node]:
    node = root
    for key in ("ollama", "models"):
        if node.id == "mapping":
            node = reader.mapping(node, what=key).get(key, (node, node))[1]
    if node.id == "sequence":
        yield node
    elif node.id == "mapping":
        keys = reader.mapping(node, what="models")
        if "create" in keys:
            reader.report(
                keys["create"][0],
                "models of `create` have Modelfiles: write them as models of a file of ours",
            )
        yield from (keys[key][1] for key in _HELM_LISTS if key in keys and not is_null(keys[key][1]))


def _ansible_lists(reader: Reader, root: Node) -> Iterator[Node]:
    if root.id == "sequence":
        yield root
        return
    for name, (_, value) in reader.mapping(root, what="the variables").items():
        if value.id == "sequence" and "model" in name.lower():
            yield value
