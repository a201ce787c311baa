"""Our Go templates against Ollama's own: its Go packages (``gorender``) and running servers.

The known differences are listed in :mod:`gguf2ollama.gotmpl`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest

from gguf2ollama import ollama_template
from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.ollama_input import canonical
from gguf2ollama.errors import InvalidInput
from gguf2ollama.families import load_profiles
from gguf2ollama.gotmpl.parse import parse
from gguf2ollama.oci import go_json
from gguf2ollama.ollama_template.execute import execute
from tests import reference
from tests.builders import tiny_llama
from tests.live import parts
from tests.live.gorender.program import GoRender, module_folder, running_gorender
from tests.live.servers import RunningOllama
from tests.unit.gotmpl import cases
from tests.unit.gotmpl.templates import BODIES, Maker, chance_of, make_template

pytestmark = pytest.mark.live

_VERSIONS = [part.version for part in parts.OLLAMAS]
_REFUSED = re.compile(r"memory address|cannot print a float as %\.\d*[xX]")
_GO_PLACE = re.compile(r"template: :(\d+):(?:(\d+): executing)?")
# of a loop, and of a field behind parentheses, Go says what it evaluated last, wherever that was
_SAYS_LAST = re.compile(r"iterate over|at <[^.$][^>]*>: (can't evaluate field|nil pointer evaluating)")
_PLACE = re.compile(r" at line (\d+), column (\d+):")
_CHATS = (
    *(*reference.PLAIN, *reference.TOOL_USE, *reference.TOOL_USE_WITH_TEXT),
    *(*reference.PARALLEL_CALLS, *reference.THINKING),
)


@dataclass(frozen=True)
class Ours:
    """What we make of a template and a chat: a prompt, or what we say is wrong."""

    prompt: str | None
    error: str = ""


def _ours(template: str, body: Mapping[str, Any], *, version: str) -> Ours:
    try:
        return Ours(execute(template, body, version=version))
    except InvalidInput as error:
        return Ours(None, error.message)


def _difference(template: str, go: Mapping[str, Any], ours: Ours) -> str | None:
    """Say how we differ from Go, if we do."""
    if _REFUSED.search(ours.error):
        return None
    if not go["error"]:
        if ours.prompt == go["prompt"]:
            return None
        return f"{template!r}:\nGo:   {go['prompt']!r}\nours: {ours.prompt!r} {ours.error}"
    if ours.prompt is not None or _places_differ(template, go["error"], ours.error):
        return f"{template!r}:\nGo:   {go['error']}\nours: {ours.prompt!r} {ours.error}"
    return None


def _places_differ(template: str, go: str, ours: str) -> bool:
    """Compare the lines, and the columns where Go gives them: its own count bytes, from 0."""
    theirs = _GO_PLACE.match(go)
    if theirs is None or _SAYS_LAST.search(go):
        return False
    mine = _PLACE.search(ours)
    if mine is None or mine[1] != theirs[1]:
        return True
    line = template.split("\n")[int(mine[1]) - 1]
    return theirs[2] is not None and len(line[: int(mine[2]) - 1].encode()) != int(theirs[2])


@pytest.fixture(scope="module", params=_VERSIONS)
def go(request: pytest.FixtureRequest) -> Iterator[tuple[GoRender, str]]:
    with running_gorender(request.param) as program:
        yield program, request.param


@pytest.mark.parametrize("what", ["printed", "formatted", "failing", "broken"])
def test_the_cases_of_the_unit_tests_are_those_of_go(go, what):
    program, _ = go
    if what == "printed":
        for template, printed in cases.PRINTED.values():
            assert program.ask(cases.HEAD + template, cases.BODY)["prompt"] == printed, template
    elif what == "formatted":
        for arguments, printed in cases.FORMATTED.items():
            template = f"{cases.HEAD}{{{{ printf {arguments} }}}}"
            assert program.ask(template, cases.BODY)["prompt"] == printed, arguments
    else:
        for template, (line, _, _) in (cases.FAILING if what == "failing" else cases.BROKEN).items():
            answer = program.ask(template + cases.HEAD, cases.BODY)
            assert answer["phase"] == ("run" if what == "failing" else "parse"), template
            assert f":{line}:" in answer["error"], template


def test_properties_of_properties_are_those_of_go(go):
    program, _ = go
    for template, printed in cases.NESTED.values():
        answer = program.ask(cases.HEAD + template, cases.NESTED_BODY)
        assert answer["prompt"] == printed, (template, answer)
    for template in cases.NESTED_FAILING:
        assert program.ask(cases.HEAD + template, cases.NESTED_BODY)["phase"] == "run", template
    for template in cases.NESTED_REFUSED:
        assert not program.ask(cases.HEAD + template, cases.NESTED_BODY)["error"], template


@pytest.mark.parametrize("mistakes", [0.0, 0.03, 0.2])
def test_made_up_templates_print_or_fail_as_in_go(go, mistakes):
    program, version = go
    printed, different = 0, []
    for number in range(500):
        template = make_template(number * 7919 + int(mistakes * 100), mistakes=mistakes)
        body = BODIES[0 if number % 6 else number // 6 % len(BODIES)]
        answer = program.ask(template, body)
        printed += not answer["error"]
        difference = _difference(template, answer, _ours(template, body, version=version))
        if difference:
            different.append(difference)
    assert not different, "\n\n".join(different[:3])
    assert printed > 100  # templates that all fail would prove little


def test_go_prints_where_we_own_up_to_a_difference(go):
    program, _ = go
    for template in cases.REFUSED:
        assert not program.ask(cases.HEAD + template, cases.BODY)["error"], template


@pytest.fixture(scope="module", params=[one.version for one in parts.OLD_TEMPLATES])
def older_go(request: pytest.FixtureRequest) -> Iterator[tuple[GoRender, str]]:
    with running_gorender(request.param) as program:
        yield program, request.param


# for what older versions do not have, what they have; and tools that all of them take
_ELDERS = {".Thinking": ".Content", ".ToolName": ".Role", ".ToolCallID": ".Role", ".ID": ".Function.Name"}
_PLAIN_TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "required": []}},
}
_PLAIN_BODY = {**BODIES[0], "tools": [cases.BODY["tools"][0] | _PLAIN_TOOL, _PLAIN_TOOL]}


def test_made_up_templates_print_or_fail_as_in_older_versions(older_go):
    program, version = older_go
    printed, different = 0, []
    for number in range(200):
        template, body = make_template(number, mistakes=0.01), (_PLAIN_BODY, *BODIES)[number % 3]
        if number % 4:
            for newer, elder in _ELDERS.items():
                template = template.replace(newer, elder)
        answer = program.ask(template, body)
        printed += not answer["error"]
        if difference := _difference(template, answer, _ours(template, body, version=version)):
            different.append(difference)
    assert not different, "\n\n".join(different[:3])
    assert printed > 25


_HANDED_ON = (
    "{{ json .Tools }}{{ .Think }}{{ range .Messages }}<{{ .Role }}>{{ .Content }}"
    "{{ range .ToolCalls }}{{ .Function.Name }}{{ json .Function.Arguments }}{{ end }}{{ end }}"
)


def test_conversations_are_handed_on_as_we_say_in_older_versions(older_go):
    program, version = older_go
    copies = version == "0.24.0"  # they tell an empty description, which is no part of what is compared
    for one in battery():
        told = canonical(one, path="go", version=version)
        answer = program.ask(_HANDED_ON, one.for_ollama())
        if answer["phase"] == "body":  # what the server refuses, such as a level of thinking
            continue
        assert answer == program.ask(_HANDED_ON, told.for_ollama()), one.name
        assert not answer["error"], one.name
        if one.tools and not copies:
            assert answer["prompt"].startswith(go_json(list(told.tools)).decode().strip()), one.name


@pytest.mark.parametrize("family", [profile.family for profile in load_profiles()])
def test_templates_of_ours_print_or_fail_as_in_older_versions(older_go, family):
    program, version = older_go
    template = _template_of(family)
    for chat in _CHATS[::5]:
        body = reference.to_ollama(chat)
        difference = _difference(
            template, program.ask(template, body), _ours(template, body, version=version)
        )
        assert difference is None, f"{chat.name}: {difference}"


def test_made_up_templates_are_read_as_in_go(go):
    program, _ = go
    thoughts = 0
    for number in range(600):
        chance = chance_of(number)
        template = Maker(chance, mistakes=0).template()
        if chance.random() < 0.7:
            template = _with_tags(template, chance)
        answer = program.ask(template, BODIES[0])
        if answer["phase"] == "parse":
            continue
        reading = ollama_template.read(parse(template))
        read = sorted(reading.variables), list(reading.thinking), reading.tool_tag
        assert read == (answer["vars"], answer["thinking"], answer["tool_tag"]), template
        thoughts += all(reading.thinking)
    assert thoughts > 20


def _with_tags(template: str, chance: Random) -> str:
    """Wrap a template in blocks as those in which Ollama looks for tags."""
    opening, closing = chance.choice(("<think>", " \n<a>", "")), chance.choice(("</think>", "\n"))
    inside = f"{opening}{{{{ .Thinking }}}}{closing}"
    if chance.random() < 0.5:
        inside = f"x{{{{ if .Thinking }}}}{inside}{{{{ end }}}}y"
    calls = chance.choice(("<call>{", "\r\n<call>\r\n", " ", "{{ range .ToolCalls }}[{{ end }}"))
    head = chance.choice(
        ("range .Messages", "range $i, $m := .Messages", "range $.Messages", "with .Messages")
    )
    calls = f"{{{{ if {chance.choice(('.ToolCalls', 'and .Role .ToolCalls'))} }}}}{calls}{{{{ end }}}}"
    return f"{{{{ {head} }}}}{inside}{calls}{{{{ end }}}}{template}"


@pytest.mark.parametrize("family", [profile.family for profile in load_profiles()])
def test_templates_of_ours_render_as_in_go(go, family):
    program, version = go
    template = _template_of(family)
    for chat in _CHATS:
        body = reference.to_ollama(chat)
        difference = _difference(
            template, program.ask(template, body), _ours(template, body, version=version)
        )
        assert difference is None, f"{chat.name}: {difference}"


def _template_of(family: str) -> str:
    profile = next(one for one in load_profiles() if one.family == family)
    return profile.go_template(system="Be helpful.", switches=frozenset(profile.switches), bos="<bos-token>")


def test_templates_that_ollama_ships_render_as_in_go(go):
    program, version = go
    templates = sorted((module_folder(version) / "template").glob("*.gotmpl"))
    assert len(templates) > 10
    for path in templates:
        template = path.read_text("utf-8").replace("\r\n", "\n")
        for body in (*BODIES, *map(reference.to_ollama, _CHATS)):
            answer = program.ask(template, body)
            difference = _difference(template, answer, _ours(template, body, version=version))
            assert difference is None, f"{path.name}: {difference}"


# Running servers.

_TOOLS = "{% if tools %}{{ tools | tojson }}{% endif %}"
_ROUND_TRIP = (
    "{% for m in messages %}{% if m['role'] == 'tool' %}R{% endif %}{{ m.tool_calls or '' }}{% endfor %}"
)
_THINKS = "{# <think> </think> #}"
_MESSAGES = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}"
_JINJA = {
    "none": None,
    "plain": _MESSAGES,
    "tools": _MESSAGES + _TOOLS,
    "results": _MESSAGES + _TOOLS + _ROUND_TRIP,
    "thinking": _MESSAGES + _THINKS,
    "split": "{% set t = m.content.split('</think>') %}" + _MESSAGES,
    "all": _MESSAGES + _TOOLS + _ROUND_TRIP + _THINKS,
}
_GO_THINKS = "{{ range .Messages }}<think>{{ .Thinking }}</think>{{ end }}"
_GO_CALLS = "{{ range .Messages }}{{ if .ToolCalls }}<call>{{ end }}{{ end }}"
_GO = {
    "plain": "{{ range .Messages }}{{ .Content }}{{ end }}",
    "older": "{{ .System }} {{ .Prompt }}",
    "insert": "{{ .Suffix }}{{ .Prompt }}",
    "tools": "{{ .Tools }}{{ range .Messages }}{{ .Content }}{{ end }}",
    "calls": "{{ .Tools }}" + _GO_CALLS,
    "results": "{{ .Tools }}" + _GO_CALLS + '{{/* eq .Role "tool" */}}',
    "thinking": _GO_THINKS,
    "thinking in parentheses": "{{ range (slice .Messages 0) }}<think>{{ .Thinking }}</think>{{ end }}",
    "insert and thinking": "{{ .Suffix }}" + _GO_THINKS,
    "tools and thinking": "{{ .Tools }}" + _GO_CALLS + _GO_THINKS,
    "all": "{{ .Tools }}" + _GO_CALLS + _GO_THINKS + "{{/* tool_response */}}",
}


class _Server:
    """A server on which models with templates of ours are made."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def ask(self, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        return self._client.post(path, json={"stream": False, **body})

    def create(self, name: str, gguf: Path) -> None:
        data = gguf.read_bytes()
        digest = f"sha256:{sha256(data).hexdigest()}"
        self._client.post(f"/api/blobs/{digest}", content=data).raise_for_status()
        body = {"model": name, "files": {gguf.name: digest}, "template": "{{ .Prompt }}"}
        self.ask("/api/create", body).raise_for_status()

    def delete(self, name: str) -> None:
        self._client.request("DELETE", "/api/delete", json={"model": name}).raise_for_status()


