"""Temporary models on a server: their names, and which of them were abandoned by builds that ended.

Each is tagged with a token of the process that makes it, and that process holds a lock (flock) on a file of
that name for as long as it may use the model. The system releases the lock when the process ends, also after
``kill -9``, and the file stays: so a process of the same user on the same machine knows for certain whether a
model is in use. All others go by its age.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias, TypeVar

from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.environment import boot_id
from gguf2ollama.errors import Gguf2OllamaError, NotFound
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.fs.locks import lock_file
from gguf2ollama.install.locks import is_locked, lock_folder
from gguf2ollama.names import TEMPORARY_NAMESPACE, ModelName
from gguf2ollama.ollama import Client, LocalModel
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.ollama.store_layout import list_entries

__all__ = [
    "copy_made",
    "found_again",
    "leased_name",
    "remove_abandoned",
    "remove_abandoned_from_store",
    "temporary_name",
    "unload_unless_in_use",
]

_ABANDONED_AFTER = timedelta(days=1)  # a model has its temporary name for minutes
_LOCK_FILES_KEPT_FOR = 2 * 86400.0  # seconds; after that the age of the models decides
_COPIES = 4  # before the last
_PAUSES = (0.02, 0.1, 0.3)  # seconds, after which a model that was missed is there
_T = TypeVar("_T")
_LATE = 0.3  # seconds in which a server finishes requests of a client that has disconnected
_TOKEN = lazy_pattern(r"[0-9]{16}")

_BuildState: TypeAlias = Literal["running", "ended", "unknown"]


@contextlib.contextmanager
def temporary_name(client: Client, name: ModelName) -> Iterator[ModelName]:
    """Yield a temporary name for a model that is being made; no build removes it while the block runs.

    What ended builds left is removed: before the block, to free its space; or after the block if it may have
    the weights of this model, which then need not be sent again.

    Args:
        client: The server.
        name: The final name of the model.
    """
    models = _list_models(client)
    related = [other for other in models if _may_share_weights(other, name)]
    remove_abandoned(client, models=[other for other in models if other not in related])
    with _lease() as token:
        try:
            yield _as_spelled(name, models).temporary(token)
        except Exception:
            raise
        except BaseException:
            # interrupted: the server may not have finished the last request
            time.sleep(_LATE)
            _remove(client, [model for model in _list_models(client) if _token_of(model) == token])
            raise
        finally:
            remove_abandoned(client, models=related)


def copy_made(client: Client, name: ModelName, *, to: ModelName) -> None:
    """Give a model that was just made one more name.

    A server that deletes a model removes all empty folders of manifests, also that which it has just made
    for another name, and then says that there is no model (``PruneDirectory`` in manifest/paths.go of
    0.34.4): where many build at once, the same request works a moment later.

    Raises:
        NotFound: The model does not exist.
        ServerProblem: The server cannot be reached, or refuses.
    """
    for _ in range(_COPIES):
        try:
            client.copy(name, to=to)
        except NotFound:
            found_again(lambda: client.show(name))  # is it there?
        else:
            return
    client.copy(name, to=to)


def found_again(request: Callable[[], _T]) -> _T:
    """Return what a request for a model that exists returns, although the server misses it for a moment.

    While a server deletes another model, it may say of any that there is none: manifests and blobs are listed
    and removed without a lock (server/images.go and manifest/paths.go of 0.34.4).

    Raises:
        NotFound: The model does not exist.
        ServerProblem: The server cannot be reached, or refuses.
    """
    for pause in _PAUSES:
        with contextlib.suppress(NotFound):
            return request()
        time.sleep(pause)
    return request()


def unload_unless_in_use(client: Client, name: ModelName) -> None:
    """Unload a model, unless another build checks one of the same weights: that unloads both at its end.

    Raises:
        NotFound: The model does not exist.
        ServerProblem: The server cannot be reached, or refuses.
    """
    if not is_locked(client, client.show(name)):
        client.unload(name)


@contextlib.contextmanager
def leased_name(name: ModelName) -> Iterator[ModelName]:
    """Yield a temporary name that no build removes while the block runs; nothing of others is removed."""
    with _lease() as token:
        yield name.temporary(token)


def remove_abandoned(client: Client, *, models: Iterable[ModelName] | None = None) -> tuple[ModelName, ...]:
    """Remove temporary models of ended builds, with the weights that no other model uses.

    Builds of this user on this machine are known to have ended; any other counts as ended once its model is a
    day old by the server's clock. What cannot be listed or removed stays.

    Args:
        client: The server.
        models: The models to check; all on the server when not given.

    Returns:
        The removed models.
    """
    candidates = [
        model
        for model in (_list_models(client) if models is None else models)
        if model.namespace.lower() == TEMPORARY_NAMESPACE
    ]
    states = {model: _build_state(model) for model in candidates}
    old = _old_models(client) if "unknown" in states.values() else frozenset()
    return _remove(
        client,
        [
            model
            for model, state in states.items()
            if state == "ended" or (state == "unknown" and model in old)
        ],
    )


def _remove(client: Client, models: Iterable[ModelName]) -> tuple[ModelName, ...]:
    """Remove models from memory and from the store; return those that were removed."""
    removed = []
    for model in models:
        with contextlib.suppress(Gguf2OllamaError):  # a broken one is not loaded
            unload_unless_in_use(client, model)
        with contextlib.suppress(Gguf2OllamaError):
            client.delete(model)
            removed.append(model)
    return tuple(removed)


def remove_abandoned_from_store(store: LocalStore) -> tuple[ModelName, ...]:
    """Remove the temporary models of ended builds from a store without a server.

    A server removes their weights when it starts; unfinished files are removed here.

    Raises:
        UsageProblem: The store cannot be written.
    """
    store.require(0)
    oldest = time.time() - _ABANDONED_AFTER.total_seconds()
    removed = []
    for entry in tuple(list_entries(store.root)):
        if entry.name.namespace.lower() != TEMPORARY_NAMESPACE:
            continue
        state = _build_state(entry.name)
        with disk_errors(entry.path), contextlib.suppress(FileNotFoundError):
            if state == "ended" or (state == "unknown" and entry.path.lstat().st_mtime < oldest):
                store.remove_entry(entry)
                removed.append(entry.name)
    return tuple(removed)


def _list_models(client: Client) -> tuple[ModelName, ...]:
    with contextlib.suppress(Gguf2OllamaError):
        return tuple(name for model in client.list() if (name := _name_of(model)))
    return ()


def _old_models(client: Client) -> frozenset[ModelName]:
    """Return the models that are more than a day old by the server's clock; none if it reports no time."""
    with contextlib.suppress(Gguf2OllamaError):
        now = client.clock()
        return frozenset(
            name
            for model in client.list()
            if model.modified is not None
            and now is not None
            and now - model.modified > _ABANDONED_AFTER
            and (name := _name_of(model))
        )
    return frozenset()


