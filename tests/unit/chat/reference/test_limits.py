"""A template that takes too much costs one clear error; the next one is rendered as if nothing had been."""

import os
import signal
import sys
from dataclasses import replace

import pytest

from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference import Limits, Renderer
from gguf2ollama.chat.reference.process import LimitBroken, WorkerProcess
from gguf2ollama.errors import Gguf2OllamaError, InvalidInput

pytestmark = pytest.mark.slow

TIGHT = Limits(seconds=0.3, memory_bytes=96 << 20, characters=100_000)
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
TIME = "ran for more than 0.3 seconds"
MEMORY = "used more than 96 MiB of memory"
LENGTH = "printed more than 100,000 characters"


@pytest.fixture(scope="module")
def renderer():
    with Renderer(limits=TIGHT) as one:
        yield one


@pytest.mark.parametrize(
    "text, broken",
    [
        (ENDLESS, TIME),
        ("{{ x ** (x ** x ** x) }}", TIME),
        ("{{ strftime_now('%Y') * 10 ** 10 }}", MEMORY),
        ("{{ '%1000000000s' % x }}", MEMORY),
        ("{{ '{:>9999999999}'.format(x) }}", MEMORY),
        ("{{ 'a'.ljust(10 ** 10) }}", MEMORY),
        ("{{ 'a' | center(10 ** 10) }}", MEMORY),
        ("{{ [1] | tojson(indent=10 ** 10) }}", MEMORY),
        ("{{ [[0] * 10 ** 8] * 2 }}", MEMORY),
        (
            "{% set ns = namespace(x='a') %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
            MEMORY,
        ),
        ("{{ 'a' * 100_001 }}", LENGTH),
        ("{% for i in range(99999) %}{{ 'abcdefghij' * 1000 }}{% endfor %}", LENGTH),
        (
            "{% macro f() %}{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}{% endmacro %}{{ f() }}",
            MEMORY,
        ),
    ],
)
def test_a_template_that_takes_too_much_is_stopped(renderer, text, broken):
    template = renderer.load(text, name="the template of x.gguf")
    for _ in range(2):  # it is told again, and not tried again
        with pytest.raises(InvalidInput) as caught:
            template.render_variables([{"x": 9}])
        assert caught.value.message == f"the template of x.gguf {broken} while rendering a chat"
        assert caught.value.hint
    assert renderer.load("{{ x }}").render_variables([{"x": 1}]) == [Rendered("1")]


def test_many_prompts_are_together_no_longer_than_one_may_be(renderer):
    template = renderer.load("{{ 'x' * 9_999 }}")
    assert len(template.render_variables([{"n": n} for n in range(10)])) == 10
    with pytest.raises(InvalidInput, match=LENGTH):
        template.render_variables([{"n": n} for n in range(10, 21)])


def test_long_conversations_are_rendered_one_after_the_other():
    with Renderer() as renderer:  # together they print more than one may
        found = renderer.load("{{ x }}").render_variables([{"x": f"{n}" * (1 << 20)} for n in range(9)])
    assert all(isinstance(outcome, Rendered) for outcome in found)


@pytest.mark.parametrize(
    "text, broken",
    [("{{ 9 ** (9 ** 9 ** 9) }}", TIME), ("{{ x }}" * 100_000, f"({TIME}|{MEMORY})")],
)
def test_a_template_that_takes_too_much_to_compile_is_stopped(renderer, text, broken):
    with pytest.raises(InvalidInput, match=f"^the chat template {broken} while being compiled$"):
        renderer.load(text)
    assert renderer.load("{{ x }}").render_variables([{"x": 1}]) == [Rendered("1")]


def test_a_template_loaded_before_another_broke_the_worker_goes_on(renderer):
    good = renderer.load("{{ x }}")
    with pytest.raises(InvalidInput):
        renderer.load(ENDLESS).render_variables([{}])
    assert good.render_variables([{"x": 1}, {"x": 2}]) == [Rendered("1"), Rendered("2")]


def test_a_worker_that_was_killed_is_started_again():
    worker = WorkerProcess(TIGHT)
    load = '{"do": "load", "key": "a", "text": "x", "now": null}'
    try:
        worker.ask(load)
        worker._process.kill()
        with pytest.raises(LimitBroken, match="crashed the renderer, which ended with"):
            worker.ask('{"do": "render", "key": "a", "requests": [{}]}')
        assert worker.ask('{"do": "render", "key": "a", "requests": [{}]}') == [{"missing": True}]
        worker.ask(load)
        assert worker.ask('{"do": "render", "key": "a", "requests": [{}]}') == [{"prompt": "x"}]
    finally:
        worker.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no ps on Windows")
def test_where_the_system_limits_no_memory_we_look_ourselves():
    worker = WorkerProcess(Limits(seconds=30, memory_bytes=96 << 20), limits_memory=False)
    text = "{% set x = [0] * 10 ** (x or 8) %}" + ENDLESS
    load = f'{{"do": "load", "key": "a", "text": "{text}", "now": null}}'
    try:
        worker.ask(load)
        with pytest.raises(LimitBroken, match=MEMORY):
            worker.ask('{"do": "render", "key": "a", "requests": [{}]}')
    finally:
        worker.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there, a process is not held by a signal")
def test_a_worker_that_does_not_answer_is_given_up():
    worker = WorkerProcess(Limits(seconds=60))
    try:
        worker.ask('{"do": "load", "key": "a", "text": "x", "now": null}')
        os.kill(worker._process.pid, signal.SIGSTOP)
        worker._limits = replace(worker._limits, wall_seconds=0.1)  # to start it may take longer
        with pytest.raises(LimitBroken, match=r"did not finish within 0\.1 seconds"):
            worker.ask('{"do": "render", "key": "a", "requests": [{}]}')
    finally:
        worker.close()


def test_no_worker_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with (
        Renderer(limits=TIGHT) as renderer,
        pytest.raises(Gguf2OllamaError, match=r"failed to start: .*No such file") as caught,
    ):
        renderer.load("x")
    assert caught.value.hint


def test_a_renderer_ends_its_worker():
    with Renderer(limits=TIGHT) as own:
        own.load("x")
        process = own._worker._process
    assert process.returncode is not None


def test_the_worker_sees_nothing_of_our_environment(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    with Renderer(limits=TIGHT) as own:
        own.load("x")
        if sys.platform != "linux":
            pytest.skip("/proc is Linux's")
        with open(f"/proc/{own._worker._process.pid}/environ", "rb") as stream:  # noqa: PTH123
            assert b"secret" not in stream.read()


def test_a_process_that_was_begun_is_the_one_that_is_asked():
    worker = WorkerProcess(Limits())
    try:
        worker.begin()
        begun = worker._process
        assert begun is not None
        worker.begin()
        (facts,) = worker.ask('{"do": "load", "text": "{{ messages }}", "now": null, "key": "k"}')
        assert "invalid" not in facts
        assert worker._process is begun
    finally:
        worker.close()


def test_a_process_that_cannot_be_started_is_an_error_only_when_it_is_asked(monkeypatch):
    monkeypatch.setattr("sys.executable", "/no/such/python")
    worker = WorkerProcess(Limits())
    worker.begin()
    with pytest.raises(Gguf2OllamaError, match="failed to start"):
        worker.ask("{}")
