"""The Go templates of the families print what the authors' chat templates print, byte for byte.

The chat templates are those of the corpus beside the checkout, where it is, and a few of our own that behave
as the families' do. Ollama's own Go packages render our templates (``gorender``); real servers render a few
chats of each family once more, and show that they honour ours.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import httpx2
import pytest

from gguf2ollama.families import Profile, detect, load_profiles
from tests import reference
from tests.builders import tiny_llama
from tests.live import parts
from tests.live.gorender.program import running_gorender
from tests.live.servers import RunningOllama
from tests.reference import OWN_TEMPLATES, Chat, Message, Refused

pytestmark = pytest.mark.live

_CHECKOUT = Path(__file__).resolve().parents[2]
_CORPUS = _CHECKOUT.parent / "shared" / "corpus" / "chat_templates"
_FAMILIES = sorted(path.stem for path in (_CHECKOUT / "templates" / "profiles").glob("*.yaml"))
_BOS, _EOS = "<bos-token>", "<eos-token>"  # so that tokens are seen to come from the file
_ASSIGNED = {  # some of the corpus, and the family that each is of
    "Command-R-5c7eee8d": "command-r",
    "DeepSeek-V3-bb3d6a1d": "deepseek-v3",
    "Gemma-2-62507807": "gemma2",
    "Gemma-3-3f7731dd": "gemma3",
    "Granite-3.0-05ee2269": "granite3.0",
    "library-granite3.1-moe-1b-711041dc": "granite3.1",
    "Granite-3.3-e4ebcc3f": "granite3.3",
    "Llama-2-b6147db5": "llama2",
    "Llama-3-43230c3d": "llama3",
    "Llama-3.1-3.3-f15c0566": "llama3.1",
    "Llama-3.2-548f0702": "llama3.1",
    "Mistral-Large-2411-v7-c8deac90": "mistral-large",
    "Mistral-Nemo-e81a5e7f": "mistral-nemo",
    "Mistral-Small-3-e68d014d": "mistral-small",
    "Mistral-v1-74733e7f": "mistral-v1",
    "Mistral-Large-Instruct-2407-mistralai-v3-template-modified-t-08f8fbbc": "mistral-v3",
    "Mixtral-8x7B-d34d17aa": "mixtral",
    "Mixtral-8x22B-v3-d5a2748a": "mixtral-8x22b",
    "Phi-3-mini-a744aaf4": "phi3",
    "Phi-3.5-2947e732": "phi3",
    "Phi-4-bf91c149": "phi4",
    "Phi-4-mini-d926af6b": "phi4-mini",
    "Qwen2-6d4c93c4": "qwen2",
    "library-qwen2.5-0.5b-dda20afe": "qwen2.5",
    "Qwen2.5-Coder-9755ed0c": "qwen2.5",
    "Qwen3-b291a11e": "qwen3",
    "SmolLM2-5f9b4bbe": "smollm2",
    "library-dolphin-mixtral-8x7b-552ac458": "chatml",
    # near a family, and not of it
    "library-hermes3-70b-d05c5904": "chatml",
    "library-cogito-14b-3a5f03c7": None,
    "library-qwen2.5vl-latest-6c510c87": None,
    "Hermes-2-Pro-tool-use-ae75f4a6": None,
    "Nemotron-70B-aa99d084": None,
    "Yi-72bda3e1": None,
    "chatml-15-c8f0d281": None,
    "library-llama-guard3-8b-4e1ea4e0": None,
    "qwen3-f5aa0e7b": None,
    "DeepSeek-V3.1-1115be97": None,
    "Devstral-c6dc5bbd": None,
}

Render = Callable[[str, Chat], dict[str, Any]]
Ask = Callable[[Chat], str]


@dataclasses.dataclass(frozen=True)
class Case:
    """A chat of a chat template, and what is to come out.

    ``want`` is ``None`` where the chat template refuses the chat; then ``pieces`` are to stand in what comes
    out.
    """

    chat: Chat
    want: str | None
    pieces: tuple[str, ...] = ()


@pytest.fixture(scope="session")
def go_render() -> Iterator[Render]:
    """Render with Ollama's own packages: the answer of ``gorender`` to a template and a chat."""
    with running_gorender(parts.OLLAMAS[0].version) as gorender:
        yield lambda template, chat: gorender.ask(template, reference.to_ollama(chat))


