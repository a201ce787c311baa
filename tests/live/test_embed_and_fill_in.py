"""Models that embed, and models that fill in the middle, on real servers by each transport."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gguf2ollama import build
from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio import TypedValue, ValueType
from gguf2ollama.install.transport import Via
from gguf2ollama.ollama import Client
from gguf2ollama.verification.smoke_tests import run_smoke_tests
from gguf2ollama.verification.verify import verify
from tests.builders import CHATML_TOKENS, tiny_llama
from tests.calling_templates import JSON_CALLS_NO_THOUGHTS
from tests.live.servers import RunningOllama
from tests.zoo.models import MODELS

pytestmark = pytest.mark.live

WAYS: tuple[Via, ...] = ("link", "pull", "upload")
FIM = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
PROMPT = "<|fim_prefix|>def f(<|fim_suffix|>return<|fim_middle|>"
CODER = {"general.name": "Tiny Coder"}
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def client(ollama_server: RunningOllama, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Client]:
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama_server.store))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Client(ollama_server.url) as client:
        yield client


@pytest.mark.parametrize("via", WAYS)
def test_a_header_that_lacks_pooling_is_completed(client: Client, tmp_path: Path, via: Via) -> None:
    path = tmp_path / "Qwen3-Embedding-Tiny.gguf"
    tiny_llama(path, architecture="qwen3", metadata={"qwen3.context_length": 4096})
    build(path, name="embeds", via=via, host=client.address.base_url)

    assert client.show("embeds").metadata["qwen3.pooling_type"] == 3
    found = verify("embeds", host=client.address.base_url)
    assert {check.name: check.state for check in found.checks} == dict.fromkeys(
        ("embeds", "unit length", "distinguishes texts", "embeds long texts"), "passed"
    )


def test_an_encoder_embeds_as_its_user_says(client: Client, tmp_path: Path) -> None:
    path = MODELS["bert"].make(tmp_path / "bert.gguf", chat_template=None, pools=False)
    with pytest.raises(UsageProblem, match="does not say how it pools"):
        build(path, name="encoder", host=client.address.base_url)
    build(path, name="encoder", pooling="cls", host=client.address.base_url)
    assert verify("encoder", host=client.address.base_url).is_verified


def test_texts_that_are_cut_are_noticed(client: Client, tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "cut.gguf", metadata={"llama.pooling_type": 1, "llama.context_length": 4096})
    cut = {"num_ctx": 4096, "num_batch": 512}
    build(path, name="cut", host=client.address.base_url)
    client.create("cut", from_="cut", parameters=cut).drain()
    found = verify("cut", host=client.address.base_url)
    assert [check.name for check in found.checks if check.state == "failed"] == ["embeds long texts"]


@pytest.mark.parametrize("via", WAYS)
def test_a_code_model_fills_in_the_middle_and_chats_as_before(
    client: Client, tmp_path: Path, via: Via
) -> None:
    path = tmp_path / "coder.gguf"
    tiny_llama(path, metadata=CODER, special_tokens=(*FIM, *CHATML_TOKENS))
    build(path, name="coder", via=via, host=client.address.base_url)

    assert client.show("coder").capabilities == ("completion", "insert")
    assert client.render_suffix("coder", "def f(", suffix="return") == PROMPT
    assert client.render("coder", HELLO) == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    checks = run_smoke_tests(client, "coder", capabilities=("insert",), turn_marks=())
    assert {check.name: check.state for check in checks}["fills in the middle"] != "failed"


@pytest.mark.parametrize("via", ["link", "upload"])
def test_tools_go_first_unless_the_user_says_otherwise(client: Client, tmp_path: Path, via: Via) -> None:
    path, host = tmp_path / "tools.gguf", client.address.base_url
    template, tokens = JSON_CALLS_NO_THOUGHTS, (*FIM, *CHATML_TOKENS)
    tiny_llama(path, chat_template=template, metadata=CODER, special_tokens=tokens)
    result = build(path, name="tools", via=via, host=host)
    assert any("--fim" in warning for warning in result.plan.warnings)
    assert set(client.show("tools").capabilities) == {"completion", "tools"}

    build(path, name="tools", via=via, fim=True, host=host)
    assert set(client.show("tools").capabilities) == {"completion", "tools", "insert"}
    assert client.render_suffix("tools", "def f(", suffix="return") == PROMPT


@pytest.mark.parametrize(
    "value",
    [99_999, TypedValue(ValueType.INT32, -1), "<|fim_prefix|>"],
    ids=["out of range", "negative", "text"],
)
def test_a_number_that_is_no_token_keeps_nothing_from_loading(
    client: Client, tmp_path: Path, value: object
) -> None:
    metadata = {**CODER, "tokenizer.ggml.fim_pre_token_id": value}
    path = tiny_llama(
        tmp_path / "odd.gguf", chat_template=None, metadata=metadata, special_tokens=(*FIM, *CHATML_TOKENS)
    )
    build(path, name="odd", host=client.address.base_url)
    assert "insert" in client.show("odd").capabilities
