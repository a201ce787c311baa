"""What Go's ``unicode`` package says of characters, where Python says something else."""

from __future__ import annotations

__all__ = ["SPACE"]

SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""The characters that ``unicode.IsSpace`` takes for white space."""
