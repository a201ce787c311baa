"""The certificates that connections to the Hub trust, read once for all of them: that takes 15 to 40 ms."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

__all__ = ["trusted_certificates"]


def trusted_certificates() -> ssl.SSLContext:
    """Return what httpx would make for each of its clients, from the same variables of the environment.

    Raises:
        OSError: The certificates that the environment names cannot be read.
    """
    return _read(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.lru_cache(maxsize=1)
def _read(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    import httpx  # noqa: PLC0415 - 170 ms of import

    return httpx.create_ssl_context()
