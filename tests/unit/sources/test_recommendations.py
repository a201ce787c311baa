import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama import inspect
from gguf2ollama.errors import UsageProblem
from gguf2ollama.modelfiles import PARAMETERS, Parameter
from gguf2ollama.sources.recommendations import read_generation_config, read_params
from tests.builders import CHATML_TEMPLATE, tiny_llama

CONFIG = {
    "do_sample": True,
    "temperature": 0.7,
    "top_k": 20,
    "top_p": 0.8,
    "repetition_penalty": 1.05,
    "eos_token_id": 2,
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    st.lists,
    max_leaves=4,
)


@pytest.fixture
def hub(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return hub


@pytest.fixture
def publish(hub, tmp_path):
    """Return a function that adds a repository, and the one it was made from."""

    def one(*, own=None, base=None, metadata=None, tags=("base_model:quantized:maker/Tiny",)):
        gguf = tiny_llama(tmp_path / "tiny.gguf", metadata=metadata).read_bytes()
        files = {"tiny-Q4_K_M.gguf": gguf} | {name: text.encode() for name, text in (own or {}).items()}
        hub.add("o/Tiny-GGUF", files, facts={"tags": ["gguf", *tags]})
        hub.add("maker/Tiny", {name: text.encode() for name, text in (base or {}).items()})

    return one


def sources(found):
    return {name: (one.value, one.source) for name, one in found.recipe.parameters.items() if name != "stop"}


def test_the_authors_sampling_comes_from_the_model_it_was_made_from(publish):
    publish(base={"generation_config.json": json.dumps(CONFIG)})

    told = sources(inspect("o/Tiny-GGUF", verify=False))

    source = "generation_config.json of maker/Tiny"
    assert told["temperature"] == (0.7, source)
    assert told["top_k"] == (20, source)
    assert told["repeat_penalty"] == (1.05, source)


def test_the_order_is_user_params_gguf_configuration(publish):
    publish(
        base={"generation_config.json": json.dumps(CONFIG)},
        own={"params": json.dumps({"top_p": 0.5, "min_p": 0.1})},
        metadata={"general.sampling.temp": 0.3, "general.sampling.top_p": 0.4},
    )

    told = sources(inspect("o/Tiny-GGUF", verify=False, parameters=[Parameter(name="min_p", value=0.2)]))

    assert told["min_p"] == (0.2, "--param")
    assert told["top_p"] == (0.5, "params of o/Tiny-GGUF")
    assert told["temperature"] == (0.3, "general.sampling.temp in the GGUF")
    assert told["top_k"] == (20, "generation_config.json of maker/Tiny")


def test_a_repositorys_own_template_system_and_stops_are_honoured(publish):
    template = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
    publish(
        own={"template": template, "system": "Be brief.\n", "params": '{"stop": ["<END>"], "num_ctx": 9}'}
    )

    recipe = inspect("o/Tiny-GGUF", verify=False).recipe

    assert (recipe.template.value, recipe.template.source) == (template, "template of o/Tiny-GGUF")
    assert (recipe.system.value, recipe.system.source) == ("Be brief.", "system of o/Tiny-GGUF")
    assert recipe.stop_sources["<END>"] == "params of o/Tiny-GGUF"
    assert recipe.parameters["num_ctx"].value == 2048


def test_the_user_goes_before_the_repositorys_own_files(publish):
    publish(own={"template": "theirs", "system": "theirs"})

    recipe = inspect("o/Tiny-GGUF", verify=False, template="{{ .Prompt }}", system="").recipe

    assert recipe.template.value == "{{ .Prompt }}"
    assert recipe.system.value is None


@pytest.mark.parametrize(
    "base",
    [
        {"chat_template.jinja": "{{ 'new' }}"},
        {"tokenizer_config.json": json.dumps({"chat_template": "{{ 'new' }}"})},
        {
            "tokenizer_config.json": json.dumps(
                {"chat_template": [{"name": "default", "template": "{{ 'new' }}"}]}
            )
        },
    ],
)
def test_a_chat_template_that_is_another_today_is_noticed(publish, base):
    publish(base=base)

    warnings = inspect("o/Tiny-GGUF", verify=False).warnings

    assert any("--chat-template upstream" in one for one in warnings)


def test_the_same_chat_template_is_no_news(publish):
    publish(base={"chat_template.jinja": CHATML_TEMPLATE + "\n"})

    assert not any("upstream" in one for one in inspect("o/Tiny-GGUF", verify=False).warnings)


def test_the_chat_template_of_today_can_be_taken(publish):
    newer = CHATML_TEMPLATE.replace("<|im_start|>assistant", "<|im_start|>Assistant")
    publish(base={"chat_template.jinja": newer})

    found = inspect("o/Tiny-GGUF", verify=False, chat_template="upstream")

    assert found.recipe.chat_template == newer
    assert "tokenizer.chat_template" in found.patch.changes


def test_there_may_be_none_to_take(publish):
    publish()

    with pytest.raises(UsageProblem, match="could not be found"):
        inspect("o/Tiny-GGUF", verify=False, chat_template="upstream")


def test_a_model_further_trained_is_not_its_base(publish):
    url = {"general.base_model.0.repo_url": "https://huggingface.co/maker/Tiny-Base"}
    publish(
        tags=(), metadata=url | {"general.name": "Tiny"}, base={"generation_config.json": json.dumps(CONFIG)}
    )
    assert "top_k" not in sources(inspect("o/Tiny-GGUF", verify=False))

    url = {"general.base_model.0.repo_url": "https://huggingface.co/maker/Tiny"}
    publish(
        tags=(), metadata=url | {"general.name": "Tiny"}, base={"generation_config.json": json.dumps(CONFIG)}
    )
    assert "top_k" in sources(inspect("o/Tiny-GGUF", verify=False))


def test_what_cannot_be_read_is_as_if_it_were_not_there(publish, hub):
    publish(base={"generation_config.json": "{not json"}, own={"params": "[1]", "system": "x"})
    hub.repositories["maker/Tiny"].access = "gated"

    found = inspect("o/Tiny-GGUF", verify=False)

    assert "top_k" not in sources(found)


@given(
    st.dictionaries(st.sampled_from([*PARAMETERS, "do_sample", "repetition_penalty", "other"]), JSON_VALUES)
)
def test_whatever_is_published_makes_only_values_that_ollama_knows(told):
    found, stops = read_params(told, source="x")
    for name, one in (found | read_generation_config(told, source="x")).items():
        assert PARAMETERS[name].is_typed(one.value)
        assert PARAMETERS[name].is_in_range(one.value)
    assert all(stops)
