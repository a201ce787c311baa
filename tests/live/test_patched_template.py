"""A model that carries another chat template than its GGUF does, on real servers."""

import hashlib
import json
import subprocess

import gguf
import pytest

from gguf2ollama import build, split
from gguf2ollama.chat.changes.patches import keep_out_detection
from gguf2ollama.ollama import Client
from gguf2ollama.planning.templates.template_patch import patch_template
from tests.builders import tiny_llama
from tests.calling_templates import JSON_CALLS, JSON_CALLS_NO_THOUGHTS
from tests.live import parts
from tests.live.test_build import NEAR_ZEPHYR

pytestmark = pytest.mark.live

# of no family, and like none that Ollama knows
TEMPLATE = (
    "{%- set ns = namespace(turns=0) -%}\n"
    "{%- for message in messages -%}\n"
    "  {%- set ns.turns = ns.turns + 1 -%}\n"
    "  {{- '(' ~ ns.turns ~ ') ' ~ message['role']|upper ~ ' wrote: ' -}}\n"
    "  {{- message['content'] ~ ' <|im_end|>' -}}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}{{- '(' ~ (ns.turns + 1) ~ ') ASSISTANT wrote: ' -}}{%- endif -%}\n"
)
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi "}]
RENDERED = "(1) SYSTEM wrote: Be brief. <|im_end|>(2) USER wrote: Hi  <|im_end|>(3) ASSISTANT wrote: "
TOOL = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
NEWEST, OLDER = parts.OLLAMAS[0], parts.OLLAMAS[1]
WAYS = [(NEWEST, "link"), (NEWEST, "pull"), (NEWEST, "upload"), (OLDER, "pull")]