@cache
def _chat_templates() -> dict[str, str]:
    """Return the chat templates by name: our own, and the corpus where it is."""
    corpus = {path.stem: path.read_text("utf-8") for path in sorted(_CORPUS.glob("*.jinja"))}
    return {f"own {name}": text for name, text in OWN_TEMPLATES.items()} | corpus


def _metadata(text: str, *, architecture: str | None = None, adds_bos: bool = True) -> dict[str, Any]:
    metadata = {
        "general.architecture": architecture,
        "tokenizer.chat_template": text,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": [_BOS, _EOS],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.add_bos_token": adds_bos,
    }
    return {key: value for key, value in metadata.items() if value is not None}


@cache
def _by_family() -> dict[str, dict[str, str]]:
    """Assign the chat templates to families, each template to every family that explains it whole."""
    profiles = load_profiles()
    assigned: dict[str, dict[str, str]] = {profile.family: {} for profile in profiles}
    for name, text in _chat_templates().items():
        for profile in profiles:
            if detect(_metadata(text), profiles=[profile]).profile is not None:
                assigned[profile.family][name] = text
    return assigned


def _profile(family: str) -> Profile:
    return next(profile for profile in load_profiles() if profile.family == family)


def _templates_of(family: str) -> dict[str, str]:
    templates = _by_family()[family]
    if not templates:
        _skip_for_corpus()
    return templates


def _skip_for_corpus() -> NoReturn:
    """End the test for want of the corpus, which nothing can get: it is the publishers' own texts."""
    pytest.skip(f"no corpus of chat templates at {_CORPUS}")


def _cases(profile: Profile, text: str) -> Iterator[Case]:
    """Return the chats of a family and what its authors' template makes of them."""
    chats = list(reference.PLAIN)
    if profile.claims.tools:
        chats += [*reference.TOOL_USE, *reference.TOOL_USE_WITH_TEXT, *reference.PARALLEL_CALLS]
    if profile.claims.thinking:
        chats = [dataclasses.replace(chat, think=True) for chat in chats] + list(reference.THINKING)
    for chat in chats:
        try:
            want = _render(profile, text, chat)
        except Refused as refusal:
            yield _refused(profile, text, chat, refusal)
            continue
        if "tools-added" in _differences(profile) and chat.tools:
            want = _with_tools(want, chat)
        yield Case(chat, want)
    if "thinking-continued" in _differences(profile):
        yield _continued(profile, text)


def _differences(profile: Profile) -> set[str]:
    return {difference.what for difference in profile.known_differences}


def _render(profile: Profile, text: str, chat: Chat) -> str:
    thinking = {} if chat.think is None else {"enable_thinking": chat.think, "thinking": chat.think}
    return reference.render(
        text,
        _as_meant(profile, text, chat),
        tools=chat.tools,
        bos=_BOS,
        eos=_EOS,
        **thinking,
    )


def _as_meant(profile: Profile, text: str, chat: Chat) -> list[Message]:
    """Return the messages as the authors of a family have calls told, where that is not the usual form."""
    messages = [dict(message) for message in chat.messages]
    if "messages[0]['content'][0]['text']" in text and "messages[0]['content'] is string" not in text:
        for message in messages:  # a template for typed content only
            message["content"] = [{"type": "text", "text": message["content"]}]
    if profile.family == "phi4-mini" and chat.tools:
        if messages[0]["role"] != "system":
            messages.insert(0, reference.system(""))
        functions = [tool["function"] for tool in chat.tools]
        messages[0]["tools"] = json.dumps(functions, ensure_ascii=False)
    for message in messages:
        calls = message.pop("tool_calls", None)
        if profile.family == "granite3.0" and message["role"] == "tool":
            message["role"] = "tool_response"
        if not calls:
            continue
        functions = [call["function"] for call in calls]
        if profile.family.startswith("deepseek"):
            tells_objects = "| tojson" in text
            message["content"] = message["content"] or None
            message["tool_calls"] = [
                call if tells_objects else call | {"function": _with_text_arguments(call["function"])}
                for call in calls
            ]
        elif profile.family.startswith("granite") or profile.family == "phi4-mini":
            closing = "<|/tool_call|>" if profile.family == "phi4-mini" else ""
            message["content"] += f"<|tool_call|>{json.dumps(functions, ensure_ascii=False)}{closing}"
        else:
            message["tool_calls"] = calls
    return messages


def _with_text_arguments(function: dict[str, Any]) -> dict[str, Any]:
    return function | {"arguments": json.dumps(function["arguments"], ensure_ascii=False)}


