"""What the text of a chat template shows without being run."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gguf2ollama.jinja.facts import (
    normalize_mark,
    read_chat_template,
    shows_media,
    shows_thinking,
    shows_tools,
)
from tests.examples import examples
from tests.reference import OWN_TEMPLATES


def read(text):
    template = read_chat_template(text)
    assert template is not None
    return template


def test_texts_outside_tags_and_printed_literals_count():
    template = read("Hello {{ 'dear ' + name }}{% set end = ', bye' %}{{ end }}")
    assert template.printed == ("Hello ", "dear ", ", bye")


@pytest.mark.parametrize(
    "text",
    [
        "{% if role == 'user' %}{{ x }}{% endif %}",
        "{{ message['content'] }}",
        "{{ raise_exception('no') }}",
        "{% if 'tools' in message %}{{ x }}{% endif %}",
        "{% if content.startswith('<a>') %}{{ x }}{% endif %}",
        "{{ messages | selectattr('role', 'equalto', 'user') }}",
        "{{ strftime_now('%Y') }}",
        "{# a comment #}",
    ],
)
def test_literals_that_are_only_asked_about_do_not_count(text):
    assert read(text).printed == ()


def test_a_default_that_may_be_printed_counts():
    assert read("{{ x | default('none at all') }}").printed == ("none at all",)


@pytest.mark.parametrize(
    "condition",
    [
        "false == true",
        "documents",
        "tools and documents",
        "not (documents is not defined)",
        "builtin_tools is defined",
        "'citations' in controls",
        "documents or 'x' == 'y'",
    ],
)
def test_branches_that_no_chat_through_ollama_reaches_do_not_count(condition):
    template = read(f"{{% if {condition} %}}{{{{ 'hidden' | upper }}}}{{% else %}}shown{{% endif %}}")
    assert template.printed == ("shown",)
    assert template.transforms == set()


@pytest.mark.parametrize("condition", ["tools", "not documents and tools", "documents or tools", "x == y"])
def test_branches_that_depend_on_the_chat_count(condition):
    template = read(f"{{% if {condition} %}}one{{% else %}}two{{% endif %}}")
    assert template.printed == ("one", "two")


def test_what_comes_after_a_branch_that_always_holds_does_not_count():
    assert read("{% if not documents %}one{% elif tools %}two{% else %}three{% endif %}").printed == ("one",)


def test_a_name_that_the_template_sets_may_hold():
    assert read("{% set documents = tools %}{% if documents %}one{% endif %}").printed == ("one",)


def test_filters_and_methods_are_reported_with_their_arguments():
    template = read(
        "{{ a | trim }}{{ b.strip() }}{{ c | tojson(indent=4) }}{{ d.split('</think>')[-1].lstrip('\\n') }}"
        "{{ e | length }}{{ f.items() }}{{ g.replace(h, '') }}"
    )
    assert template.transforms == {
        "trim",
        "tojson(indent=4)",
        "split('</think>')",
        r"lstrip('\n')",
        "replace(…, '')",
    }


def test_whitespace_that_leaks_from_between_tags_is_seen():
    assert read("{{ a }}\n{{ b }}").is_loose
    assert not read("{% if a %}\n{{ b }}{% endif %}").is_loose  # trim_blocks takes the newline
    assert not read("{{ a }}\n  {{- b }}").is_loose


def test_bos_is_seen_where_it_is_named():
    assert read("{{ bos_token }}{{ a }}").has_bos
    assert not read("{{ a }}").has_bos


def test_the_tags_of_transformers_are_known():
    template = read("{% for m in messages %}{% generation %}x y{% endgeneration %}{% break %}{% endfor %}")
    assert template.printed == ("x y",)


@pytest.mark.parametrize(
    "text",
    [
        "{{ a",
        "{% unknown %}",
        "{% if a %}",
        "{{ " + "(" * 5000,
        "{{ a" + "+ a" * 50_000 + " }}",
        f"{{{{ {'9' * 5000} }}}}",
        "{{ a }}" * 100_000,
        "a\udcff",
    ],
    ids=["cut", "tag", "open", "nested", "chain", "number", "long", "no UTF-8"],
)
def test_what_is_not_a_template_is_none(text):
    assert read_chat_template(text) is None


@settings(max_examples=examples(1.25))
@given(
    st.lists(
        st.sampled_from(
            [
                *("{{", "}}", "{%", "%}", "{#", "#}", "-", "if ", "else", "endif", "for ", " in ", "a", ".b"),
                *(
                    "'c'",
                    "|trim",
                    "(",
                    ")",
                    "[",
                    "]",
                    "==",
                    "+",
                    "set ",
                    "=",
                    "\n",
                    "not ",
                    "is defined",
                    "\\",
                ),
            ]
        ),
        max_size=30,
    ).map("".join)
    | st.text(max_size=50)
    | st.tuples(st.sampled_from(sorted(OWN_TEMPLATES.values())), st.integers(0, 400)).map(
        lambda pair: pair[0][: pair[1]]
    )
)
def test_no_text_breaks_the_reading(text):
    template = read_chat_template(text)
    assert template is None or all(one.strip() for one in template.printed)


def test_marks_are_written_in_one_way():
    assert (
        normalize_mark("""message["role"] == "user" and m['content']""")
        == "message.role == 'user' and m.content"
    )


@pytest.mark.parametrize(
    "text, kinds",
    [
        ("{% if item.type == 'image' %}<img>{% endif %}", ("image",)),
        ("{% if 'image_url' in item or item['type'] == \"audio\" %}x{% endif %}", ("image", "audio")),
        ("{% if item.type in ['image', 'text'] %}<img>{% endif %}", ("image",)),
        ("Describe an image {{ image }}{# == 'image' #}", ()),
        ("{% if x == 'image' ", ()),
    ],
)
def test_media_are_what_a_template_looks_for(text, kinds):
    assert shows_media(text) == kinds


def test_capabilities_are_read_as_ollama_reads_them():
    assert shows_tools("{% if tools %}")
    assert shows_tools("message.tool_calls")
    assert not shows_tools("message.role")
    assert shows_thinking("<think></think>")
    assert shows_thinking("content.split('</think>')")
    assert not shows_thinking("content.split('</think>') reasoning_content")
    assert not shows_thinking("<think>")
