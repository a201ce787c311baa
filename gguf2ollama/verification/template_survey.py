"""Tell for many chat templates what an Ollama would make of their chats; no server is asked."""

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
from gguf2ollama.planning.template_selection import Tried, try_templates

__all__ = ["FolderParity", "TemplateParity", "rate_templates"]

_TASK = "trying chat templates"
# the tokens of a model are not known, so there stand texts that no template writes by itself
_BOS, _EOS = "<|gguf2ollama-bos|>", "<|gguf2ollama-eos|>"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateParity:
    """What was found out about one chat template.

    Attributes:
        path: Its file.
        tried: What renders it best, and how well; ``None`` where it does not render.
        refusal: Why it does not render, a sentence; ``""`` where it does.
        is_unserved: Whether it does render, and nothing there does it, or we stumble over it: then it counts
            as one that is exact in nothing.
    """

    path: Path
    tried: Tried | None = None
    refusal: str = ""
    is_unserved: bool = False

    @property
    def renders(self) -> bool:
        """Whether its authors' renderer takes it, as far as is known."""
        return self.tried is not None or self.is_unserved

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def scores(self) -> dict[Feature, Score]:
        """The counts by feature; none where it does not render."""
        return self.tried.choice.chosen.parity.scores if self.tried else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderParity:
    """What was found out about the chat templates of a folder.

    Attributes:
        version: The Ollama that they were tried for.
        templates: In the order of their names.
    """

    version: str
    templates: tuple[TemplateParity, ...]

    @property
    def rendering(self) -> int:
        """How many templates render at all."""
        return sum(one.renders for one in self.templates)

    @property
    def totals(self) -> dict[Feature, Score]:
        """For each feature how many templates are exact in all its conversations, of those that know it."""
        unserved = sum(one.is_unserved for one in self.templates)
        known: dict[Feature, list[Score]] = {feature: [] for feature in Parity(()).scores}
        for one in self.templates:
            for feature, score in one.scores.items():
                known[feature] += [score] if score.compared else []
        return {
            feature: Score(
                exact=sum(one.is_exact for one in scores),
                json_equal=sum(
                    one.exact + one.json_equal == one.compared and not one.is_exact for one in scores
                ),
                compared=len(scores) + unserved,
            )
            for feature, scores in known.items()
        }


def rate_templates(
    folder: str | os.PathLike[str],
    *,
    for_ollama: str = NEWEST_TESTED,
    progress: Progress = ignore,
    notify: Callable[[str], None] = ignore,
) -> FolderParity:
    """Choose for each chat template of a folder as ``build`` would, and count what comes out as meant.

    The tokens BOS and EOS of their models are not known; texts stand in for them that no template writes by
    itself, and the tokenizer is taken to put BOS before a prompt.

    Args:
        folder: Where the templates are, ``*.jinja``.
        for_ollama: The version of Ollama.
        progress: Told the templates tried.
        notify: Gets the note on a version that is newer than the newest known.

    Raises:
        NotFound: There is no such folder, or none in it.
        UsageProblem: That is no version of Ollama, or one that is too old.
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
    return FolderParity(version=version.text, templates=tuple(rated))


def _find(folder: Path) -> list[Path]:
    with disk_errors(folder):
        found = [one for one in folder.iterdir() if one.suffix == ".jinja" and one.is_file()]
    if not found:
        raise NotFound(
            f"{folder} holds no chat template", hint="name a folder with files that end with .jinja"
        )
    return sorted(found, key=lambda one: one.name)


def _rate(path: Path, *, target: Target, renderer: Renderer) -> TemplateParity:
    try:
        metadata = dict(_metadata(_read(path)))
        tried = try_templates(
            metadata,
            detection=detect(metadata, profiles=load_profiles()),
            settings=ModelSettings(),
            target=target,
            renderer=renderer,
        )
    except Gguf2OllamaError as error:
        return TemplateParity(path=path, refusal=error.message)
    except Exception as error:  # noqa: BLE001 - one that we stumble over must not hide the others
        told = f"a fault of gguf2ollama: {type(error).__name__}: {error}"
        return TemplateParity(path=path, refusal=told, is_unserved=True)
    if isinstance(tried, Tried):
        return TemplateParity(path=path, tried=tried)
    # nothing says how the chats of a template are meant that its authors' renderer does not take
    is_unknown = tried is not None and tried.is_unknown
    return TemplateParity(path=path, refusal=str(tried or "it is for no chats"), is_unserved=not is_unknown)


def _read(path: Path) -> str:
    with disk_errors(path), path.open("rb") as stream:
        content = stream.read(MAX_TEMPLATE_BYTES + 1)
    if len(content) > MAX_TEMPLATE_BYTES:
        raise InvalidInput(f"the chat template has more than {MAX_TEMPLATE_BYTES:,} bytes")
    try:
        text = content.decode()  # line ends as they are
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the chat template is no UTF-8 at byte {error.start:,}") from error
    if not text.strip():
        raise InvalidInput("the chat template is empty")
    return text


def _metadata(chat_template: str) -> Iterator[tuple[str, Any]]:
    """Return what the header of a model would tell that carries a chat template."""
    yield "tokenizer.chat_template", chat_template
    yield "tokenizer.ggml.tokens", (_BOS, _EOS)
    yield "tokenizer.ggml.bos_token_id", 0
    yield "tokenizer.ggml.eos_token_id", 1
    yield "tokenizer.ggml.add_bos_token", True
