import pytest
import yaml

from gguf2ollama._resources import templates_root
from gguf2ollama.errors import InvalidProfile
from gguf2ollama.families import read_profile
from gguf2ollama.families.yaml_value import read_yaml

PROFILES = sorted((templates_root() / "profiles").glob("*.yaml"))


def test_profiles_read_the_same_where_pyyaml_has_no_libyaml(monkeypatch):
    before = [read_profile(path) for path in PROFILES]
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert [read_profile(path) for path in PROFILES] == before


@pytest.mark.parametrize("has_libyaml", [yaml.__with_libyaml__, False])
@pytest.mark.parametrize(
    "content,line", [("a: 1\nb: &x 2\nc: *x\n", 3), ("a: 1\nb: [\n", 3), ("a:\n\t- b\n", 2)]
)
def test_what_is_refused_is_refused_with_its_line(monkeypatch, tmp_path, content, line, has_libyaml):
    monkeypatch.setattr(yaml, "__with_libyaml__", has_libyaml)
    path = tmp_path / "profile.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidProfile, match=f"profile.yaml:{line}: "):
        read_yaml(path)
