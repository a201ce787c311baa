"""Model families: profiles, detection of a model's family by its GGUF metadata, and stop strings.

``load_profiles`` reads ``templates/profiles/``; ``detect`` returns the family with the evidence;
``stops_for`` returns the stop strings; a ``Vocabulary`` knows which tokens end an answer. No I/O except
reading our own templates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.families.detection import Confidence, Detection, Evidence, Kind, RunnerUp, detect
    from gguf2ollama.families.profile import (
        DefaultSystem,
        Features,
        ParameterDefault,
        Profile,
        ProfileEvidence,
    )
    from gguf2ollama.families.profile_file import load_profiles, read_profile
    from gguf2ollama.families.stops import Stop, adds_bos, served_token_text, stops_for, token_text
    from gguf2ollama.families.vocabulary import Mark, Vocabulary

__all__ = [
    "Confidence",
    "DefaultSystem",
    "Detection",
    "Evidence",
    "Features",
    "Kind",
    "Mark",
    "ParameterDefault",
    "Profile",
    "ProfileEvidence",
    "RunnerUp",
    "Stop",
    "Vocabulary",
    "adds_bos",
    "detect",
    "load_profiles",
    "read_profile",
    "served_token_text",
    "stops_for",
    "token_text",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "detection": ("Confidence", "Detection", "Evidence", "Kind", "RunnerUp", "detect"),
        "profile": ("DefaultSystem", "Features", "ParameterDefault", "Profile", "ProfileEvidence"),
        "profile_file": ("load_profiles", "read_profile"),
        "stops": ("Stop", "adds_bos", "served_token_text", "stops_for", "token_text"),
        "vocabulary": ("Mark", "Vocabulary"),
    },
)