def _name_of(model: LocalModel) -> ModelName | None:
    with contextlib.suppress(Gguf2OllamaError):  # a newer Ollama may allow more
        return ModelName.parse(model.name)
    return None


def _may_share_weights(temporary: ModelName, name: ModelName) -> bool:
    """Return whether a temporary model has the same model part, or was pulled under an unrelated one."""
    is_pulled = temporary.host != ModelName(model="any").host
    return is_pulled or temporary.model.lower() == name.model.lower()


def _as_spelled(name: ModelName, models: Iterable[ModelName]) -> ModelName:
    """Return a name with its model part spelled as an existing model's.

    The server keeps the spelling of the first (``getExistingName`` in ``server/routes.go`` of 0.34.4).
    """
    for other in models:
        if other.with_tag(name.tag).is_same(name):
            return other.with_tag(name.tag)
    return name


@contextlib.contextmanager
def _lease() -> Iterator[str]:
    """Yield a token that others see in use while the block runs.

    If no file can be locked, they see nothing and go by the age of the model.
    """
    token, folder = f"{secrets.randbelow(10**16):016}", lock_folder()
    file = None if folder is None else _open_locked(folder / token)
    with contextlib.nullcontext() if file is None else file:
        yield token


def _open_locked(path: Path) -> BinaryIO | None:
    """Create a file and lock it; ``None`` if that fails."""
    try:
        _remove_old_files(path.parent)
        file = path.open("xb")
    except OSError:
        return None
    try:
        file.write(_machine())
        file.flush()
        lock_file(file, wait=True)
    except OSError:
        file.close()
        path.unlink(missing_ok=True)  # without a lock it would say that the build has ended
        return None
    return file


def _token_of(model: ModelName) -> str:
    return model.tag.partition("-")[0] if model.namespace.lower() == TEMPORARY_NAMESPACE else ""


def _build_state(model: ModelName) -> _BuildState:
    """Return whether the process that tagged a model is still running."""
    token, folder = _token_of(model), lock_folder()
    return _state_of(folder / token) if folder is not None and _TOKEN.fullmatch(token) else "unknown"


def _state_of(path: Path) -> _BuildState:
    """Return whether the process of a lock file is still running."""
    try:
        with path.open("r+b") as file:
            try:
                lock_file(file, wait=False)
            except (BlockingIOError, PermissionError):  # EAGAIN and EACCES: another process holds it
                return "running"
            # on a network file system, a lock may be visible on one machine only
            return "ended" if file.read() == _machine() else "unknown"
    except OSError:
        return "unknown"


def _remove_old_files(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    oldest = time.time() - _LOCK_FILES_KEPT_FOR
    for path in folder.iterdir():
        is_old = _TOKEN.fullmatch(path.name) and path.stat(follow_symlinks=False).st_mtime < oldest
        if is_old and _state_of(path) != "running":
            path.unlink(missing_ok=True)


def _machine() -> bytes:
    """Return what identifies this machine since its last boot."""
    return boot_id() or socket.gethostname().encode()
