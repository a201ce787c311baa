"""Go's ``unicode`` package, where it differs from Python."""

from __future__ import annotations

__all__ = ["SPACE"]

SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""The characters that are whitespace for ``unicode.IsSpace``."""
