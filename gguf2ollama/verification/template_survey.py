"""Find out for many chat templates how well an Ollama would render their chats; no server is used."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.comparison import Parity, Score
from gguf2ollama.chat.conversation import Feature
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference.limits import MAX_TEMPLATE_BYTES
from gguf2ollama.errors import Gguf2OllamaError, InvalidInput, NotFound
from gguf2ollama.events import Progress, Update, ignore
from gguf2ollama.families import detect, load_profiles
from gguf2ollama.fs.errors import disk_errors
from gguf2ollama.planning.settings import ModelSettings
from gguf2ollama.planning.target import NEWEST_TESTED, Target, parse_version, target_of
from gguf2ollama.planning.templates.selected_template import TemplateSelection
from gguf2ollama.planning.templates.template_selection import select_template

__all__ = ["SurveyedTemplate", "TemplateSurvey", "survey_templates"]

_TASK = "trying chat templates"
# the tokens of the models are unknown, so these texts are used, which no template contains
_BOS, _EOS = "<|gguf2ollama-bos|>", "<|gguf2ollama-eos|>"


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyedTemplate:
    """The result for one chat template.

    Attributes:
        path: Its file.
        selection: What renders it best, and how well; ``None`` if it does not render.
        refusal: Why it does not render, a sentence; ``""`` if it does.
        is_unsupported: Whether transformers renders it but Ollama cannot, or a bug of ours prevents it: then
            it counts as exact in nothing.
    """

    path: Path
    selection: TemplateSelection | None = None
    refusal: str = ""
    is_unsupported: bool = False

    @property
    def renders(self) -> bool:
        """Whether transformers renders it, as far as is known."""
        return self.selection is not None or self.is_unsupported

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def scores(self) -> dict[Feature, Score]:
        """The counts by feature; none if it does not render."""
        return self.selection.choice.chosen.parity.scores if self.selection else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSurvey:
    """The results for the chat templates of a folder.

    Attributes:
        version: The Ollama version that they were tried for.
        templates: In the order of their names.
    """

    version: str
    templates: tuple[SurveyedTemplate, ...]

    @property
    def rendering(self) -> int:
        """The number of templates that render at all."""
        return sum(template.renders for template in self.templates)

    @property
    def totals(self) -> dict[Feature, Score]:
        """For each feature how many templates are exact in all its conversations, of those that use it."""
        unsupported = sum(template.is_unsupported for template in self.templates)
        known: dict[Feature, list[Score]] = {feature: [] for feature in Parity(()).scores}
        for template in self.templates:
            for feature, score in template.scores.items():
                known[feature] += [score] if score.compared else []
        return {
            feature: Score(
                exact=sum(score.is_exact for score in scores),
                json_equal=sum(
                    score.exact + score.json_equal == score.compared and not score.is_exact
                    for score in scores
                ),
                compared=len(scores) + unsupported,
            )
            for feature, scores in known.items()
        }


def survey_templates(
    folder: str | os.PathLike[str],
    *,
    for_ollama: str = NEWEST_TESTED,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> TemplateSurvey:
    """Choose for each chat template of a folder as ``build`` would, and count the exact prompts.

    The tokens BOS and EOS of their models are unknown; texts are used that no template contains, and the
    tokenizer is assumed to put BOS before a prompt.

    Args:
        folder: Where the templates are, ``*.jinja``.
        for_ollama: The version of Ollama.
        progress: Called with the number of templates tried.
        notify: Called with a note about a version that is newer than the newest known.

    Raises:
        NotFound: There is no such folder, or no template in it.
        UsageProblem: The version is invalid or too old.
    """
    version = parse_version(for_ollama)
    if version.note:
        notify(version.note)
    target = target_of(version)
    paths = _find(Path(folder))
    with Renderer() as renderer:
        rated = []
        for number, path in enumerate(paths):
            progress(Update(task=_TASK, done=number, total=len(paths), unit="items"))
            rated.append(_rate(path, target=target, renderer=renderer))
    progress(Update(task=_TASK, done=len(paths), total=len(paths), unit="items"))
    return TemplateSurvey(version=version.text, templates=tuple(rated))


def _find(folder: Path) -> list[Path]:
    with disk_errors(folder):
        found = [path for path in folder.iterdir() if path.suffix == ".jinja" and path.is_file()]
    if not found:
        raise NotFound(f"{folder}: no chat templates (*.jinja) found", hint="name a folder with .jinja files")
    return sorted(found, key=lambda path: path.name)


def _rate(path: Path, *, target: Target, renderer: Renderer) -> SurveyedTemplate:
    try:
        metadata = dict(_metadata(_read(path)))
        selection = select_template(
            metadata,
            detection=detect(metadata, profiles=load_profiles()),
            settings=ModelSettings(),
            target=target,
            renderer=renderer,
        )
    except Gguf2OllamaError as error:
        return SurveyedTemplate(path=path, refusal=error.message)
    except Exception as error:  # noqa: BLE001 - a bug with one template must not hide the others
        refusal = f"bug in gguf2ollama: {type(error).__name__}: {error}"
        return SurveyedTemplate(path=path, refusal=refusal, is_unsupported=True)
    if isinstance(selection, TemplateSelection):
        return SurveyedTemplate(path=path, selection=selection)
    # without a rendering by transformers there is no reference to compare with
    is_unknown = selection is not None and selection.is_unknown
    return SurveyedTemplate(
        path=path, refusal=str(selection or "not a chat template"), is_unsupported=not is_unknown
    )


def _read(path: Path) -> str:
    with disk_errors(path), path.open("rb") as stream:
        content = stream.read(MAX_TEMPLATE_BYTES + 1)
    if len(content) > MAX_TEMPLATE_BYTES:
        raise InvalidInput(f"the chat template is larger than {MAX_TEMPLATE_BYTES:,} bytes")
    try:
        text = content.decode()  # line ends as they are
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the chat template is not valid UTF-8 at byte {error.start:,}") from error
    if not text.strip():
        raise InvalidInput("the chat template is empty")
    return text


def _metadata(chat_template: str) -> Iterator[tuple[str, Any]]:
    """Yield the metadata of a model with this chat template."""
    yield "tokenizer.chat_template", chat_template
    yield "tokenizer.ggml.tokens", (_BOS, _EOS)
    yield "tokenizer.ggml.bos_token_id", 0
    yield "tokenizer.ggml.eos_token_id", 1
    yield "tokenizer.ggml.add_bos_token", True
