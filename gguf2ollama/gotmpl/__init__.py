"""Go's text/template as Ollama uses it, in pure Python.

:func:`gguf2ollama.gotmpl.parse.parse` returns the tree of a template, and
:class:`gguf2ollama.gotmpl.exec.Program` prints it; Ollama's use of templates is in ``ollama_template``.

Known differences from Go. All are errors here where Go prints something; none prints another text:

- Printing a memory address (a slice of pointers such as ``.Messages``, ``%p``, the nested properties of a
  tool, the value of their method ``All``) is an error: in Go it differs on every run.
- Printing a float with ``%x`` and a precision is an error.
- ``slice`` beyond the length of an array is an error; Go returns what its capacity happens to contain.
- Methods with arguments or two results (``Get``, ``MarshalJSON``) do not exist.
- Complex numbers are not supported, nor blocks and parentheses nested more than 100 levels deep, nor
  templates of more than 250,000 characters.
- A run that exceeds the limits of :mod:`gguf2ollama.gotmpl.state` (steps, output, calls) ends with an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.gotmpl.nodes import Position, Template

__all__ = ["Position", "Template"]

__getattr__, __dir__ = lazy_exports(__name__, {"nodes": ("Position", "Template")})
