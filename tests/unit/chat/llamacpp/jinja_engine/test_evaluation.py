"""What llama.cpp's Jinja engine prints; that it does is held to servers by the live tests."""

import contextlib
import dataclasses
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.interpreter import Dialect, load
from gguf2ollama.chat.llamacpp.jinja_engine.scopes import Budget
from gguf2ollama.chat.llamacpp.jinja_engine.slices import sliced
from gguf2ollama.chat.llamacpp.jinja_engine.values import (
    UNDEFINED,
    are_equal,
    as_bytes_text,
    as_text,
    from_json,
    to_json,
)
from gguf2ollama.chat.llamacpp.segments import segments, split

NOW = datetime(2026, 3, 7, 12, 30, tzinfo=UTC)


def run(source, dialect=Dialect(), **variables):  # noqa: B008 - a value
    return load(source, dialect).render(variables, now=NOW)


@pytest.mark.parametrize(
    "source, printed",
    [
        ("{{ 7 / 2 }} {{ -7 % 3 }} {{ 1 + 2 * 3 }} {{ 2 * 1.5 }}", "3.5 -1 7 3.0"),
        ("{{ 1 / 3 }} {{ (1 / 3) | tojson }} {{ 100000000.0 | string }}", "0.333333 0.333333 1e+08"),
        ("{{ [1, [2, 'a'], none, true] }}{{ {'a': 1} }}{{ none }}", "12aTrue"),
        ("""{{ [1, 'a', "it's", none] | string }}""", "[1, 'a', \"it's\", None]"),
        ("{{ (1, 2) | string }}", "(1, 2)"),
        ("{{ 'a' + none }}{{ missing ~ 'b' }}{{ 'x' * 3 }}", "abxxx"),
        ("{{ [[1]] == [[1]] }} {{ [1] == [1.0] }} {{ true == 1 }}", "False True True"),
        ("{% for x in [1, 2] %}{% if x == 1 %}lost{% continue %}{% endif %}{{ x }}{% endfor %}", "2"),
        ("{% for x in [1] %}{% continue %}{% else %}else{% endfor %}", "else"),
        ("{% set a = 1 %}{% for x in [1, 2] %}{% set a = a + x %}{{ a }}{% endfor %}{{ a }}", "241"),
        ("{% for k in {'a': 1} %}{{ k }}{% endfor %}", "a"),
        ("{% for k, v in {'a': 1} %}{{ k }}{{ v }}{% endfor %}", "a1"),
        ("{{ 'a  b'.split() | tojson }}", '["a", "", "b"]'),
        ("{{ [3, 2, 1][2:-1:-1] | tojson }}", "[1, 2, 3]"),
        ("{{ 'é' | length }}{{ 'é' | upper }}{{ '\xa0x' | trim | length }}", "2é3"),
        ("{{ {'items': 1}['items'] }}{{ {'b': 1, 'a': 2} | tojson }}", '1{"b": 1, "a": 2}'),
        ("{{ 'é\U0001f600' | tojson(ensure_ascii=true) }}", '"\\u00e9\\ud83d\\ude00"'),
        ("{% macro m(a, b='d') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{% set c = 3 %}{{ m(1) }}", "1d3"),
        ("{% macro m(a, b='d') %}{{ a }}{{ b }}{% endmacro %}{{ m(b=2, a=4) }}", "42"),
        ("{% macro m() %}<{{ caller(1) }}>{% endmacro %}{% call(x) m() %}{{ x }}{% endcall %}", "<1>"),
        ("{{ strftime_now('%d %b %Y') }}", "07 Mar 2026"),
        ("{{ 'yes' if 0 }}|{{ [1, 2, 3].append(4) }}", "|1234"),
        ("{{ '\n'.join }}{{ '12abc' | int }}{{ 'x' | int(5) }}", "125"),
    ],
)  # fmt: skip
def test_prints(source, printed):
    assert run(source) == printed


@pytest.mark.parametrize(
    "source",
    [
        *("{{ 1 + none }}", "{{ 'a' < 'b' }}", "{{ {} | default(1) }}", "{{ [1] | unique }}"),
        *("{{ 1 in 'a' }}", "{{ 'a'.split('') }}", "{{ [1] | map('upper') }}", "{{ foo() }}"),
        *("{{ raise_exception('no') }}", "{% for x in 'ab' %}{% endfor %}", "{{ '%s' % 'a' }}"),
        *("{{ {} | tojson(sort_keys=true) }}", "{% set x.y = 1 %}", "{{ [1, 2] | join | x }}"),
        *("{{ 'a' | list }}", "{{ 1 is foo }}", "{{ 5 | length }}", "{{ range(1, 2, 0) }}"),
    ],
)  # fmt: skip
def test_fails(source):
    with pytest.raises(TemplateFault):
        run(source)


