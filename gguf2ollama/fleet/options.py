"""Read the options of a model from a file of models: what ``build`` takes, by the names that the file has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import Gguf2OllamaError, UsageProblem
from gguf2ollama.fleet.entries import CONTEXT_KEYS, TEXT_KEYS, TextFile
from gguf2ollama.fleet.nodes import Problems, Reader, did_you_mean, is_null

if TYPE_CHECKING:
    from gguf2ollama.fleet.nodes import Node

    Keys: TypeAlias = Mapping[str, tuple[Node, Node]]

__all__ = ["OptionsReader"]

_VARIABLE = lazy_pattern(r"\$\{([^}]*)\}")


class OptionsReader(Reader):
    """Reads texts with variables, and the options of a model.

    Args:
        problems: Where problems are added.
        environ: The environment.

    Attributes:
        declared: The variables that may be named in texts.
    """

    def __init__(self, problems: Problems, *, environ: Mapping[str, str]) -> None:
        super().__init__(problems)
        self._environ = environ
        self.declared: set[str] = set()

    def expanded(self, node: Node, *, what: str) -> str | None:
        """Return a text with ``${NAME}`` replaced; only variables that the file declares may be named."""
        text = self.text(node, what=what)
        if text is None:
            return None

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name not in self.declared:
                self.report(
                    node,
                    f"${{{name}}} in {what} is not declared; add `environment: [{name}]`"
                    f"{did_you_mean(name, list(self.declared))}",
                )
            elif name not in self._environ:
                self.report(node, f"the variable {name} in {what} is not set")
            return self._environ.get(name, "")

        return _VARIABLE.sub(value, text)

    def keywords(self, keys: Keys, what: str) -> tuple[dict[str, Any], dict[str, TextFile]]:
        """Return what ``build`` is called with, and of that the texts that are in files."""
        found: dict[str, Any] = {}
        texts: dict[str, TextFile] = {}
        for key in ("quant", "file", "revision"):
            if key in keys:
                found[key] = self.expanded(keys[key][1], what=f"{key} of {what}")
        contexts = [key for key in CONTEXT_KEYS if key in keys]
        if len(contexts) > 1:
            self.report(keys[contexts[1]][0], f"{what} has {' and '.join(contexts)}, which are the same")
        if contexts:
            found["context"] = self._context(keys[contexts[0]][1], what=f"{contexts[0]} of {what}")
        if "parameters" in keys:
            found["parameters"] = self._parameters(keys["parameters"][1], what=f"parameters of {what}")
        for key in TEXT_KEYS:
            if key in keys:
                self._text_or_file(key, keys[key][1], what, found, texts)
        self._more(keys, what, found)
        return found, texts

    def _more(self, keys: Keys, what: str, found: dict[str, Any]) -> None:
        if "license" in keys:
            node = keys["license"][1]
            nodes = self.sequence(node, what="license") if node.id == "sequence" else [node]
            read = [self.text(item, what=f"license of {what}") for item in nodes]
            found["licenses"] = tuple(text for text in read if text is not None)
        if "messages" in keys:
            found["messages"] = self._messages(keys["messages"][1], what=f"messages of {what}")
        if "mmproj" in keys:
            self._projectors(keys["mmproj"][1], found, what=f"mmproj of {what}")
        if "draft" in keys:
            self._draft(keys["draft"][1], found, what=f"draft of {what}")
        if "pooling" in keys:
            found["pooling"] = self.text(keys["pooling"][1], what=f"pooling of {what}")
        for key in ("fim", "exact"):
            if key in keys:
                found[key] = bool(self.boolean(keys[key][1], what=f"{key} of {what}"))
        if "verify" in keys and self.boolean(keys["verify"][1], what=f"verify of {what}") is False:
            found["load"] = False

    def _context(self, node: Node, *, what: str) -> int | str | None:
        from gguf2ollama.memory.parse import parse_context  # noqa: PLC0415 - seldom

        text = self.text(node, what=what)
        if text is None:
            return None
        try:
            return parse_context(text)
        except UsageProblem:
            self.report(node, f"{what} must be tokens (8192 or 8k), auto, max or server, not {text!r}")
            return None

    def _parameters(self, node: Node, *, what: str) -> tuple[Any, ...]:
        from gguf2ollama.modelfiles import PARAMETERS, Parameter, ParameterStatus  # noqa: PLC0415 - seldom

        found = []
        for name, (key, value) in self.mapping(node, what=what).items():
            spec = PARAMETERS.get(name)
            if spec is None or spec.status is ParameterStatus.REFUSED:
                close = did_you_mean(name, list(PARAMETERS))
                self.report(key, f"{name!r} in {what} is not a parameter of Ollama{close}")
                continue
            several = value.id == "sequence" and name == "stop"
            for item in self.sequence(value, what=f"{name} in {what}") if several else [value]:
                scalar = self.scalar(item, what=f"{name} in {what}")
                if scalar is None:
                    continue
                parameter = Parameter(name=name, value=scalar)
                if isinstance(parameter.value, str) and spec.type != "str":
                    kind = {"int": "a whole number", "float": "a number", "bool": "true or false"}[spec.type]
                    self.report(item, f"{name} in {what} must be {kind}, not {str(scalar)!r}")
                    continue
                found.append(parameter)
        return tuple(found)

    def _text_or_file(
        self, key: str, node: Node, what: str, found: dict[str, Any], texts: dict[str, TextFile]
    ) -> None:
        what = f"{key} of {what}"
        if node.id != "mapping":
            is_blank = key == "system" and node.id == "scalar" and node.value == "" and not is_null(node)
            found[key] = "" if is_blank else self.text(node, what=what)
            return
        keys = self.mapping(node, what=what, known=("file",))
        if "file" in keys and (path := self.expanded(keys["file"][1], what=f"file of {what}")):
            texts[key] = TextFile(path=path, place=self.place(keys["file"][1]))
        elif not keys:
            self.report(node, f"{what} must be a text or {{file: PATH}}")

    def _messages(self, node: Node, *, what: str) -> tuple[Any, ...]:
        from gguf2ollama.modelfiles import Message  # noqa: PLC0415 - seldom

        found = []
        for item in self.sequence(node, what=what):
            keys = self.mapping(item, what=f"an item of {what}", known=("role", "content"))
            if keys.keys() != {"role", "content"}:
                if item.id == "mapping":
                    self.report(item, f"an item of {what} needs role and content")
                continue
            role = self.word(keys["role"][1], what="role", words=("system", "user", "assistant"))
            content = self.text(keys["content"][1], what="content")
            if role is not None and content is not None:
                found.append(Message(role=role, content=content))  # type: ignore[arg-type]  # one of these
        return tuple(found)

    def _projectors(self, node: Node, found: dict[str, Any], *, what: str) -> None:
        if node.id == "scalar" and node.tag.endswith(":bool"):
            if self.boolean(node, what=what):
                self.report(node, f"{what} must be a file, a list of files, or false")
            found["no_projector"] = True
            return
        nodes = self.sequence(node, what=what) if node.id == "sequence" else [node]
        paths = [self.expanded(item, what=what) for item in nodes]
        found["projectors"] = tuple(path for path in paths if path)

    def _draft(self, node: Node, found: dict[str, Any], *, what: str) -> None:
        if node.id == "scalar" and node.tag.endswith(":bool"):
            if self.boolean(node, what=what):
                self.report(node, f"{what} must be a file, or false")
            found["no_draft"] = True
            return
        found["draft"] = self.expanded(node, what=what)

    def check_options(self, keywords: Mapping[str, Any], key: Node, what: str) -> None:
        """Check what needs neither a source nor a server; a template in a file is checked when it is read."""
        from gguf2ollama.planning.options import BuildOptions, read_keywords  # noqa: PLC0415 - seldom

        known = {name: value for name, value in keywords.items() if value is not None}
        try:
            read_keywords("build", BuildOptions, known)[1].check()
        except Gguf2OllamaError as error:
            self.report(key, f"{what}: {error.message}")