@pytest.fixture(autouse=True)
def _no_digests_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("GGUF2OLLAMA_PARTS", str(parts.cache_dir()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=WAYS, ids=[f"{part.version}-{via}" for part, via in WAYS])
def way(request, ollama_pool, monkeypatch):
    """Return a server and a way to it."""
    part, via = request.param
    server = ollama_pool(part)
    monkeypatch.setenv("OLLAMA_MODELS", str(server.store))
    return server, via


@pytest.fixture(params=["file", "shards"])
def source(request, smollm2, tmp_path):
    if request.param == "file":
        return smollm2
    return split(smollm2, tmp_path / "smol", max_tensors=100)[1]


def weights(server, name):
    """Return the digests of the layers of weights."""
    place = server.store / "manifests/registry.ollama.ai/library" / name / "latest"
    layers = json.loads(place.read_bytes())["layers"]
    return [layer["digest"] for layer in layers if layer["mediaType"].endswith("image.model")]


def test_the_real_model_is_prompted_by_the_template_that_was_given(way, source):
    server, via = way
    built = build(source, name="patched", host=server.url, via=via, chat_template=TEMPLATE)
    assert (built.plan.destination.transport, built.differences) == (via, ())
    # where the server may put a template of its own before it, a comment keeps that out
    assert built.plan.inspection.recipe.template_origin == ("patched" if via == "upload" else "native")
    with Client(server.url) as client:
        assert client.show("patched").template.endswith(TEMPLATE)
        assert client.render("patched", MESSAGES) == RENDERED
        answer = client.chat("patched", MESSAGES, options={"temperature": 0, "seed": 1, "num_predict": 8})
        assert "".join(chunk.content for chunk in answer)
        client.delete("patched")


def test_what_is_built_and_what_is_written_are_the_same_bytes(way, smollm2, tmp_path):
    server, via = way
    written = patch_template(smollm2, tmp_path / "written.gguf", chat_template=TEMPLATE).path
    # as it is given, whatever the server makes of it
    how = {"host": server.url, "via": via, "load": False, "verify": False}
    build(smollm2, name="same", chat_template=TEMPLATE, **how)
    assert weights(server, "same") == [f"sha256:{hashlib.sha256(written.read_bytes()).hexdigest()}"]
    with Client(server.url) as client:
        client.delete("same")


def test_the_written_file_is_read_by_others(smollm2, llama_tool, tmp_path):
    written = patch_template(smollm2, tmp_path / "written.gguf", chat_template=TEMPLATE).path
    before, after = gguf.GGUFReader(smollm2), gguf.GGUFReader(written)
    assert after.fields["tokenizer.chat_template"].contents() == TEMPLATE
    assert list(before.fields) == list(after.fields)
    assert all(
        (one.name, one.data.tobytes()) == (other.name, other.data.tobytes())
        for one, other in zip(before.tensors, after.tensors, strict=True)
    )
    # llama.cpp reads all of it to write it again
    tool = llama_tool("llama-quantize")
    subprocess.run([tool, written, tmp_path / "copy.gguf", "COPY"], check=True, capture_output=True)
    copy = gguf.GGUFReader(tmp_path / "copy.gguf")
    assert copy.fields["tokenizer.chat_template"].contents() == TEMPLATE


def test_detection_of_the_server_is_kept_out_by_a_patched_header(ollama_pool, tmp_path):
    path = tiny_llama(tmp_path / "near.gguf", chat_template=NEAR_ZEPHYR)
    host = ollama_pool(NEWEST).url
    displaced = build(path, name="near", host=host, via="upload", load=False, verify=False)
    assert "a TEMPLATE of the server's own is used" in displaced.warnings[0]
    patched = keep_out_detection(NEAR_ZEPHYR).text
    build(path, name="near", host=host, via="upload", chat_template=patched, verify=False)
    with Client(host) as client:
        assert client.show("near").template == patched
        client.delete("near")


def test_a_variant_for_tools_does_not_stay_in_the_way(way, tmp_path):
    server, via = way
    variant = "{{ 'VARIANT ' ~ tools|length ~ ' ' ~ messages[-1].content }}"
    path = tiny_llama(
        tmp_path / "variants.gguf",
        metadata={
            "tokenizer.chat_template.tool_use": variant,
            "tokenizer.chat_template": TEMPLATE + "{# knows tools #}",
        },
    )
    wanted = TEMPLATE + "{# knows tools and tool_call too #}"
    with Client(server.url) as client:
        build(path, name="own", host=server.url, via=via)
        assert client.render("own", MESSAGES, tools=[TOOL]).startswith("VARIANT"), "so llama.cpp has it"
        build(path, name="given", host=server.url, via=via, chat_template=wanted)
        assert client.render("given", MESSAGES, tools=[TOOL]) == RENDERED
        for name in ("own", "given"):
            client.delete(name)


@pytest.mark.parametrize("part, via", [(NEWEST, "upload"), (OLDER, "pull")], ids=["upload", "older"])
def test_a_named_template_renders_tools_that_the_default_hides(ollama_pool, tmp_path, part, via):
    path = tiny_llama(
        tmp_path / "named.gguf",
        chat_template=TEMPLATE,
        metadata={"tokenizer.chat_template.tool_use": JSON_CALLS_NO_THOUGHTS},
    )
    host = ollama_pool(part).url
    result = build(path, name="named", host=host, via=via)
    assert result.warnings == ()  # the prompts of the server are those of the authors
    with Client(host) as client:
        assert "tools" in client.show("named").capabilities
        assert client.render("named", MESSAGES) == RENDERED
        assert client.render("named", MESSAGES, tools=[TOOL]).startswith("<|im_start|>system\nThese are your")
        client.delete("named")


@pytest.mark.parametrize("part, via", [(NEWEST, "upload"), (OLDER, "pull")], ids=["upload", "older"])
def test_a_template_of_the_user_is_used_though_the_chat_template_can_do_more(
    ollama_pool, tmp_path, part, via
):
    path = tiny_llama(tmp_path / "tools.gguf", chat_template=JSON_CALLS)
    host = ollama_pool(part).url
    template = "{{ range .Messages }}({{ .Role }}) {{ .Content }}{{ end }}(answer)"
    result = build(path, name="own", host=host, via=via, template=template)
    assert any("taken out of the header" in warning for warning in result.plan.warnings)
    with Client(host) as client:
        assert client.render("own", MESSAGES) == "(system) Be brief.(user) Hi (answer)"
        client.delete("own")


def test_no_system_prompt_is_none_on_a_server(ollama_pool, tmp_path):
    system = "{% if messages[0].role != 'system' %}<You are Tiny, a helpful model.>{% endif %}"
    path = tiny_llama(tmp_path / "system.gguf", chat_template=system + TEMPLATE)
    host = ollama_pool(NEWEST).url
    assert build(path, name="silent", host=host, via="upload", system="").warnings == ()
    with Client(host) as client:
        assert client.render("silent", MESSAGES) == RENDERED
        assert "Tiny" not in client.render("silent", MESSAGES[1:])
        client.delete("silent")