def test_what_a_template_raises_is_told_from_what_it_cannot_do():
    with pytest.raises(TemplateFault, match="no") as raised:
        run("{{ raise_exception('no') }}")
    with pytest.raises(TemplateFault) as failed:
        run("{{ 1 + none }}")
    assert raised.value.raised
    assert not failed.value.raised


def test_builds_differ():
    older = Dialect(looks_up_none=False, takes_numbered_members=False, formats_text=False)
    assert run("{{ none in [none] }}{{ [5].0 }}{{ '{}'.format(1) }}") == "True51"
    for source in ("{{ none in [none] }}", "{{ [5].0 }}"):
        with pytest.raises(TemplateFault):
            run(source, older)
    with pytest.raises(NotForeseen):
        run("{{ '{}'.format(1) }}", older)


_TREE = "{% set n = namespace(l=[1]) %}{% for a in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}"
HOSTILE = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "doubling": "{% set n = namespace(s='x') %}{% for a in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "repeated": "{{ 'x' * 100000000000 }}",
    "kept": "{% set l = [] %}{% for a in range(99999) %}{% set _ = l.append('x' * 1000000) %}{% endfor %}",
    "replaced": "{{ ('x' * 100000).replace('x', 'y' * 100000) }}",
    "indented": "{{ {} | tojson(indent=1000000000) }}",
    "indented text": "{{ 'a' | indent(1000000000) }}",
    "range": "{{ range(1000000000) }}",
    "calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "calls itself twice": (
        "{% macro m(n) %}{% if n %}{{ m(n - 1) ~ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"
    ),
    "holds itself": "{% set l = [] %}{% set _ = l.append(l) %}{{ l }}",
    "printed tree": _TREE + "{{ n.l }}",
    "tree in JSON": _TREE + "{{ n.l | tojson }}",
    "tree as text": _TREE + "{{ n.l | string }}",
    "compared trees": _TREE + "{{ [n.l] == [n.l] }}",
    "huge number": "{% set n = namespace(i=9) %}{% for a in range(9) %}{% set n.i = n.i * n.i %}{% endfor %}",
    "a cut character": "{{ 'é'[0] }}",
    "nested": "{{ " + "[" * 3000 + "]" * 3000 + " }}",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_what_costs_too_much_is_not_foreseen(name):
    with pytest.raises(NotForeseen):
        run(HOSTILE[name])


def test_renderings_together_are_bounded_too():
    template = load("{% for a in range(100) %}{% endfor %}x", Dialect())
    template = dataclasses.replace(template, _budget=Budget(left=50))
    assert template.render({}, now=NOW) == "x"
    with pytest.raises(NotForeseen):
        [template.render({}, now=NOW) for _ in range(9)]


@pytest.mark.parametrize("source", ["{{ ''.__class__ }}", "{{ messages.__init__ }}", "{{ true.real }}"])
def test_nothing_of_python_is_reached(source):
    assert run(source, messages=[]) == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(JSON)
def test_json_is_as_python_writes_it_but_for_floats(value):
    assert as_text(to_json(from_json(value))) == json.dumps(value, ensure_ascii=False)


@given(JSON.filter(lambda value: value not in ([], {})), st.integers(1, 4))
def test_indented_json_is_as_python_writes_it(value, indent):
    assert as_text(to_json(from_json(value), indent=indent)) == json.dumps(
        value, ensure_ascii=False, indent=indent
    )


@given(st.lists(st.integers()), st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 3))
def test_slices_forward_are_pythons(items, start, stop, step):
    assert sliced(items, [start, stop, step]) == items[start:stop:step]


@given(st.text(st.characters(codec="utf-8")))
def test_bytes_and_back(text):
    assert as_text(as_bytes_text(text)) == text
    assert len(as_bytes_text(text)) == len(text.encode())


@given(JSON)
def test_comparing_never_fails(value):
    told = from_json(value)
    assert are_equal(told, UNDEFINED) is False
    assert are_equal(told, told) in {True, False}


@given(st.text(alphabet="<>[]ab \n"), st.text(alphabet="<>[]ab \n"))
def test_a_split_keeps_what_only_one_side_has(left, right):
    assert "".join(one.text for one in segments(left)) == left
    found = split(left, right)
    assert found.left in left
    assert found.right in right
    assert split(left, left).left == split(left, left).right


@given(st.text(alphabet="{}%#-|.~()[]'\"=+ abn01\n", max_size=60))
def test_any_template_prints_or_is_given_up(source):
    with contextlib.suppress(TemplateFault, NotForeseen):
        assert isinstance(run(source, a=[1, {"b": "n"}], b="x", n=None), str)
