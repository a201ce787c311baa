"""Which models the zoo has: for each architecture its tokenizer and the chat templates that belong to it.

The authors' chat templates are those of a corpus beside the checkout (``../shared/corpus/chat_templates``),
which is read and never copied; where it is absent, or has none of a family, a template of our own in that
family's style stands for it.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.zoo.maker import make_gguf, recipe
from tests.zoo.styles import Style, style
from tests.zoo.vocabularies import Vocabulary, vocabulary

__all__ = ["CORPUS", "MODELS", "ZooModel", "corpus_is_there", "model_of_template"]

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "chat_templates"
_FACTS = Path(__file__).with_name("models.json")

Pooling = Literal["mean", "cls", "last"]
_POOLING_TYPES = {"mean": 1, "cls": 2, "last": 3}  # llama.cpp's numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooModel:
    """A model of the zoo.

    Attributes:
        name: What tables call it; the architecture's name where that has one model only.
        made_of: The name of its recipe.
        vocabulary: Its tokenizer.
        style: How its family writes chats; ``None`` where it has none.
        calls: Whether its family calls tools and thinks.
        templates: The chat templates of the corpus that belong to it, the most usual first, by file name
            without ``.jinja``.
        pooling: How it pools texts into embeddings, where the recipe doesn't say; ``None`` for a model that
            doesn't.
        embeds: Whether servers make embeddings with it, and don't chat.
    """

    name: str
    made_of: str
    vocabulary: Vocabulary
    style: Style | None = None
    calls: bool = False
    templates: tuple[str, ...] = ()
    pooling: Pooling | None = None
    embeds: bool = False

    @property
    def architecture(self) -> str:
        """``general.architecture``."""
        return recipe(self.made_of).architecture

    @property
    def own_template(self) -> str | None:
        """A chat template in the style of its family."""
        if self.style is None:
            return None
        return self.style.calling() if self.calls else self.style.plain()

    def chat_template(self) -> str | None:
        """Return the chat template that belongs to it: the authors' where it is at hand, else our own."""
        return _of_corpus(self.templates[0]) if self.templates and corpus_is_there() else self.own_template

    def make(
        self, path: Path, *, chat_template: str | None, title: str | None = None, pools: bool = True
    ) -> Path:
        """Write a GGUF of it.

        Args:
            path: Where to write it.
            chat_template: Jinja; ``None`` for none.
            title: ``general.name``; made from its own when not given.
            pools: Whether the header says how it pools, if it does.
        """
        made_of = recipe(self.made_of)
        key = f"{made_of.architecture}.pooling_type"
        pooling = {key: _POOLING_TYPES[self.pooling]} if self.pooling else {}
        return make_gguf(
            path,
            made_of,
            vocabulary=self.vocabulary,
            chat_template=chat_template,
            title=title or f"Zoo {self.name}",
            metadata=pooling if pools else {key: None},
        )


def corpus_is_there() -> bool:
    """Return whether the corpus of chat templates stands beside the checkout."""
    return CORPUS.is_dir()


def model_of_template(stem: str) -> ZooModel | None:
    """Return the model that a chat template of the corpus belongs to, where the zoo has it."""
    return _owners().get(stem)


@functools.cache
def _owners() -> dict[str, ZooModel]:
    return {stem: model for model in MODELS.values() for stem in model.templates}


@functools.cache
def _of_corpus(stem: str) -> str:
    return (CORPUS / f"{stem}.jinja").read_bytes().decode()  # line ends as they are


def _read() -> dict[str, ZooModel]:
    content: dict[str, dict[str, Any]] = json.loads(_FACTS.read_text("utf-8"))
    return {
        name: ZooModel(
            name=name,
            made_of=facts.get("made_of", name),
            vocabulary=vocabulary(facts["vocabulary"]),
            style=style(facts["style"]) if "style" in facts else None,
            calls=facts.get("calls", False),
            templates=tuple(facts.get("templates", ())),
            pooling=facts.get("pooling"),
            embeds=facts.get("embeds", False),
        )
        for name, facts in content.items()
    }


MODELS = _read()
"""All models of the zoo by their names: one of each architecture, and more where one has many families."""
