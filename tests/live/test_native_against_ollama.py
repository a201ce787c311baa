"""What is predicted of the native way is what real servers do, byte for byte."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.llamacpp import NativeTemplate, Unpredictable, read_native
from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen, TemplateFault
from gguf2ollama.chat.llamacpp.jinja_engine.interpreter import Dialect, load
from gguf2ollama.chat.outcome import Outcome, Refused, Rendered
from tests.live.native_templates import CHANGING_TEMPLATES, NATIVE_TEMPLATES
from tests.live.rendering import BOS, EOS, RenderingServer, corpus_templates
from tests.live.servers import RunningOllama

pytestmark = pytest.mark.live

# of which llama.cpp's Jinja engine makes something of its own, or an error; one on each line
_EXPRESSIONS = Path(__file__).with_name("native_expressions.txt").read_text("utf-8").splitlines()
_SAMPLE = (  # of the corpus, by what their names begin with
    *("Apertus", "Command-R7B", "DeepSeek-V3.1", "Gemma-3-", "Gemma-4", "GLM-4.6", "Granite-3.3"),
    *("Llama-3.1", "Mistral-Nemo", "Phi-3.5", "Qwen3-", "SmolLM3"),
)
_OPEN_END = Conversation(
    name="an open end with white space",
    messages=(Message(role="user", content=" Go on. "), Message(role="assistant", content=" So \n")),
)
_FEW = (*battery()[::5], _OPEN_END)


@pytest.fixture
def server(ollama_server: RunningOllama) -> Iterator[RenderingServer]:
    """Return a server that renders."""
    with RenderingServer(ollama_server) as server:
        yield server


def _read(
    text: str, server: RenderingServer, *, adds_bos: bool = False, family: str = "llama"
) -> NativeTemplate:
    return read_native(
        text, version=server.ollama.version, bos=BOS, eos=EOS, adds_bos=adds_bos, family=family
    )


def _compare(
    native: NativeTemplate, conversations: Sequence[Conversation], got: Sequence[Outcome]
) -> tuple[Counter[str], list[str]]:
    """Count what was predicted, and tell of each prediction that is wrong."""
    counts: Counter[str] = Counter()
    wrong = []
    for conversation, real in zip(conversations, got, strict=True):
        prediction = native.render(conversation)
        counts[type(prediction).__name__] += 1
        if isinstance(prediction, Unpredictable):
            continue
        same = prediction == real if isinstance(real, Rendered) else isinstance(prediction, Refused)
        if not same:
            wrong.append(f"{conversation.name}: predicted {prediction!r:.600}, is {real!r:.600}")
    return counts, wrong


@pytest.mark.parametrize("name", NATIVE_TEMPLATES)
def test_own_templates_are_predicted(name: str, server: RenderingServer) -> None:
    text = NATIVE_TEMPLATES[name]
    native = _read(text, server)
    got = server.render(text, _FEW)
    counts, wrong = _compare(native, _FEW, got)
    assert not wrong
    assert not counts["Unpredictable"]
    assert (native.refusal is not None) == all(isinstance(one, Refused) for one in got)
    assert server.show(text).capabilities == native.capabilities | {"completion"}


def test_templates_that_change_what_they_are_given_are_predicted(server: RenderingServer) -> None:
    names = {"one turn", "system, four turns", "call and result", "parallel calls", "answer to be continued"}
    asked = [one for one in battery() if one.name in names]
    total: Counter[str] = Counter()
    for name, text in CHANGING_TEMPLATES.items():
        native = _read(text, server)
        got = server.render(text, asked)
        counts, wrong = _compare(native, asked, got)
        assert not wrong, name
        if not counts["Unpredictable"]:
            assert (native.refusal is not None) == all(isinstance(one, Refused) for one in got), name
        total += counts
    assert total["Rendered"] > total["Unpredictable"]


@pytest.mark.parametrize("adds_bos", [True, False])
def test_tokens_that_the_tokenizer_adds_are_cut(adds_bos: bool, server: RenderingServer) -> None:  # noqa: FBT001
    text = NATIVE_TEMPLATES["BOS and EOS"]
    got = server.render(text, _FEW, adds_bos=adds_bos)
    assert not _compare(_read(text, server, adds_bos=adds_bos), _FEW, got)[1]
    plain = next(one for one in got if isinstance(one, Rendered))
    assert plain.prompt.startswith(BOS) is not adds_bos


@pytest.mark.parametrize("family", ["qwen3", "gptoss"])
def test_families_that_ollama_treats_apart(family: str, server: RenderingServer) -> None:
    asked = [
        _chat("<think>\nhm\n</think>\n\nAnswer", "Then?"),
        _chat("  <think>hm", "Then?"),
        _chat("say <think>hm</think> x", "Then?"),
        _chat("<think></think>Answer"),
    ]
    text = NATIVE_TEMPLATES["a switch at the end"]
    got = server.render(text, asked, family=family)
    counts, wrong = _compare(_read(text, server, family=family), asked, got)
    assert not wrong
    assert counts["Rendered"] == len(asked)


def _chat(*contents: str) -> Conversation:
    roles = ("assistant", "user")
    told = tuple(Message(role=roles[at % 2], content=content) for at, content in enumerate(contents))
    return Conversation(name=contents[0], messages=(Message(role="user", content="Why?"), *told))


def test_expressions_are_predicted(server: RenderingServer) -> None:
    """All in one template: the content of the question says which is printed."""
    parsed = [one for one in _EXPRESSIONS if _is_parsed(one)]
    text = "{% set asked = messages[0].content %}" + "".join(
        f"{{% if asked == 'k{number}e ' %}}{expression}{{% endif %}}"
        for number, expression in enumerate(parsed)
    )
    text += (
        "{% for m in messages %}{% if not m.content.startswith('k') %}{{ m.content }}{% endif %}{% endfor %}"
    )
    asked = [
        Conversation(name=expression, messages=(Message(role="user", content=f"k{number}e "),))
        for number, expression in enumerate(parsed)
    ]
    counts, wrong = _compare(_read(text, server), asked, server.render(text, asked))
    assert not wrong, "\n".join(wrong)
    assert counts["Rendered"] > 60
    assert counts["Refused"] > 30
    assert counts["Unpredictable"] < 5


def _is_parsed(text: str) -> bool:
    try:
        load(text, Dialect())
    except (TemplateFault, NotForeseen):
        return False
    return True


@pytest.mark.parametrize("expression", [one for one in _EXPRESSIONS if not _is_parsed(one)])
def test_what_llama_cpp_does_not_parse_keeps_it_from_starting(
    expression: str, server: RenderingServer
) -> None:
    text = expression + "{{ messages[0].content }}"
    (got,) = server.render(text, _FEW[:1])
    assert isinstance(got, Refused)
    assert _read(text, server).refusal


def _skip_without_corpus(texts: dict[str, str]) -> None:
    if not texts:
        pytest.skip("no chat templates of the corpus: they are looked for in shared/ beside the checkout")


def test_some_templates_of_the_corpus_are_predicted(server: RenderingServer) -> None:
    texts = {name: text for name, text in corpus_templates().items() if name.startswith(_SAMPLE)}
    _skip_without_corpus(texts)
    assert len(texts) >= len(_SAMPLE)
    for name, text in texts.items():
        counts, wrong = _compare(_read(text, server), _FEW, server.render(text, _FEW))
        assert not wrong, name
        assert not counts["Unpredictable"], name


@pytest.mark.corpus
def test_all_templates_of_the_corpus_are_predicted(
    server: RenderingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = corpus_templates()
    _skip_without_corpus(texts)
    conversations = battery()
    faults: list[str] = []
    counts: Counter[str] = Counter()
    for name, text in texts.items():
        native = _read(text, server)
        some, wrong = _compare(native, conversations, server.render(text, conversations))
        counts += some
        faults += [f"{name}: {one}" for one in wrong]
        if server.show(text).capabilities != native.capabilities | {"completion"}:
            faults.append(f"{name}: other capabilities")
    with capsys.disabled():
        sys.stdout.write(f"\nOllama {server.ollama.version}: {dict(counts)}, wrong {len(faults)}\n")
    assert not faults, "\n".join(faults[:20])
    assert counts["Unpredictable"] < counts.total() / 100
