"""Try the companion template with real chat templates, and write what it changes.

Every chat template of a folder that shows tools rides on a tiny scripted model. Its chats must be those of
the same file without any TEMPLATE, by link and by upload; and where it shows thinking, too, ``/api/generate``
is asked with and without ``format``, for thoughts and not, streamed and whole, and compared with a plain
``create``.

Run: ``python -m benchmarks.companion [--corpus DIR] [--ollama VERSION] [--sample N]``, some 10 minutes for
each server; over the whole corpus, with all of them, it writes ``benchmarks/COMPANION.md``.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.parity_subjects import CORPUS, find_subjects
from gguf2ollama import __version__
from gguf2ollama.chat.companion import Companion
from gguf2ollama.jinja.facts import shows_thinking, shows_tools
from tests.live import parts
from tests.live.companions import (
    CONVERSATIONS,
    QUESTION,
    WAYS,
    CompanionServer,
    Generated,
    Request,
    Way,
    broken_promises,
    companion_of,
    own_body,
    scripted_body,
)
from tests.live.servers import running_ollama

RESULTS = Path(__file__).with_name("COMPANION.md")

_HEAD = """\
# The companion template

Written by `python -m benchmarks.companion`. {machine}. gguf2ollama {version} on Python {python}.

Which of {count} chat templates of real models can have a TEMPLATE beside them that Ollama passes over
(`gguf2ollama/chat/companion.py`), and what it changes. “Plain” is a model of the same file by `create` with
nothing else.

Chats are {conversations} conversations of the battery, as prompts that the server shows with
`_debug_render_only`, three whole answers of `/api/chat`, capabilities and parameters. Each template rides on
a tiny random model of the architecture that it belongs to, or on one of architecture llama where llama.cpp
cannot load that. By upload those are left out to which `create` gives a renderer of Ollama's own.

