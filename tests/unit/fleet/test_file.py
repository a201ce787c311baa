"""The file of models: what it says, and every mistake in it with its place."""

import contextlib

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import Gguf2OllamaError, InvalidInput
from gguf2ollama.fleet.entries import HOST_KEYS, MODEL_KEYS, TOP_KEYS, Secret
from gguf2ollama.fleet.file import parse_fleet, read_text
from gguf2ollama.fleet.foreign import parse_foreign
from gguf2ollama.fleet.schema import json_schema
from gguf2ollama.names import ModelName

FULL = """
environment: [MODELS]
models:
  smol: owner/repo:Q8_0
  qwen:7b:
    source: Qwen/Qwen2.5-7B-Instruct-GGUF
    quant: q4_k_m
    revision: 1.0
    num_ctx: 8k
    parameters: {temperature: 0.3, stop: [a, "b"], use_mmap: false, seed: 7}
    system: ""
    chat_template: {file: chat.jinja}
    license: [MIT, BSD]
    messages: [{role: user, content: Hi}]
    mmproj: mmproj.gguf
    verify: false
    hosts: [rack]
    update: if_not_present
  local: {modelfile: "${MODELS}/Modelfile", mmproj: false}
  pulled: {pull: "llama3.2:1b"}
  gone: {state: absent}
hosts:
  here: http://127.0.0.1:11434
  rack: {url: "https://ollama.example", token: {env: TOKEN}, ca: ca.pem, via: upload}
  lab: {url: "https://lab.example", user: me, password: {file: pw.txt}}
prune: true
"""


def parse(text, **environ):
    return parse_fleet(text, file="m.yaml", environ=environ)


def problems(text, **environ):
    with pytest.raises(InvalidInput) as caught:
        parse(text, **environ)
    return str(caught.value).splitlines()


def test_all_keys_are_read():
    fleet = parse(FULL, MODELS="/srv")
    smol, qwen, local, pulled, gone = fleet.models
    assert (smol.name, smol.source, smol.state) == (ModelName.parse("smol"), "owner/repo:Q8_0", "present")
    options = qwen.keywords
    assert (options["quant"], options["revision"], options["context"]) == ("q4_k_m", "1.0", 8192)
    assert [(p.name, p.value) for p in options["parameters"]] == [
        *(("temperature", 0.3), ("stop", "a"), ("stop", "b"), ("use_mmap", False), ("seed", 7))
    ]
    assert (options["system"], options["licenses"], options["load"]) == ("", ("MIT", "BSD"), False)
    assert options["projectors"] == ("mmproj.gguf",)
    assert [(m.role, m.content) for m in options["messages"]] == [("user", "Hi")]
    assert (qwen.texts["chat_template"].path, qwen.hosts, qwen.update) == ("chat.jinja", ("rack",), "never")
    assert (local.source, local.keywords["no_projector"]) == ("/srv/Modelfile", True)
    assert pulled.pull == ModelName.parse("llama3.2:1b")
    assert gone.state == "absent"
    here, rack, lab = fleet.hosts
    assert (here.address.port, here.token, rack.via, rack.ca) == (11434, None, "upload", "ca.pem")
    assert rack.token is not None
    assert rack.token.env == "TOKEN"
    assert lab.password is not None
    assert (lab.user, lab.password.file) == ("me", "pw.txt")
    assert fleet.prune
    assert [model.name.short for model in fleet.models_of(here)] == [
        *("smol:latest", "local:latest", "pulled:latest", "gone:latest")
    ]


def test_all_mistakes_are_found_in_one_go_in_the_order_of_the_file():
    found = problems(
        """models:
  Smol: a/b
  smol: a/b
  smol: c/d
  x:
    sourc: a/b
    parameters: {temprature: 1, temperature: hot, stop: [[1]]}
    hosts: [rak]
    context: banana
    update: sometimes
    verify: perhaps
  y: [1, 2]
  z: {source: a/b, pull: q}
  t: {source: a/b, template: "{{ if }}"}
  w: "${HOMES}/x"
  n: {source: a/b, num_ctx: 1, context: 2}
  no: null
hosts:
  rack: {url: "ftp://x", token: abc123secret}
  r2: {url: "http://far.example", token: {env: TOKEN}}
  r3: {url: "https://far.example", user: x}
prune: maybe
extra: 1
"""
    )
    assert [line.split(": ", 1)[0] for line in found] == [
        f"m.yaml:{place}"
        for place in (
            *("3:3", "4:3", "5:3", "6:5", "7:18", "7:46", "7:58", "8:13", "9:14", "10:13", "11:13", "12:6"),
            *("13:3", "14:3", "15:6", "16:20", "17:7", "19:15", "19:33", "20:13", "21:3", "22:8", "23:1"),
        )
    ]
    text = "\n".join(found)
    for expected in (
        "'smol' and 'Smol' are the same model: case does not count",
        "'smol' occurs twice in models; first in line 3",
        "unknown key 'sourc' in model x; did you mean 'source'?",
        "did you mean 'temperature'?",
        "temperature in parameters of model x must be a number, not 'hot'",
        "which is not in hosts; did you mean 'rack'?",
        "model y must be a map (KEY: VALUE), not a list",
        "${HOMES} in model w is not declared; add `environment: [HOMES]`",
        "token of host rack must not be in the file",
        "host r2 has credentials, and its url is not https",
        "host r3 needs both user and password",
    ):
        assert expected in text
    assert "abc123secret" not in text


