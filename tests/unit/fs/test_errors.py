"""Errors of the disk name the user's path, and never a temporary file."""

import errno
import os

import pytest

from gguf2ollama.errors import Gguf2OllamaError, NotEnoughSpace, NotFound, ServerUnreachable, UsageProblem
from gguf2ollama.fs.atomic import atomic_file, temporary_path
from gguf2ollama.fs.errors import disk_errors


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NotFound) as caught, disk_errors(tmp_path):
        (tmp_path / "nope.gguf").open()
    assert caught.value.message == f"{tmp_path / 'nope.gguf'}: no such file"


def test_a_symbolic_link_to_nothing_says_where_it_leads(tmp_path):
    link = tmp_path / "m.gguf"
    link.symlink_to("../../blobs/0123")
    with pytest.raises(NotFound) as caught, disk_errors(link):
        link.stat()
    assert str(link) in caught.value.message
    assert "../../blobs/0123" in caught.value.message
    link.unlink()
    link.symlink_to("m.gguf")
    with pytest.raises(UsageProblem, match="symbolic links"), disk_errors(link):
        link.stat()


def test_a_missing_folder_of_a_file_to_write_is_said_and_how_to_make_it(tmp_path):
    target = tmp_path / "no folder" / "x.lock"
    with pytest.raises(NotFound) as caught, atomic_file(target, kind="lock file"):
        pytest.fail("the block must not run")
    assert caught.value.message == f"cannot write lock file {target}: directory does not exist"
    assert caught.value.hint == f"create it first: mkdir -p '{target.parent}'"


def test_a_folder_that_may_not_be_written_to_names_the_file(tmp_path, monkeypatch):
    def refuse(path, *_arguments):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(UsageProblem) as caught, atomic_file(tmp_path / "x.lock", kind="lock file"):
        pytest.fail("the block must not run")
    assert caught.value.message == f"cannot write lock file {tmp_path / 'x.lock'}: permission denied"


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_temporary_file_is_never_named(tmp_path, number):
    target = tmp_path / "model.gguf"
    hidden = temporary_path(target, folder=tmp_path)
    with pytest.raises(Gguf2OllamaError) as caught, disk_errors(target):
        raise OSError(number, os.strerror(number), str(hidden))
    assert str(target) in caught.value.message
    assert hidden.name not in caught.value.message


@pytest.mark.parametrize("error", [NotEnoughSpace("full"), ServerUnreachable("gone")])
def test_our_own_errors_pass_unchanged(tmp_path, error):
    with pytest.raises(type(error)) as caught, disk_errors(tmp_path):
        raise error
    assert caught.value is error
