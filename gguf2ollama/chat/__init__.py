"""Chat templates: what a conversation becomes, as the authors meant it and as an Ollama renders it.

``battery`` has the test conversations, ``reference`` renders what the authors mean by them, ``llamacpp``
predicts the native path, ``synthesis`` generates a TEMPLATE, ``changes`` mends chat templates, ``answers`` is
about what models write, how turns end, and what Ollama reads, and ``choice`` compares all ways by ``costs``.
"""

from __future__ import annotations
