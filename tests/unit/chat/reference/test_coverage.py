"""Which branches of a template were reached, and what the marks must not change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, nodes

from gguf2ollama.chat.reference.expressions import write_expression
from gguf2ollama.chat.reference.marking import mark_branches
from gguf2ollama.jinja.environment import make_environment, render

TEMPLATE = """\
{% macro show(x) %}{{ x }}{% endmacro %}
{% if a and b %}
  1
{% elif c or d %}
  2
{% else %}
  3
{% endif %}
{% for x in items if x > e %}
  {{ 'big' if x > 5 else 'small' }}
{% else %}
  none
{% endfor %}
"""


def told(branches):
    return [(one.line, one.kind, one.text) for one in branches]


def test_every_branch_is_told_with_its_line_and_condition(renderer):
    coverage = renderer.load(TEMPLATE).coverage()
    assert coverage.reached == ()
    assert told(coverage.unreached) == [
        (1, "macro", "show"),
        (2, "if", "a and b"),
        (2, "and", "a and b"),
        (4, "elif", "c or d"),
        (4, "or", "c or d"),
        (7, "else", "none of: a and b; c or d"),
        (9, "for", "x in items"),
        (9, "for if", "x > e"),
        (10, "inline if", "x > 5"),
        (10, "inline else", "x > 5"),
        (12, "for else", "x in items"),
    ]


@pytest.mark.parametrize(
    "variables, reached",
    [
        ({"items": []}, {"or", "else", "for else"}),
        ({"items": [], "c": 1}, {"elif", "for else"}),
        ({"items": [1], "a": 1, "e": 0}, {"and", "or", "else", "for", "for if", "inline else"}),
        ({"items": [9], "a": 1, "b": 1, "e": 0}, {"and", "if", "for", "for if", "inline if"}),
        ({"items": [1], "a": 1, "b": 1, "e": 2}, {"and", "if", "for else"}),
    ],
)
def test_a_branch_counts_once_it_was_taken(renderer, variables, reached):
    template = renderer.load(TEMPLATE)
    template.render_variables([variables])
    assert {one.kind for one in template.coverage().reached} == reached


def test_what_was_rendered_adds_up(renderer):
    template = renderer.load(TEMPLATE)
    total = len(template.coverage().unreached)
    seen = []
    for variables in ({"items": []}, {"items": [9], "a": 1, "b": 1, "e": 0}, {"items": []}):
        template.render_variables([variables])
        coverage = template.coverage()
        assert len(coverage.reached) + len(coverage.unreached) == total
        seen.append({one.kind for one in coverage.reached})
    assert seen[0] < seen[1] == seen[2]


def test_a_chat_that_was_refused_reached_what_it_reached(renderer):
    template = renderer.load("{% if x %}{{ raise_exception('no') }}{% endif %}{% if y %}{% endif %}")
    template.render_variables([{"x": 1}])
    assert told(template.coverage().reached) == [(1, "if", "x")]


def test_a_template_cannot_see_the_marks():
    environment = make_environment(now=None)
    text = "{{ reach_branch is defined }}{{ decide_branch is defined }}{% if true %}{{ self }}{% endif %}"
    tree, _ = mark_branches(environment.parse(text), environment)
    shown = render(environment.from_string(tree), {}, characters=1000)
    assert shown == render(environment.from_string(text), {}, characters=1000)


@pytest.mark.parametrize(
    "text",
    [
        "{% for x in [1, 2, 3] %}{{ loop.index }}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
        "{% for x in [1, 2] %}{{ loop.first and loop.last or loop.length }}{% endfor %}",
        (
            "{% macro m(a, b=1 if y else 2) %}{{ a }}{{ b }}{{ kwargs }}{{ caller() }}{% endmacro %}"
            "{% call m(0, z=1) %}{{ 'in' if not y }}{% endcall %}"
        ),
        "{% for x in [[1, [2]]] recursive %}{{ loop(x) if x is iterable else x }}{% endfor %}",
        "{{ (y or {}).z is defined }}{{ y and y.z.z }}{{ 1 if y }}|{{ [] or 0 or '' }}",
        "{% set x %}{% if 1 %}a{% endif %}{% endset %}{{ x }}{% filter upper %}{{ 'b' if 1 }}{% endfilter %}",
        "{% if 0 %}{% set q = 1 %}{% endif %}{{ q is defined }}{% with w = 1 if 1 %}{{ w }}{% endwith %}",
        (
            "{% set ns = namespace(n=0) %}{% for i in [0, 1] %}{% if i %}{% set ns.n = i %}{% endif %}"
            "{% endfor %}{{ ns.n }}{% generation %}{% if ns.n %}g{% endif %}{% endgeneration %}"
        ),
    ],
)
def test_marks_change_nothing_that_is_printed(text):
    environment = make_environment(now=None)
    tree, marks = mark_branches(environment.parse(text), environment)
    shown = render(environment.from_string(tree), {}, characters=1000)
    assert shown == render(environment.from_string(text), {}, characters=1000)
    assert any(one.is_reached for one in marks.branches)


def parse_expression(text):
    environment = Environment()  # noqa: S701  # nothing is rendered
    return environment.parse(f"{{{{ {text} }}}}").find(nodes.Output).nodes[0]


@pytest.mark.parametrize(
    "text",
    [
        "a.b['c'][1:][::-1][:2].d(1, *e, f=2, **g)",
        "(a or b) and not c and not (d and e)",
        "a is not none and a is defined and b is divisibleby(3)",
        "a | default('x') | length > 1 + 2 * 3 - (4 - 5)",
        "(a + b) | string ~ c ~ (d ~ e)",
        "-a ** 2 + (-b | abs)",
        "(a | first).b and (1 if a else 2) in [1, (2,), {'k': v}]",
        "a if (b if c else d) else (e if f)",
        "not a in b and a not in b and (not c) == d",
        "a == b != c <= d",
        "(1, 2)[0] % 3 // 4 / 5 ** 6",
    ],
)
def test_an_expression_is_written_as_it_is_read(text):
    tree = parse_expression(text)
    assert parse_expression(write_expression(tree)) == tree


def expressions():
    leaves = st.sampled_from(["a", "b.c", "d['e']", "1", "'x'", "none", "[]", "f(g)"])

    def extend(inner):
        operators = st.sampled_from(
            ["and", "or", "==", "<", "in", "not in", "+", "-", "*", "/", "//", "%", "**", "~"]
        )
        return st.one_of(
            st.builds("({}) {} ({})".format, inner, operators, inner),
            st.builds("({}) if ({}) else ({})".format, inner, inner, inner),
            st.builds("not ({})".format, inner),
            st.builds("-({})".format, inner),
            st.builds("({}) | f({})".format, inner, inner),
            st.builds("({}) is f({})".format, inner, inner),
            st.builds("({}).x".format, inner),
            st.builds("({})[({}):]".format, inner, inner),
        )

    return st.recursive(leaves, extend, max_leaves=8)


@given(text=expressions())
def test_any_expression_is_written_as_it_is_read(text):
    tree = parse_expression(text)
    assert parse_expression(write_expression(tree)) == tree
