"""Switch off each mechanism of the choice of templates, and count the chat templates that lose a usual chat.

A mechanism is what was made for some chat templates: a change of a header, a fact that learnt rules may use,
a way to write tools, a family's Go TEMPLATE. A chat template loses by one that is switched off where a usual
conversation (plain, tools, thinking, a switch in a text) that came out exactly, or but for how JSON is
written, does so no more. Everything is predicted, for versions of Ollama before 0.30, which render with a Go
TEMPLATE alone, and from 0.30 on. No server is asked.

Run: ``python -m benchmarks.leave_one_out [--corpus FOLDER] [--only NAME]``, some 10 minutes on two cores. It
writes ``benchmarks/LEAVE_ONE_OUT.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import inspect
import json
import pkgutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.parity_subjects import CORPUS, Subject, find_subjects
from gguf2ollama.chat import patches
from gguf2ollama.chat.candidate import NothingRenders, Question, TemplateChoice
from gguf2ollama.chat.comparison import Verdict
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import Authors
from gguf2ollama.chat.selection import choose_template
from gguf2ollama.chat.synthesis import facts, synthesis
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.families import detect, load_profiles

ROOT = Path(__file__).resolve().parents[1]
TABLE = Path(__file__).with_name("LEAVE_ONE_OUT.md")
GENERATIONS: Mapping[str, tuple[str, ...]] = {"before 0.30": ("0.24.0",), "0.30-0.34": ("0.32.15", "0.34.4")}
_SYNTHESIS = "gguf2ollama.chat.synthesis"
_FORMS = f"{_SYNTHESIS}.tool_forms"
_LEARNER = f"{_SYNTHESIS}.synthesis._Synthesiser"
_USUAL = {"plain", "tools", "thinking", "switch"}
_BOS, _EOS = "<|gguf2ollama-bos|>", "<|gguf2ollama-eos|>"
_BATCH = 8  # chat templates between two times that results are kept
_FEW = 2  # templates that lose: what serves no more has to say why it stays

WHY_IT_STAYS: Mapping[str, str] = {}
"""Why a mechanism stays that serves no usual chat of more than two templates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was chosen for a chat template.

    Attributes:
        origin: Where it comes from.
        why: The reasons, as they are told.
        usual: The names of the usual conversations that come out.
        parts: The names of classes and facts in the rules that were learnt, if a learnt TEMPLATE was chosen.
        family: The family that was detected.
    """

    origin: str = ""
    why: str = ""
    usual: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()
    family: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """Something that can be switched off.

    Attributes:
        name: What the table calls it.
        lines: How many lines it has.
        off: Switches it off.
        may_matter: Whether it could, for what was chosen with it.
    """

    name: str
    lines: int
    off: Callable[[], contextlib.AbstractContextManager[Any]]
    may_matter: Callable[[Outcome], bool] = field(default=lambda outcome: outcome.origin == "synthesised")


def mechanisms() -> Iterator[Mechanism]:
    """Return the mechanisms."""
    for number, change in enumerate(patches.changes()):
        yield Mechanism(
            name=f"header: {_name_of(change.make)}",
            lines=_lines_of_change(change.make),
            off=functools.partial(_without_change, number),
            may_matter=lambda outcome: outcome.origin == "patched",
        )
    yield Mechanism(
        name="synthesis: arguments as escaped text",
        lines=_source(f"{_FORMS}.styles:escapes_of"),
        off=_replaced(f"{_FORMS}.find_arguments.escapes_of", lambda _: None),
        may_matter=_has("EachArgument"),
    )
    yield Mechanism(
        name="synthesis: arguments as a text of JSON",
        lines=_source(f"{_FORMS}.arguments_form:TextArguments"),
        off=_replaced(f"{_FORMS}.arguments_form.TextArguments.print", lambda *_: "\0"),
        may_matter=_has("TextArguments"),
    )
    yield Mechanism(
        name="synthesis: reasoning within answers",
        lines=_source(f"{_SYNTHESIS}.content_rules:learn_inline", f"{_SYNTHESIS}.rules:Inline"),
        off=_replaced(f"{_SYNTHESIS}.synthesis.learn_inline", lambda rules, *_, **__: rules),
    )
    yield Mechanism(
        name="synthesis: dates",
        lines=_lines("gguf2ollama/chat/synthesis/dates.py"),
        off=_replaced(f"{_SYNTHESIS}.synthesis.find_dates", lambda *_, **__: {}),
        may_matter=_has("dates"),
    )
    yield Mechanism(
        name="synthesis: system messages that are rejected",
        lines=_source(f"{_SYNTHESIS}.content_rules:with_system"),
        off=_replaced(f"{_SYNTHESIS}.synthesis.with_system", lambda rules: rules),
    )
    yield Mechanism(
        name="synthesis: empty messages",
        lines=_source(
            f"{_SYNTHESIS}.synthesis:_Synthesiser._with_empty",
            f"{_SYNTHESIS}.synthesis:_Synthesiser._emptied",
        ),
        off=_replaced(f"{_LEARNER}._with_empty", lambda _, rules, *__: (rules, [])),
    )
    yield Mechanism(
        name="synthesis: empty messages that print nothing",
        lines=_source(f"{_SYNTHESIS}.synthesis:_Synthesiser._silent"),
        off=_replaced(f"{_LEARNER}._silent", lambda _, rules, *__: rules),
        may_matter=_has("silent"),
    )
    yield Mechanism(
        name="synthesis: what all messages of a role begin with",
        lines=_source(f"{_SYNTHESIS}.learning:_Learner._opening"),
        off=_replaced(f"{_SYNTHESIS}.learning._Learner._opening", lambda *_: {}),
        may_matter=_has("tools form"),
    )
    for fact in facts.FACTS:
        others = tuple(name for name in facts.FACTS if name != fact)
        yield Mechanism(
            name=f"synthesis: the fact '{fact}'",
            lines=_lines_of_fact(fact),
            off=_replaced(f"{_SYNTHESIS}.learning.FACTS", others),
            may_matter=_has(f"fact {fact}"),
        )
    yield Mechanism(
        name="Ollama's parsers of answers",
        lines=_lines("gguf2ollama/chat/ollama_parsers.py"),
        off=_replaced("gguf2ollama.chat.ollama_parsers.known_parsers", lambda *_: ()),
        may_matter=lambda outcome: outcome.origin in {"profile", "synthesised"},
    )
    for profile in sorted(load_profiles(), key=lambda profile: profile.family):
        yield Mechanism(
            name=f"family: {profile.family}",
            lines=_lines_of_profile(profile.path, profile.template),
            off=functools.partial(_without_family, profile.family),
            may_matter=functools.partial(_is_family, profile.family),
        )


def _is_family(name: str, outcome: Outcome) -> bool:
    return outcome.origin == "profile" and outcome.family == name


def _has(part: str) -> Callable[[Outcome], bool]:
    return lambda outcome: part in outcome.parts


def _replaced(target: str, value: object) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    return functools.partial(mock.patch, target, value)


def _without_change(number: int) -> contextlib.AbstractContextManager[Any]:
    kept = [change for at, change in enumerate(patches.changes()) if at != number]
    return mock.patch("gguf2ollama.chat.selection.changes", return_value=kept)


_switched_off: set[str] = set()  # families


@contextlib.contextmanager
def _without_family(name: str) -> Iterator[None]:
    _switched_off.add(name)
    try:
        yield
    finally:
        _switched_off.discard(name)


def _name_of(make: Callable[..., object]) -> str:
    if isinstance(make, functools.partial):
        given = ", ".join(str(value) for value in make.keywords.values())
        return f"{make.func.__name__.strip('_')} {given}"
    rewrite = inspect.getclosurevars(make).nonlocals.get("rewrite")
    return (rewrite or make).__name__.strip("_")


def _lines_of_change(make: Callable[..., object]) -> int:
    if isinstance(make, functools.partial):
        return len(inspect.getsource(make.func).splitlines())
    rewrite = inspect.getclosurevars(make).nonlocals.get("rewrite")
    if rewrite is None:
        return len(inspect.getsource(make).splitlines())
    return len(Path(inspect.getfile(rewrite)).read_text("utf-8").splitlines())


def _source(*names: str) -> int:
    """Return the lines of functions, each ``module:name``."""
    return sum(len(inspect.getsource(pkgutil.resolve_name(name)).splitlines()) for name in names)


def _lines(*paths: str) -> int:
    return sum(len((ROOT / path).read_text("utf-8").splitlines()) for path in paths if (ROOT / path).exists())


def _lines_of_fact(fact: str) -> int:
    folder = ROOT / "gguf2ollama/chat/synthesis"
    texts = ((folder / name).read_text("utf-8") for name in ("facts.py", "go_facts.py"))
    return sum(f'"{fact}"' in line for text in texts for line in text.splitlines())


def _lines_of_profile(path: Path, template: str) -> int:
    files = (path, path.parent.parent / "chat" / template)
    return sum(len(file.read_text("utf-8").splitlines()) for file in files if file.exists())


def choose(subject: Subject, version: str, *, renderer: Renderer) -> Outcome:
    """Choose what renders a chat template's chats on an Ollama to which it is linked."""
    metadata = {
        "tokenizer.chat_template": subject.text,
        "tokenizer.ggml.tokens": (_BOS, _EOS),
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.add_bos_token": True,
    }
    detection = detect(metadata, profiles=load_profiles())
    family = detection.profile.family if detection.profile is not None else ""
    is_native = not version.startswith("0.24")
    question = Question(
        authors=Authors(chat_template=subject.text, bos=_BOS, eos=_EOS, adds_bos=True),
        version=version,
        is_native=is_native,
        may_patch=is_native,
        has_companions=is_native,
        profile=None if family in _switched_off else detection.go_template,
        metadata=metadata,
    )
    learnt: list[synthesis.Synthesis] = []

    def synthesise(*arguments: Any, **options: Any) -> object:  # noqa: ANN401 - as the function
        found = synthesis.synthesise(*arguments, **options)
        if isinstance(found, synthesis.Synthesis):
            learnt.append(found)
        return found

    with mock.patch("gguf2ollama.chat.synthesis.synthesise", synthesise):
        try:
            choice = choose_template(question, renderer=renderer)
        except Gguf2OllamaError:
            return Outcome()
    if isinstance(choice, NothingRenders):
        return Outcome()
    return _outcome(choice, learnt, family=family)