def _refused(profile: Profile, text: str, chat: Chat, refusal: Refused) -> Case:
    """Return what is to come out where a chat template raises, as the profile owns up to it."""
    differences = _differences(profile)
    if chat.messages[0]["role"] == "system" and "system-refused" in differences:
        asked = dataclasses.replace(chat, messages=(reference.user("@first@"), *chat.messages[2:]))
        strips = "| trim" in text
        question = chat.messages[1]["content"].strip() if strips else chat.messages[1]["content"]
        first = f"{chat.messages[0]['content']}\n\n{question}"
        return Case(chat, _render(profile, text, asked).replace("@first@", first))
    calls = [call for message in chat.messages for call in message.get("tool_calls", ())]
    assert len(calls) > 1, f"{profile.family} refuses {chat.name!r}: {refusal}"
    assert "parallel-calls-refused" in differences, f"{profile.family} refuses {chat.name!r}: {refusal}"
    pieces = [json.dumps(call["function"]["arguments"], ensure_ascii=False) for call in calls]
    return Case(chat, None, tuple(pieces))


def _with_tools(want: str, chat: Chat) -> str:
    """Put the tool definitions where ours adds them: after the system text, as in DeepSeek V2.5's card."""
    assert chat.tools
    start = want.startswith(_BOS) * len(_BOS)
    has_system = chat.messages[0]["role"] == "system"
    at = start + len(chat.messages[0]["content"]) * has_system
    block = "\n\n" * has_system + "## Tools\n\n### Function\n\nYou have the following functions available:\n"
    for tool in chat.tools:
        function = json.dumps(tool["function"], ensure_ascii=False, indent=4)
        block += f"\n- `{tool['function']['name']}`:\n```json\n{function}\n```\n"
    return want[:at] + block + want[at:]


def _continued(profile: Profile, text: str) -> Case:
    """Return a chat whose last answer is to go on after its thinking, which the chat template leaves out."""
    last = reference.assistant("Roses are", reasoning_content="A poem.")
    chat = Chat("continued thinking", (reference.user("Write."), last), think=True)
    space = "" if profile.family.startswith("granite") else "\n"
    shown = f"<think>{space}A poem.{space}</think>{space * 2}"
    return Case(chat, _render(profile, text, chat).replace("Roses are", f"{shown}Roses are"))


def _check(case: Case, got: str, *, adds_bos: bool) -> str | None:
    """Return the difference between what came out and what was to, or ``None``."""
    if case.want is None:
        return None if all(piece in got for piece in case.pieces) else f"{case.pieces} are not in {got!r}"
    want = case.want.removeprefix(_BOS) if adds_bos else case.want
    if got == want:
        return None
    at = next((i for i, pair in enumerate(zip(got, want, strict=False)) if len({*pair}) > 1), len(want))
    start, end = max(0, at - 40), at + 80
    return f"differs at {at}\n  want …{want[start:end]!r}\n  got  …{got[start:end]!r}"


@pytest.mark.parametrize("adds_bos", [True, False], ids=["tokenizer adds BOS", "template prints BOS"])
@pytest.mark.parametrize("family", _FAMILIES)
def test_prints_what_the_chat_template_prints(family: str, adds_bos: bool, go_render: Render) -> None:  # noqa: FBT001
    profile = _profile(family)
    wrong = []
    for name, text in _templates_of(family).items():
        template = _template(profile, text, adds_bos=adds_bos)
        for case in _cases(profile, text):
            answer = go_render(template, case.chat)
            problem = answer["error"] or _check(case, answer["prompt"], adds_bos=adds_bos)
            if problem:
                wrong.append(f"{name}: {case.chat.name}: {problem}")
    assert not wrong, "\n".join(wrong)


def _template(profile: Profile, text: str, *, adds_bos: bool = True) -> str:
    template = detect(_metadata(text, adds_bos=adds_bos), profiles=[profile]).go_template
    assert template is not None
    return template


@pytest.mark.parametrize("family", _FAMILIES)
def test_declares_to_ollama_what_the_chat_template_does(family: str, go_render: Render) -> None:
    profile = _profile(family)
    for name, text in _templates_of(family).items():
        features = detect(_metadata(text), profiles=[profile]).features
        template = _template(profile, text)
        answer = go_render(template, reference.PLAIN[0])
        assert ("tools" in answer["vars"]) == profile.claims.tools, name
        assert ("toolcalls" in answer["vars"]) == profile.claims.tools, name
        assert answer["thinking"] == (["<think>", "</think>"] if profile.claims.thinking else ["", ""]), name
        assert features.tools <= profile.claims.tools, name
        assert features.thinking <= profile.claims.thinking, name
        if profile.claims.tools:
            assert 'eq .Role "tool"' in template, name