@pytest.fixture
def server(ollama_server: RunningOllama) -> Iterator[tuple[_Server, str]]:
    with httpx2.Client(base_url=ollama_server.url, timeout=120, trust_env=False) as client:
        yield _Server(client), ollama_server.version


@pytest.mark.parametrize("jinja", _JINJA)
def test_a_server_honours_a_template_where_we_say_so(server, jinja, tmp_path):
    asked, version = server
    base = f"gotmpl-{jinja}"
    text = _JINJA[jinja]
    asked.create(base, tiny_llama(tmp_path / "tiny.gguf", chat_template=text))
    try:
        for name, template in _GO.items():
            asked.ask(
                "/api/create", {"model": "gotmpl-variant", "from": base, "template": template}
            ).raise_for_status()
            shown = asked.ask("/api/show", {"model": "gotmpl-variant"}).json()
            verdict = ollama_template.takes_precedence(template, text or "", version=version)
            assert (shown["template"] == template) == verdict.has_precedence, (name, verdict.reason)
            if verdict.has_precedence:
                capabilities = set(shown["capabilities"]) - {"completion"}
                assert capabilities == ollama_template.read(parse(template)).capabilities, name
            asked.delete("gotmpl-variant")
    finally:
        asked.delete(base)


def test_a_server_prints_what_we_say(server, tmp_path):
    asked, version = server
    asked.create("gotmpl-base", tiny_llama(tmp_path / "tiny.gguf", chat_template=None))
    prompts = 0
    try:
        for number in range(24):
            template = make_template(number, mistakes=0)
            body = BODIES[(0, 0, 2, 0)[number % 4]]
            if number % 3:  # else the server refuses tools and thinking
                template = "{{ .Tools }}{{ range .Messages }}<t>{{ .Thinking }}</t>{{ end }}" + template
            if number % 2:
                body = {key: value for key, value in body.items() if key != "think"}
            ours = _rendered(template, body, version)
            answer = _debug(asked, template, body)
            if ours.prompt is None:
                assert not answer.is_success or _REFUSED.search(ours.error), (template, ours, answer.text)
                continue
            assert answer.is_success, (template, ours, answer.text)
            assert answer.json()["_debug_info"]["rendered_template"] == ours.prompt, template
            prompts += 1
    finally:
        asked.delete("gotmpl-base")
    assert prompts > 5


def _rendered(template: str, body: Mapping[str, Any], version: str) -> Ours:
    try:
        return Ours(
            ollama_template.render(template, body, version=version, now=datetime.now(UTC).astimezone())
        )
    except InvalidInput as error:
        return Ours(None, error.message)


def _debug(server: _Server, template: str, body: Mapping[str, Any]) -> httpx2.Response:
    """Return what a server answers to a chat with a template, or to the template."""
    made = server.ask("/api/create", {"model": "gotmpl-variant", "from": "gotmpl-base", "template": template})
    if not made.is_success:
        return made
    try:
        question = {"model": "gotmpl-variant", "_debug_render_only": True, "truncate": False, "keep_alive": 0}
        return server.ask("/api/chat", {**body, **question})
    finally:
        server.delete("gotmpl-variant")
