"""The certificates that connections trust, read once for all of them: that takes 15 to 40 ms."""

from __future__ import annotations

import functools
import os
import ssl
from pathlib import Path

__all__ = ["trusted_certificates"]


def trusted_certificates(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return the TLS settings for a connection, with the server's certificate verified.

    Args:
        ca_file: Certificates (PEM) to trust in place of the system's and of those that ``SSL_CERT_FILE`` or
            ``SSL_CERT_DIR`` name.

    Raises:
        OSError: The certificates cannot be read (``ssl.SSLError`` where they are not PEM).
    """
    return _read(
        None if ca_file is None else str(ca_file),
        os.environ.get("SSL_CERT_FILE"),
        os.environ.get("SSL_CERT_DIR"),
    )


@functools.lru_cache(maxsize=4)
def _read(ca_file: str | None, file: str | None, folder: str | None) -> ssl.SSLContext:
    if ca_file or file:
        return ssl.create_default_context(cafile=ca_file or file)
    if folder:
        return ssl.create_default_context(capath=folder)
    import httpcore2  # noqa: PLC0415 - 40 ms of import

    return httpcore2.default_ssl_context()