`/api/generate` is asked of a tiny model of architecture llama that says what it is told to: it thinks and
then answers, or it answers at once where the question asks for that, and under a grammar that forbids what
it would say it falls back on a JSON object. It gets {requests} requests: for thoughts or for an answer at
once; with no `format`, `json` or a schema; `think` unset, on or off; streamed or whole. No thought, and
`format` kept, are counted where `think` is unset or on, in every request.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of one chat template on one server.

    Attributes:
        name: What the tables call it.
        made: Its companion.
        thinks: Whether it shows thinking.
        family: The architecture of the body that its chats were tried in.
        is_own: Whether that is its own.
        unlike: What its chats do not have in common with those of the file without a TEMPLATE, by transport;
            ``plain``: after a plain ``create``. Where ``create`` gives a renderer there is link alone, and
            nothing at all where the server loads no such file.
        plain, ours: What ``/api/generate`` answers; by transport. Nothing where it does not show thinking.
    """

    name: str
    made: Companion
    thinks: bool
    family: str
    is_own: bool
    unlike: Mapping[Way, Sequence[str]]
    plain: Mapping[Request, Generated]
    ours: Mapping[Way, Mapping[Request, Generated]]

    @property
    def broken(self) -> list[str]:
        """What is worse than after a plain ``create``, one sentence each."""
        return [
            f"{transport}: {one}"
            for transport, answers in self.ours.items()
            for one in broken_promises(self.made, plain=self.plain, ours=answers)
        ]


def try_out(server: CompanionServer, *, name: str, text: str) -> Trial:
    """Make models of a chat template in each way, and ask them."""
    version = server.ollama.version
    scripted = scripted_body(text, version=version)
    own = own_body(name, text, version=version)
    body, unlikes = own or scripted, server.compare_chats(own, ways=WAYS) if own else {}
    if not unlikes:
        body, unlikes = scripted, server.compare_chats(scripted, ways=WAYS)
    generated: dict[Way, Mapping[Request, Generated]] = {}
    if shows_thinking(text):
        for way in WAYS:
            with server.made(scripted, way) as model:
                generated[way] = server.generate_all(model)
    return Trial(
        name=name,
        made=scripted.made,
        thinks=shows_thinking(text),
        family=body.family,
        is_own=body is own,
        unlike=unlikes,
        plain=generated.pop("plain", {}),
        ours=generated,
    )


def try_all(folder: Path, *, part: parts.Ollama, sample: int | None) -> list[Trial]:
    """Try the chat templates of a folder on a server of its own."""
    subjects = [one for one in find_subjects(folder, sample=sample) if shows_tools(one.text)]
    trials = []
    with (
        tempfile.TemporaryDirectory(prefix="gguf2ollama-bench-") as home,
        running_ollama(part, part.program, Path(home)) as ollama,
        CompanionServer(ollama) as server,
    ):
        for number, subject in enumerate(subjects, 1):
            trial = try_out(server, name=subject.name, text=subject.text)
            faults = {way: list(names) for way, names in trial.unlike.items() if names}
            told = f"{trial.name} ({trial.family}) {faults or ''}"
            print(f"{part.version} {number}/{len(subjects)} {told}", flush=True)
            for one in trial.broken:
                print(f"  {one}")
            trials.append(trial)
    return trials


def report(results: Mapping[str, Sequence[Trial]], *, folder: Path) -> str:
    """Write all of it."""
    head = _HEAD.format(
        machine=describe_machine(Path(tempfile.gettempdir())),
        version=__version__,
        python=platform.python_version(),
        count=len(find_subjects(folder)),
        conversations=len(CONVERSATIONS),
        requests=len(next((one.plain for trials in results.values() for one in trials if one.plain), ())),
    )
    return "\n".join([head, *tables(results), "", *_without_tags(results, folder=folder), ""])


def tables(results: Mapping[str, Sequence[Trial]]) -> Iterator[str]:
    """Write what is counted, a column for each server."""
    yield f"| | {' | '.join(f'Ollama {version}' for version in results)} |"
    yield f"|---|{'---:|' * len(results)}"
    for title, count in _ROWS.items():
        yield f"| {title} | {' | '.join(count(trials) for trials in results.values())} |"


def _without_tags(results: Mapping[str, Sequence[Trial]], *, folder: Path) -> Iterator[str]:
    """Write for which templates no tags are declared, and why."""
    notes = {
        trial.name: {version: _note(version, trial.name, results) for version in results}
        for trials in results.values()
        for trial in trials
        if trial.made.note
    }
    for subject in find_subjects(folder):
        if shows_thinking(subject.text) and not shows_tools(subject.text):
            notes[subject.name] = {
                version: companion_of(subject.text, version=version).note for version in results
            }
    reasons = list(dict.fromkeys(note for one in notes.values() for note in one.values() if note))
    letters = {reason: chr(ord("a") + number) for number, reason in enumerate(reasons)}
    yield "Chat templates that show thinking and for which no tags are declared, and why:"
    yield ""
    yield from (f"- ({letter}) {reason}." for reason, letter in letters.items())
    yield ""
    yield f"| | {' | '.join(results)} |"
    yield f"|---|{'---|' * len(results)}"
    for name, one in sorted(notes.items()):
        told = (f"({letters[note]})" if note else "tags" for note in one.values())
        yield f"| {name} | {' | '.join(told)} |"


def _note(version: str, name: str, results: Mapping[str, Sequence[Trial]]) -> str:
    return next(trial.made.note for trial in results[version] if trial.name == name)


def _alike(way: Way) -> Callable[[Sequence[Trial]], str]:
    return lambda trials: _share(not trial.unlike[way] for trial in trials if way in trial.unlike)


def _thinking(trials: Iterable[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.thinks]


def _answers(trial: Trial, *, is_plain: bool) -> Mapping[tuple[str, Request], Generated]:
    ways = {"plain": trial.plain} if is_plain else trial.ours
    return {(way, one): answer for way, answers in ways.items() for one, answer in answers.items()}


def _hides_thoughts(trial: Trial, *, is_plain: bool) -> bool:
    return not any(
        answer.shows_thought
        for (_, one), answer in _answers(trial, is_plain=is_plain).items()
        if one.expects_thought and one.form == "no format"
    )


def _keeps_format(trial: Trial, *, is_plain: bool, thinks: bool) -> bool:
    return all(
        answer.is_formatted
        for (_, one), answer in _answers(trial, is_plain=is_plain).items()
        if one.form != "no format" and one.think is not False and (one.prompt == QUESTION) is thinks
    )


def _share(values: Iterable[bool]) -> str:
    counted = list(values)
    return f"{sum(counted)} of {len(counted)}"


_ROWS: dict[str, Callable[[Sequence[Trial]], str]] = {
    "show tools, and are in a body of their own architecture": lambda trials: _share(
        trial.is_own for trial in trials
    ),
    "chats by upload, with the companion, as without any TEMPLATE": _alike("upload"),
    "chats by link, with it, as without any": _alike("link"),
    "chats of plain as without any": _alike("plain"),
    "show thinking, too, and get tags": lambda trials: _share(
        trial.made.has_tags for trial in _thinking(trials)
    ),
    "no thought in a response of a model that thinks: plain": lambda trials: _share(
        _hides_thoughts(trial, is_plain=True) for trial in _thinking(trials)
    ),
    "no thought in a response of a model that thinks: with the companion": lambda trials: _share(
        _hides_thoughts(trial, is_plain=False) for trial in _thinking(trials)
    ),
    "the same, of those with tags": lambda trials: _share(
        _hides_thoughts(trial, is_plain=False) for trial in _thinking(trials) if trial.made.has_tags
    ),
    "`format` kept by a model that thinks: plain": lambda trials: _share(
        _keeps_format(trial, is_plain=True, thinks=True) for trial in _thinking(trials)
    ),
    "`format` kept by a model that thinks: with the companion": lambda trials: _share(
        _keeps_format(trial, is_plain=False, thinks=True) for trial in _thinking(trials)
    ),
    "`format` kept by one that answers at once, asked to think: plain": lambda trials: _share(
        _keeps_format(trial, is_plain=True, thinks=False) for trial in _thinking(trials)
    ),
    "`format` kept by one that answers at once, asked to think: with the companion": lambda trials: _share(
        _keeps_format(trial, is_plain=False, thinks=False) for trial in _thinking(trials)
    ),
    "anything worse than plain, where those with tags think": lambda trials: _share(
        bool(trial.broken) for trial in _thinking(trials)
    ),
}


def main() -> int:
    """Try, print and write; exit 1 where chats differ, or ``/api/generate`` is worse than after create."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    versions = {part.version: part for part in parts.OLLAMAS}
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="a folder of chat templates, *.jinja")
    parser.add_argument("--ollama", choices=versions, help="this server alone, and write no file")
    parser.add_argument("--sample", type=int, metavar="N", help="take so many templates, and write no file")
    asked = parser.parse_args()
    chosen = [part for part in parts.OLLAMAS if asked.ollama in (None, part.version)]
    for part in chosen:
        if not part.is_there:
            raise SystemExit(f"Ollama {part.version} is missing: `python tests/live/parts.py get` gets it")
    results = {part.version: try_all(asked.corpus, part=part, sample=asked.sample) for part in chosen}
    print("\n" + report(results, folder=asked.corpus))
    if asked.corpus == CORPUS and not asked.sample and len(chosen) == len(parts.OLLAMAS):
        RESULTS.write_text(report(results, folder=asked.corpus), encoding="utf-8")
    trials = [trial for trials in results.values() for trial in trials]
    differ = any(trial.unlike.get("link") or trial.unlike.get("upload") for trial in trials)
    return 1 if differ or any(trial.broken for trial in trials) else 0


if __name__ == "__main__":
    raise SystemExit(main())
