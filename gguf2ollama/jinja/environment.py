"""Jinja as transformers compiles and renders chat templates; runs inside the worker process.

Source: ``_cached_compile_jinja_template`` in transformers 5.23, ``utils/chat_template_utils.py``. The clock
is a parameter, so that dates in prompts are reproducible.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import Template, Undefined
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from gguf2ollama.jinja.syntax import settings

__all__ = ["Raised", "TooLong", "line_of", "make_environment", "render"]


class Raised(TemplateError):
    """The template called ``raise_exception``: its authors reject such a chat."""


class TooLong(Exception):
    """The template's output exceeds the limit."""


class _Dict:
    """The global ``dict``: it creates dictionaries and exposes nothing else."""

    def __call__(self, *pairs: Iterable[Any], **values: object) -> dict[Any, Any]:
        return dict(*pairs, **values)

    def fromkeys(self, keys: Iterable[Any], value: object = None) -> dict[Any, Any]:
        return dict.fromkeys(keys, value)


class _Namespace(Namespace):
    """The global ``namespace``: it rejects names that begin with an underscore."""

    def __init__(self, /, *pairs: Iterable[Any], **values: object) -> None:
        taken: dict[Any, Any] = dict(*pairs, **values)
        for name in taken:
            _check_name(name)
        super().__init__(taken)

    def __setitem__(self, name: str, value: object) -> None:
        _check_name(name)
        super().__setitem__(name, value)


_MEMBERS_OF_DICTS = frozenset(dir(dict))
_CAP_KNOWN = 4096


class _CodeGenerator(CodeGenerator):
    """Records the variables that a template looks up, while its code is generated.

    They are those of :func:`jinja2.meta.find_undeclared_variables`, which compiles a second time.
    """

    def enter_frame(self, frame: Frame) -> None:
        super().enter_frame(frame)
        if isinstance(self.environment, _Environment):
            looked_up = {
                name for action, name in frame.symbols.loads.values() if action == "resolve" and name
            }
            self.environment.looked_up |= looked_up.difference(self.environment.globals)


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox; it fails on unsafe access at once, while Jinja's fails when the value is used.

    It allows what Jinja's does: whether an attribute is safe depends on the type of its
    owner, and the items of a dictionary are not its attributes.

    Attributes:
        looked_up: The variables that the templates compiled so far look up.
    """

    code_generator_class = _CodeGenerator

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  # Jinja's own
        super().__init__(**options)
        self.looked_up: set[str] = set()
        self._are_safe: dict[tuple[type, str], bool] = {}

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401  # as above
        if type(obj) is not dict or attribute in _MEMBERS_OF_DICTS:
            return super().getattr(obj, attribute)
        try:
            return obj[attribute]
        except KeyError:
            return self.undefined(obj=obj, name=attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ANN401  # as above
        key = type(obj), attr
        is_safe = self._are_safe.get(key)
        if is_safe is None:
            is_safe = super().is_safe_attribute(obj, attr, value)
            if len(self._are_safe) < _CAP_KNOWN:
                self._are_safe[key] = is_safe
        return is_safe

    def unsafe_undefined(self, obj: object, attribute: str) -> Undefined:
        if attribute.startswith("_"):
            raise SecurityError(f"unsafe access to attribute {attribute!r} of a {type(obj).__name__!r}")
        return super().unsafe_undefined(obj, attribute)


def make_environment(*, now: datetime | None) -> _Environment:
    """Return the environment that chat templates are compiled in; its clock is fixed unless ``None``."""
    environment = _Environment(**settings())

    def strftime_now(format: str) -> str:  # noqa: A002  # the name that a template may use
        return (now or datetime.now()).strftime(format)  # noqa: DTZ005  # templates print the local date

    environment.filters["tojson"] = _tojson
    environment.globals |= {
        "raise_exception": _raise_exception,
        "strftime_now": strftime_now,
        "dict": _Dict(),
        "namespace": _Namespace,
    }
    return environment


def render(template: Template, variables: Mapping[str, Any], *, characters: int) -> str:
    """Render a chat, as ``Template.render`` does.

    Raises:
        TooLong: The prompt exceeds the limit of characters.
        Exception: Any error of the template.
    """
    pieces = []
    size = 0
    for piece in template.root_render_func(template.new_context(dict(variables))):
        size += len(piece)
        if size > characters:
            raise TooLong
        pieces.append(piece)
    return "".join(pieces)


def line_of(error: BaseException) -> int | None:
    """Return the line of the template where an error occurred, if it occurred in the template."""
    line = None
    trace = error.__traceback__
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line


def _tojson(
    x: object,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002  # transformers' own signature
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002  # as above
) -> str:
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise Raised(message)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"cannot set {name!r} of a namespace: it begins with an underscore")
