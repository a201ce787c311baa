"""Every template of the corpus beside the checkout, on the whole battery."""

from pathlib import Path

import pytest
from jinja2.exceptions import TemplateError

from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.chat.reference import Request
from gguf2ollama.chat.reference.marking import mark_branches
from gguf2ollama.jinja.environment import make_environment, render

pytestmark = pytest.mark.corpus

CORPUS = Path(__file__).resolve().parents[5] / "shared" / "corpus" / "chat_templates"
PATHS = sorted(CORPUS.glob("*.jinja"))
REQUESTS = [Request(conversation=one) for one in battery()]
each_template = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def test_the_corpus_is_there():
    if not PATHS:
        pytest.skip(f"183 chat templates are not rendered: {CORPUS} is not there")


def try_to_render(template, variables):
    try:
        return render(template, variables, characters=1 << 22)
    except (TemplateError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        return type(error)


@each_template
def test_marks_change_nothing_that_is_printed(renderer, path):
    text = path.read_text("utf-8")
    template = renderer.load(text, bos="<s>", eos="</s>")
    environment = make_environment(now=None)
    tree, marks = mark_branches(environment.parse(text), environment)
    plain, marked = environment.from_string(text), environment.from_string(tree)
    for request in REQUESTS:
        variables = template._told(request, forms=template.forms)
        assert try_to_render(marked, variables) == try_to_render(plain, variables), request.conversation.name
    assert any(one.is_reached for one in marks.branches)


@each_template
def test_transformers_renders_the_same(renderer, path):
    theirs = pytest.importorskip("transformers.utils.chat_template_utils", reason="transformers is not here")
    text = path.read_text("utf-8")
    template = renderer.load(text, bos="<s>", eos="</s>")
    for request, ours in zip(REQUESTS, template.render(REQUESTS), strict=True):
        whole = Request(conversation=request.conversation, add_generation_prompt=not request.is_continued)
        told = template._told(whole, forms=template.forms)
        try:
            (prompt,), _ = theirs.render_jinja_template(
                [told.pop("messages")],
                chat_template=text,
                continue_final_message=request.is_continued,
                **told,
            )
        except Exception:  # noqa: BLE001  # a template can fail in any way that Python knows
            assert isinstance(ours, Refused), request.conversation.name
        else:
            assert ours == Rendered(prompt), request.conversation.name
