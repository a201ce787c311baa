"""Who types what hurts into the search of the documents finds the answer among the first hits."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
TROUBLE = "troubleshooting.md"
FIRST = 3  # hits that people look at

# what people type, the page that answers, and what of its heading shows the answer
PAINS = {
    "sharded GGUF not supported by Ollama": (TROUBLE, "Sharded GGUF"),
    "gibberish after import": (TROUBLE, "Gibberish"),
    "never stops generating": (TROUBLE, "never stops"),
    "does not support tools": (TROUBLE, "does not support tools"),
    "tool call printed as text": (TROUBLE, "tool call is printed"),
    "think tags in answer": (TROUBLE, "tags in the answer"),
    "think false ignored": (TROUBLE, "false` is ignored"),
    "system prompt ignored": (TROUBLE, "system prompt is ignored"),
    "num_ctx 4096 truncates": (TROUBLE, "num_ctx"),
    "disk doubled": (TROUBLE, "disk is used twice"),
    "digest mismatch": (TROUBLE, "Digest mismatch"),
    "pull stuck at 99 %": (TROUBLE, "stuck at 99"),
    "gated repo 401": (TROUBLE, "gated"),
    "behind a proxy": (TROUBLE, "proxy"),
    "store permission denied": (TROUBLE, "Permission denied"),
    "Docker volume": (TROUBLE, "Docker"),
    "mmproj, image ignored": (TROUBLE, "image is ignored"),
    "embeddings all the same length cut": (TROUBLE, "Embeddings of long texts"),
    "reranker": ("how-to/embeddings.md", "Rerankers"),
    "LoRA not supported": (TROUBLE, "LoRA"),
    "quantize a GGUF": (TROUBLE, "quantize"),
    "which quant fits my GPU": (TROUBLE, "fits my GPU"),
    "wrong template upstream": (TROUBLE, "template upstream"),
    "update a model": (TROUBLE, "update a model"),
    "move to an offline machine": (TROUBLE, "offline machine"),
    "is this template safe": (TROUBLE, "template safe"),
}


@dataclass(frozen=True)
class Section:
    """A part of a page under its own heading, as the site's search has it."""

    page: str
    heading: str
    words: tuple[str, ...]
    body: str


def words_of(text):
    """Return the words of a text as a search compares them: without endings of plurals and participles."""
    found = re.findall(r"[a-z0-9_]+", text.lower().replace("4,096", "4096"))
    return tuple(re.sub(r"(?<=\w{3})(?:ings?|ed|es|s|e)$", "", word) for word in found)


def sections():
    for path in sorted(DOCS.rglob("*.md")):
        page = path.relative_to(DOCS).as_posix()
        for part in re.split(r"^(?=#{1,3} )", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            heading, _, body = part.partition("\n")
            if heading.startswith("#"):
                yield Section(page, heading.strip("# "), words_of(heading), body)


SECTIONS = list(sections())


def search(query):
    """Return the sections with a word of a query, best first: rare words and those in headings count more."""
    bodies = {section: words_of(section.body) for section in SECTIONS}
    scores = dict.fromkeys(SECTIONS, 0.0)
    for word in set(words_of(query)):
        hits = [one for one in SECTIONS if word in one.words or word in bodies[one]]
        rarity = math.log(1 + len(SECTIONS) / (1 + len(hits)))
        for section in hits:
            often = bodies[section].count(word)
            scores[section] += rarity * (10 * (word in section.words) + often / (often + 1))
    return sorted((one for one in SECTIONS if scores[one]), key=lambda one: -scores[one])


@pytest.mark.parametrize("query", PAINS)
def test_a_pain_leads_to_its_answer(query):
    page, heading = PAINS[query]
    hits = search(query)[:FIRST]
    assert (page, True) in [(hit.page, heading in hit.heading) for hit in hits], [
        (hit.page, hit.heading) for hit in hits
    ]


def test_every_answer_has_something_to_do():
    answers = [one for one in SECTIONS if one.page == TROUBLE and one.body.strip()]
    assert [one.heading for one in answers if not re.search(r"`[^`]+`|\]\([^)]+\.md", one.body)] == []
