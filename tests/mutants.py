"""Small faults that the quick tests must notice: each is put into a copy, and its tests must fail.

``make mutants`` runs it. A mutant whose text is not found exactly once is an error, as is one that its tests
pass, or that keeps them from running. With names, only these run: ``python -m tests.mutants lock range``.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_COPIED = ("gguf2ollama", "templates", "tests", "pyproject.toml")
_QUICK = "not slow and not corpus and not older"
_TESTS_FAILED = 1  # of pytest's exit codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A change of one place that a user would be hurt by.

    Attributes:
        name: What it stands for.
        file: The changed file, below the package.
        old: The text that is replaced; it occurs once in that file.
        new: What it is replaced with.
        tests: Where the tests are that notice it, below ``tests``.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        name="a damaged blob is taken for whole",
        file="ollama/store.py",
        old="if not is_source and not has_digest(path, digest, progress=progress):",
        new="if False:",
        tests=("unit/ollama/test_store.py",),
    ),
    Mutant(
        name="a blob that was overwritten and touched is believed",
        file="install/digest_cache.py",
        old="return are_blobs and _sample(files, head_bytes) == sample",
        new="return are_blobs",
        tests=("unit/install/test_digest_cache.py",),
    ),
    Mutant(
        name="each chat of a TEMPLATE has a budget of its own",
        file="gotmpl/state.py",
        old="self._budget.steps = self.steps",
        new="self._budget.steps += 0",
        tests=("unit/planning/test_published_template.py",),
    ),
    Mutant(
        name="provisioning: other weights are no difference",
        file="fleet/diff.py",
        old="elif record.digest != digest:",
        new="elif False:",
        tests=("unit/fleet/test_diff.py",),
    ),
    Mutant(
        name="provisioning: a parameter that was added by hand is no difference",
        file="fleet/diff.py",
        old="sorted({*wanted, *info.parameters})",
        new="sorted(wanted)",
        tests=("unit/fleet/test_diff.py",),
    ),
    Mutant(
        name="provisioning: all models of a host may be deleted",
        file="fleet/changes.py",
        old="len(self.deletions) * _THIRD > self.model_count",
        new="False",
        tests=("unit/fleet/test_diff.py",),
    ),
    Mutant(
        name="provisioning: a literal token in the file is shown",
        file="fleet/file.py",
        old='f"{what} must not be in the file:',
        new='f"{node.value} {what} must not be in the file:',
        tests=("unit/fleet/test_file.py",),
    ),
    Mutant(
        name="what was chosen for other options is recalled",
        file="planning/model_plan.py",
        old='("choice", metadata.digest(), options.verify, asked, target)',
        new='("choice", metadata.digest(), options.verify, target)',
        tests=("unit/planning/stored/test_plan_cache.py",),
    ),
    Mutant(
        name="what is damaged in a cache is used",
        file="planning/stored/plan_cache.py",
        old="or digest != _digest(text)",
        new="",
        tests=("unit/planning/stored/test_plan_cache.py",),
    ),
    Mutant(
        name="lock: a file that is not in the lock file is accepted",
        file="planning/lock.py",
        old="        if found:\n            raise VerificationFailed",
        new="        if False:\n            raise VerificationFailed",
        tests=("unit/planning/test_lock.py",),
    ),
    Mutant(
        name="lock: a file that differs from the lock file is accepted",
        file="planning/lock.py",
        old="            if found.pop(file.path, None) != file:",
        new="            if found.pop(file.path, None) is None:",
        tests=("unit/planning/test_lock.py",),
    ),
    Mutant(
        name="link: a file that changed between hash and link is kept",
        file="install/link.py",
        old="                layer.require_unchanged()  # since it was hashed",
        new="                pass",
        tests=("unit/api/test_build.py",),
    ),
    Mutant(
        name="hash: a file that changed while it was hashed has a digest",
        file="install/hashing.py",
        old="        found = future.result()\n        layer.require_unchanged()",
        new="        found = future.result()",
        tests=("unit/install/test_hashing.py",),
    ),
    Mutant(
        name="range: any Content-Range is accepted",
        file="net/ranges.py",
        old="    if first != wanted.start or not first < end <= most:",
        new="    if False:",
        tests=("unit/net", "unit/sources/test_url.py"),
    ),
    Mutant(
        name="range: a file of another size is accepted",
        file="net/ranges.py",
        old="    if size is not None and total != size:",
        new="    if False:",
        tests=("unit/net", "unit/sources/test_url.py"),
    ),
    Mutant(
        name="part: what is left of an earlier download may be longer than the file",
        file="sources/downloads/part_file.py",
        old="max(ends, default=0) <= part.st_size <= size:",
        new="max(ends, default=0) <= part.st_size:",
        tests=("unit/sources/test_part_file.py", "unit/sources/test_url.py"),
    ),
    Mutant(
        name="part: another tool's part may be longer than the file",
        file="sources/downloads/part_file.py",
        old="        if 0 < found <= size:",
        new="        if 0 < found:",
        tests=("unit/sources/test_part_file.py", "unit/sources/test_download.py"),
    ),
    Mutant(
        name="path: a listed path may lead out of the folder",
        file="sources/sites/site.py",
        old='or part[-1] in ". "',
        new="",
        tests=("unit/sources/test_hostile_sites.py",),
    ),
    Mutant(
        name="registry: bound to all interfaces",
        file="ollama/manifest_server.py",
        old="        super().__init__((_ADDRESS, 0), _Handler)",
        new='        super().__init__(("0.0.0.0", 0), _Handler)',
        tests=("unit/ollama/test_manifest_server.py",),
    ),
    Mutant(
        name="digest: a download with another digest is accepted",
        file="sources/downloads/download.py",
        old="            return digest == file.sha256",
        new="            return True",
        tests=("unit/sources/test_download.py",),
    ),
)


def main(arguments: list[str]) -> int:
    """Run the mutants whose names begin so, or all; return 1 if one survives."""
    chosen = [mutant for mutant in MUTANTS if not arguments or mutant.name.startswith(tuple(arguments))]
    if not chosen:
        sys.stderr.write(f"no mutant begins with {' or '.join(arguments)}\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        tree = Path(name)
        for part in _COPIED:
            copy = shutil.copytree if (_ROOT / part).is_dir() else shutil.copy
            copy(_ROOT / part, tree / part)
        if code := _run(tuple(sorted({test for mutant in chosen for test in mutant.tests})), tree):
            sys.stderr.write(f"without a mutant, the tests end with {code}\n")
            return 2
        verdicts = [_verdict(mutant, tree) for mutant in chosen]
    for mutant, verdict in zip(chosen, verdicts, strict=True):
        sys.stdout.write(f"{'dies' if verdict is None else verdict}: {mutant.name}\n")
    return int(any(verdict is not None for verdict in verdicts))


def _verdict(mutant: Mutant, tree: Path) -> str | None:
    """Return what is wrong with a mutant's tests; ``None`` where they fail because of it."""
    path = tree / "gguf2ollama" / mutant.file
    sound = path.read_text()
    if sound.count(mutant.old) != 1:
        return f"NOT FOUND once in {mutant.file}"
    path.write_text(sound.replace(mutant.old, mutant.new))
    try:
        code = _run(mutant.tests, tree)
    finally:
        path.write_text(sound)
    if code == 0:
        return "SURVIVES"
    return None if code == _TESTS_FAILED else f"NO TEST RAN (pytest ended with {code})"


def _run(tests: tuple[str, ...], tree: Path) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", _QUICK, "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*command, *(f"tests/{test}" for test in tests)],
        cwd=tree,
        env=environment,
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