BOMB = "\n".join(
    ["models:", "  a0: &a0 {messages: [{role: user, content: x}]}"]
    + [f"  a{i}: &a{i} {{messages: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)]
)


@pytest.mark.parametrize(
    "text,place,expected",
    [
        ("models:\n\tx: a/b", "m.yaml:2:1", "a tab indents this line"),
        ("models: {a: 'b", "m.yaml:1:15", "unexpected end"),
        ("models: {}\n---\nmodels: {}", "m.yaml:2:1", "another document"),
        ("- a\n- b", "m.yaml:1:1", "the file must be a map"),
        ("models:\n  - a/b", "m.yaml:2:3", "models must be a map (KEY: VALUE), not a list"),
        ("", "m.yaml", "the file is empty"),
        ("hosts: {}", "m.yaml:1:1", "there is no 'models'"),
        ("models: &m {x: *m}", "m.yaml", ""),
        ("models: {x: {parameters: &p {<<: *p}}}", "m.yaml", "an alias (*name) contains itself"),
        (f"models: {'[' * 500}", "m.yaml", "nested too deeply"),
        ("models: {x: !!python/object:os.system y}", "m.yaml:1:13", "the tag"),
        (BOMB, "m.yaml", ""),
    ],
)
def test_what_is_no_such_file_is_refused_with_its_place(text, place, expected):
    first = problems(text)[0]
    assert first.startswith(place)
    assert expected in "\n".join(problems(text))


def test_variables_are_replaced_where_declared_and_have_to_be_set():
    text = "environment: [DIR]\nmodels: {x: '${DIR}/x.gguf'}"
    assert parse(text, DIR="/models").models[0].source == "/models/x.gguf"
    assert problems(text) == ["m.yaml:2:13: the variable DIR in model x is not set"]
    assert (
        parse("models: {x: {source: a/b, system: 'Say ${THIS}'}}").models[0].keywords["system"]
        == "Say ${THIS}"
    )


def test_aliases_and_merges_are_expanded():
    fleet = parse("models:\n  a: &a {source: x/y, system: Hi}\n  b: {<<: *a, system: Ho}\n  c: *a\n")
    assert [(m.source, m.keywords["system"]) for m in fleet.models] == [
        ("x/y", "Hi"),
        ("x/y", "Ho"),
        ("x/y", "Hi"),
    ]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(InvalidInput):
        parse(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*TOP_KEYS, *MODEL_KEYS, *HOST_KEYS, "x"]), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_any_yaml_is_read_or_refused_and_what_is_read_fits_the_schema(value):
    text = yaml.safe_dump(value)
    with contextlib.suppress(InvalidInput):
        parse(text)
        jsonschema.validate(yaml.safe_load(text), json_schema())


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.validate(yaml.safe_load(FULL), json_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"models": {"x": {"sourc": "a/b"}}}, json_schema())


def test_a_credential_is_read_where_it_is_and_never_shown(tmp_path):
    place = parse(FULL, MODELS="x").models[0].place
    (tmp_path / "pw.txt").write_text("s3cret\n")
    assert Secret(file="pw.txt", place=place).read({}, folder=tmp_path) == "s3cret"
    assert Secret(env="X", place=place).read({"X": " s3cret "}, folder=tmp_path) == "s3cret"
    for secret, environ in (
        (Secret(env="X", place=place), {}),
        (Secret(env="X", place=place), {"X": "s3cret\nx"}),
        (Secret(file="none.txt", place=place), {}),
    ):
        with pytest.raises(Gguf2OllamaError, match=r"m.yaml:4:3") as caught:
            secret.read(environ, folder=tmp_path)
        assert "s3cret" not in f"{caught.value} {caught.value.hint}"


def test_files_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_bytes(b"models:\n  x: \xff")
    with pytest.raises(InvalidInput, match=r"m.yaml:2: not UTF-8"):
        read_text(path)
    with pytest.raises(Gguf2OllamaError) as caught:
        read_text(tmp_path / "none.yaml")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "form,text",
    [
        ("helm", "ollama:\n  models:\n    pull: [mistral, 'llama3.2:1b']\n    run: [mistral]"),
        ("helm", "ollama: {models: [mistral, {name: 'llama3.2:1b'}]}"),
        ("ansible", "[mistral, {name: 'llama3.2:1b'}]"),
        ("ansible", "ollama_models: [mistral, 'llama3.2:1b']\nother: 1"),
        ("list", "NAME ID SIZE MODIFIED\nmistral:latest 12 4 GB now\nllama3.2:1b 34 1 GB 2 days ago\n"),
    ],
)
def test_lists_of_others_are_read_as_they_are(form, text):
    fleet = parse_foreign(text, form=form, file="x")
    assert [model.pull.short for model in fleet.models if model.pull] == ["mistral:latest", "llama3.2:1b"]


def test_models_of_the_hub_in_such_lists_are_built():
    [model] = parse_foreign("[hf.co/owner/repo:Q4_K_M]", form="ansible", file="x").models
    assert (model.source, model.pull) == ("hf.co/owner/repo:Q4_K_M", None)


@pytest.mark.parametrize(
    "form,text", [("helm", "a: 1"), ("list", "smol\n"), ("ansible", "[{id: x}]"), ("list", "")]
)
def test_other_lists_are_refused(form, text):
    with pytest.raises(InvalidInput):
        parse_foreign(text, form=form, file="x")
