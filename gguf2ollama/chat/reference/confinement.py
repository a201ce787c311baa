"""Take from this process what rendering does not need, as far as the system can: a second wall on Linux.

jinja2's sandbox is the first. A template that got out of it would find a process that can open no file, start
no process and reach no network.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Callable

__all__ = ["confine"]

_STANDARD_STREAMS = 3

# linux/prctl.h, linux/seccomp.h, linux/filter.h, linux/audit.h
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_X32 = 0x40000000  # calls of another kind on x86-64

# the calls, numbered for x86-64 and for arm64 (asm/unistd_64.h, asm-generic/unistd.h)
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_REFUSED = {
    # networks: without a socket there is nothing to connect; io_uring makes them in another way
    "socket": (41, 198),
    "socketpair": (53, 199),
    "io_uring_setup": (425, 425),
    # processes
    "clone": (56, 220),
    "clone3": (435, 435),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    # other processes of this user
    "kill": (62, 129),
    "tkill": (200, 130),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    # what of the kernel nobody here needs, and has had holes
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "mount": (165, 40),
    "perf_event_open": (298, 241),
    "setns": (308, 268),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}


def confine() -> None:
    """Give up files, networks and processes for the rest of this process.

    Nothing can be imported afterwards. What a system does not offer is left out: macOS and Windows have only
    limits of memory and time, and some containers refuse filters of calls.
    """
    if sys.platform != "linux":
        return
    _import_rest()
    import resource  # noqa: PLC0415 - not there on Windows

    filters = _load_filters()
    for kind, count in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),  # does not bind root
        (resource.RLIMIT_NOFILE, _STANDARD_STREAMS),
    ):
        try:
            resource.setrlimit(kind, (count, count))
        except (OSError, ValueError):
            continue
    filters()


def _import_rest() -> None:
    """Import what jinja2 and the worker import when it is first needed."""
    import codecs  # noqa: PLC0415
    import html  # noqa: F401, PLC0415 - filters
    import pprint  # noqa: F401, PLC0415
    import textwrap  # noqa: F401, PLC0415
    import time  # noqa: PLC0415

    import jinja2.constants  # noqa: PLC0415
    import jinja2.debug  # noqa: F401, PLC0415 - when a template fails

    import gguf2ollama.chat.reference.marking  # noqa: F401, PLC0415

    for encoding in ("unicode-escape", "ascii", "latin-1", "utf-8", "utf-16", "utf-32"):
        codecs.lookup(encoding)  # each is a module; literals of templates need the first
    time.tzset()  # reads a file


def _load_filters() -> Callable[[], None]:
    """Return a function that refuses calls of the system, with all that it needs loaded."""
    import ctypes  # noqa: PLC0415 - a millisecond, for Linux alone

    architecture = _ARCHITECTURES.get(os.uname().machine)
    if architecture is None:
        return lambda: None
    program = _program(*architecture)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    filters = Program(len(program) // 8, program)
    prctl = ctypes.CDLL(None).prctl

    def apply() -> None:
        if prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
            prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filters), 0, 0)

    return apply


def _program(architecture: int, column: int) -> bytes:
    """Return the filter as instructions of BPF: each call that is refused ends with ``EPERM``."""
    numbers = (pair[column] for pair in _REFUSED.values())
    checks = [(_EQUAL, number) for number in numbers if number is not None]
    if column == 0:
        checks.insert(0, (_AT_LEAST, _X32))
    lines = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 0, len(checks) + 2, architecture), (_LOAD, 0, 0, _NUMBER)]
    lines += [(code, len(checks) - at, 0, value) for at, (code, value) in enumerate(checks)]
    lines += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
