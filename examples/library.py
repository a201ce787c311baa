"""Use gguf2ollama from Python: look at a GGUF, decide, and build it with progress of your own.

python examples/library.py MODEL.gguf NAME
"""

from __future__ import annotations

import sys

from gguf2ollama import Gguf2OllamaError, Parameter, Update, build, inspect


def show(update: Update) -> None:
    """Print every tenth of a piece of work."""
    if update.total and update.done * 10 // update.total != (update.done - 1) * 10 // update.total:
        print(f"{update.task}: {update.done * 100 // update.total} %", file=sys.stderr)


def main() -> int:
    """Build one model, more careful with memory than the default."""
    source, name = sys.argv[1:3]
    try:
        found = inspect(source)
        print(f"{found.detection.reason} Its template comes from: {found.recipe.template_origin}")
        for key, value in found.recipe.parameters.items():
            print(f"  {key} = {value.value!r} ({value.source})")
        result = build(
            source,
            name=name,
            context=2048,
            parameters=[Parameter(name="temperature", value=0.2)],
            progress=show,
        )
    except Gguf2OllamaError as error:
        print(f"{error}; {error.hint}", file=sys.stderr)
        return error.exit_code
    print(f"Created {result.name.short} on {result.plan.destination.location}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
