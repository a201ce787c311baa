"""A Modelfile as a value."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias, cast, get_args

from gguf2ollama._dataclass import dataclass
from gguf2ollama.errors import InvalidModelfile, UsageProblem
from gguf2ollama.modelfiles._parameters import PARAMETERS, ParameterStatus, Value, nearest, to_text, to_value

__all__ = ["Instruction", "Message", "Modelfile", "Parameter", "Role", "parse_message", "parse_parameter"]

Role: TypeAlias = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A PARAMETER.

    ``value`` is converted to the parameter's type (``int``, ``float``, ``bool`` or ``str``); it stays a
    string if that fails, and for unknown parameters. ``line`` is its line in the file, if it was read from
    one.
    """

    name: str
    value: Value
    line: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", to_value(self.name, self.value))

    @property
    def text(self) -> str:
        """The value as it stands in a Modelfile, without quotes."""
        return to_text(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A MESSAGE of the conversation that a model starts with.

    Raises:
        InvalidModelfile: The role is not ``system``, ``user`` or ``assistant``.
    """

    role: Role
    content: str

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise InvalidModelfile(
                f"invalid role {self.role!r} in MESSAGE", hint="use system, user or assistant"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """An instruction as it stands in a Modelfile.

    Attributes:
        keyword: In upper case.
        name: Of a PARAMETER its name, of a MESSAGE its role.
        value: As Ollama reads it.
        quotes: The quotation marks around it, one or three; ``""`` for none.
        line: Its line, from 1; its value begins there too.
        dropped: The first character of the value that Ollama drops; ``""`` for none.
    """

    keyword: str
    line: int
    value: str
    name: str = ""
    quotes: str = ""
    dropped: str = ""

    @property
    def title(self) -> str:
        """What it is called in messages: ``SYSTEM``, or ``PARAMETER stop``."""
        return f"{self.keyword} {self.name}" if self.name else self.keyword


@dataclass(frozen=True, slots=True, kw_only=True)
class Modelfile:
    """The values of a Modelfile, by instruction.

    ``None`` means that the instruction is absent, ``""`` that its value is empty. Of
    instructions that count once, the last one counts, as for Ollama. ``instructions`` are all that were
    read from a text, in their order, and are not compared.
    """

    sources: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    template: str | None = None
    system: str | None = None
    messages: tuple[Message, ...] = ()
    licenses: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    drafts: tuple[str, ...] = ()
    renderer: str | None = None
    parser: str | None = None
    requires: str | None = None
    instructions: tuple[Instruction, ...] = field(default=(), compare=False, repr=False)

    def parameter(self, name: str) -> Value | None:
        """Return the value of a parameter: the last one, if it is set more than once."""
        values = [parameter.value for parameter in self.parameters if parameter.name == name]
        return values[-1] if values else None

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings in their order."""
        return tuple(parameter.text for parameter in self.parameters if parameter.name == "stop")

    def line(self, keyword: str) -> int | None:
        """Return the line of the effective instruction, such as ``"TEMPLATE"``, if read from a file."""
        lines = [instruction.line for instruction in self.instructions if instruction.keyword == keyword]
        return lines[-1] if lines else None

    def parameters_json(self) -> dict[str, Value | list[str]]:
        """Return the parameters for ``POST /api/create``, without deprecated ones.

        Raises:
            InvalidModelfile: A parameter is unknown, rejected by Ollama, or not of its type.
        """
        result: dict[str, Value | list[str]] = {}
        for parameter in self.parameters:
            spec = PARAMETERS.get(parameter.name)
            if spec is not None and spec.status is ParameterStatus.DEPRECATED:
                continue
            if spec is None or spec.status is ParameterStatus.REFUSED:
                raise InvalidModelfile(
                    f"Ollama does not support the parameter {parameter.name!r}", hint="remove it"
                )
            if not spec.is_typed(parameter.value):
                raise InvalidModelfile(
                    f"invalid value {parameter.text!r} for parameter {parameter.name}: it takes {spec.kind}"
                )
            result[parameter.name] = list(self.stops) if spec.may_repeat else parameter.value
        return result


def parse_parameter(text: str) -> Parameter:
    """Read ``NAME=VALUE`` as the command line takes it.

    Raises:
        UsageProblem: There is no ``=``, Ollama has no such parameter, or the value is not of its type.
    """
    name, separator, value = text.partition("=")
    name = name.strip()
    if not separator:
        raise UsageProblem(
            f"invalid parameter {text[:80]!r}: no value given", hint="use NAME=VALUE, such as temperature=0.7"
        )
    spec = PARAMETERS.get(name)
    if spec is None:
        close = nearest(name)
        known = ", ".join(name for name, spec in PARAMETERS.items() if spec.status is ParameterStatus.KNOWN)
        raise UsageProblem(
            f"unknown parameter {name[:80]!r}",
            hint=f"did you mean {close}?" if close else f"use one of {known}",
        )
    parameter = Parameter(name=name, value=value if spec.type == "str" else value.strip())
    if not spec.is_typed(parameter.value):
        raise UsageProblem(f"invalid value {value[:80]!r} for parameter {name}: it takes {spec.kind}")
    return parameter


def parse_message(text: str) -> Message:
    """Read ``ROLE=TEXT`` as the command line takes it.

    Raises:
        UsageProblem: There is no ``=``, or no such role.
    """
    role, separator, content = text.partition("=")
    roles = get_args(Role)
    if not separator or role not in roles:
        raise UsageProblem(
            f"invalid message {text[:80]!r}: {'no such role' if separator else 'no text given'}",
            hint=f"use ROLE=TEXT with a role of {', '.join(roles)}, such as user=Hello",
        )
    return Message(role=cast("Role", role), content=content)
