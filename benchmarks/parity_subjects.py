"""The chat templates that are compared, each with a tiny model that carries it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gguf2ollama.chat.reference_prompt import Authors
from tests.builders import tiny_llama

__all__ = ["CORPUS", "Subject", "find_subjects"]

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus" / "chat_templates"

# What a template calls bos_token and eos_token is told by a model, and there is none here. A TEMPLATE written
# by hand holds them as text: so that it can be right, they are those of the models that use such a mark.
_TOKENS = (
    ("<|start_header_id|>", "<|begin_of_text|>", "<|eot_id|>"),
    ("<start_of_turn>", "<bos>", "<eos>"),
    ("<|turn>", "<bos>", "<eos>"),
    ("<｜", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),  # noqa: RUF001  # meant
    ("<|START_OF_TURN_TOKEN|>", "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"),
    ("<|im_start|>", "<s>", "<|im_end|>"),
    ("<|end|>", "<s>", "<|endoftext|>"),
    ("", "<s>", "</s>"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A chat template.

    Attributes:
        name: What the tables call it.
        text: Jinja.
        bos, eos: The texts of the tokens that begin and end a text.
    """

    name: str
    text: str
    bos: str
    eos: str

    @property
    def authors(self) -> Authors:
        """What its authors meant, with a tokenizer that adds BOS."""
        return Authors(chat_template=self.text, bos=self.bos, eos=self.eos, adds_bos=True)

    def gguf(self, *, title: str, chat_template: str | None = None) -> bytes:
        """Make a model that carries it, about 100 kB.

        Args:
            title: The model's name; models of different titles share no runner on a server.
            chat_template: Another chat template to carry.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = tiny_llama(
                Path(folder) / "tiny.gguf",
                chat_template=chat_template or self.text,
                metadata={"general.name": title, "tokenizer.ggml.add_bos_token": True},
                special_tokens=(self.bos, self.eos),
                blocks=1,
            )
            return path.read_bytes()


def find_subjects(folder: Path, *, sample: int | None = None) -> Sequence[Subject]:
    """Read the chat templates of a folder, ``*.jinja``: all, or so many spread evenly over their names."""
    paths = sorted(folder.glob("*.jinja"))
    if not paths:
        raise SystemExit(f"{folder} has no chat templates, *.jinja: name a folder of them with --corpus")
    if sample is not None and sample < len(paths):
        paths = [paths[number * len(paths) // sample] for number in range(sample)]
    return [_read(path) for path in paths]


def _read(path: Path) -> Subject:
    try:
        text = path.read_bytes().decode()  # line ends as they are
    except UnicodeDecodeError:
        raise SystemExit(f"{path} is no UTF-8: take it out of the folder") from None
    bos, eos = next((bos, eos) for mark, bos, eos in _TOKENS if mark in text)
    return Subject(name=path.stem, text=text, bos=bos, eos=eos)
