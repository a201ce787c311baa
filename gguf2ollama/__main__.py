"""``gguf2ollama`` and ``python -m gguf2ollama``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, and end with its exit code."""
    from gguf2ollama.cli import run  # noqa: PLC0415 - the library is used without it

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
