"""The sites that repositories are read from: one protocol, behind it Hugging Face, ModelScope and plain URLs.

Does I/O over HTTP. ``opening.open_site`` is the door.
"""
