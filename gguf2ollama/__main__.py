"""``gguf2ollama`` and ``python -m gguf2ollama``."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from typing import NoReturn

_TURN_SECONDS = 0.0005
_MADE_BETWEEN_COLLECTIONS = 50_000
_BY_SIGNAL = 128  # shells add this to the number of a signal


class _Terminated(SystemExit):
    """A signal that ends the process came; all that is under way is cleaned up on the way out."""


def main() -> None:
    """Run the command line, and end with its exit code."""
    interrupt = signal.getsignal(signal.SIGINT)
    is_usual = interrupt is signal.default_int_handler
    if is_usual:  # while all is imported, and at the end, there is nothing to clean up
        signal.signal(signal.SIGINT, _leave)
    _clean_up_when_terminated()
    # files are hashed beside all that is done meanwhile, and such a thread needs the interpreter for some
    # microseconds each half millisecond: it is not to wait 5 ms each time
    sys.setswitchinterval(_TURN_SECONDS)
    # choosing a template makes many small values, hardly any in a circle: a tenth of it was collecting
    gc.set_threshold(_MADE_BETWEEN_COLLECTIONS)
    from gguf2ollama.cli import run  # noqa: PLC0415 - the library is used without it

    try:
        if is_usual:
            signal.signal(signal.SIGINT, interrupt)
        code = run(sys.argv[1:])
        if is_usual:
            signal.signal(signal.SIGINT, _leave)
    except KeyboardInterrupt:
        _leave()
    except _Terminated:
        with contextlib.suppress(OSError):  # the terminal may be gone
            sys.stderr.write("terminated\n")
        raise
    # all goes with the process now; the collector need not look through it first (a tenth of a quick call)
    gc.freeze()
    sys.exit(code)


def _leave(*_: object) -> NoReturn:
    """End the process as an interrupted one, at once."""
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(_BY_SIGNAL + signal.SIGINT)


def _clean_up_when_terminated() -> None:
    """Let SIGTERM, and the SIGHUP or SIGBREAK of a terminal that closes, end the program as Ctrl-C does.

    Whatever comes after the first ends it at once. One that is ignored (``nohup``) stays so.
    """
    numbers = [
        number
        for name in ("SIGTERM", "SIGHUP", "SIGBREAK")  # Windows has no SIGHUP, others no SIGBREAK
        if (number := getattr(signal, name, None)) and signal.getsignal(number) is signal.SIG_DFL
    ]

    def end(number: int, _frame: object) -> NoReturn:
        for any_more in (*numbers, signal.SIGINT):
            signal.signal(any_more, signal.SIG_DFL)
        raise _Terminated(_BY_SIGNAL + number)

    for number in numbers:
        signal.signal(number, end)


if __name__ == "__main__":
    main()
