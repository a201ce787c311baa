"""Decide what a build makes: options, target, recipe, layers, plan and lock file.

Headers that were read and options go in, a :class:`BuildPlan` comes out: pure but for the clock, a process
that renders chat templates, and reading and writing lock files. No server and no site is asked.
:func:`plan_build` is the door, and ``model_plan`` does the work: ``templates`` selects what renders the
chats, ``recipe`` (with ``parameters`` and ``recipe_warnings``) writes the Modelfile, ``layers`` turns it into
layers of a manifest, and ``stored`` keeps what was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gguf2ollama._lazy import lazy_exports

if TYPE_CHECKING:
    from gguf2ollama.planning.inspection import Inspection
    from gguf2ollama.planning.model_plan import plan_model
    from gguf2ollama.planning.options import BuildOptions, ModelOptions
    from gguf2ollama.planning.plan import BuildPlan, plan_build
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
        "inspection": ("Inspection",),
        "model_plan": ("plan_model",),
        "plan": ("BuildPlan", "plan_build"),
        "target": ("Destination", "Target"),
    },
)
