from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.changes.patches import Patch, Shown, changes, keep_out_detection
from gguf2ollama.chat.comparison import Case, compare
from gguf2ollama.chat.llamacpp import read_native
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.chat.reference import Renderer, Request
from tests.calling_templates import COUNTED_TURNS, REFUSED_SYSTEM

_NOW = datetime(2026, 3, 7, 12, 30, tzinfo=UTC)
_BODY = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    "{% if enable_thinking is defined and not enable_thinking %}<quiet>{% endif %}"
    "{% set ns = namespace(enable_thinking=enable_thinking, preserve_thinking = preserve_thinking) %}"
    "{% if ns.enable_thinking and messages[0].enable_thinking is not defined %}enable_thinking{% endif %}"
    "{% if preserve_thinking %} kept {{ 'preserve_thinking' }}{% endif %}{{ date_string | default('now') }}"
)
_TEMPLATES = [_BODY, f"\n\n{_BODY}", f"  {{% set x = 1 %}}\n{_BODY}\r\n", f"{{# a comment #}}\n\t{_BODY}\n"]


def patches_for(text: str) -> list[Patch]:
    return [patch for change in changes() if (patch := change.make(text)) is not None]


@pytest.mark.parametrize("text", _TEMPLATES)
def test_a_patched_template_renders_what_the_template_does(renderer: Renderer, text: str):
    requests = [Request(conversation=one) for one in battery()]
    meant = renderer.load(text, bos="<s>", eos="</s>").render(requests)
    patches = [*patches_for(text), keep_out_detection(text)]
    assert len(patches) >= 4
    for patch in patches:
        if any("enable_thinking is set" in why for why in patch.why):
            continue  # without the switch, what depends on it is another thing
        assert renderer.load(patch.text, bos="<s>", eos="</s>").render(requests) == meant, patch.why


def test_a_variable_that_a_server_gives_gets_a_name_that_nobody_gives(renderer: Renderer):
    (patched,) = (one for one in patches_for(_BODY) if "preserve_thinking" in one.why[0])
    told = renderer.load(patched.text).render_raw([], variables={"preserve_thinking": True})
    assert told == renderer.load(_BODY).render_raw([])
    assert told != renderer.load(_BODY).render_raw([], variables={"preserve_thinking": True})


def test_only_the_variable_is_renamed():
    (patched,) = (one.text for one in patches_for(_BODY) if one.why[0].startswith("preserve_thinking"))
    assert "namespace(enable_thinking=enable_thinking, preserve_thinking = preserve_thinking_)" in patched
    assert "{{ 'preserve_thinking' }}" in patched


def test_a_new_name_is_one_that_the_template_does_not_have():
    (patch, *_) = patches_for("{{ date_string }}{{ date_string_ }}")
    assert patch.text == "{{ date_string__ }}{{ date_string_ }}"


@pytest.mark.parametrize(
    "text", ["", "no variables", "{{ message.date_string }}", "{{ 'date_string' }}", "{{ 'date_string }}"]
)
def test_what_names_no_such_variable_gets_no_new_name(text: str):
    assert not any("set by the server" in why for patch in patches_for(text) for why in patch.why)


def test_a_switch_is_given_by_the_name_that_the_server_knows():
    text = "{% if thinking %}{{ message.thinking }}<t>{% endif %}"
    (known, *_) = (one for one in patches_for(text) if "switch" in one.why[0])
    assert known.text == "{% if enable_thinking %}{{ message.thinking }}<t>{% endif %}"


def test_detection_is_kept_out_by_more_than_it_overlooks():
    text = "{{ messages }}"
    kept = keep_out_detection(text).text
    assert len(kept) - len(text) > 100
    assert keep_out_detection(kept).text == kept


def case(*, want: str, got: str | None) -> Case:
    conversation = next(iter(battery()))
    outcome = Refused("400: no") if got is None else Rendered(got)
    return compare(conversation, want=Rendered(want), got=outcome)


def shown(*faults: Case, moves_system: bool = False) -> Shown:
    return Shown(faults=faults, moves_system=moves_system)


@pytest.mark.parametrize(
    "why, mended, not_mended",
    [
        ("into the first user message", shown(moves_system=True), shown(case(want="a", got="b"))),
        ("named like methods", shown(case(want="a", got=None)), shown(case(want="a", got="b"))),
        ("prints None", shown(case(want="a None", got="a ")), shown(case(want="a None", got="None b"))),
        ("prints None", shown(case(want="['a']", got="a")), shown(case(want="a", got="a "))),
        ("non-ASCII", shown(case(want="a", got="a\u3000")), shown(case(want="a\xa0b", got="a\xa0c"))),
    ],
)
def test_a_change_is_tried_only_where_it_could_mend_something(why: str, mended: Shown, not_mended: Shown):
    text = "{{ messages[0]['content'] }}{{ schema['items'] }}{{ x | trim }}"
    made = ((change, change.make(text)) for change in changes())
    (change,) = (change for change, patch in made if patch is not None and why in patch.why[0])
    assert change.may_mend(mended)
    assert not change.may_mend(not_mended)


def test_a_system_message_stays_where_a_template_says_nothing_of_it():
    (patch,) = (one for one in patches_for(COUNTED_TURNS) if "first user message" in one.why[0])
    (asked,) = (one for one in battery() if one.name == "system, one turn")
    moved, kept = (read_native(text, version="0.34.4", now=_NOW) for text in (COUNTED_TURNS, patch.text))
    assert (moved.moves_system, kept.moves_system) == (True, False)
    assert moved.render(asked) != kept.render(asked) == Rendered("#1\nQ: Hello there!\nA:")


def test_a_server_starts_where_a_template_refuses_system_messages():
    (patch,) = (one for one in patches_for(REFUSED_SYSTEM) if "would not start" in one.why[0])
    (asked,) = (one for one in battery() if one.name == "one turn")
    before, after = (read_native(text, version="0.34.4", now=_NOW) for text in (REFUSED_SYSTEM, patch.text))
    assert "does not start" in (before.refusal or "")
    assert after.refusal is None
    assert after.render(asked) == Rendered("<user>Hello there!\n<assistant>")


_MOVED = "{{ '<|tool_call>call:' }}{% for m in messages %}[{{ m.role }}|{{ m.content }}]{% endfor %}"
