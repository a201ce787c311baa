"""What the plan for each chat template of the corpus says of chats that begin or go on irregularly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gguf2ollama.api.inspect import inspect_for
from gguf2ollama.chat.comparison import Verdict
from gguf2ollama.planning.options import ModelOptions
from gguf2ollama.planning.target import Target, parse_version, target_of
from gguf2ollama.sources.model import SourceSelection
from tests.builders import tiny_llama

pytestmark = [pytest.mark.corpus, pytest.mark.timeout(1800)]
_CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpus" / "chat_templates"
_MEANT = {
    "system in mid-chat",
    "system, another in mid-chat",
    "system before the last answer",
    "two system messages",
    "greeting first",
    "system, greeting first",
    "cut to a window",
}
_SERVERS = {
    (version, uploads): target_of(
        parse_version(version), create_replaces_template=uploads, patch_copies=not uploads
    )
    for version in ("0.32.15", "0.34.4")
    for uploads in (False, True)
}


@pytest.fixture(autouse=True)
def _a_home_of_its_own(monkeypatch, tmp_path):
    """Remember no plans."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _is_named(name: str, warning: str) -> bool:
    """Return whether a warning names a conversation, and not only one whose longer name ends with it."""
    for longer in _MEANT:
        if name != longer and name in longer:
            warning = warning.replace(longer, "")
    return name in warning


def _silent(path: Path, *, target: Target) -> Iterator[str]:
    """Yield each of these chats that isn't rendered as the authors mean while no warning names it."""
    found = inspect_for(path, selection=SourceSelection(), options=ModelOptions(), target=target)
    if found.selection is None:
        assert found.warnings
        return
    cases = [case for case in found.selection.choice.chosen.parity.cases if case.conversation.name in _MEANT]
    assert len(cases) == len(_MEANT)
    for case in cases:
        name, is_right = case.conversation.name, case.verdict in {Verdict.exact, Verdict.refused}
        if not is_right and not any(_is_named(name, warning) for warning in found.warnings):
            yield name


@pytest.mark.parametrize("version, uploads", _SERVERS)
def test_system_in_mid_chat_and_a_greeting_first_are_exact_or_warned_of_by_name(version, uploads, tmp_path):
    paths = sorted(_CORPUS.glob("*.jinja"))
    if not paths:
        pytest.skip(f"no chat templates at {_CORPUS}, where 183 are expected")
    silent = {}
    for path in paths:
        gguf = tiny_llama(tmp_path / "model.gguf", chat_template=path.read_bytes().decode())
        if names := list(_silent(gguf, target=_SERVERS[version, uploads])):
            silent[path.stem] = names
    assert silent == {}
