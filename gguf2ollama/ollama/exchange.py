"""Requests and their answers: what every endpoint has in common."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from gguf2ollama.errors import UsageProblem
from gguf2ollama.names import ServerAddress
from gguf2ollama.ollama.errors import Asked, foreign_errors
from gguf2ollama.ollama.fields import Fields
from gguf2ollama.ollama.streams import Stream, raise_for_error, read_fields

if TYPE_CHECKING:
    import httpx

__all__ = ["Exchange"]

_NOT_FOUND = 404
_T = TypeVar("_T")


class Exchange:
    """The connections to one server.

    Errors of the server, and of the way to it, come out as those of ``gguf2ollama.errors``.

    Args:
        address: Where the server is.
        stall_timeout: Seconds of silence before the server is asked whether it lives.

    Raises:
        UsageProblem: The certificates or the proxy that the environment names cannot be used.
    """

    def __init__(self, address: ServerAddress, *, stall_timeout: float) -> None:
        from gguf2ollama.ollama.transport import open_http  # noqa: PLC0415 - httpx takes 170 ms to import

        self._base_url = address.base_url
        self._http = open_http(address.base_url, is_loopback=address.is_loopback, stall_timeout=stall_timeout)

    def close(self) -> None:
        """Close all connections; what is under way on them ends."""
        self._http.close()

    def is_there(self, path: str) -> bool:
        """Ask with a HEAD whether there is something at a path."""
        asked = self._asked("HEAD", path)
        with foreign_errors(asked):
            response = self._http.head(path)
        if response.status_code != _NOT_FOUND:
            raise_for_error(response, asked=asked)
        return response.status_code != _NOT_FOUND

    def date(self, path: str) -> datetime | None:
        """Return when the server answered a GET, by its own clock; ``None`` where its answer does not say."""
        from email.utils import parsedate_to_datetime  # noqa: PLC0415 - seldom needed

        asked = self._asked("GET", path)
        with foreign_errors(asked), closing(self._send(asked, None, is_long=False)) as response:
            said = response.headers.get("Date", "")
        with contextlib.suppress(ValueError):
            date = parsedate_to_datetime(said)
            return None if date.tzinfo is None else date
        return None

    def get(self, path: str) -> Fields:
        """Get the object at a path."""
        asked = self._asked("GET", path)
        with foreign_errors(asked), closing(self._send(asked, None, is_long=False)) as response:
            return read_fields(response, asked=asked)

    def ask(
        self, path: str, content: Mapping[str, object], *, subject: str = "", is_long: bool = False
    ) -> Fields:
        """Post an object and read the object that is the answer.

        Args:
            path: The endpoint.
            content: The request.
            subject: The model that it is about, for errors.
            is_long: Whether it may take as long as it likes, while the server lives.
        """
        asked = self._asked("POST", path, subject=subject)
        with foreign_errors(asked), closing(self._send(asked, content, is_long=is_long)) as response:
            return read_fields(response, asked=asked)

    def notify(self, method: str, path: str, content: Mapping[str, object], *, subject: str) -> None:
        """Send an object where no answer but the status is due."""
        asked = self._asked(method, path, subject=subject)
        with foreign_errors(asked):
            self._send(asked, content, is_long=False).close()

    def stream(
        self,
        path: str,
        content: Mapping[str, object],
        *,
        subject: str,
        parse: Callable[[Fields], _T],
        is_last: Callable[[_T], bool],
        is_flowing: Callable[[_T], bool] | None = None,
    ) -> Stream[_T]:
        """Post an object and give the lines of the answer as they come.

        Args:
            path: The endpoint.
            content: The request.
            subject: The model that it is about, for errors.
            parse: Reads one line.
            is_last: Whether nothing is due after a value.
            is_flowing: Whether the next line is due soon after a value, so that silence is a stall.
        """
        asked = self._asked("POST", path, subject=subject)
        with foreign_errors(asked):
            response = self._send(asked, content, is_long=True)
        return Stream(response, parse=parse, is_last=is_last, is_flowing=is_flowing, asked=asked)

    def post_bytes(self, path: str, content: Iterable[bytes], *, size: int, subject: str) -> None:
        """Post ``size`` bytes as they are; a ``PiecesBody`` goes the quickest way there is."""
        asked = self._asked("POST", path, subject=subject)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with foreign_errors(asked):
            request = self._http.build_request("POST", path, content=content, headers=headers)
            request.extensions["pieces"] = content
            self._open(request, asked, is_long=True).close()

    def _asked(self, method: str, path: str, *, subject: str = "") -> Asked:
        return Asked(address=self._base_url, method=method, path=path, subject=subject)

    def _send(self, asked: Asked, content: Mapping[str, object] | None, *, is_long: bool) -> httpx.Response:
        try:
            encoded = None if content is None else json.dumps(content, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise UsageProblem(f"a value cannot be sent to Ollama: {error}") from error
        headers = None if encoded is None else {"Content-Type": "application/json"}
        request = self._http.build_request(asked.method, asked.path, content=encoded, headers=headers)
        return self._open(request, asked, is_long=is_long)

    def _open(self, request: httpx.Request, asked: Asked, *, is_long: bool) -> httpx.Response:
        """Send a request and give its answer unread; one that may take long has no read timeout."""
        if is_long:
            request.extensions["timeout"]["read"] = None
        response = self._http.send(request, stream=True)
        try:
            raise_for_error(response, asked=asked)
        except BaseException:
            response.close()
            raise
        return response
