"""The file of models: what should be on which hosts. Parsing it is pure: no file, host or site is asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import InvalidInput, NotFound, UsageProblem
from gguf2ollama.fleet.entries import (
    DEFAULT_FILE,
    HOST_KEYS,
    MODEL_KEYS,
    POLICIES,
    TOP_KEYS,
    Fleet,
    HostEntry,
    ModelEntry,
    Secret,
    State,
)
from gguf2ollama.fleet.nodes import CAP_BYTES, Problems, compose, did_you_mean, is_null
from gguf2ollama.fleet.options import OptionsReader
from gguf2ollama.names import ModelName, ServerAddress
from gguf2ollama.planning.target import Via

if TYPE_CHECKING:
    from gguf2ollama.fleet.nodes import Node

__all__ = ["as_fleet", "parse_fleet", "read_text"]

_VARIABLE_NAME = lazy_pattern(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_HOST_NAME = lazy_pattern(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a file of models, or of standard input for ``-``.

    Raises:
        InvalidInput: It is not UTF-8, or too large.
        NotFound: There is no such file.
    """
    import sys  # noqa: PLC0415 - for "-" alone

    try:
        content = sys.stdin.buffer.read(CAP_BYTES + 1) if str(path) == "-" else _read(Path(path))
    except FileNotFoundError:
        raise NotFound(
            f"{path}: no such file", hint=f"write {DEFAULT_FILE}, or begin with `gguf2ollama export`"
        ) from None
    except OSError as error:
        raise UsageProblem(f"{path}: {error.strerror}", hint="name a file that can be read") from None
    if len(content) > CAP_BYTES:
        raise InvalidInput(f"{path}: more than {CAP_BYTES:,} bytes", hint="split the file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{path}:{line}: not UTF-8", hint="save the file as UTF-8") from None


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(CAP_BYTES + 1)


def as_fleet(fleet: Fleet | str | os.PathLike[str]) -> Fleet:
    """Return a fleet, read from a file if that is given.

    Raises:
        InvalidInput: The file is invalid; see :func:`parse_fleet`.
        NotFound: There is no such file.
    """
    return fleet if isinstance(fleet, Fleet) else parse_fleet(read_text(fleet), file=str(fleet))


