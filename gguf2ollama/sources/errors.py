"""Say what a refusal of the Hub means and what to do about it.

The Hub tells by the header ``X-Error-Code``, and by the status where there is none, as huggingface_hub reads
it (``hf_raise_for_status`` of its ``utils/_http.py``).
"""

from __future__ import annotations

from collections.abc import Mapping

from gguf2ollama.errors import Gguf2OllamaError, NotFound, ServerRefused
from gguf2ollama.sources.settings import HubSettings

__all__ = ["explain_refusal", "no_hub"]

_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _GONE, _TOO_MANY, _SERVER_ERROR = 401, 403, 404, 410, 429, 500
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
_SHOWN = 200


def explain_refusal(
    status: int,
    headers: Mapping[str, str],
    *,
    settings: HubSettings,
    repository: str,
    revision: str = "main",
    path: str | None = None,
) -> Gguf2OllamaError:
    """Make the error for an answer that refuses something.

    Args:
        status: The HTTP status.
        headers: Of the answer, their names in small letters.
        settings: How the Hub was asked; no message holds the token.
        repository: What it was asked for.
        revision: Of which state.
        path: Which file, if it was one.
    """
    code = headers.get("x-error-code")
    has_token = settings.token is not None
    page = f"{settings.endpoint}/{repository}"
    if code == "GatedRepo":
        return _gated(repository, page=page, has_token=has_token, status=status)
    if code == "RevisionNotFound":
        return NotFound(
            f"{repository} has no revision {revision!r}", hint=f"{page}/tree/main shows its branches"
        )
    if code == "EntryNotFound":
        return NotFound(
            f"{repository} has no file {path!r} at {revision}", hint=f"{page}/tree/{revision} lists them"
        )
    if status == _UNAUTHORIZED and has_token and code is None:
        return ServerRefused(
            f"{settings.endpoint} does not take your token: it is wrong, or its time is over",
            hint=f"make a new one at {settings.endpoint}/settings/tokens, then {_LOG_IN}",
            status=status,
        )
    if code == "RepoNotFound" or status in {_UNAUTHORIZED, _NOT_FOUND}:
        who = "it is private and your token may not see it" if has_token else "it is private"
        hint = "check its name" if has_token else f"check its name; for a private one, {_LOG_IN}"
        return NotFound(f"there is no repository {repository} at {settings.endpoint}, or {who}", hint=hint)
    return _by_status(status, headers, settings=settings, repository=repository)


def no_hub(settings: HubSettings, what: str) -> ServerRefused:
    """Make the error for an answer that no Hub gives."""
    return ServerRefused(
        f"{settings.endpoint} does not answer as a Hub does: {what}",
        hint="check HF_ENDPOINT, and whether the network wants you to sign in first",
    )


def _by_status(
    status: int, headers: Mapping[str, str], *, settings: HubSettings, repository: str
) -> ServerRefused:
    page = f"{settings.endpoint}/{repository}"
    what, hint = f"{settings.endpoint} refused {repository} with status {status}", f"look at {page}"
    if status == _TOO_MANY:
        pause = headers.get("retry-after", "")
        wait = f"wait {pause} seconds" if pause.isdigit() else "wait some minutes"
        more = "" if settings.token else f", or {_LOG_IN}: those who did may ask more often"
        what, hint = f"{settings.endpoint} was asked too often", f"{wait}{more}"
    elif status >= _SERVER_ERROR:
        what, hint = f"{settings.endpoint} has a fault of its own (status {status})", "try again later"
    elif status in {_FORBIDDEN, _GONE}:
        told = _printable(headers.get("x-error-message", ""))
        what = f"{settings.endpoint} does not let {repository} be read{f': {told}' if told else ''}"
        hint = f"look at {page}, and whether your token may read it"
    return ServerRefused(what, hint=hint, status=status)


def _gated(repository: str, *, page: str, has_token: bool, status: int) -> ServerRefused:
    if has_token:
        return ServerRefused(
            f"{repository} is gated, and your token has no access to it",
            hint=f"ask for access at {page}; a fine-grained token must also be allowed to read what is gated",
            status=status,
        )
    return ServerRefused(
        f"{repository} is gated: its files are for those who have accepted its conditions",
        hint=f"accept them at {page}, then {_LOG_IN}",
        status=status,
    )


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[:_SHOWN]
