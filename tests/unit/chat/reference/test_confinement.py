"""What would be left to a template that got out of jinja2's sandbox."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference import Renderer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these limits"),
]

TRIED = {
    "read a file": "open('/etc/passwd')",
    "write a file": "open('/tmp/gguf2ollama-was-here', 'w')",
    "list a folder": "os.listdir('/')",
    "reach a network": "socket.socket()",
    "talk to a process": "socket.socketpair()",
    "make a pipe": "os.pipe()",
    "start a process": "os.fork()",
    "spawn a process": "os.posix_spawn(sys.executable, [sys.executable], {})",
    "become another program": "os.execv(sys.executable, [sys.executable])",
    "start a thread": "threading.Thread(target=print).start()",
    "end another process": "os.kill(os.getppid(), 0)",
    "import a module": "__import__('colorsys')",
    "fill the disk": "os.write(3, b'x')",
}
BOOT = """
import os, socket, sys, threading
kept = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.dup2(kept, 3)
from gguf2ollama.chat.reference import worker
from gguf2ollama.chat.reference.confinement import confine
confine()
for what in sys.argv[2:]:
    try:
        eval(what)
    except (OSError, RuntimeError, ImportError):
        print("refused")
    else:
        print("done", what)
"""


def test_a_confined_process_can_do_nothing_but_answer(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", BOOT, tmp_path / "file", *TRIED.values()],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[4],
    )
    assert done.stdout.split("\n")[:-1] == ["refused"] * len(TRIED)
    assert done.stderr == ""
    assert os.path.getsize(tmp_path / "file") == 0  # noqa: PTH202


@pytest.mark.skipif(os.uname().machine not in {"x86_64", "aarch64"}, reason="filters are for these two")
def test_the_worker_confines_itself(own_worker):
    with Renderer() as renderer:
        renderer.load("x")
        process = Path(f"/proc/{renderer._worker._process.pid}")
        limits = (process / "limits").read_text()
        assert next(line for line in limits.split("\n") if "open files" in line).split()[3:5] == ["3", "3"]
        status = dict(line.split(":\t") for line in (process / "status").read_text().split("\n") if line)
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")


def test_all_filters_of_jinja_render_in_a_confined_process():
    texts = {
        "{{ {'a': [1]} | pprint }}": "{'a': [1]}",
        "{{ 'a b c' | wordwrap(3) }}": "a b\nc",
        "{{ 'x' | indent(2, first=true) }}": "  x",
        "{{ strftime_now('%Y')[:2] }}": "20",
        "{{ {'a': 1} | tojson }}": '{"a": 1}',
        "{{ [3, 1] | sort | join(',') }}": "1,3",
        "{{ '2.50' | float | round(1) }}": "2.5",
        "{{ '<b>' | striptags | e }}": "",
        "{{ ['a', 'b'] | map('upper') | list | string | length }}": "10",
        "{% for a, b in {'x': 1} | dictsort %}{{ a }}{{ b }}{% endfor %}": "x1",
        "{{ '&lt;' | striptags }}": "<",
        "{{ [1, 2, 3] | random in [1, 2, 3] }}": "True",
    }
    with Renderer() as renderer:
        for text, prompt in texts.items():
            assert renderer.load(text).render_variables([{}]) == [Rendered(prompt)]


def test_a_failing_template_is_described_in_a_confined_process():
    with Renderer() as renderer:
        (outcome,) = renderer.load("a\n{{ 1 / 0 }}").render_variables([{}])
        assert outcome.reason == "line 2: division by zero"
        template = renderer.load("{% if x %}a{% else %}b{% endif %}")
        assert template.render_variables([{"x": "é"}]) == [Rendered("a")]
        assert [branch.kind for branch in template.coverage().unreached] == ["else"]
