"""What would change on which host, as values."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.fleet.diff import Difference
from gguf2ollama.fleet.entries import Fleet

__all__ = ["NOT_IN_FILE", "Action", "Change", "FleetPlan", "HostPlan", "as_values", "exit_code_of"]

Action: TypeAlias = Literal["create", "update", "keep", "delete", "fail"]
NOT_IN_FILE = "not in the file"
_THIRD = 3
_CHANGES = 10


def exit_code_of(codes: set[int]) -> int:
    """Return the exit code of a call with failures: that which all have, else 1; 0 for none."""
    if not codes:
        return 0
    return next(iter(codes)) if len(codes) == 1 else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be done about a model on a host.

    Attributes:
        model: Its name, as the file has it.
        action: What is to be done; ``fail`` if that cannot be found out.
        reason: Why, a phrase; of a failure, its message.
        hint: What to do about a failure.
        differences: What an update changes.
        bytes_to_send: Bytes of weights that the host lacks; ``None`` if not known.
        in_use: Whether it is in memory now.
        target: What it would say that it was made of; empty if it is not built.
        exit_code: Of a failure, its exit code.
    """

    model: str
    action: Action
    reason: str = ""
    hint: str | None = None
    differences: tuple[Difference, ...] = ()
    bytes_to_send: int | None = 0
    in_use: bool = False
    target: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """What would change on a host.

    Attributes:
        name: Its name in the file.
        url: Its address.
        version: Its version of Ollama; empty if it could not be observed.
        transport: How files would reach it.
        changes: A change for each model.
        free_bytes: Bytes free for models there; ``None`` if not known.
        model_count: How many models it has now.
        error: Why it could not be observed; empty if it was.
        hint: What to do about that.
        exit_code: The exit code of that error.
    """

    name: str
    url: str
    version: str = ""
    transport: str = ""
    changes: tuple[Change, ...] = ()
    free_bytes: int | None = None
    model_count: int = 0
    error: str = ""
    hint: str | None = None
    exit_code: int = 0

    @property
    def bytes_to_send(self) -> int | None:
        """Bytes of weights that it would be sent; ``None`` if those of a model are not known."""
        counts = [change.bytes_to_send for change in self.changes]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def fits(self) -> bool | None:
        """Whether there is room for them; ``None`` if that is not known."""
        if self.free_bytes is None or self.bytes_to_send is None:
            return None
        return self.bytes_to_send <= self.free_bytes

    @property
    def deletions(self) -> tuple[Change, ...]:
        """The models that would be deleted because the file does not name them."""
        return tuple(change for change in self.changes if change.reason == NOT_IN_FILE)

    @property
    def needs_force(self) -> bool:
        """Whether more than a third of its models would be deleted because the file does not name them."""
        return len(self.deletions) * _THIRD > self.model_count


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What would change on all hosts.

    Attributes:
        fleet: The file.
        hosts: The hosts, in the order of the file.
    """

    fleet: Fleet
    hosts: tuple[HostPlan, ...]

    def count(self, action: Action) -> int:
        """Return how many models have an action, on all hosts."""
        return sum(change.action == action for host in self.hosts for change in host.changes)

    @property
    def failures(self) -> int:
        """How many hosts could not be observed, and how many models not planned."""
        return sum(bool(host.error) for host in self.hosts) + self.count("fail")

    @property
    def size(self) -> int:
        """How many hosts and models there are."""
        return len(self.hosts) + sum(len(host.changes) for host in self.hosts)

    @property
    def has_changes(self) -> bool:
        """Whether anything would change."""
        return any(self.count(action) for action in ("create", "update", "delete"))

    @property
    def exit_code(self) -> int:
        """The exit code of a plan: of the failures if there are any, else 10 for changes and 0 for none."""
        codes = {host.exit_code for host in self.hosts if host.error}
        codes |= {
            change.exit_code for host in self.hosts for change in host.changes if change.action == "fail"
        }
        return exit_code_of(codes) or (_CHANGES if self.has_changes else 0)

    @property
    def fingerprint(self) -> str:
        """The sha256 of the file and of all that would change: it differs if a host has changed since."""
        hosts = [
            {
                "name": host.name,
                "url": host.url,
                "version": host.version,
                "error": bool(host.error),
                "changes": [
                    [
                        *(change.model, change.action, change.target),
                        [dataclasses.astuple(difference) for difference in change.differences],
                    ]
                    for change in sorted(host.changes, key=lambda change: change.model)
                ],
            }
            for host in self.hosts
        ]
        content = json.dumps({"text": self.fleet.text, "hosts": hosts}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


def as_values(found: FleetPlan) -> dict[str, Any]:
    """Return a plan as JSON values; it has no credentials."""
    return {
        "file": found.fleet.file,
        "fingerprint": found.fingerprint,
        "has_changes": found.has_changes,
        "hosts": [
            {
                "name": host.name,
                "url": host.url,
                "ollama_version": host.version or None,
                "transport": host.transport or None,
                "error": {"message": host.error, "hint": host.hint} if host.error else None,
                "bytes_to_send": host.bytes_to_send,
                "free_bytes": host.free_bytes,
                "fits": host.fits,
                "needs_force": host.needs_force,
                "models": [
                    {
                        "name": change.model,
                        "action": change.action,
                        "reason": change.reason,
                        "hint": change.hint,
                        "in_use": change.in_use,
                        "target": change.target or None,
                        "bytes_to_send": change.bytes_to_send,
                        "differences": [
                            {
                                "what": difference.what,
                                "current": difference.current,
                                "wanted": difference.wanted,
                                "changed_on_host": difference.is_drift,
                            }
                            for difference in change.differences
                        ],
                    }
                    for change in host.changes
                ],
            }
            for host in found.hosts
        ],
    }
