"""All errors: types for programs, and a sentence and a hint for people.

::

    Gguf2OllamaError            1  failed
    ├── UsageProblem            2  usage error                                    (ValueError)
    ├── NotFound                3  a file, model, part or program does not exist  (LookupError)
    ├── InvalidInput            4  external data violates its format              (ValueError)
    │   ├── InvalidGguf            a GGUF header or file
    │   │   └── FileChanged            a file that changed while it was being read
    │   ├── InvalidShards          files that are not one complete set of shards
    │   ├── InvalidModelfile       a Modelfile, or a value that none can represent
    │   └── InvalidProfile         a family profile, ours or the user's
    ├── ServerProblem           5  a server, or the connection to it              (ConnectionError)
    │   ├── ServerUnreachable      no response at the address
    │   ├── ServerStalled          it responded, then no data for too long
    │   └── ServerRefused          it responded with an error
    │       └── RunnerStopped          the process that runs the model ended under the request
    ├── VerificationFailed      6  verification failed
    └── NotEnoughSpace          7  disk or memory                                 (OSError)

A message says what failed, with the user's own path or name, and why; ``hint`` says what to do. The command
line prints both and exits with ``exit_code``; 130 is reserved for an interruption, 128 + N for the end by
signal N.
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
    "NameTaken",
    "NotEnoughSpace",
    "NotFound",
    "RunnerStopped",
    "ServerProblem",
    "ServerRefused",
    "ServerStalled",
    "ServerUnreachable",
    "UsageProblem",
    "VerificationFailed",
]


class Gguf2OllamaError(Exception):
    """The base of all errors of this package: a message, and a hint what to do."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageProblem(Gguf2OllamaError, ValueError):
    """A usage error: options that exclude each other, an invalid name."""

    exit_code = 2


class NameTaken(UsageProblem):
    """Another model has the name that a model would get by default."""


class NotFound(Gguf2OllamaError, LookupError):
    """A file, a folder, a model on the server or a program does not exist."""

    exit_code = 3


class InvalidInput(Gguf2OllamaError, ValueError):
    """External data violates the rules of its format."""

    exit_code = 4


class InvalidGguf(InvalidInput):
    """A GGUF violates the format; the message names the file, the key or tensor and the offset."""


class FileChanged(InvalidGguf):
    """A file changed after its header was read.

    Attributes:
        is_touched: Whether its time was set and its size is the same, as when a server reuses a linked blob.
    """

    is_touched = False


class InvalidShards(InvalidInput):
    """Files are not one complete set of shards."""


class InvalidModelfile(InvalidInput):
    """A Modelfile cannot be parsed, or cannot represent a value."""


class InvalidProfile(InvalidInput):
    """A family profile is invalid; the message names the file and the line."""


class ServerProblem(Gguf2OllamaError, ConnectionError):
    """A problem of a server, or of the connection to it.

    Attributes:
        retry_after: Seconds after which the same request may succeed; ``None``: repeating it is no use.
    """

    exit_code = 5
    retry_after: float | None = None


class ServerUnreachable(ServerProblem):
    """There is no response at the address."""


class ServerStalled(ServerProblem, TimeoutError):
    """The server responded, but then sent no data for too long."""


class ServerRefused(ServerProblem):
    """The server responded with an error; ``status`` is the HTTP status code (0: none)."""

    def __init__(self, message: str, *, hint: str | None = None, status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class RunnerStopped(ServerRefused):
    """The process that ran the model ended under the request, as when another program unloads the model."""


class VerificationFailed(Gguf2OllamaError):
    """The model on the server differs from the plan."""

    exit_code = 6


class NotEnoughSpace(Gguf2OllamaError, OSError):
    """Not enough disk or memory; the message says how many bytes are missing and where."""

    exit_code = 7
