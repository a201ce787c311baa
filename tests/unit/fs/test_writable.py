"""Whether a file can be written is known before the work that fills it."""

import pytest

from gguf2ollama.errors import NotFound, UsageProblem
from gguf2ollama.fs import require_writable


def test_a_file_in_a_folder_can_be_written_and_nothing_is(tmp_path):
    require_writable(tmp_path / "x.lock", kind="lock file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path, error, problem",
    [
        ("none/x.lock", NotFound, "directory does not exist"),
        ("file/x.lock", UsageProblem, "file is not a directory"),
        (".", UsageProblem, "it is a directory"),
    ],
)
def test_what_is_in_the_way_is_said_with_the_users_path(tmp_path, path, error, problem):
    (tmp_path / "file").touch()
    target = tmp_path / path
    with pytest.raises(error) as caught:
        require_writable(target, kind="lock file")
    assert caught.value.message.startswith(f"cannot write lock file {target}: ")
    assert caught.value.message.endswith(problem)


def test_an_existing_file_that_may_not_be_replaced_is_an_error(tmp_path):
    (tmp_path / "x.lock").touch()
    with pytest.raises(UsageProblem, match="already exists"):
        require_writable(tmp_path / "x.lock", replace=False)


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_arguments: False)
    with pytest.raises(UsageProblem, match="no permission to write to"):
        require_writable(tmp_path / "x.lock")
