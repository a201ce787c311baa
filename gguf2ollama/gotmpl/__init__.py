"""Go's text/template as Ollama uses it, in pure Python.

:func:`parse` gives the tree of a template; :func:`render` makes a prompt of the body of ``/api/chat`` as a
server of a version does, :func:`execute` as Ollama's template package does; :func:`read` gives what Ollama
reads from a template, and :func:`honours` whether it renders with it at all.
"""

from __future__ import annotations

from gguf2ollama.gotmpl.honouring import Verdict, honours
from gguf2ollama.gotmpl.nodes import Place, Template
from gguf2ollama.gotmpl.ollama import execute, render
from gguf2ollama.gotmpl.parser import parse
from gguf2ollama.gotmpl.reading import Reading, read

__all__ = ["Place", "Reading", "Template", "Verdict", "execute", "honours", "parse", "read", "render"]
