"""Write the reference of the command line (``docs/reference.md``) from the commands themselves."""

from __future__ import annotations

import inspect
import sys

import click

from gguf2ollama.cli._app import group
from gguf2ollama.cli._verbs import PROGRAM, VERBS
from gguf2ollama.cli.render.keys import ERROR, SHAPES, rows

_WIDTH = 100  # columns

_JSON_HEAD = """\
## JSON

With `--json`, a command writes one JSON value to stdout. Its keys are an interface: keys may be added, and
none is renamed or removed. The features in `scores` and `totals`, and the names of conversations, are data
that may still change. `[]` is any item of an array, `*` any name; a key with `?` may be missing.
"""
_HEAD = """\
# The command line

Made from the commands themselves by `make docs`; a test holds it to them.
"""


def reference() -> str:
    """Return the text of the reference."""
    parts = [_HEAD, _help(group, PROGRAM, parent=None)]
    with click.Context(group, info_name=PROGRAM) as context:
        for verb in VERBS:
            command = group.get_command(context, verb)
            assert command is not None
            parts += [f"## {verb}\n", _help(command, verb, parent=context)]
    return "\n".join(parts + _json_part())


def _json_part() -> list[str]:
    parts = [_JSON_HEAD]
    for name, shape in {**SHAPES, "an error (on stderr)": ERROR}.items():
        parts += [f"### JSON of {name}\n", "| key | type | meaning |\n|---|---|---|"]
        parts += [f"| `{path}` | {kind} | {meaning} |" for path, kind, meaning in rows(shape)]
        parts.append("")
    return parts


def _help(command: click.Command, name: str, *, parent: click.Context | None) -> str:
    with click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        help_option_names=["-h", "--help"],
    ) as context:
        return f"```text\n{inspect.cleandoc(command.get_help(context))}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
