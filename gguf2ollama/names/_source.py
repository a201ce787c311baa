"""Model sources: a path, a repository on Hugging Face or ModelScope, a URL, or a model of a server."""

from __future__ import annotations

import os
import re
import urllib.parse
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import UsageProblem
from gguf2ollama.fs.homes import expand_home
from gguf2ollama.names._model_name import ModelName
from gguf2ollama.names._shown import shown

__all__ = ["HubSource", "LocalSource", "OllamaSource", "SiteKey", "Source", "UrlSource", "parse_source"]

SiteKey: TypeAlias = Literal["hf", "ms", "ms-ai"]
"""Hugging Face, modelscope.cn, or modelscope.ai, which has other repositories."""

_HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
_MODELSCOPE_HOSTS: dict[str, SiteKey] = {
    "modelscope.cn": "ms",
    "www.modelscope.cn": "ms",
    "modelscope.ai": "ms-ai",
    "www.modelscope.ai": "ms-ai",
}
_SCHEMES: dict[str, SiteKey] = {"hf://": "hf", "ms://": "ms", "ms-ai://": "ms-ai"}
_OLLAMA = "ollama:"
_NO_OWNERS = frozenset({"api", "collections", "datasets", "docs", "models", "spaces"})
_MAX_LENGTH = 8192
_FORMS = (
    "use a file, a directory or a shard (./model.gguf), a repository (owner/repo or owner/repo:Q4_K_M), "
    "hf://owner/repo/path, ms://owner/repo/path, https://… or ollama:NAME"
)
_DRIVE = lazy_pattern(r"[A-Za-z]:[\\/]")
_SEGMENT = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?!\.)){0,95}"
_REPOSITORY = lazy_pattern(
    rf"(?P<owner>{_SEGMENT})/(?P<repo>{_SEGMENT})"
    r"(?::(?P<quant>[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}))?(?P<rest>[/@].*)?",
    re.DOTALL,
)
_REVISION = r"(?:refs/(?:pr|convert)/)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]|%2[Ff](?!%2[Ff]|$))*"
"""A slash in the name of a branch is written as %2F, as in the addresses of pages."""
_HUB_PATH = lazy_pattern(
    rf"/(?P<owner>{_SEGMENT})/(?P<repo>{_SEGMENT})(?::(?P<quant>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,199}})"
    rf"|/(?P<kind>blob|resolve|raw|tree)/(?P<revision>{_REVISION})(?:/(?P<path>.+?))?)?/?",
    re.DOTALL,
)
_MODELSCOPE_PATH = lazy_pattern(
    rf"/models/(?P<owner>{_SEGMENT})/(?P<repo>{_SEGMENT})"
    rf"(?:/(?:files|summary)|/(?:resolve|tree|file/view)/(?P<revision>{_REVISION})(?:/(?P<path>.+?))?)?/?",
    re.DOTALL,
)
_MODELSCOPE_FILE = lazy_pattern(rf"/api/v1/models/(?P<owner>{_SEGMENT})/(?P<repo>{_SEGMENT})/repo", re.DOTALL)
_HUB_REST = lazy_pattern(
    rf"(?:@(?P<rev_first>{_REVISION}))?(?:/(?P<path>[^@]+))?(?:@(?P<rev_last>{_REVISION}))?", re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSource:
    """A file or a folder on this machine, existing or not."""

    path: Path

    def __str__(self) -> str:
        """Return text that ``parse_source`` parses as a path, whether it exists or not."""
        text = str(self.path)
        return text if _looks_local(text) else f".{os.sep}{text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSource:
    """A repository on Hugging Face or ModelScope, or a file or folder in it.

    ``quant`` is the requested quantization (``Q4_K_M``), ``path`` is relative to the repository's root
    with ``/`` as separator, ``revision`` is a branch, a tag, a commit or ``refs/pr/N``; each may be
    ``None``, and ``quant`` and ``path`` exclude each other. ``site`` is the site of the repository.
    """

    owner: str
    repo: str
    quant: str | None = None
    path: str | None = None
    revision: str | None = None
    site: SiteKey = "hf"

    @property
    def repo_id(self) -> str:
        """``owner/repo``."""
        return f"{self.owner}/{self.repo}"

    def __str__(self) -> str:
        quant = f":{self.quant}" if self.quant else ""
        path = f"/{self.path}" if self.path else ""
        revision = f"@{_encode_revision(self.revision)}" if self.revision else ""
        return f"{self.site}://{self.repo_id}{quant}{path}{revision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlSource:
    """A file with an ``https://`` or ``http://`` URL."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaSource:
    """A model that a server has."""

    name: ModelName

    def __str__(self) -> str:
        return f"{_OLLAMA}{self.name.short}"


Source: TypeAlias = LocalSource | HubSource | UrlSource | OllamaSource


def parse_source(
    text: str, *, hub_endpoint: str | None = None, modelscope_endpoint: str | None = None
) -> Source:
    """Parse a SOURCE argument; the only I/O is whether a local path exists.

    A path that exists is local. So is a text that looks like a path: it begins with ``.``, ``/``, ``~`` or
    a drive letter, contains a backslash, or ends with ``.gguf`` and has no folders, or begins with one that
    exists. Other texts with slashes are repositories, or files in them. A revision may be at the end
    (``hf://owner/repo/path@rev``) or, as in huggingface_hub, after the repository; a slash in it is ``%2F``.
    The URL of a page on Hugging Face (``https://huggingface.co/owner/repo/blob/main/path``) and the name
    that ``ollama run`` accepts (``hf.co/owner/repo:Q4_K_M``, ``…:FILE.gguf``, ``…:latest``) are repositories
    on Hugging Face; those of modelscope.cn and modelscope.ai are equal to ``ms://owner/repo`` and
    ``ms-ai://owner/repo``. ``ollama:NAME`` is a model that a server has.

    Args:
        text: The argument.
        hub_endpoint: The URL of a mirror, whose pages are those of Hugging Face.
        modelscope_endpoint: The same for ModelScope.

    Raises:
        UsageProblem: The text is none of the forms.
    """
    if not text.strip() or "\0" in text or len(text) > _MAX_LENGTH:
        raise UsageProblem(f"invalid source {shown(text)}", hint=_FORMS)
    path = expand_home(text)
    if os.path.lexists(path):
        return LocalSource(path=path)
    if (named := _parse_scheme(text)) is not None:
        return named
    if (url := _with_scheme(text, hub_endpoint, modelscope_endpoint)) is not None:
        return _parse_url(url, hub_endpoint=hub_endpoint, modelscope_endpoint=modelscope_endpoint)
    host, _, rest = text.partition("/")
    if (place := _parse_page_name(text, host=host.lower(), rest=rest)) is not None:
        return place
    if _looks_local(text) and not _is_repository(text):
        return LocalSource(path=path)
    return _parse_repository(text)


def _parse_scheme(text: str) -> HubSource | OllamaSource | None:
    if text.startswith(_OLLAMA):
        return OllamaSource(name=ModelName.parse(text.removeprefix(_OLLAMA)))
    for scheme, site in _SCHEMES.items():
        if text.startswith(scheme):
            return _parse_place(text.removeprefix(scheme), site=site, text=text)
    return None


def _with_scheme(text: str, *endpoints: str | None) -> str | None:
    """Return a URL, also where the scheme of a mirror's page is left out; ``None`` for another text."""
    if "://" in text:
        return text
    for endpoint in filter(None, endpoints):
        scheme, _, place = endpoint.partition("://")
        if text.startswith(f"{place}/"):
            return f"{scheme}://{text}"
    return None


def _parse_page_name(text: str, *, host: str, rest: str) -> HubSource | None:
    """Parse the URL of a page without its scheme, or a name for ``ollama run``."""
    if not rest or host not in {*_HUB_HOSTS, *_MODELSCOPE_HOSTS}:
        return None
    site = _MODELSCOPE_HOSTS.get(host, "hf")
    if rest.count("/") > 1:
        url = f"https://{text}"
        return (
            _parse_hub_page(url, path=f"/{rest}") if site == "hf" else _parse_modelscope_page(url, site=site)
        )
    return _parse_place(rest, site=site, text=text)


def _looks_local(text: str) -> bool:
    return (
        text.startswith((".", "/", "~"))
        or "\\" in text
        or _DRIVE.match(text) is not None
        or text.lower().endswith(".gguf")
    )


def _is_repository(text: str) -> bool:
    """Return whether a text that may be a path is a repository, or a file in one: no such folder is here."""
    match = _REPOSITORY.fullmatch(text)
    return match is not None and not os.path.lexists(match["owner"])


def _parse_url(
    text: str, *, hub_endpoint: str | None, modelscope_endpoint: str | None
) -> UrlSource | HubSource:
    # messages must contain neither a password nor a signed query
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise UsageProblem(
            "the URL must not contain a user name or password",
            hint="remove everything before the @",
        )
    try:
        parts = urllib.parse.urlsplit(text)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not text.isprintable() or " " in text:
        raise UsageProblem(f"invalid URL {shown(text.partition('?')[0])}", hint=_FORMS)
    if hub_endpoint and text.startswith(f"{hub_endpoint}/"):
        return _parse_hub_page(text, path=urllib.parse.urlsplit(text.removeprefix(hub_endpoint)).path)
    if modelscope_endpoint and text.startswith(f"{modelscope_endpoint}/"):
        return _parse_modelscope_page(text, site="ms", prefix=modelscope_endpoint)
    host = (parts.hostname or "").lower()
    if host in _HUB_HOSTS:
        return _parse_hub_page(text, path=parts.path)
    if host in _MODELSCOPE_HOSTS:
        return _parse_modelscope_page(text, site=_MODELSCOPE_HOSTS[host])
    page = _HUB_PATH.fullmatch(parts.path)
    if page and (page["kind"] in {"blob", "tree"} or page["quant"]):
        origin = f"{parts.scheme}://{parts.netloc}"
        raise UsageProblem(
            f"{shown(text.partition('?')[0])}: the address of a page, not of a file",
            hint=f"if {origin} is a mirror of Hugging Face, set HF_ENDPOINT={origin} for it",
        )
    return UrlSource(url=text)


def _parse_modelscope_page(text: str, *, site: SiteKey, prefix: str = "") -> HubSource:
    """Parse the URL of a repository on ModelScope, of a page of a file in it, or of the file itself."""
    parts = urllib.parse.urlsplit(text.removeprefix(prefix))
    path = urllib.parse.unquote(parts.path)
    asked = dict(urllib.parse.parse_qsl(parts.query))
    if match := _MODELSCOPE_FILE.fullmatch(path):
        inside, revision = asked.get("FilePath"), asked.get("Revision")
    elif match := _MODELSCOPE_PATH.fullmatch(path):
        inside, revision = match["path"], match["revision"]
    else:
        inside = revision = None
    is_revision = revision is None or re.fullmatch(_REVISION, revision)
    if not match or not is_revision or (inside is not None and not _is_clean(inside)):
        raise UsageProblem(
            f"{shown(text.partition('?')[0])}: not the page of a model on ModelScope",
            hint="use the URL of a repository or of a file in it, or ms://owner/repo",
        )
    return HubSource(owner=match["owner"], repo=match["repo"], path=inside, revision=revision, site=site)


def _parse_hub_page(text: str, *, path: str) -> HubSource:
    """Parse the URL of a repository, of a page of a file or folder in it, or of the file itself."""
    match = _HUB_PATH.fullmatch(path.replace("%2f", "%2F").replace("%3A", ":").replace("%3a", ":"))
    inside = urllib.parse.unquote(match["path"]) if match and match["path"] else None
    inside = _file_on_page(text) or inside
    if not match or match["owner"] in _NO_OWNERS or (inside and not _is_clean(inside)):
        raise UsageProblem(
            f"{shown(text.partition('?')[0])}: not the page of a model on Hugging Face",
            hint="use the URL of a repository or of a file in it, or owner/repo",
        )
    quant, file = _split_tag(match["quant"])
    return HubSource(
        owner=match["owner"],
        repo=match["repo"],
        quant=quant,
        path=inside or file,
        revision=_decode_revision(match["revision"]),
    )


def _file_on_page(url: str) -> str | None:
    """Return the file that is open on a page of Hugging Face: its address has it once a user clicks it."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query)).get("show_file_info")


def _parse_repository(text: str) -> HubSource:
    try:
        return _parse_place(text, site="hf", text=text)
    except UsageProblem:
        raise UsageProblem(
            f"{shown(text)}: no such file, and not a repository (owner/repo) or URL", hint=_FORMS
        ) from None


def _split_tag(tag: str | None) -> tuple[str | None, str | None]:
    """Return the quantization and the file that the part after ``:`` names, as in names for ``ollama run``.

    ``latest`` is what ``ollama list`` shows where there was none.
    """
    if tag is None or tag.lower() == "latest":
        return None, None
    return (None, tag) if tag.lower().endswith(".gguf") else (tag, None)


def _encode_revision(revision: str) -> str:
    is_plain = revision.startswith(("refs/pr/", "refs/convert/"))
    return revision if is_plain else revision.replace("/", "%2F")


def _decode_revision(revision: str | None) -> str | None:
    return urllib.parse.unquote(revision) if revision else None


def _parse_place(place: str, *, site: SiteKey, text: str) -> HubSource:
    match = _REPOSITORY.fullmatch(place)
    rest = _HUB_REST.fullmatch((match["rest"] or "").rstrip("/")) if match else None
    if not match or not rest:
        _refuse_place(text, site)
    if rest["rev_first"] and rest["rev_last"]:
        _refuse_place(text, site)
    path = rest["path"]
    if path and (match["quant"] or not _is_clean(path)):
        _refuse_place(text, site)
    quant, file = _split_tag(match["quant"])
    return HubSource(
        owner=match["owner"],
        repo=match["repo"],
        quant=quant,
        path=path or file,
        revision=_decode_revision(rest["rev_first"] or rest["rev_last"]),
        site=site,
    )


def _is_clean(path: str) -> bool:
    """Whether a path in a repository is relative, printable and without ``..``."""
    return path.isprintable() and all(part not in {"", ".", ".."} for part in path.split("/"))


def _refuse_place(text: str, site: SiteKey) -> NoReturn:
    where = "Hugging Face" if site == "hf" else "ModelScope"
    raise UsageProblem(
        f"{shown(text)}: not a repository or file on {where}",
        hint=f"use {site}://owner/repo[/path][@revision]",
    )
