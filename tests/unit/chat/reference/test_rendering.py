"""Templates are rendered as transformers does."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Undefined, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.chat.reference import MAX_TEMPLATE_BYTES, Renderer, Request
from gguf2ollama.errors import InvalidInput
from gguf2ollama.jinja.environment import make_environment

HELLO = Conversation(name="hello", messages=(Message(role="user", content="Hello"),))


@pytest.fixture
def show(renderer):
    def render(text, **variables):
        return renderer.load(text).render_variables([variables])[0]

    return render


def test_blocks_leave_no_white_space_behind(show):
    assert show("a\n  {% if true %}\nb\n  {% endif %}\nc\n") == Rendered("a\nb\nc")


def test_a_loop_can_be_left(show):
    text = "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% elif i == 4 %}{% break %}{% endif %}"
    assert show(text + "{{ i }}{% endfor %}") == Rendered("023")


def test_the_generation_tag_prints_its_body(show):
    assert show("a{% generation %}{{ x }}{% endgeneration %}c", x="b") == Rendered("abc")


def test_json_is_written_as_python_writes_it(show):
    value = {"b": ["<é&'\u2028", 1.0, None], "a": {}}
    assert show("{{ x | tojson }}", x=value) == Rendered('{"b": ["<é&\'\u2028", 1.0, null], "a": {}}')
    text = "{{ x | tojson(indent=1, separators=(',', ':'), sort_keys=true, ensure_ascii=true) }}"
    assert show(text, x={"b": "é", "a": 1}) == Rendered('{\n "a":1,\n "b":"\\u00e9"\n}')


def test_the_clock_is_the_one_that_was_given(renderer):
    template = renderer.load("{{ strftime_now('%d %b %Y, %H:%M') }}", now=datetime(2024, 7, 26, 9, 30))  # noqa: DTZ001  # templates know no zones
    assert template.render_variables([{}]) == [Rendered("26 Jul 2024, 09:30")]


def test_each_loading_of_a_text_keeps_its_clock(renderer):
    days = [datetime(2024, 7, day) for day in (26, 27)]  # noqa: DTZ001  # templates know no zones
    templates = [renderer.load("{{ strftime_now('%d %b') }}", now=day) for day in days]
    told = [template.render_variables([{}]) for template in templates]
    assert told == [[Rendered("26 Jul")], [Rendered("27 Jul")]]


def test_without_a_clock_the_time_is_now(renderer):
    before = datetime.now().astimezone().replace(microsecond=0)
    (told,) = renderer.load("{{ strftime_now('%Y-%m-%dT%H:%M:%S') }}").render_variables([{}])
    assert before <= datetime.fromisoformat(told.prompt).astimezone() <= datetime.now().astimezone()


def test_a_chat_is_told_as_apply_chat_template_tells_it(renderer):
    text = "{{ [messages, tools, documents, add_generation_prompt, bos_token, eos_token is defined] }}"
    template = renderer.load(text, bos="<s>")
    assert template.render([Request(conversation=HELLO)]) == [
        Rendered("[[{'role': 'user', 'content': 'Hello'}], None, None, True, '<s>', False]")
    ]


def test_more_tokens_and_variables_are_told(renderer):
    template = renderer.load("{{ bos_token + unk_token + date }}", bos="<s>", tokens={"unk_token": "?"})
    request = Request(conversation=HELLO, variables={"date": "today", "bos_token": "^"})
    assert template.render([request]) == [Rendered("^?today")]


def test_raw_rendering_adds_nothing(renderer):
    template = renderer.load("{{ messages }}{{ tools is defined }}{{ documents is defined }}", bos="<s>")
    assert template.render_raw([{"role": "user"}]) == Rendered("[{'role': 'user'}]FalseFalse")
    assert template.render_raw([], [{}], {"documents": None}) == Rendered("[]TrueTrue")


def test_a_refusal_is_the_words_of_the_template(show):
    assert show("{{ raise_exception('Roles must\nalternate') }}") == Refused(
        "Roles must\nalternate", "raised"
    )


@pytest.mark.parametrize(
    "text, reason",
    [
        ("\n{{ 'a' + 1 }}", 'line 2: can only concatenate str (not "int") to str'),
        ("{{ x.y.z }}", "line 1: 'x' is undefined"),
        ("{% for i in none %}{% endfor %}", "line 1: 'NoneType' object is not iterable"),
        ("{{ namespace() | tojson }}", "line 1: Object of type _Namespace is not JSON serializable"),
        ("{% include 'x' %}", "line 1: no loader for this environment specified"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "the template calls itself too deeply"),
    ],
)
def test_a_template_that_fails_tells_where(show, text, reason):
    assert show(text) == Refused(reason, "failed")


@pytest.mark.parametrize(
    "text",
    [
        "{{ messages.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages['__class__'] }}",
        "{{ messages | attr('__class__') }}",
        "{{ '{0.__class__}'.format(messages) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ raise_exception.__globals__ }}",
        "{{ strftime_now.__closure__ }}",
        "{{ dict.__class__ }}",
        "{{ self.__init__ }}",
        "{% set ns = namespace(__class__=1) %}",
        "{% set ns = namespace() %}{% set ns._x = 1 %}",
        "{% set _ = messages.append(1) %}",
        "{{ range(100001) }}",
    ],
)
def test_what_no_template_may_have_is_refused(renderer, text):
    outcome = renderer.load(text).render_raw([{"role": "user", "content": ""}])
    assert isinstance(outcome, Refused), outcome
    assert outcome.cause == "forbidden"


@pytest.mark.parametrize(
    "text, reason",
    [
        ("{% if %}", "line 1: Expected an expression, got 'end of statement block'"),
        ("a\n{{ x", "line 2: unexpected end of template"),
        ("{{ x | no_such_filter }}", "line 1: No filter named 'no_such_filter'."),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "it is nested too deeply"),
        ("{% for i in x %}" * 30 + "{% endfor %}" * 30, "it cannot be compiled: too many statically nested"),
    ],
)
def test_what_is_no_template_is_told_with_its_line(renderer, text, reason):
    with pytest.raises(InvalidInput) as caught:
        renderer.load(text, name="the template of x.gguf")
    assert f"the template of x.gguf is not valid Jinja for transformers: {reason}" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "the chat template is empty"),
        (" \n", "the chat template is empty"),
        ("x" * (MAX_TEMPLATE_BYTES + 1), "1,048,577 characters, the limit is 1,048,576 bytes"),
        ("é" * (MAX_TEMPLATE_BYTES // 2 + 1), "1,048,578 bytes, the limit is 1,048,576"),
        ("ab\udcff", "the chat template is not valid UTF-8 at character 2"),
    ],
)
def test_texts_that_are_not_read_at_all(renderer, text, message):
    with pytest.raises(InvalidInput, match=message):
        renderer.load(text)


def test_a_template_of_the_greatest_size_is_rendered(show):
    assert show("x" * MAX_TEMPLATE_BYTES) == Rendered("x" * MAX_TEMPLATE_BYTES)


_OWNERS = [
    {"role": "user", "items": 1, "": 2},
    {},
    ["a"],
    "text",
    3,
    1.5,
    True,
    None,
    ("a", "b"),
    {"a"},
    dict,
    len,
    (one for one in ()),
]
_NAMES = (
    *("role", "items", "", "content", "get", "keys", "pop", "update", "append", "index", "upper", "mro"),
    *("gi_frame", "real", "is_integer", "add", "union", "copy", "clear", "fromkeys", "__len__", "_x"),
)


@given(owner=st.sampled_from(_OWNERS), name=st.sampled_from(_NAMES))
def test_attributes_are_those_that_the_sandbox_of_jinja_finds(owner, name):
    for _ in range(2):
        found = _ENVIRONMENT.is_safe_attribute(owner, name, None), _looked_up(_ENVIRONMENT, owner, name)
        assert found == (_JINJA.is_safe_attribute(owner, name, None), _looked_up(_JINJA, owner, name))


_ENVIRONMENT, _JINJA = make_environment(now=None), ImmutableSandboxedEnvironment()


def _looked_up(environment, owner, name):
    """Return what an attribute is; nothing where it is undefined or forbidden."""
    try:
        found = environment.getattr(owner, name)
    except SecurityError:
        return ()
    return () if isinstance(found, Undefined) else (found,)


_PIECES = (
    *("{{ a }}", "{{ b.c }}", "{% set a = b %}", "{% for a in b %}{{ a }}{% endfor %}", "{{ loop }}"),
    *("{% macro a(b) %}{{ b }}{{ c }}{% endmacro %}", "{{ a(c) }}", "{{ strftime_now(d) }}"),
    *("{% if d is defined %}{{ e }}{% endif %}", "{% set n = namespace(a=f) %}{{ n.a }}"),
)


@given(st.lists(st.sampled_from(_PIECES)))
def test_variables_are_those_that_jinja_finds_undeclared(pieces):
    environment = make_environment(now=None)
    tree = environment.parse("".join(pieces))
    environment.compile(tree)
    assert environment.looked_up == meta.find_undeclared_variables(tree)


def test_a_chat_is_rendered_once_where_the_clock_stands_still(renderer):
    text, now = "{{ range(99_999) | random }}{{ x }}", datetime(2026, 3, 7, tzinfo=UTC)
    still, going = renderer.load(text, now=now), renderer.load(text)
    first, second = still.render_variables([{}, {"x": 1}])
    assert still.render_variables([{"x": 1}, {}, {}]) == [second, first, first]
    assert len({str(going.render_variables([{}])) for _ in range(9)}) > 1


def test_a_template_tells_what_it_names(renderer):
    template = renderer.load(
        "{% set a = b %}{% if enable_thinking is defined %}{{ m.x }}{{ m['y'] }}{{ m.get('z') }}{% endif %}"
    )
    assert template.variables == {"b", "enable_thinking", "m"}
    assert template.keys == {"x", "y", "z", "get"}


def test_a_worker_that_forgot_a_template_is_told_it_again():
    with Renderer() as renderer:
        templates = [renderer.load(f"{number}") for number in range(80)]
        assert [one.render_variables([{}, {}])[1].prompt for one in templates] == [str(n) for n in range(80)]


def test_the_order_of_many_chats_is_kept(renderer):
    template = renderer.load("{{ x }}")
    outcomes = template.render_variables([{"x": number} for number in range(500)])
    assert outcomes == [Rendered(str(number)) for number in range(500)]


@given(text=st.text(), other=st.text(st.characters(categories=["Cs", "Cc", "Zl", "Zp"])))
def test_whatever_stands_in_a_chat_comes_through(renderer, text, other):
    message = Message(role="user", content=text + other)
    template = renderer.load("{{ messages[0].content }}")
    conversation = Conversation(name="any", messages=(message,))
    assert template.render([Request(conversation=conversation)]) == [Rendered(text + other)]


@given(text=st.text(st.sampled_from("{%}#- \nabx|()'\"[]0.~+*")) | st.text())
def test_any_text_is_a_template_or_one_clear_error(renderer, text):
    try:
        template = renderer.load(text)
    except InvalidInput:
        return
    (outcome,) = template.render([Request(conversation=HELLO)])
    assert isinstance(outcome, Rendered) or outcome.reason
