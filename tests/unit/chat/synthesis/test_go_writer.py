from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.chat.synthesis.go_writer import GoWriter
from gguf2ollama.gotmpl.parse import parse
from gguf2ollama.ollama_template.execute import execute

BODY = {"messages": [{"role": "user", "content": "x"}]}
TEXTS = st.lists(
    st.one_of(st.text(max_size=8), st.sampled_from(["{{", "}}", "\n", " \n", "{", "-", "a\n", "\na"]))
)


def written(texts, between):
    go = GoWriter()
    go.do("$messages := .Messages")
    for text in texts:
        go.print(text)
        between(go)
    go.do("$messages = .Messages")
    return execute(parse(str(go).strip("\n")), BODY, version="0.34.4")


@given(TEXTS)
def test_texts_are_printed_as_they_are_between_actions(texts):
    assert written(texts, lambda go: go.do("$messages = .Messages")) == "".join(texts)


@given(TEXTS)
def test_texts_are_printed_as_they_are_between_values(texts):
    assert written(texts, lambda go: go.value('"|"')) == "".join(f"{text}|" for text in texts)


@given(TEXTS)
def test_texts_are_printed_as_they_are_one_behind_the_other(texts):
    assert written(texts, lambda _: None) == "".join(texts)


def test_a_line_of_text_is_written_as_it_is():
    go = GoWriter()
    with go.block("if .Messages"):
        go.print("<|user|>\n")
        go.value(".System")
        go.print("<|end|>\n")
    assert str(go) == "\n{{- if .Messages }}<|user|>\n{{ .System }}<|end|>\n{{ end }}"


def test_quotes_that_would_end_a_value_in_a_modelfile_are_not_written():
    go = GoWriter()
    go.print('Answer """briefly""".')
    assert '"""' not in str(go)
    assert execute(parse(str(go)), BODY, version="0.34.4").startswith('Answer """briefly""".')