def _outcome(choice: TemplateChoice, learnt: Sequence[synthesis.Synthesis], *, family: str) -> Outcome:
    chosen = choice.chosen
    is_learnt = chosen.origin == "synthesised" and bool(learnt)
    good = {Verdict.exact, Verdict.json_equal}
    return Outcome(
        origin=chosen.origin,
        why=chosen.why,
        usual=frozenset(
            case.conversation.name
            for case in chosen.parity.cases
            if case.conversation.feature in _USUAL
            and case.verdict in good
            and not (chosen.misses_calls and case.conversation.tools)
        ),
        parts=frozenset(_parts(learnt[-1].rules)) if is_learnt else frozenset(),
        family=family,
    )


def _parts(value: object) -> Iterator[str]:
    """Yield what rules are made of: names of classes, and facts on which something depends."""
    if dataclasses.is_dataclass(value):
        yield type(value).__name__
        if (fact := getattr(value, "fact", None)) is not None:
            yield f"fact {fact}"
        for part in dataclasses.fields(value):
            found = getattr(value, part.name)
            if part.name in {"numbered", "dates", "silent"} and (found or found == 0):
                yield part.name
            if part.name == "form" and found is not None:
                yield "tools form"
            yield from _parts(found)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _parts(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _parts(item)


def losses(subject: Subject) -> dict[tuple[str, str], int]:
    """Return by mechanism and generation how many usual conversations a chat template loses at most."""
    found: dict[tuple[str, str], int] = {}
    with Renderer() as renderer:
        for generation, versions in GENERATIONS.items():
            for version in versions:
                usual = choose(subject, version, renderer=renderer)
                for mechanism in mechanisms():
                    if not usual.usual or not mechanism.may_matter(usual):
                        continue
                    with mechanism.off():
                        left = choose(subject, version, renderer=renderer)
                    if lost := len(usual.usual - left.usual):
                        key = mechanism.name, generation
                        found[key] = max(found.get(key, 0), lost)
    return found


def table(results: Mapping[str, Mapping[tuple[str, str], int]]) -> str:
    """Write the table: mechanisms with the templates that lose by each, and why those stay that serve few."""
    lines = [
        "# Leave one out",
        "",
        f"Written by `python -m benchmarks.leave_one_out`: of {len(results)} chat templates of real models,",
        "those that lose a usual conversation (plain, tools, thinking, a switch in a text; exact or",
        "JSON-equal) where a mechanism is switched off. Where another way does as well, nothing is lost.",
        "",
        f"| mechanism | lines | {' | '.join(GENERATIONS)} | which | why it stays |",
        f"|---|---:|{'---:|' * len(GENERATIONS)}---|---|",
    ]
    for mechanism in mechanisms():
        losers = {
            generation: [name for name, found in results.items() if (mechanism.name, generation) in found]
            for generation in GENERATIONS
        }
        counts = " | ".join(str(len(names)) for names in losers.values())
        every = sorted({name for names in losers.values() for name in names})
        which = ", ".join(every[:3]) + (", …" if len(every) > 3 else "")
        why = WHY_IT_STAYS.get(mechanism.name, "")
        lines.append(f"| {mechanism.name} | {mechanism.lines} | {counts} | {which} | {why} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Write the table; exit 1 where results are missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="a folder of chat templates, *.jinja")
    parser.add_argument("--only", metavar="NAME", default="", help="only those whose names contain this")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="keep results there, and go on with them"
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no template after them")
    options = parser.parse_args()
    begun = time.monotonic()
    known: dict[str, list[tuple[str, str, int]]] = {}
    if options.results is not None and options.results.exists():
        known = json.loads(options.results.read_text("utf-8"))
    subjects = [subject for subject in find_subjects(options.corpus) if options.only in subject.name]
    waiting = [subject for subject in subjects if subject.name not in known]
    with ProcessPoolExecutor(max_workers=2) as pool:
        while waiting and time.monotonic() - begun < options.seconds:
            batch, waiting = waiting[:_BATCH], waiting[_BATCH:]
            for subject, lost in zip(batch, pool.map(losses, batch), strict=True):
                known[subject.name] = [(*key, count) for key, count in lost.items()]
            if options.results is not None:
                options.results.write_text(json.dumps(known), encoding="utf-8")
    if waiting:
        print(f"{len(waiting)} of {len(subjects)} chat templates are left: run it again")
        return 1
    text = table(
        {subject.name: {(name, at): n for name, at, n in known[subject.name]} for subject in subjects}
    )
    print(text)
    if not options.only:
        TABLE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
