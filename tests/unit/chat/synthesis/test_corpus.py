"""How much of the corpus of real chat templates is learnt exactly."""

from collections import Counter
from pathlib import Path

import pytest

from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference_prompt import claims_of
from gguf2ollama.chat.synthesis import Synthesis, synthesise
from gguf2ollama.errors import InvalidInput, InvalidModelfile
from gguf2ollama.gotmpl.parse import parse
from gguf2ollama.ollama_template.execute import execute
from tests.unit.chat.synthesis.conftest import CHATS, VERSION

pytestmark = [pytest.mark.corpus, pytest.mark.timeout(1200)]
_CORPUS = Path(__file__).resolve().parents[5] / "shared" / "corpus" / "chat_templates"
# tools that are written field by field are not learnt, and thinking is asked for with tools, too
_REACHED = {"plain": 0.97, "thinking": 0.48, "tools": 0.59}


@pytest.fixture(scope="module")
def counts(renderer, authors):
    """Count, by feature, the templates that take such chats, and those that are learnt exactly."""
    paths = sorted(_CORPUS.glob("*.jinja"))
    if not paths:
        pytest.skip(f"no chat templates at {_CORPUS}, where 183 are expected")
    counted = Counter()
    for path in paths:
        told = authors(path.read_text("utf-8"))
        try:
            template = told.load(renderer)
        except InvalidInput:
            continue
        found, claims = synthesise(renderer, told), claims_of(template)
        go = parse(found.go_template) if isinstance(found, Synthesis) else None
        for feature in _REACHED:
            chats = [one for one in CHATS if one.feature == feature and claims.includes(one)]
            wanted = zip(chats, told.meant(template, chats), strict=True)
            rendered = [(chat, want.prompt) for chat, want in wanted if isinstance(want, Rendered)]
            if rendered:
                counted[feature] += 1
                counted[feature, "exact"] += go is not None and all(
                    _prompt(go, chat) == want for chat, want in rendered
                )
    return counted


def _prompt(go, chat):
    try:
        return execute(go, chat.for_ollama(), version=VERSION)
    except InvalidModelfile as problem:
        return problem


@pytest.mark.parametrize("feature", _REACHED)
def test_as_much_of_the_corpus_is_exact_as_was_reached(feature, counts):
    exact, total = counts[feature, "exact"], counts[feature]
    assert exact / total >= _REACHED[feature], f"{exact} of {total}"
