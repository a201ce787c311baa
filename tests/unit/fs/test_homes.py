"""Paths in a user's home, and users without one."""

from pathlib import Path

import pytest

from gguf2ollama.errors import UsageProblem
from gguf2ollama.fs.homes import expand_home, in_home
from gguf2ollama.sources.sites.settings import HubSettings, ModelScopeSettings


@pytest.fixture
def homeless(monkeypatch):
    def fail(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", fail)
    monkeypatch.setattr(Path, "expanduser", fail)


def test_a_home_is_replaced_and_what_is_none_stays_a_name(monkeypatch, tmp_path):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    assert expand_home("~/x") == in_home("x", variable="X") == tmp_path / "x"
    assert expand_home("~no-such-user/x") == Path("~no-such-user/x")
    assert expand_home("a/~/x") == Path("a/~/x")


@pytest.mark.usefixtures("homeless")
@pytest.mark.parametrize(
    "settings, name", [(HubSettings, "HF_HOME"), (ModelScopeSettings, "MODELSCOPE_CACHE")]
)
def test_a_user_without_a_home_is_told_which_variable_to_set(settings, name):
    with pytest.raises(UsageProblem, match="no home directory") as raised:
        settings.from_environment({})
    assert name in raised.value.hint


@pytest.mark.usefixtures("homeless")
def test_a_user_without_a_home_who_names_the_folders_needs_none(tmp_path):
    settings = HubSettings.from_environment({"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:1"})
    assert settings.cache == tmp_path / "hub"


@pytest.mark.parametrize(
    "endpoint", ["https://user:secret@h.example/?secret", "ftp://secret@h", "user:secret@h", "http://["]
)
@pytest.mark.parametrize("settings, name", [(HubSettings, "HF"), (ModelScopeSettings, "MODELSCOPE")])
def test_an_endpoint_that_cannot_be_used_is_shown_without_credentials(settings, name, endpoint):
    with pytest.raises(UsageProblem, match=f"invalid {name}_ENDPOINT") as raised:
        settings.from_environment({f"{name}_ENDPOINT": endpoint})
    assert "secret" not in str(raised.value)
