"""Check the prompts of a model that was just built: what a plain ``ollama create`` gets right has to be."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.errors import VerificationFailed
from gguf2ollama.events import Progress
from gguf2ollama.install.readback import missing_capabilities
from gguf2ollama.install.transaction import Findings
from gguf2ollama.names import ModelName
from gguf2ollama.ollama import Client, ModelInfo
from gguf2ollama.planning.plan import BuildPlan
from gguf2ollama.planning.recipe import Recipe
from gguf2ollama.planning.templates.selected_template import TemplateSelection

if TYPE_CHECKING:
    from gguf2ollama.verification.baseline import NotCompared, OllamaDefault
    from gguf2ollama.verification.prompt_check import Mismatches

__all__ = ["BuildCheck"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildCheck:
    """Compares prompts and capabilities of a loaded model with what was planned.

    What users meet and a plain ``ollama create`` gets right is a reason to keep no model; all else is said.
    So is what a renderer of Ollama's own prints, which a server puts before whatever there is.

    Attributes:
        client: The server.
        plan: What was built.
        selection: What was predicted of its prompts.
        renderer: Renders its chat template.
        progress: Called with the prompts compared.
        notify: Called with a line about each step.
    """

    client: Client
    plan: BuildPlan
    selection: TemplateSelection
    renderer: Renderer
    progress: Progress
    notify: Callable[[str], None]

    def __call__(self, name: ModelName, info: ModelInfo) -> Findings:
        """Check a model that is loaded under a name.

        Raises:
            VerificationFailed: It is worse than what ``ollama create`` makes, and that is not allowed.
        """
        from gguf2ollama.verification.prompt_check import check_prompts  # noqa: PLC0415 - if one is loaded

        self.notify("Comparing prompts")
        recipe = self._recipe
        found = check_prompts(
            self.client,
            name,
            info,
            selection=self.selection,
            recipe=recipe,
            renderer=self.renderer,
            progress=self.progress,
        )
        if info.renderer and not recipe.modelfile.renderer:
            return Findings(warnings=(f"{found} render differently with {info.renderer}",) if found else ())
        missing = missing_capabilities(info, recipe=recipe)
        worse = self._worse_than_default(found.usual, missing) if found.usual or missing else ""
        if worse and not self.plan.options.allow_mismatch:
            raise VerificationFailed(
                f"prompt check failed: {worse}",
                hint="no model was made; please report this with the --verbose output; --allow-mismatch makes"
                " the model, and `gguf2ollama verify` then shows what differs",
            )
        differing = found.rare if worse else found
        warnings = []
        if differing:
            warnings.append(f"{differing} render differently from the model's chat template on this server")
        if missing and not worse:
            warnings.append(f"this server does not see that the model supports {', '.join(sorted(missing))}")
        return Findings(differences=(worse,) if worse else (), warnings=tuple(warnings))

    @property
    def _recipe(self) -> Recipe:
        return self.plan.inspection.recipe

    def _worse_than_default(self, usual: Mismatches, missing: Collection[str]) -> str:
        """Return what is wrong with this model, and right after a plain ``ollama create``; else ``""``."""
        if self._recipe.template_origin == "user" or self._recipe.is_chat_template_given:
            # a plain `create` does not have it
            return f"{usual} render differently than your template should" if usual else ""
        from gguf2ollama.verification.baseline import NotCompared  # noqa: PLC0415 - for few models

        default = self._ollama_default()
        if isinstance(default, NotCompared):
            return ""
        missed = usual.without({case.conversation.name for case in default.parity.faults})
        lost = sorted(set(missing) & set(default.capabilities))
        parts = [f"{missed} render differently from the model's chat template"] if missed else []
        parts += [f"the model should support {', '.join(lost)}"] if lost else []
        return f"{', and '.join(parts)}, where a plain `ollama create` is right" if parts else ""

    def _ollama_default(self) -> OllamaDefault | NotCompared:
        """Return what a plain ``ollama create`` of the same GGUF comes to on that server."""
        from gguf2ollama.verification.baseline import ollama_default  # noqa: PLC0415 - for few models

        self.notify("Comparing with a plain `ollama create`")
        return ollama_default(
            self.client,
            self.plan.name,
            self.plan.inspection.model.metadata,
            authors=self.selection.authors,
            template=self.selection.authors.load(self.renderer),
            claims=self.selection.choice.claims,
            progress=self.progress,
        )
