"""Architectures to which ``create`` assigns a built-in renderer, and the parser of that name.

It does so whatever their chat templates are, unless both RENDERER and PARSER are set
(``server/create.go`` of 0.32.15 and 0.34.4).
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["GIVEN_RENDERERS"]

GIVEN_RENDERERS: Mapping[str, str] = {
    "gemma4": "gemma4",
    "laguna": "laguna",
    "nemotron_h": "nemotron-3-nano",
    "nemotron_h_moe": "nemotron-3-nano",
    "nemotron_h_omni": "nemotron-3-nano",
}
