"""Families of models: what is known of each, and of which one a GGUF is.

``load_profiles`` reads ``templates/profiles/``; ``detect`` finds the family of a GGUF by its metadata, with
the evidence; ``stops_for`` gives the strings that end an answer. Everything here is pure, but for the reading
of our own files.
"""

from gguf2ollama.families.detection import Confidence, Detection, Evidence, Kind, RunnerUp, detect
from gguf2ollama.families.profile import DefaultSystem, Features, ParameterDefault, Profile, ProfileEvidence
from gguf2ollama.families.profile_file import load_profiles, read_profile
from gguf2ollama.families.stops import Stop, adds_bos, served_token_text, stops_for, token_text
from gguf2ollama.jinja.facts import find_syntax_error

__all__ = [
    "Confidence",
    "DefaultSystem",
    "Detection",
    "Evidence",
    "Features",
    "Kind",
    "ParameterDefault",
    "Profile",
    "ProfileEvidence",
    "RunnerUp",
    "Stop",
    "adds_bos",
    "detect",
    "find_syntax_error",
    "load_profiles",
    "read_profile",
    "served_token_text",
    "stops_for",
    "token_text",
]
