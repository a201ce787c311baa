"""Decide what a build makes: options, target, recipe, layers, plan and lock file.

Headers that were read and options go in, a :class:`BuildPlan` comes out: pure but for the clock, a process
that renders chat templates, and reading and writing lock files. No server and no site is asked.
:func:`plan_build` is the door. ``template_selection`` chooses what renders the chats, ``recipe`` (with
``parameters`` and ``recipe_warnings``) writes the Modelfile, ``layers`` turns it into layers of a manifest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.planning.options import BuildOptions, ModelOptions
    from gguf2ollama.planning.plan import BuildPlan, Inspection, plan_build, plan_model
    from gguf2ollama.planning.target import Destination, Target

__all__ = [
    "BuildOptions",
    "BuildPlan",
    "Destination",
    "Inspection",
    "ModelOptions",
    "Target",
    "plan_build",
    "plan_model",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "options": ("BuildOptions", "ModelOptions"),
        "plan": ("BuildPlan", "Inspection", "plan_build", "plan_model"),
        "target": ("Destination", "Target"),
    },
)
