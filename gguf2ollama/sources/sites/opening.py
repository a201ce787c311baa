"""The sites there are, and which of them a source is opened at."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from gguf2ollama.events import ignore
from gguf2ollama.sources.sites.settings import HubSettings, ModelScopeSettings, SiteSettings, UrlSettings
from gguf2ollama.sources.sites.site import Site

__all__ = ["open_site"]


@contextlib.contextmanager
def open_site(settings: SiteSettings, *, notify: Callable[[str], None] = ignore) -> Iterator[Site | None]:
    """Open a site; ``None`` where the environment wants no network.

    Args:
        settings: Which, and how it is used.
        notify: Called with a line when something takes longer than a user would expect.
    """
    if settings.is_offline:
        yield None
        return
    with _site(settings, notify=notify) as site:
        yield site


def _site(settings: SiteSettings, *, notify: Callable[[str], None]) -> Site:
    """Return the site of these settings; only that one is imported."""
    if isinstance(settings, HubSettings):
        from gguf2ollama.sources.sites.huggingface import HubSite  # noqa: PLC0415

        return HubSite(settings, notify=notify)
    if isinstance(settings, ModelScopeSettings):
        from gguf2ollama.sources.sites.modelscope import ModelScopeSite  # noqa: PLC0415

        return ModelScopeSite(settings, notify=notify)
    from gguf2ollama.sources.sites.url import UrlSite  # noqa: PLC0415

    assert isinstance(settings, UrlSettings)  # noqa: S101 - there are no others
    return UrlSite(settings, notify=notify)
