"""The sites there are: how the environment says to use each, and the way to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gguf2ollama.names import HubSource, UrlSource
from gguf2ollama.sources.huggingface import HubSite
from gguf2ollama.sources.modelscope import ModelScopeSite
from gguf2ollama.sources.modelscope_settings import ModelScopeSettings
from gguf2ollama.sources.settings import HubSettings, SiteSettings
from gguf2ollama.sources.site import Site
from gguf2ollama.sources.url import UrlSettings, UrlSite

__all__ = ["open_site", "settings_for"]


def settings_for(source: HubSource | UrlSource) -> SiteSettings:
    """Read from the environment how the site of a source is used.

    Raises:
        UsageProblem: The environment says something that cannot be.
    """
    if isinstance(source, UrlSource):
        return UrlSettings.from_environment(source.url)
    if source.site == "hf":
        return HubSettings.from_environment()
    return ModelScopeSettings.from_environment(key=source.site)


@contextlib.contextmanager
def open_site(settings: SiteSettings) -> Iterator[Site | None]:
    """Open the way to a site; give ``None`` where the environment wants no network."""
    if settings.is_offline:
        yield None
        return
    with _site(settings) as site:
        yield site


def _site(settings: SiteSettings) -> Site:
    if isinstance(settings, HubSettings):
        return HubSite(settings)
    if isinstance(settings, ModelScopeSettings):
        return ModelScopeSite(settings)
    assert isinstance(settings, UrlSettings)  # noqa: S101 - there are no others
    return UrlSite(settings)
