"""What can go wrong, as values a program can tell apart and a sentence a person can act on.

::

    Gguf2OllamaError            1  failed
    ├── UsageProblem            2  the call cannot be carried out as it was put   (ValueError)
    ├── NotFound                3  a file, model, part or program is not there    (LookupError)
    ├── InvalidInput            4  something from outside breaks its own format   (ValueError)
    │   ├── InvalidGguf            a GGUF header or file
    │   │   └── FileChanged            a file that was changed while it was read
    │   ├── InvalidShards          a set of shards that is no set
    │   ├── InvalidModelfile       a Modelfile, or a value that none can carry
    │   └── InvalidProfile         a family profile of ours or the user's
    ├── ServerProblem           5  the server or the way to it                    (ConnectionError)
    │   ├── ServerUnreachable      nothing answers there
    │   ├── ServerStalled          it answered, then nothing came for too long
    │   └── ServerRefused          it answered with an error of its own
    ├── VerificationFailed      6  what was made is not what was asked for
    └── NotEnoughSpace          7  disk or memory                                 (OSError)

A message is one sentence of what happened and where; ``hint`` says what to try next. The command line
prints both and ends with ``exit_code``; 130 is kept for an interruption, 128 + N for the end by signal N.
"""

from __future__ import annotations

__all__ = [
    "FileChanged",
    "Gguf2OllamaError",
    "InvalidGguf",
    "InvalidInput",
    "InvalidModelfile",
    "InvalidProfile",
    "InvalidShards",
    "NotEnoughSpace",
    "NotFound",
    "ServerProblem",
    "ServerRefused",
    "ServerStalled",
    "ServerUnreachable",
    "UsageProblem",
    "VerificationFailed",
]


class Gguf2OllamaError(Exception):
    """The base of all errors of this package: a sentence, and a hint of what to try next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageProblem(Gguf2OllamaError, ValueError):
    """The call cannot be carried out as it was put: two options that exclude each other, a bad name."""

    exit_code = 2


class NotFound(Gguf2OllamaError, LookupError):
    """A file, a folder, a model on the server or a program is not there."""

    exit_code = 3


class InvalidInput(Gguf2OllamaError, ValueError):
    """Something from outside breaks the rules of its own format."""

    exit_code = 4


class InvalidGguf(InvalidInput):
    """A GGUF that breaks the format; the message names the file, the key or tensor and the offset."""


class FileChanged(InvalidGguf):
    """A file was changed between the reading of its header and the end of its use."""


class InvalidShards(InvalidInput):
    """Files that are not one whole set of shards."""


class InvalidModelfile(InvalidInput):
    """A Modelfile that cannot be parsed, or a value that a Modelfile cannot carry."""


class InvalidProfile(InvalidInput):
    """A family profile that cannot be used; the message names the file and the line."""


class ServerProblem(Gguf2OllamaError, ConnectionError):
    """A server, or the connection to it.

    Attributes:
        retry_after: Seconds after which the same request may succeed; ``None``: repeating it is no use.
    """

    exit_code = 5
    retry_after: float | None = None


class ServerUnreachable(ServerProblem):
    """Nothing answers at the address."""


class ServerStalled(ServerProblem, TimeoutError):
    """The server answered, and then no byte came for too long."""


class ServerRefused(ServerProblem):
    """The server answered with an error of its own; ``status`` is the HTTP status code (0: none)."""

    def __init__(self, message: str, *, hint: str | None = None, status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class VerificationFailed(Gguf2OllamaError):
    """What was made was read back and is not what was asked for."""

    exit_code = 6


class NotEnoughSpace(Gguf2OllamaError, OSError):
    """Not enough disk or memory; the message says how many bytes are missing and where."""

    exit_code = 7
