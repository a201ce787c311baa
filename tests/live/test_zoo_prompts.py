"""What an architecture and its tokenizer have to do with prompts, live: little.

One and the same chat template in a body of every architecture, and one and the same TEMPLATE beside it, make
the same prompts, with these exceptions on 0.32.15 and 0.34.4. In family ``qwen3`` Ollama takes thoughts out
of earlier answers (``filterThinkTags`` in ``server/routes.go``). Family ``gpt-oss`` can think whatever its
chat template says (``server/images.go``), so that nobody who asks for it is refused. And ``bos_token`` of a
BPE tokenizer that names none is token 11 (``llama-vocab.cpp``), unless it is one of GLM's.
"""

import pytest

from gguf2ollama.chat.battery.test_conversations import battery
from gguf2ollama.chat.outcome import Rendered
from tests.calling_templates import JSON_CALLS
from tests.live.rendering import RenderingServer
from tests.zoo.models import MODELS

pytestmark = pytest.mark.live

CONVERSATIONS = battery()
USUAL = "llama-chatml"
SOME = ("gemma4", "lfm2", "gpt-oss", "deepseek2", "laguna", "nemotron_h_moe", "mamba", "llama-2", "qwen3")
NOT_RUN = {"dream", "llada", "rnd1"}  # diffusion: llama-server ends itself when it loads one (b10488, b11095)
TOO_NEW = {"cohere2moe", "granite_swa", "muse-glimmer"}  # for 0.32.15
NO_BOS_AT_ALL = {"glm4", "chatglm-bpe"}  # pre-tokenizers
# BOS stands before all that a template prints, unless the tokenizer adds it; the end of a turn is printed
BOS_AND_EOS = (
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}⟦{{ eos_token }}⟧{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
GO = (
    "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}"
    "{{ .Content }}{{ range .ToolCalls }}<call>{{ json .Function.Arguments }}</call>{{ end }}<|im_end|>\n"
    "{{ end }}"
    '{{ if .Tools }}{{ json .Tools }}{{ end }}<|im_start|>assistant\n{{/* eq .Role "tool" */}}'
)
WAYS = {"native": (JSON_CALLS, None), "BOS and EOS": (BOS_AND_EOS, None), "TEMPLATE": (JSON_CALLS, GO)}


@pytest.fixture
def rendering(ollama_server):
    with RenderingServer(ollama_server) as server:
        yield server


def each(names):
    models = [MODELS[name] for name in names]
    return pytest.mark.parametrize("model", models, ids=lambda model: model.name)


def every_chat():
    return [name for name, model in MODELS.items() if not model.embeds and name not in NOT_RUN | {USUAL}]


def prompts(rendering, model, *, way, tmp_path):
    """Render each conversation; what is refused is ``None``, and a token that tokenizers name is a word."""
    jinja, go_template = WAYS[way]
    gguf = model.make(tmp_path / "model.gguf", chat_template=jinja).read_bytes()
    with rendering.model(gguf, family=model.architecture, go_template=go_template) as name:
        outcomes = [rendering._ask(name, conversation) for conversation in CONVERSATIONS]
    told = [outcome.prompt if isinstance(outcome, Rendered) else None for outcome in outcomes]
    assert any(told)
    if way != "BOS and EOS":
        return told
    eos = f"⟦{model.vocabulary.roles['eos']}⟧"
    return [prompt and prompt.removeprefix(bos_of(model.vocabulary)).replace(eos, "⟦EOS⟧") for prompt in told]


def bos_of(vocabulary):
    """Return what ``bos_token`` is; the tokens of our BPE vocabularies begin with the 256 bytes."""
    if "bos" in vocabulary.roles:
        return vocabulary.roles["bos"]
    return "\x0b" if vocabulary.model == "gpt2" and vocabulary.pre not in NO_BOS_AT_ALL else ""


@pytest.fixture(scope="module")
def usual_prompts():
    """Keep what the usual architecture makes of it, for each server and way."""
    return {}


def differing(rendering, model, usual_prompts, *, way, tmp_path):
    key = rendering.ollama.version, way
    if key not in usual_prompts:
        usual_prompts[key] = prompts(rendering, MODELS[USUAL], way=way, tmp_path=tmp_path)
    theirs = prompts(rendering, model, way=way, tmp_path=tmp_path)
    pairs = zip(CONVERSATIONS, theirs, usual_prompts[key], strict=True)
    return {conversation.name for conversation, one, other in pairs if one != other}


def has_thoughts_or_blanks(conversation):
    """Whether an earlier answer holds a thought in its text, or nothing but the beginning of one."""
    answers = [message.content for message in conversation.messages if message.role == "assistant"]
    return any("<think>" in answer or "<think>".startswith(answer.lstrip()) for answer in answers if answer)


def check(rendering, model, usual_prompts, *, way, tmp_path):
    if model.name in TOO_NEW and rendering.ollama.version == "0.32.15":
        pytest.skip(f"llama.cpp of Ollama 0.32.15 doesn't know {model.architecture}")
    found = differing(rendering, model, usual_prompts, way=way, tmp_path=tmp_path)
    if model.architecture == "qwen3":
        assert found <= {one.name for one in CONVERSATIONS if has_thoughts_or_blanks(one)}
        assert found or way == "BOS and EOS"  # which can't think, so that nothing is taken out
    elif model.architecture == "gpt-oss" and way == "BOS and EOS":
        assert found == {one.name for one in CONVERSATIONS if one.think and not one.tools}
    else:
        assert found == set()


@each(SOME)
@pytest.mark.parametrize("way", ["native"])
def test_what_a_prompt_has_of_the_architecture(rendering, model, way, usual_prompts, tmp_path):
    check(rendering, model, usual_prompts, way=way, tmp_path=tmp_path)


@pytest.mark.corpus
@each(every_chat())
@pytest.mark.parametrize("way", WAYS)
def test_what_prompts_have_of_all_architectures(rendering, model, way, usual_prompts, tmp_path):
    check(rendering, model, usual_prompts, way=way, tmp_path=tmp_path)
