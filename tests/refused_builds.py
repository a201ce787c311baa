"""Builds from a repository that are refused, and what may have been fetched by then."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.hub_server import FakeHub
from tests.fakes.ollama_server import FakeOllama

__all__ = ["NAME", "REFUSALS", "Refusal"]

NAME = "m-Q4_K_M.gguf"


@dataclass(frozen=True)
class Refusal:
    """A build that is refused.

    Attributes:
        options: What it is called with; ``{folder}`` stands for a folder with bad templates and a lock file.
        code: The exit code.
        words: What the error says.
        version: The server's version; ``""`` where none runs.
        needs_header: Whether it takes the header of the file to know.
    """

    options: tuple[str, ...]
    code: int
    words: str
    version: str = "0.34.4"
    needs_header: bool = False

    def check(
        self,
        call: Callable[..., tuple[int, str]],
        hub: FakeHub,
        folder: Path,
        *,
        header_bytes: int,
    ) -> None:
        """Have the program refuse it.

        Args:
            call: Runs the program, with arguments and the address of a server; returns exit code and stderr.
            hub: Holds the model in ``o/r``.
            folder: A folder of the test.
            header_bytes: How long the header of the model is.
        """
        write_inputs(folder, hub)
        options = [option.format(folder=folder) for option in self.options]
        hub.forget_sent()
        hub.seen.clear()
        if self.version:
            with FakeOllama(version=self.version) as server:
                code, err = call("build", "o/r", *options, "--host", server.url)
                assert not server.store.models
        else:
            code, err = call("build", "o/r", *options, "--host", "127.0.0.1:9")
        assert code == self.code, err
        assert self.words in err
        assert "hint: " in err
        if self.needs_header:
            assert hub.sent[NAME] <= header_bytes + (2 << 20)  # it comes by ranges
        else:
            assert hub.seen == [], "the site was asked"


def write_inputs(folder: Path, hub: FakeHub) -> None:
    """Write bad templates, and a lock file of the model as it never was."""
    (folder / "bad.tmpl").write_text("{{ range .Messages }}{{ .Content }")
    (folder / "bad.jinja").write_text("{% for message in messages %}{{ message.content")
    [(commit, files)] = hub.repositories["o/r"].commits.items()
    lock: Mapping[str, object] = {
        "format": 1,
        "site": "hf",
        "repository": "o/r",
        "revision": "main",
        "commit": commit,
        "files": [{"path": NAME, "bytes": files[NAME].size, "sha256": "0" * 64}],
        "context": None,
        "template_sha256": "0" * 64,
        "recipe_sha256": "0" * 64,
        "ollama": "0.34.4",
    }
    (folder / "other-file.lock").write_text(json.dumps(lock))
    same = [{"path": NAME, "bytes": files[NAME].size, "sha256": files[NAME].sha256}]
    (folder / "other-recipe.lock").write_text(json.dumps({**lock, "files": same}))


REFUSALS = {
    "no server": Refusal((), 5, "127.0.0.1:9", version=""),
    "a server too old for uploads": Refusal(("--via", "upload"), 2, "0.5.1", version="0.5.1"),
    "a link into no model directory": Refusal(("--via", "link"), 2, "model directory"),
    "a context that is none": Refusal(("--ctx", "banana"), 2, "--ctx 'banana'"),
    "a TEMPLATE that does not parse": Refusal(("--template", "{folder}/bad.tmpl"), 4, "template"),
    "a chat template that does not parse": Refusal(
        ("--chat-template", "{folder}/bad.jinja"), 2, "chat template"
    ),
    "a name that Ollama would not find": Refusal(("--name", "a:local"), 2, "reserved by Ollama"),
    "a lock file into no folder": Refusal(("--lock", "{folder}/none/x.lock"), 3, "directory does not exist"),
    "a lock file of another file": Refusal(
        ("--locked", "{folder}/other-file.lock"), 6, "lock file", needs_header=True
    ),
    "a lock file of another recipe": Refusal(
        ("--locked", "{folder}/other-recipe.lock"), 6, "lock file", needs_header=True
    ),
}
