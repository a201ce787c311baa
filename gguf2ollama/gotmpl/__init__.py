"""Go's text/template as Ollama uses it, in pure Python.

:func:`gguf2ollama.gotmpl.parse.parse` returns the tree of a template, and
:class:`gguf2ollama.gotmpl.exec.Program` prints it; Ollama's use of templates is in ``ollama_template``.

Known differences from Go. All are errors here where Go prints something; never is another text printed:

- What would print a memory address (a slice of pointers such as ``.Messages``, ``%p``, the nested properties
  of a tool, what their method ``All`` gives) is refused: Go prints another number each time.
- A float with ``%x`` and a precision is refused.
- ``slice`` beyond the length of an array is refused; Go gives what its capacity happens to hold.
- Methods with arguments or two results (``Get``, ``MarshalJSON``) are not there.
- Complex numbers cannot be parsed, nor blocks and parentheses that nest deeper than 100 levels, nor
  templates of more than 250,000 characters.
- What takes more steps, output or calls than :mod:`gguf2ollama.gotmpl.state` allows is ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.gotmpl.nodes import Place, Template

__all__ = ["Place", "Template"]

__getattr__, __dir__ = lazy_exports(__name__, {"nodes": ("Place", "Template")})
