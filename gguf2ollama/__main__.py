"""``gguf2ollama`` and ``python -m gguf2ollama``."""

from __future__ import annotations

import gc
import sys

_TURN_SECONDS = 0.0005
_MADE_BETWEEN_COLLECTIONS = 50_000


def main() -> None:
    """Run the command line, and end with its exit code."""
    # files are hashed beside all that is done meanwhile, and such a thread needs the interpreter for some
    # microseconds each half millisecond: it is not to wait 5 ms each time
    sys.setswitchinterval(_TURN_SECONDS)
    # choosing a template makes many small values, hardly any in a circle: a tenth of it was collecting
    gc.set_threshold(_MADE_BETWEEN_COLLECTIONS)
    from gguf2ollama.cli import run  # noqa: PLC0415 - the library is used without it

    code = run(sys.argv[1:])
    # all goes with the process now; the collector need not look through it first (a tenth of a quick call)
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    main()
