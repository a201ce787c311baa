import pytest

from gguf2ollama import inspect
from gguf2ollama.gotmpl import state
from gguf2ollama.modelfiles import Modelfile, lint
from gguf2ollama.planning.published_template import without_useless_template
from gguf2ollama.planning.stored.plan_cache import NO_CACHE
from gguf2ollama.sources.model import Published, Value

USABLE = "{{ range .Messages }}<|{{ .Role }}|>{{ .Content }}{{ end }}"
BOMBS = {
    "a loop": "{{ range $i := 1000000000 }}{{ end }}",
    "loops in loops": "{{ range 9999 }}{{ range 9999 }}{{ range 9999 }}{{ end }}{{ end }}{{ end }}",
    "without loops": "{{ json . }}" * 2000,
    "in long chats alone": "{{ if gt (len .Messages) 2 }}{{ range 99999999 }}{{ end }}{{ end }}",
}


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    monkeypatch.setattr(state, "MAX_STEPS", 200_000)  # the same, sooner


def left_of(template, chat_template=""):
    given = Published(template=Value(value=template, source="template of owner/repo"))
    return without_useless_template(given, chat_template=chat_template, version="0.34.4", cache=NO_CACHE)


def test_a_published_template_that_runs_is_kept():
    assert left_of(USABLE).template.value == USABLE
    assert not left_of(USABLE).problems


def test_a_published_template_that_ollama_would_pass_over_is_left_out():
    assert left_of(USABLE, chat_template="{{ messages }}").problems == ()
    left = left_of(USABLE, chat_template="{{ messages }}{{ tools }}")
    assert left.template is None
    (problem,) = left.problems
    assert problem.endswith("the chat template in the GGUF has more capabilities: tools")


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_published_template_that_takes_too_long_is_left_out(bomb):
    left = left_of(USABLE + bomb)
    assert left.template is None
    (problem,) = left.problems
    assert problem.startswith("template of owner/repo is not used as TEMPLATE: ")
    assert problem.endswith("it takes more than 200,000 steps")


def test_a_published_template_that_ollama_cannot_parse_is_left_out():
    left = left_of("{{ if }}")
    assert left.template is None
    assert "template of owner/repo is not used as TEMPLATE" in left.problems[0]


def test_all_chats_of_a_template_share_one_budget(gguf, monkeypatch):
    runs = []
    spend = state.Run.spend

    def counted(run, steps, position):
        runs.append(steps)
        spend(run, steps, position)

    monkeypatch.setattr(state.Run, "spend", counted)
    found = inspect(gguf, template=USABLE + BOMBS["a loop"])
    assert sum(runs) < 3 * 200_000  # selection and linter
    assert found.recipe.template.value == USABLE + BOMBS["a loop"]  # the user's own word
    warnings = "\n".join(found.warnings)
    assert "cannot be compared: it takes more than 200,000 steps" in warnings
    assert "TEMPLATE was not checked: it takes more than 200,000 steps" in warnings


def test_what_the_steps_do_not_measure_is_ended_by_the_clock(monkeypatch):
    monkeypatch.setattr(state, "MAX_STEPS", 10**15)
    monkeypatch.setattr(state, "MAX_SECONDS", 0.05)
    left = left_of(USABLE + BOMBS["loops in loops"])
    assert left.problems[0].endswith("it takes more than 0.05 seconds")


def test_the_linter_does_not_call_a_limit_of_ours_a_failure():
    findings = lint(Modelfile(sources=("m.gguf",), template=USABLE + BOMBS["a loop"]))
    codes = {finding.code for finding in findings}
    assert "unchecked-template" in codes
    assert "failing-template" not in codes
