"""Which projector a model can be run with."""

import pytest

from gguf2ollama import inspect
from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio import open_gguf
from gguf2ollama.sources.library import find_library
from gguf2ollama.sources.local import find_model
from gguf2ollama.sources.projectors import projector_problem
from tests.builders import build_gguf, make_tensor, tiny_llama
from tests.zoo.projectors import make_projector


@pytest.fixture
def model(tmp_path):
    return tiny_llama(tmp_path / "Model-F32.gguf")


def test_one_of_another_width_is_refused(tmp_path, model):
    projector = make_projector(tmp_path / "p.gguf", width=64)
    with pytest.raises(UsageProblem, match="for models of width 64, and this one has 32"):
        find_model(model, projectors=[projector])


@pytest.mark.parametrize("source", ["Model-F32.gguf", "."])
def test_one_of_another_width_beside_a_model_is_left_out_with_a_warning(tmp_path, model, source):
    make_projector(tmp_path / "mmproj-Model-F32.gguf", width=64)
    files = find_model(tmp_path / source)
    assert files.projectors == ()
    assert files.left_out[-1].startswith("mmproj-Model-F32.gguf is not used as projector: it is for")


def test_two_are_one_more_than_ollama_runs(tmp_path, model):
    projectors = [make_projector(tmp_path / name, width=32) for name in ("a.gguf", "b.gguf")]
    with pytest.raises(UsageProblem, match="2 projectors are given, and Ollama runs one"):
        find_model(model, projectors=projectors)


def test_of_several_precisions_all_ways_take_the_same(tmp_path, model):
    for label, number in (("F32", 0), ("Q8_0", 7)):
        path = tmp_path / f"mmproj-Model-{label}.gguf"
        make_projector(path, width=32, metadata={"general.file_type": number})
    (found,) = find_library([tmp_path]).models
    assert [shard.path.name for shard in found.files.projectors] == ["mmproj-Model-Q8_0.gguf"]
    assert [shard.path.name for shard in find_model(model).projectors] == ["mmproj-Model-Q8_0.gguf"]


def test_a_template_with_images_and_no_projector_is_a_warning(tmp_path):
    template = "{% for m in messages %}{% for c in m.content %}{% if c.type == 'image' %}<i>{% endif %}"
    path = tiny_llama(tmp_path / "m.gguf", chat_template=template + "{% endfor %}{% endfor %}")
    (warning,) = [text for text in inspect(path, verify=False).warnings if "mmproj" in text]
    assert warning.startswith("the chat template takes images, but there is no mmproj file in its directory")
    assert not any("mmproj" in text for text in inspect(path, verify=False, no_projector=True).warnings)
    projector = make_projector(tmp_path / "p.gguf", width=32)
    found = inspect(path, verify=False, projectors=[projector])
    assert not any("mmproj" in text for text in found.warnings)


@pytest.mark.parametrize(
    "kind, name, shape, fits",
    [
        ("gemma3", "mm.input_projection.weight", (32, 64), True),
        ("gemma3", "mm.input_projection.weight", (64, 32), False),
        ("gemma4v", "mm.input_projection.weight", (64, 32), True),
        ("qwen2.5vl_merger", "mm.2.bias", (64,), False),
        ("internvl", "mm.model.mlp.3.weight", (64, 32), True),
        ("of next year", "mm.2.weight", (64, 64), True),
        ("internvl", "mm.2.weight", (64, 64), True),  # nothing says
    ],
)
def test_the_width_is_that_of_the_last_tensor(tmp_path, model, kind, name, shape, fits):
    path = build_gguf(
        tmp_path / "p.gguf",
        architecture="clip",
        metadata={"general.type": "mmproj", "clip.vision.projector_type": kind},
        tensors=[make_tensor(name, shape)],
    )
    assert (projector_problem(open_gguf(path), model=open_gguf(model)) is None) is fits
