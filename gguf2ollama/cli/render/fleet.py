"""Show plans and results of provisioning: lines, Markdown, a live table, JSON."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gguf2ollama._text import one_line
from gguf2ollama.cli.render.format import columns, size
from gguf2ollama.fleet.apply import Applied, ModelResult
from gguf2ollama.fleet.changes import Action, Change, FleetPlan, HostPlan, as_values
from gguf2ollama.fs.atomic import atomic_file

if TYPE_CHECKING:
    from gguf2ollama.cli.render.output import Output

__all__ = ["applied_lines", "applied_values", "live_table", "markdown_plan", "plan_lines", "write_report"]

_MARKS: dict[Action, str] = {"create": "+", "update": "~", "keep": "=", "delete": "-", "fail": "!"}
_DONE: dict[Action, str] = {"create": "created", "update": "updated", "delete": "deleted"}
_SUMMARY: tuple[tuple[Action, str], ...] = (
    ("create", "to create"),
    ("update", "to update"),
    ("delete", "to delete"),
    ("keep", "unchanged"),
    ("fail", "failed"),
)


def plan_lines(found: FleetPlan) -> str:
    """Return a plan for people: a block for each host, a line for each model and difference."""
    blocks = []
    for host in found.hosts:
        lines = [_host_title(host)]
        if host.error:
            lines.append(f"  error: {host.error}")
            if host.hint:
                lines.append(f"  hint: {host.hint}")
        for change in host.changes:
            lines += _change_lines(change)
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, _summary(found)])


def _host_title(host: HostPlan) -> str:
    if host.error:
        return f"{host.name} ({host.url})"
    sent = "an unknown number of bytes" if host.bytes_to_send is None else size(host.bytes_to_send)
    room = "" if host.free_bytes is None else f" of {size(host.free_bytes)} free"
    fits = "; does not fit" if host.fits is False else ""
    force = "; needs --force" if host.needs_force else ""
    where = f"{host.name} ({host.url}, Ollama {host.version}, {host.transport})"
    return f"{where}: {sent} to send{room}{fits}{force}"


def _change_lines(change: Change) -> Iterator[str]:
    words: list[str] = ["error" if change.action == "fail" else change.action]
    if change.reason:
        words.append(f"({change.reason})" if change.action != "fail" else change.reason)
    if change.bytes_to_send:
        words.append(f"[{size(change.bytes_to_send)}]")
    if change.in_use and change.action != "keep":
        words.append("[in use]")
    yield f"  {_MARKS[change.action]} {change.model}: {' '.join(words)}"
    for difference in change.differences:
        yield f"      {difference}"
    if change.hint:
        yield f"      hint: {change.hint}"


def _summary(found: FleetPlan) -> str:
    counts = [f"{count} {word}" for action, word in _SUMMARY if (count := found.count(action))]
    unreachable = sum(bool(host.error) for host in found.hosts)
    hosts = f"; {unreachable} of {len(found.hosts)} hosts could not be observed" if unreachable else ""
    return f"{', '.join(counts) or 'no models'}{hosts}"


def markdown_plan(found: FleetPlan) -> str:
    """Return a plan as Markdown."""
    rows = ["| host | model | action | what changes | bytes |", "|---|---|---|---|---|"]
    for host in found.hosts:
        if host.error:
            rows.append(f"| {_cell(host.name)} | | error | {_cell(host.error)} | |")
        for change in host.changes:
            if change.action == "keep":
                continue
            what = "<br>".join(_cell(str(difference)) for difference in change.differences)
            sent = "?" if change.bytes_to_send is None else size(change.bytes_to_send)
            rows.append(
                f"| {_cell(host.name)} | {_cell(change.model)} | {change.action}"
                f" | {what or _cell(change.reason)} | {sent if change.action != 'delete' else ''} |"
            )
    return "\n".join([f"**{_summary(found)}**", "", *rows])


def _cell(text: str) -> str:
    escaped = one_line(text).replace("\\", "\\\\")
    for char in "|`*_<>[]":
        escaped = escaped.replace(char, f"\\{char}")
    return escaped


def applied_lines(done: Applied) -> str:
    """Return what became of a plan for people: a row for each model, and a line about each host."""
    rows = [
        (
            result.host,
            result.change.model,
            _DONE.get(result.change.action, "") if result.state == "done" else result.state,
            size(result.bytes_sent),
            f"{result.seconds:.1f} s" if result.seconds else "",
            one_line(result.detail) if result.state == "failed" else "",
        )
        for result in done.results
    ]
    lines = [columns(("HOST", "MODEL", "RESULT", "SENT", "TIME", ""), rows)] if rows else []
    lines += [f"{host.name}: {host.error}" for host in done.plan.hosts if host.error]
    actions: tuple[Action, ...] = ("create", "update", "delete")
    counts = [f"{done.count(action)} {_DONE[action]}" for action in actions if done.count(action)]
    if done.failures:
        counts.append(f"{done.failures} failed")
    total = sum(done.bytes_sent.values())
    lines.append(f"{', '.join(counts) or 'nothing changed'}; {size(total)} of weights sent")
    return "\n\n".join(["\n".join(lines[:-1]), lines[-1]] if lines[:-1] else lines)


def applied_values(done: Applied) -> dict[str, Any]:
    """Return what became of a plan as JSON values; it has no credentials."""
    return {
        "plan": as_values(done.plan),
        "changed": done.has_changed,
        "exit_code": done.exit_code,
        "bytes_sent": dict(done.bytes_sent),
        "results": [
            {
                "host": result.host,
                "model": result.change.model,
                "action": result.change.action,
                "state": result.state,
                "error": {"message": result.detail, "hint": result.hint, "exit_code": result.exit_code}
                if result.state == "failed"
                else None,
                "bytes_sent": result.bytes_sent,
                "seconds": round(result.seconds, 3),
                "warnings": list(result.warnings),
            }
            for result in done.results
        ],
    }


def write_report(path: str, done: Applied) -> None:
    """Write what became of a plan to a file, as JSON."""
    with atomic_file(Path(path), kind="report") as stream:
        stream.write(f"{json.dumps(applied_values(done), indent=2, ensure_ascii=False)}\n".encode())


@contextlib.contextmanager
def live_table(output: Output) -> Iterator[Callable[[ModelResult], None]]:
    """Yield a function that shows the state of a model: a table on a terminal, else a line when it ends."""
    if output.quiet:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        yield lambda result: _note(output, result)
        return
    from rich.console import Console  # noqa: PLC0415 - on a terminal alone
    from rich.live import Live  # noqa: PLC0415 - as above

    states: dict[tuple[str, str], ModelResult] = {}
    lock = threading.Lock()
    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:

        def show(result: ModelResult) -> None:
            if result.state == "unchanged":
                return
            with lock:
                states[result.host, result.change.model] = result
                live.update(_table(list(states.values())))

        yield show


def _note(output: Output, result: ModelResult) -> None:
    if result.state == "done":
        sent = f", {size(result.bytes_sent)} sent" if result.bytes_sent else ""
        what = f"{result.change.model} {_DONE[result.change.action]}"
        output.note(f"{result.host}: {what} ({result.seconds:.1f} s{sent})")
    elif result.state == "failed":
        output.note(f"{result.host}: {result.change.model} failed: {result.detail}")


def _table(results: list[ModelResult]) -> Any:  # noqa: ANN401 - a table of rich's
    from rich.table import Table  # noqa: PLC0415 - on a terminal alone
    from rich.text import Text  # noqa: PLC0415 - as above

    table = Table(box=None, pad_edge=False)
    for title in ("HOST", "MODEL", "STATE", "SENT", ""):
        table.add_column(title, no_wrap=True)
    for result in results:
        table.add_row(
            *(
                Text(one_line(text, limit=70))
                for text in (
                    result.host,
                    result.change.model,
                    result.state,
                    size(result.bytes_sent),
                    result.detail,
                )
            )
        )
    return table
