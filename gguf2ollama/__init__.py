"""Any GGUF becomes a model that runs in Ollama, prompted by its own chat template.

::

    from gguf2ollama import build, inspect, modelfile

    result = build("Qwen/Qwen2.5-7B-Instruct-GGUF", quant="q4_k_m")
    print(result.name)

Everything here is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gguf2ollama.api.build import build, plan_build
    from gguf2ollama.api.build_all import FoundModel, LibraryResult, build_all
    from gguf2ollama.api.build_steps import BuildResult
    from gguf2ollama.api.doctor import doctor
    from gguf2ollama.api.download import download
    from gguf2ollama.api.inspect import inspect
    from gguf2ollama.api.load import load
    from gguf2ollama.api.measure import measure
    from gguf2ollama.api.modelfile import modelfile
    from gguf2ollama.api.models import cp, list_models, ps, pull, push, rm, run, show, stop
    from gguf2ollama.api.quantize import quantize
    from gguf2ollama.api.quants import QuantTable, list_quants
    from gguf2ollama.api.system_check import SystemFinding, check_system
    from gguf2ollama.engines.engine import Engine, EngineMemory, LoadReport
    from gguf2ollama.engines.measurement import Measurement
    from gguf2ollama.errors import (
        FileChanged,
        Gguf2OllamaError,
        InvalidGguf,
        InvalidInput,
        InvalidModelfile,
        InvalidProfile,
        InvalidShards,
        NameTaken,
        NotEnoughSpace,
        NotFound,
        RunnerStopped,
        ServerProblem,
        ServerRefused,
        ServerStalled,
        ServerUnreachable,
        UsageProblem,
        VerificationFailed,
    )
    from gguf2ollama.events import Progress, Update
    from gguf2ollama.fleet.apply import Applied, ModelResult, apply
    from gguf2ollama.fleet.changes import FleetPlan
    from gguf2ollama.fleet.entries import Fleet
    from gguf2ollama.fleet.export import ExportedModel, export
    from gguf2ollama.fleet.file import parse_fleet
    from gguf2ollama.fleet.outdated import CheckedModel, outdated, update
    from gguf2ollama.fleet.plan import plan
    from gguf2ollama.ggufio import ShardSet, merge, open_gguf, split
    from gguf2ollama.memory import MemoryEstimate, estimate_memory
    from gguf2ollama.modelfiles import Message, Parameter
    from gguf2ollama.ollama import Client, LocalModel, ModelInfo, RunningModel
    from gguf2ollama.ollama.store_check import StoreFinding
    from gguf2ollama.planning.inspection import Inspection
    from gguf2ollama.planning.options import BuildKeywords, BuildOptions, ModelKeywords, ModelOptions
    from gguf2ollama.planning.plan import BuildPlan
    from gguf2ollama.planning.templates.template_patch import PatchedFile, patch_template
    from gguf2ollama.sources.fetch_model import DownloadedModel
    from gguf2ollama.sources.model import ModelFiles, Origin, SourceSelection
    from gguf2ollama.verification.template_survey import TemplateSurvey, survey_templates
    from gguf2ollama.verification.verify import Verification, verify

__version__ = "0.1.0"

__all__ = [
    "Applied",
    "BuildKeywords",
    "BuildOptions",
    "BuildPlan",
    "BuildResult",
    "CheckedModel",
    "Client",
    "DownloadedModel",
    "Engine",
    "EngineMemory",
    "ExportedModel",
    "FileChanged",
    "Fleet",
    "FleetPlan",
    "FoundModel",
    "Gguf2OllamaError",
    "Inspection",
    "InvalidGguf",
    "InvalidInput",
    "InvalidModelfile",
    "InvalidProfile",
    "InvalidShards",
    "LibraryResult",
    "LoadReport",
    "LocalModel",
    "Measurement",
    "MemoryEstimate",
    "Message",
    "ModelFiles",
    "ModelInfo",
    "ModelKeywords",
    "ModelOptions",
    "ModelResult",
    "NameTaken",
    "NotEnoughSpace",
    "NotFound",
    "Origin",
    "Parameter",
    "PatchedFile",
    "Progress",
    "QuantTable",
    "RunnerStopped",
    "RunningModel",
    "ServerProblem",
    "ServerRefused",
    "ServerStalled",
    "ServerUnreachable",
    "ShardSet",
    "SourceSelection",
    "StoreFinding",
    "SystemFinding",
    "TemplateSurvey",
    "Update",
    "UsageProblem",
    "Verification",
    "VerificationFailed",
    "__version__",
    "apply",
    "build",
    "build_all",
    "check_system",
    "cp",
    "doctor",
    "download",
    "estimate_memory",
    "export",
    "inspect",
    "list_models",
    "list_quants",
    "load",
    "measure",
    "merge",
    "modelfile",
    "open_gguf",
    "outdated",
    "parse_fleet",
    "patch_template",
    "plan",
    "plan_build",
    "ps",
    "pull",
    "push",
    "quantize",
    "rm",
    "run",
    "show",
    "split",
    "stop",
    "survey_templates",
    "update",
    "verify",
]

_HOMES = {
    "api.build": ("build", "plan_build"),
    "api.build_all": ("FoundModel", "LibraryResult", "build_all"),
    "api.build_steps": ("BuildResult",),
    "api.doctor": ("doctor",),
    "api.download": ("download",),
    "api.inspect": ("inspect",),
    "api.load": ("load",),
    "api.measure": ("measure",),
    "api.modelfile": ("modelfile",),
    "api.models": ("cp", "list_models", "ps", "pull", "push", "rm", "run", "show", "stop"),
    "api.quantize": ("quantize",),
    "api.quants": ("QuantTable", "list_quants"),
    "api.system_check": ("SystemFinding", "check_system"),
    "engines.engine": ("Engine", "EngineMemory", "LoadReport"),
    "engines.measurement": ("Measurement",),
    "errors": (
        "FileChanged",
        "Gguf2OllamaError",
        "InvalidGguf",
        "InvalidInput",
        "InvalidModelfile",
        "InvalidProfile",
        "InvalidShards",
        "NameTaken",
        "NotEnoughSpace",
        "NotFound",
        "RunnerStopped",
        "ServerProblem",
        "ServerRefused",
        "ServerStalled",
        "ServerUnreachable",
        "UsageProblem",
        "VerificationFailed",
    ),
    "events": ("Progress", "Update"),
    "fleet.apply": ("Applied", "ModelResult", "apply"),
    "fleet.changes": ("FleetPlan",),
    "fleet.entries": ("Fleet",),
    "fleet.export": ("ExportedModel", "export"),
    "fleet.file": ("parse_fleet",),
    "fleet.outdated": ("CheckedModel", "outdated", "update"),
    "fleet.plan": ("plan",),
    "ggufio": ("ShardSet", "merge", "open_gguf", "split"),
    "memory": ("MemoryEstimate", "estimate_memory"),
    "modelfiles": ("Message", "Parameter"),
    "ollama": ("Client", "LocalModel", "ModelInfo", "RunningModel"),
    "ollama.store_check": ("StoreFinding",),
    "planning.inspection": ("Inspection",),
    "planning.options": ("BuildKeywords", "BuildOptions", "ModelKeywords", "ModelOptions"),
    "planning.plan": ("BuildPlan",),
    "planning.templates.template_patch": ("PatchedFile", "patch_template"),
    "sources.fetch_model": ("DownloadedModel",),
    "sources.model": ("ModelFiles", "Origin", "SourceSelection"),
    "verification.template_survey": ("TemplateSurvey", "survey_templates"),
    "verification.verify": ("Verification", "verify"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what the module keeps under that name
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
