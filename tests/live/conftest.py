"""Real servers, tools and a real model for the tests; where one is missing, a skip that counts.

With ``CI=true`` a missing part is a failure, so that a run cannot be green for having tested nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.live import parts
from tests.live.servers import RunningOllama, find_program, running_ollama

_MISSING = "missing part: "
_REMEDY = "`python tests/live/parts.py get` gets them"

OllamaPool = Callable[[parts.Ollama], RunningOllama]


def missing(part: str) -> NoReturn:
    """End the test for want of a part: skipped, or failed in CI."""
    pytest.skip(_MISSING + part)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, turn the skip for a missing part into a failure."""
    report = yield
    if os.environ.get("CI") == "true" and (part := _missing_part(report)):
        report.outcome = "failed"
        report.longrepr = f"{_MISSING}{part}, and CI=true; {_REMEDY}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Count the tests that did not run for want of a part."""
    skipped = [
        part for report in terminalreporter.stats.get("skipped", []) if (part := _missing_part(report))
    ]
    if skipped:
        names = ", ".join(sorted(set(skipped)))
        terminalreporter.write_line(f"{len(skipped)} live tests did not run, missing: {names}; {_REMEDY}")


def _missing_part(report: pytest.TestReport) -> str:
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    return reason.partition(_MISSING)[2]


@pytest.fixture(scope="session")
def ollama_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OllamaPool]:
    """Start the server of a release when it is first asked for, and end all of them at last."""
    running: dict[str, RunningOllama] = {}
    with ExitStack() as servers:

        def give(part: parts.Ollama) -> RunningOllama:
            if part.version not in running:
                program = find_program(part)
                if program is None:
                    missing(f"Ollama {part.version}")
                folder = tmp_path_factory.mktemp(f"ollama-{part.version}")
                running[part.version] = servers.enter_context(running_ollama(part, program, folder))
            return running[part.version]

        yield give


@pytest.fixture(scope="session", params=parts.OLLAMAS, ids=[part.version for part in parts.OLLAMAS])
def ollama_server(request: pytest.FixtureRequest, ollama_pool: OllamaPool) -> RunningOllama:
    """Return a running server of each release that there is to test against."""
    return ollama_pool(request.param)


@pytest.fixture(scope="session")
def newest_ollama(ollama_pool: OllamaPool) -> RunningOllama:
    """Return a running server of the newest release."""
    return ollama_pool(parts.OLLAMAS[0])


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the real SmolLM2-135M-Instruct Q4_1 GGUF, 98 MB; not to be written to.

    It is a copy for each of the processes that tests run in: a server sets the time of a file that was linked
    into its store, and what reads that file beside it finds it changed.
    """
    if not parts.has_model():
        missing(f"model {parts.MODEL_FILE}")
    return Path(shutil.copy(parts.model_path(), tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="session")
def llama_tool() -> Callable[[str], Path]:
    """Find a tool of llama.cpp by its name, such as ``llama-gguf-split``."""

    def give(name: str) -> Path:
        for part in parts.OLLAMAS:
            if part.tool(name).is_file():
                return part.tool(name)
        missing(name)

    return give
