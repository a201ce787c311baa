"""What a server's API shows of a header is enough to plan by, whatever it shows."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.ggufio import open_gguf
from gguf2ollama.install.server_header import header_of
from tests.builders import tiny_llama

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


def test_keys_and_tensors_come_back(tmp_path):
    gguf = open_gguf(tiny_llama(tmp_path / "m.gguf"))
    plain = (str, int, float, bool)
    shown = {
        key: value if isinstance(value, plain) else list(value)
        for key, value in gguf.metadata.items()
        if key != "tokenizer.chat_template"
    }
    tensors = [{"name": t.name, "type": t.type.name, "shape": list(t.shape)} for t in gguf.tensors]
    found = header_of(
        json.loads(json.dumps(shown)),
        name="m",
        tensors=json.loads(json.dumps(tensors)),
        chat_template=gguf.metadata["tokenizer.chat_template"],
    )
    assert set(found.metadata) == set(gguf.metadata)
    for key, value in gguf.metadata.items():
        assert (
            found.metadata[key] == value
            if isinstance(value, plain)
            else list(found.metadata[key]) == list(value)
        )
    assert [(t.name, t.shape, t.n_bytes) for t in found.tensors] == [
        (t.name, t.shape, t.n_bytes) for t in gguf.tensors
    ]


def test_a_shard_is_a_whole_model_to_the_api():
    found = header_of({"split.no": 1, "split.count": 3, "split.tensors.count": 9, "a.b": 1}, name="m")
    assert (found.split, list(found.metadata)) == (None, ["a.b"])


@pytest.mark.parametrize("value", ["\ud800", 1 << 70, 1e300])
def test_what_no_gguf_holds_is_an_error_of_ours(value):
    with pytest.raises(Gguf2OllamaError):
        header_of({"a.b": value}, name="m")


@given(
    metadata=st.dictionaries(st.from_regex(r"[a-z]{1,5}\.[a-z]{1,5}", fullmatch=True), JSON, max_size=5),
    tensors=st.lists(
        st.fixed_dictionaries({"name": JSON, "type": st.sampled_from(["F32", "q4_k", "?"]), "shape": JSON}),
        max_size=3,
    ),
)
def test_no_answer_of_a_server_breaks_it(metadata, tensors):
    with contextlib.suppress(Gguf2OllamaError):
        assert header_of(metadata, name="m", tensors=tensors).name == "m"
