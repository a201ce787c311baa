"""Chat templates out of a small grammar are learnt exactly: random tags, defaults, white space, switches."""

from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples

TAGS = st.text(st.sampled_from("abcXYZ 019<>|[]/:#*_-é中▁\n"), max_size=8)
TRIMS = st.sampled_from(("", " | trim", ".strip('\\n')", ".lstrip()", ".rstrip()"))


@dataclass(frozen=True)
class Turn:
    """What stands around the texts of a role, and what is done to them."""

    before: str
    after: str
    trim: str

    def jinja(self, content="m.content"):
        return f"{quoted(self.before)} + ({content}){self.trim} + {quoted(self.after)}"


def quoted(text):
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


TURNS = st.builds(Turn, before=TAGS, after=TAGS, trim=TRIMS)
SYSTEM_WAYS = (
    "own turn",
    "default",
    "default where empty",
    "in the first question",
    "in the last question",
    "left out",
)


@st.composite
def templates(draw):
    """Write a chat template."""
    system, user, assistant = draw(TURNS), draw(TURNS), draw(TURNS)
    way = draw(st.sampled_from(SYSTEM_WAYS))
    default = draw(st.sampled_from(("Be kind.", 'You are a\ntest "model" <1>.', " ")))
    separator, joint = draw(TAGS), draw(TAGS)
    parts = ["{{ bos_token }}" if draw(st.booleans()) else ""]
    parts.append("{% set first = messages[0].content if messages[0].role == 'system' else '' %}")
    parts.append("{% set n = namespace(last=0) %}{% for m in messages %}")
    parts.append("{% if m.role == 'user' %}{% set n.last = loop.index0 %}{% endif %}{% endfor %}")
    if way == "default":
        parts.append(
            "{% if messages[0].role != 'system' %}{{ " + system.jinja(quoted(default)) + " }}{% endif %}"
        )
    if way == "default where empty":
        parts.append("{{ " + system.jinja(f"first or {quoted(default)}") + " }}")
    parts.append("{% for m in messages %}")
    own = way in {"own turn", "default"}
    parts.append("{% if m.role == 'system' %}" + ("{{ " + system.jinja() + " }}" if own else ""))
    parts.append("{% elif m.role == 'user' %}")
    if draw(st.booleans()):
        parts.append("{% if not loop.first %}{{ " + quoted(separator) + " }}{% endif %}")
    place = {"in the first question": "loop.index0 < 2", "in the last question": "loop.index0 == n.last"}.get(
        way
    )
    if place:
        parts.append(
            "{% if first and "
            + place
            + " %}{{ "
            + system.jinja("first")
            + " + "
            + quoted(joint)
            + " }}{% endif %}"
        )
    parts.append("{{ " + user.jinja() + " }}{% else %}{{ " + assistant.jinja())
    parts.append((" + eos_token" if draw(st.booleans()) else "") + " }}{% endif %}{% endfor %}")
    opening = quoted(assistant.before)
    parts.append(
        "{% if add_generation_prompt %}{{ "
        + opening
        + " }}"
        + draw(st.sampled_from(SWITCHES))
        + "{% endif %}"
    )
    return "".join(parts)


SWITCHES = (
    "",
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think></think>' }}{% endif %}",
    "{% if enable_thinking %}{{ '<think>\\n' }}{% endif %}",
    "{% if thinking is defined and thinking %}{{ '<think>' }}{% else %}{{ '</think>' }}{% endif %}",
)


@settings(max_examples=examples(0.4), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(template=templates(), adds_bos=st.booleans())
def test_a_chat_template_of_the_grammar_is_learnt_exactly(template, adds_bos, learn, differences):
    found = learn(template, adds_bos=adds_bos)
    assert found.lacking == ()
    wrong = differences(template, found, features=("plain", "thinking"), with_tools=False, adds_bos=adds_bos)
    assert wrong == {}, found.go_template