@pytest.mark.parametrize(
    "family, tag",
    [
        ("deepseek-v3", "<\uff5ctool▁calls▁begin\uff5c>"),
        ("granite3.1", "<|tool_call|>["),
        ("llama3.1", "{"),
        ("mistral-nemo", "[TOOL_CALLS]["),
        ("mistral-v3", "[TOOL_CALLS] ["),
        ("phi4-mini", "<|tool_call|>["),
        ("qwen2.5", "<tool_call>"),
        ("qwen3", "<tool_call>"),
    ],
)
def test_ollama_finds_the_tag_that_opens_a_call(family: str, tag: str, go_render: Render) -> None:
    for name, text in _templates_of(family).items():
        answer = go_render(_template(_profile(family), text), reference.TOOL_USE[0])
        assert answer["tool_tag"] == tag, name


def test_templates_are_assigned_to_their_families() -> None:
    if not _CORPUS.is_dir():
        _skip_for_corpus()
    profiles = load_profiles()
    templates = _chat_templates()
    architectures = {"library-hermes3-70b-d05c5904": "llama"}
    found = {
        name: detect(_metadata(templates[name], architecture=architectures.get(name)), profiles=profiles)
        for name in _ASSIGNED
    }
    assert {name: one.profile and one.profile.family for name, one in found.items()} == _ASSIGNED


def test_no_template_of_an_unknown_family_is_taken_for_one() -> None:
    """What detection assigns is printed exactly (above); all others have no profile, and a reason."""
    profiles = load_profiles()
    for name, text in _chat_templates().items():
        detection = detect(_metadata(text), profiles=profiles)
        if detection.profile is None:
            assert detection.confidence == "none", name
            assert "matches no known family" in detection.reason, name
            assert detection.go_template is None, name


@pytest.mark.parametrize("family", _FAMILIES)
def test_a_real_server_honours_and_prints_it(
    family: str, ollama_server: RunningOllama, tmp_path: Path
) -> None:
    profile = _profile(family)
    name, text = next(iter(reversed(_templates_of(family).items())))
    path = tiny_llama(
        tmp_path / "tiny.gguf",
        chat_template=text,
        special_tokens=(_BOS, _EOS),
    )
    cases = _few(profile, _cases(profile, text))
    with _created(ollama_server, f"render-{family}", path, _template(profile, text, adds_bos=False)) as chat:
        for case in cases:
            got = chat(case.chat)
            assert _check(case, got, adds_bos=False) is None, f"{name}: {case.chat.name}"
    log = ollama_server.log.read_text("utf-8", errors="replace")
    lines = [
        line for line in log.splitlines() if "template selection" in line and f"render-{family}:" in line
    ]
    assert lines
    assert all("selected=go_template" in line for line in lines), lines[-1]


def _few(profile: Profile, cases: Iterator[Case]) -> list[Case]:
    """Choose chats that a server can be asked: thinking only where it is claimed."""
    names = {
        "system, seven messages",
        "marks",
        "Unicode",
        "system, prefill",
        "odd arguments",
        "parallel calls",
    }
    names |= {"call, result, answer", "thinking refused", "thinking before a call"}
    return [case for case in cases if case.chat.name in names]


@contextlib.contextmanager
def _created(server: RunningOllama, name: str, gguf: Path, template: str) -> Iterator[Ask]:
    """Create a model with a TEMPLATE; give what renders a chat on the server; delete it at last."""
    data = gguf.read_bytes()
    digest = f"sha256:{sha256(data).hexdigest()}"
    with httpx2.Client(base_url=server.url, timeout=120, trust_env=False) as client:

        def ask(path: str, body: dict[str, Any]) -> Any:
            answer = client.post(path, json=body | {"model": name, "stream": False})
            assert answer.is_success, answer.text
            return answer.json()

        client.post(f"/api/blobs/{digest}", content=data).raise_for_status()
        ask(
            "/api/create",
            {"files": {gguf.name: digest}, "template": template, "parameters": {"stop": [_EOS]}},
        )
        try:
            yield lambda chat: ask(
                "/api/chat",
                reference.to_ollama(chat) | {"_debug_render_only": True, "truncate": False},
            )["_debug_info"]["rendered_template"]
        finally:
            ask("/api/generate", {"keep_alive": 0})
            client.request("DELETE", "/api/delete", json={"model": name})