def parse_fleet(
    text: str,
    *,
    file: str = DEFAULT_FILE,
    folder: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Fleet:
    """Parse a file of models.

    Args:
        text: Its text.
        file: Its name, for errors.
        folder: Where relative paths in it begin; that of the file when not given.
        environ: The environment, for ``${NAME}`` of those that the file declares.

    Raises:
        InvalidInput: It is invalid; the message has a line for each problem, with file, line and column.
    """
    root = compose(text, file=file)
    problems = Problems(file=file)
    folder = Path(file).parent if folder is None else folder
    if root is None or is_null(root):
        raise InvalidInput(f"{file}: the file is empty", hint="begin with `models:`")
    reader = _FleetReader(problems, environ=environ)
    try:
        fleet = reader.read(root, file=file, folder=folder, text=text)
    except RecursionError:
        raise InvalidInput(f"{file}: an alias (*name) contains itself", hint="remove the alias") from None
    problems.check()
    return fleet


class _FleetReader(OptionsReader):
    def __init__(self, problems: Problems, *, environ: Mapping[str, str]) -> None:
        super().__init__(problems, environ=environ)
        self.host_names: list[str] = []  # also of those that are wrong

    def read(self, root: Node, *, file: str, folder: Path, text: str) -> Fleet:
        top = self.mapping(root, what="the file", known=TOP_KEYS)
        if root.id == "mapping" and "models" not in top:
            self.report(root, "there is no 'models'")
        if "environment" in top:
            for node in self.sequence(top["environment"][1], what="environment"):
                name = self.text(node, what="a variable")
                if name is not None and not _VARIABLE_NAME.fullmatch(name):
                    self.report(node, f"{name!r} is not the name of a variable")
                elif name is not None:
                    self.declared.add(name)
        hosts = self._hosts(top["hosts"][1]) if "hosts" in top else ()
        models = self._models(top["models"][1]) if "models" in top else ()
        prune = self.boolean(top["prune"][1], what="prune") if "prune" in top else False
        return Fleet(file=file, folder=folder, text=text, models=models, hosts=hosts, prune=bool(prune))

    # hosts

    def _hosts(self, node: Node) -> tuple[HostEntry, ...]:
        found: dict[str, HostEntry] = {}
        for name, (key, value) in self.mapping(node, what="hosts").items():
            if not _HOST_NAME.fullmatch(name):
                self.report(key, f"{name!r} is not a name of a host: use letters, digits, '.', '_' and '-'")
                continue
            self.host_names.append(name)
            if (host := self._host(name, key, value)) is not None:
                same = [other for other in found.values() if other.address == host.address]
                if same:
                    self.report(key, f"hosts {same[0].name} and {name} have the same address")
                found[name] = host
        return tuple(found.values())

    def _host(self, name: str, key: Node, node: Node) -> HostEntry | None:
        what = f"host {name}"
        place = self.place(key)
        if node.id == "scalar" and not is_null(node):
            address = self._address(node, what=what)
            return None if address is None else HostEntry(name=name, address=address, place=place)
        keys = self.mapping(node, what=what, known=HOST_KEYS)
        if node.id == "mapping" and "url" not in keys:
            self.report(key, f"{what} has no url")
        address = self._address(keys["url"][1], what=f"url of {what}") if "url" in keys else None
        token = self._secret(keys["token"][1], what=f"token of {what}") if "token" in keys else None
        user = self.expanded(keys["user"][1], what=f"user of {what}") if "user" in keys else None
        password = (
            self._secret(keys["password"][1], what=f"password of {what}") if "password" in keys else None
        )
        if "token" in keys and ("user" in keys or "password" in keys):
            self.report(keys["token"][0], f"{what} has a token, and a user or password; use one of them")
        if ("user" in keys) != ("password" in keys):
            self.report(key, f"{what} needs both user and password")
        if user is not None and ":" in user:
            self.report(keys["user"][1], f"user of {what} must not contain a colon")
        via = (
            self.word(keys["via"][1], what=f"via of {what}", words=get_args(Via)) if "via" in keys else "auto"
        )
        ca = self.expanded(keys["ca"][1], what=f"ca of {what}") if "ca" in keys else None
        if address is None:
            return None
        if (token or password) and address.scheme == "http" and not address.is_loopback:
            self.report(keys["url"][1], f"{what} has credentials, and its url is not https")
        return HostEntry(
            name=name,
            address=address,
            token=token,
            user=user,
            password=password,
            ca=ca,
            via=via or "auto",  # type: ignore[arg-type]  # one of these words
            place=place,
        )

    def _address(self, node: Node, *, what: str) -> ServerAddress | None:
        text = self.expanded(node, what=what)
        if text is None:
            return None
        try:
            return ServerAddress.parse(text)
        except UsageProblem as error:
            self.report(node, f"{what}: {error.message}")
            return None

    def _secret(self, node: Node, *, what: str) -> Secret | None:
        if node.id == "scalar":
            self.report(node, f"{what} must not be in the file: write {{env: NAME}} or {{file: PATH}}")
            return None
        keys = self.mapping(node, what=what, known=("env", "file"))
        if len(keys) != 1:
            if node.id == "mapping":
                self.report(node, f"{what} must be {{env: NAME}} or {{file: PATH}}")
            return None
        kind, (_, value) = next(iter(keys.items()))
        text = self.text(value, what=f"{kind} of {what}")
        if text is None:
            return None
        if kind == "env" and not _VARIABLE_NAME.fullmatch(text):
            # not shown: it may be the credential itself
            self.report(value, f"env of {what} must be the name of a variable")
            return None
        return Secret(place=self.place(value), **{kind: text})

    # models

    def _models(self, node: Node) -> tuple[ModelEntry, ...]:
        found: dict[str, tuple[str, ModelEntry]] = {}
        for text, (key, value) in self.mapping(node, what="models").items():
            name = self._name(text, key)
            model = self._model(text, name, key, value)
            if name is None or model is None:
                continue
            same = name.full.lower()
            if same in found:
                self.report(key, f"{text!r} and {found[same][0]!r} are the same model: case does not count")
            found[same] = text, model
        return tuple(model for _, model in found.values())

    def _name(self, text: str, node: Node) -> ModelName | None:
        try:
            name = ModelName.parse(text)
        except UsageProblem as error:
            self.report(node, error.message)
            return None
        if name.has_reserved_tag:
            self.report(node, f"{text!r}: the tag ':{name.tag}' is reserved by Ollama")
            return None
        return name

    def _model(self, text: str, name: ModelName | None, key: Node, node: Node) -> ModelEntry | None:
        what, place = f"model {text}", self.place(key)
        if node.id == "scalar" and not is_null(node):
            source = self.expanded(node, what=what)
            if name is None or source is None:
                return None
            return ModelEntry(name=name, source=source, place=place)
        keys = self.mapping(node, what=what, known=MODEL_KEYS)
        state = self._choice(keys, "state", what, get_args(State)) or "present"
        policy = self._choice(keys, "update", what, tuple(POLICIES)) or "when-changed"
        given = [kind for kind in ("source", "pull", "modelfile") if kind in keys]
        if node.id == "mapping" and state == "present" and len(given) != 1:
            problem = "has no source" if not given else f"has {' and '.join(given)}"
            self.report(key, f"{what} {problem}; give one of source, modelfile and pull")
        selected = self._hosts_of(keys, what)
        pull = None
        if "pull" in keys and (pulled := self.expanded(keys["pull"][1], what=f"pull of {what}")):
            pull = self._name(pulled, keys["pull"][1])
        source = next(
            (
                self.expanded(keys[kind][1], what=f"{kind} of {what}") or ""
                for kind in ("source", "modelfile")
                if kind in keys
            ),
            "",
        )
        keywords, texts = self.keywords(keys, what)
        if keywords.keys() - {"load"} or texts:
            if pull is not None:
                self.report(keys["pull"][0], f"{what} is pulled as its registry has it; it takes no options")
            self.check_options(keywords, key, what)
        if name is None:
            return None
        return ModelEntry(
            name=name,
            source=source,
            pull=pull,
            keywords=keywords,
            texts=texts,
            hosts=selected,
            state=state,  # type: ignore[arg-type]  # one of these words
            update=POLICIES[policy],
            place=place,
        )

    def _choice(
        self, keys: Mapping[str, tuple[Node, Node]], key: str, what: str, words: tuple[str, ...]
    ) -> str | None:
        return self.word(keys[key][1], what=f"{key} of {what}", words=words) if key in keys else None

    def _hosts_of(self, keys: Mapping[str, tuple[Node, Node]], what: str) -> tuple[str, ...]:
        if "hosts" not in keys:
            return ()
        names, found = self.host_names, []
        nodes = self.sequence(keys["hosts"][1], what=f"hosts of {what}")
        if not nodes and keys["hosts"][1].id == "sequence":
            self.report(keys["hosts"][1], f"hosts of {what} is empty; leave it out for all hosts")
        for node in nodes:
            name = self.text(node, what=f"a host of {what}")
            if name is not None and name not in names:
                self.report(
                    node, f"{what} is for host {name!r}, which is not in hosts{did_you_mean(name, names)}"
                )
            elif name is not None:
                found.append(name)
        return tuple(found)
