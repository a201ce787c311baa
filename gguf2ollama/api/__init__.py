"""The verbs: one module each, which composes the rooms below; all I/O happens in those.

The package ``gguf2ollama`` exports the verbs, lazily; the command line is a thin layer over them.
"""
