"""Real servers: what ``verify`` asks a model itself passes where it is packed right, and only there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gguf2ollama import build
from gguf2ollama.errors import NotFound
from gguf2ollama.ollama import Client
from gguf2ollama.verification.smoke_tests import run_smoke_tests
from gguf2ollama.verification.verify import verify
from tests.calling_templates import JSON_CALLS, KEYS_AND_VALUES, XML_CALLS
from tests.live import parts
from tests.live.rendering import RenderingServer
from tests.live.servers import RunningOllama
from tests.scripted_llama import scripted_llama

pytestmark = pytest.mark.live

_CALLS = {
    JSON_CALLS: '<tool_call>\n{"name": "get_temperature", "arguments": {"city": "Paris"}}\n</tool_call>',
    XML_CALLS: (
        "<tool_call>\n<function=get_temperature>\n<parameter=city>\nParis\n</parameter>\n</function>\n"
        "</tool_call>"
    ),
    KEYS_AND_VALUES: (
        "<tool_call>get_temperature<arg_key>city</arg_key><arg_value>Paris</arg_value></tool_call>"
    ),
}
_NAMES = {JSON_CALLS: "JSON", XML_CALLS: "XML", KEYS_AND_VALUES: "keys and values"}
_ALL = {"loads": "passed", "answers": "passed", "calls a tool": "passed", "separates reasoning": "passed"}
_WITHOUT_THOUGHTS = (  # shows none, and so does the server read none
    "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}{{ range .ToolCalls }}{{ . }}{{ end }}"
    "<|im_end|>\n{{ end }}{{ range .Tools }}{{ . }}{{ end }}<|im_start|>assistant\n<think>\n"
)


@pytest.fixture(autouse=True)
def _no_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "none"))
    monkeypatch.setenv("GGUF2OLLAMA_PARTS", str(parts.cache_dir()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def client(ollama_server: RunningOllama) -> Iterator[Client]:
    with Client(ollama_server.url) as client:
        yield client


@pytest.fixture
def server(ollama_server: RunningOllama) -> Iterator[RenderingServer]:
    with RenderingServer(ollama_server) as server:
        yield server


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a model which does what it is asked for, as a chat template has it."""

    def one(chat_template: str, *, says: str = "I shall greet.\n</think>\n\nHello there!") -> Path:
        is_off = "assistant\n</think>" if chat_template == KEYS_AND_VALUES else "<think>\n\n</think>"
        return scripted_llama(
            tmp_path / "scripted.gguf",
            says,
            after={
                "7 times 8": "Seven eights.\n</think>\n\nThat makes 56.",
                "Use the tool.": f"I need it.\n</think>\n\n{_CALLS[chat_template]}",
                "22 degrees Celsius": "So warm.\n</think>\n\nIt is 22 degrees there.",
                is_off: "It is 56, I think.",
            },
            chat_template=chat_template,
        )

    return one


def _states(client: Client, name: str) -> dict[str, str]:
    capabilities = client.show(name).capabilities
    found = run_smoke_tests(client, name, capabilities=capabilities, turn_marks=("<|im_end|>",))
    return {one.name: one.state for one in found}


@pytest.mark.parametrize("chat_template", _CALLS, ids=_NAMES.get)
def test_what_build_creates_is_verified_and_has_all_its_capabilities(
    ollama_server: RunningOllama, client: Client, write: Callable[..., Path], chat_template: str
) -> None:
    path = write(chat_template)
    built = build(path, name="scripted", host=ollama_server.url, via="pull")
    try:
        assert built.differences == ()
        found = verify("scripted", host=ollama_server.url, source=path)
        assert {one.name: one.state for one in found.checks} == _ALL, found.checks
        assert found.is_verified, [case.conversation.name for case in found.parity.faults]
        assert built.plan.inspection.recipe.template_origin == "native"
        assert client.show("scripted").parser == ""
    finally:
        with contextlib.suppress(NotFound):
            client.delete("scripted")


@pytest.mark.parametrize("chat_template", _CALLS, ids=_NAMES.get)
def test_a_native_model_has_all_its_capabilities(
    server: RenderingServer, client: Client, write: Callable[..., Path], chat_template: str
) -> None:
    with server.model(write(chat_template).read_bytes()) as name:
        assert _states(client, name) == _ALL


def test_a_call_that_the_server_does_not_parse_is_found(
    server: RenderingServer, client: Client, write: Callable[..., Path]
) -> None:
    gguf = write(XML_CALLS).read_bytes()
    template = _WITHOUT_THOUGHTS.replace("<think>\n", "")
    with server.model(gguf, go_template=template, parser="passthrough") as name:
        assert _states(client, name)["calls a tool"] == "failed"


def test_reasoning_that_stays_in_the_answer_is_found(
    server: RenderingServer, client: Client, write: Callable[..., Path]
) -> None:
    shows_thoughts = _WITHOUT_THOUGHTS.replace(
        "{{ .Content }}", "{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}"
    )
    gguf = write(XML_CALLS).read_bytes()
    with server.model(gguf, go_template=shows_thoughts, parser="qwen3-coder") as name:
        assert _states(client, name) == {**_ALL, "separates reasoning": "failed"}


def test_output_past_the_end_of_turn_is_found(
    server: RenderingServer, client: Client, write: Callable[..., Path]
) -> None:
    gguf = write(JSON_CALLS, says="Hm.\n</think>\n\nHello!<|im_end|>\n<|im_start|>user\nHello!").read_bytes()
    with server.model(gguf) as name:
        assert _states(client, name)["answers"] == "failed"
