"""What the modules share: they call gguf2ollama's library, and return what changed with a diff."""

from __future__ import annotations

import traceback
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

GGUF2OLLAMA_ERROR = None
try:
    from gguf2ollama.errors import Gguf2OllamaError
    from gguf2ollama.fleet.apply import apply
    from gguf2ollama.fleet.changes import FleetPlan
    from gguf2ollama.fleet.entries import Fleet
    from gguf2ollama.fleet.plan import plan
except ImportError:
    GGUF2OLLAMA_ERROR = traceback.format_exc()

__all__ = ["make", "require_library"]


def require_library(module: AnsibleModule) -> None:
    """Fail if gguf2ollama is not installed for the Python that runs the module."""
    if GGUF2OLLAMA_ERROR is not None:
        module.fail_json(msg=missing_required_lib("gguf2ollama"), exception=GGUF2OLLAMA_ERROR)


def make(module: AnsibleModule, fleet: Fleet, **options: Any) -> None:
    """Plan or apply a fleet, and end the module with what changed.

    Args:
        module: The module.
        fleet: The models and hosts.
        options: As for ``gguf2ollama.plan``; ``force`` goes to ``apply`` alone.
    """
    force = options.pop("force", False)
    warnings: list[str] = []
    try:
        if module.check_mode:
            found, failed, sent = plan(fleet, **options), [], {}
            changed = found.has_changes
        else:
            done = apply(fleet, force=force, **options)
            found, changed, sent = done.plan, done.has_changed, dict(done.bytes_sent)
            failed = [result for result in done.results if result.state == "failed"]
            warnings = [
                f"{result.change.model} on {result.host}: {warning}"
                for result in done.results
                for warning in result.warnings
            ]
    except Gguf2OllamaError as error:
        module.fail_json(msg=_text(error.message, error.hint))
    for warning in warnings:
        module.warn(warning)
    result = {"changed": changed, "bytes_sent": sent, "changes": _changes(found), "diff": _diff(found)}
    problems = [_text(f"{host.name}: {host.error}", host.hint) for host in found.hosts if host.error]
    problems += [_text(f"{item.host}: {item.change.model}: {item.detail}", item.hint) for item in failed]
    if module.check_mode:
        problems += [
            _text(f"{host.name}: {change.reason}", change.hint)
            for host in found.hosts
            for change in host.changes
            if change.action == "fail"
        ]
    if problems:
        module.fail_json(msg="\n".join(problems), **result)
    module.exit_json(**result)


def _changes(found: FleetPlan) -> list[dict[str, Any]]:
    return [
        {
            "host": host.name,
            "model": change.model,
            "action": change.action,
            "differences": [str(difference) for difference in change.differences],
        }
        for host in found.hosts
        for change in host.changes
        if change.action not in {"keep", "fail"}
    ]


def _diff(found: FleetPlan) -> list[dict[str, str]]:
    """Return a diff for each model that changes, as ``--diff`` prints it."""
    return [
        {
            "before_header": f"{change.model} on {host.name}",
            "after_header": f"{change.model} on {host.name}",
            "before": _lines(change, "current"),
            "after": _lines(change, "wanted"),
        }
        for host in found.hosts
        for change in host.changes
        if change.action not in {"keep", "fail"}
    ]


def _lines(change: Any, side: str) -> str:
    state = {"create": ("absent", "present"), "delete": ("present", "absent")}
    if change.action in state:
        return f"state: {state[change.action][side == 'wanted']}\n"
    lines = [
        f"{difference.what}: {getattr(difference, side)}\n"
        for difference in change.differences
        if getattr(difference, side) is not None
    ]
    return "".join(lines)


def _text(message: str, hint: str | None) -> str:
    return f"{message} ({hint})" if hint else message
