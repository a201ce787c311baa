"""Provisioning: one file says which models should be on which Ollama servers, and these verbs make it so.

Reading the file (``file``, ``options``, ``nodes``, ``schema``, ``foreign``) and comparing (``diff``) are
pure; all else does network and file I/O, through the rooms below.
"""
