"""Which proxy leads to a server, as the environment or the system's settings name it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

__all__ = ["is_loopback", "proxy_for"]


def proxy_for(url: str) -> str | None:
    """Return the proxy for a URL (``http_proxy``, ``https_proxy``, ``all_proxy``, ``no_proxy``), or ``None``.

    This machine is never reached through one: the proxy would connect to its own loopback.
    """
    parts = urlsplit(url)
    if is_loopback(parts.hostname or ""):
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - 10 ms; not for this machine

    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine for sure."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
