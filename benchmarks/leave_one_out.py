"""Switch off each mechanism of the choice of templates, and count the chat templates that lose a usual chat.

A mechanism is what was made for some chat templates: a change of a header, a fact that learnt rules may use,
a way to write tools, a family's Go TEMPLATE. A chat template loses by one that is switched off where a usual
conversation (plain, tools, thinking, a switch in a text) that came out exactly, or but for how JSON is
written, does so no more. Everything is predicted, for versions of Ollama before 0.30, which render with a Go
TEMPLATE alone, and from 0.30 on. No server is asked.

A mechanism that many chosen ways use is not switched off: whoever uses it is counted, and that is enough.

The chat templates are those of a folder, and our own for the models of the zoo, in their families' styles.

Run: ``python -m benchmarks.leave_one_out [--corpus FOLDER] [--only NAME]``, some 5 minutes on two cores. It
writes ``benchmarks/LEAVE_ONE_OUT.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import inspect
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.frozen import BOS, EOS, metadata_of
from benchmarks.parity_subjects import CORPUS, Subject, find_subjects
from gguf2ollama.chat.changes import patches
from gguf2ollama.chat.choice.candidate import NothingRenders, Question, TemplateChoice
from gguf2ollama.chat.choice.selection import choose_template
from gguf2ollama.chat.comparison import Verdict
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import Authors
from gguf2ollama.chat.synthesis import facts, synthesis
from gguf2ollama.chat.synthesis.decisions import Leaf
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.families import detect, load_profiles
from tests.zoo.models import MODELS

ROOT = Path(__file__).resolve().parents[1]
TABLE = Path(__file__).with_name("LEAVE_ONE_OUT.md")
GENERATIONS: Mapping[str, tuple[str, ...]] = {"before 0.30": ("0.24.0",), "0.30-0.34": ("0.32.15", "0.34.4")}
_SYNTHESIS = "gguf2ollama.chat.synthesis"
_FORMS = f"{_SYNTHESIS}.tool_forms"
_LEARNER = f"{_SYNTHESIS}.synthesis._Synthesiser"
_USUAL = {"plain", "tools", "thinking", "switch"}
_MANY = 6  # templates that use a mechanism: it surely serves, and is not switched off
_ZOO = "zoo-"  # what the names of its chat templates begin with
_FEW = 2  # templates that lose: what serves no more has to say why it stays

_HEAD = """\
# Leave one out

Written by `python -m benchmarks.leave_one_out`: of {count} chat templates of real models and {zoo} in the
styles of the zoo's families (`tests/zoo`; their names begin with `zoo-`), those that lose a usual
conversation (plain, tools, thinking, a switch in a text; exact or JSON-equal) where a mechanism is switched
off. Where another way does as well, nothing is lost. What more than {many} chosen ways use is not switched
off.

| mechanism | lines | before 0.30: corpus, zoo | 0.30-0.34: corpus, zoo | who loses | why it stays |
|---|---:|---:|---:|---|---|"""
_REMOVED = """
What was removed, as it was counted before:

| mechanism | lines | before 0.30 | 0.30-0.34 | who lost |
|---|---:|---:|---:|---|
| synthesis: tools field by field | 1,369 | 2 | 0 | Apertus (tools), Hermes 2 Pro tool_use (all) |
| synthesis: a notation of its own for arguments | 141 | 0 | 0 | |
| synthesis: unpaired think tags | 201 | 0 | 0 | |
| synthesis: numbered calls | 60 | 1 | 0 | Kimi-K2 (parallel calls) |
| header: numbers behind dots | 25 | 0 | 0 | |
| header: texts that are filled in by `format` | 73 | 0 | 0 | |
| header: results that stay messages | 12 | 0 | 0 | |
| synthesis: 9 facts of results, calls and neighbours, all off together | 80 | 0 | 0 | |
"""
_REWRITINGS = {  # lines
    "with_arguments_as_json": 30,
    "with_missing_members": 38,
    "with_values_printed": 28,
    "with_wide_trims": 74,
}
_IN_A_LIST = "a name in a list of what llama.cpp passes"
_WHERE_FREE = "taken where a changed header costs no copy: then irregular chats come out, too"
WHY_IT_STAYS: Mapping[str, str] = {
    "header: without_variable preserve_thinking": "one of the two is Qwen3.6",
    "header: without_variable clear_thinking": _IN_A_LIST,
    "header: without_variable truncate_history_thinking": _IN_A_LIST,
    "header: without_variable drop_thinking": _IN_A_LIST,
    "header: without_variable date_string": f"Llama 3.1: {_WHERE_FREE}",
    "header: without_variable datetime": _IN_A_LIST,
    "header: with_system True": _WHERE_FREE,
    "header: with_system False": _WHERE_FREE,
    "header: with_system_refused": "the server would not start, and may be set up to pass over a TEMPLATE",
    "header: with_tools_seen": "calls of models with a named template `tool_use`, which these files lack",
    "header: without_variable enable_thinking": _WHERE_FREE,
    "header: with_missing_members": "one of the two is gpt-oss",
    "synthesis: arguments as a text of JSON": "11 lines; without them such a call is printed wrongly",
    "synthesis: system messages that are rejected": "--system and the TEMPLATE before 0.30",
    "synthesis: empty messages that print nothing": "15 lines; one of the two is Seed-OSS",
    "synthesis: the fact 'last user'": "4 lines",
    "family: command-r": "12 lines; prompts that are not compared (`--no-verify`) before 0.30",
    "family: deepseek-r1": "its TEMPLATE is that of deepseek-v3",
    "family: deepseek-r1-distill-llama": "its TEMPLATE is that of deepseek-v3",
    "family: deepseek-r1-distill-qwen": "its TEMPLATE is that of deepseek-v3",
    "family: mistral-large": "its TEMPLATE is that of mistral-v3",
    "Ollama's parsers of answers": "`modelfile`: a Modelfile for any version cannot change a header",
}
"""Why a mechanism stays that serves no usual chat of more than two templates."""
_WHY_A_KIND_STAYS = (
    ("family:", "a file without a chat template whose name is one of the family's is built with it"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was chosen for a chat template.

    Attributes:
        origin: Where it comes from.
        why: The reasons, as users read them.
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
        is_used: Whether what was chosen for a chat template has it.
    """

    name: str
    lines: int
    off: Callable[[], contextlib.AbstractContextManager[Any]]
    is_used: Callable[[Outcome, str], bool]


def mechanisms() -> Iterator[Mechanism]:
    """Return the mechanisms."""
    for number, change in enumerate(patches.changes()):
        yield Mechanism(
            name=f"header: {_name_of(change.make)}",
            lines=_lines_of_change(change.make),
            off=functools.partial(_without_change, number),
            is_used=functools.partial(_is_patched_by, change.make),
        )
    yield Mechanism(
        name="synthesis: arguments as escaped text",
        lines=_source(f"{_FORMS}.styles:escapes_of"),
        off=_replaced(f"{_FORMS}.find_arguments.escapes_of", lambda _: None),
        is_used=_has("EachArgument"),
    )
    yield Mechanism(
        name="synthesis: arguments as a text of JSON",
        lines=_source(f"{_FORMS}.arguments_form:TextArguments"),
        off=_replaced(f"{_FORMS}.arguments_form.TextArguments.print", lambda *_: "\0"),
        is_used=_has("TextArguments"),
    )
    yield Mechanism(
        name="synthesis: reasoning within answers",
        lines=_source(f"{_SYNTHESIS}.content_rules:learn_inline", f"{_SYNTHESIS}.rules:Inline"),
        off=_replaced(f"{_SYNTHESIS}.synthesis.learn_inline", lambda rules, *_, **__: rules),
        is_used=_has("Inline"),
    )
    yield Mechanism(
        name="synthesis: dates",
        lines=_lines("gguf2ollama/chat/synthesis/dates.py"),
        off=_replaced(f"{_SYNTHESIS}.synthesis.find_dates", lambda *_, **__: {}),
        is_used=_has("dates"),
    )
    yield Mechanism(
        name="synthesis: system messages that are rejected",
        lines=_source(f"{_SYNTHESIS}.content_rules:with_system"),
        off=_replaced(f"{_SYNTHESIS}.synthesis.with_system", lambda rules: rules),
        is_used=_has("rejected system"),
    )
    yield Mechanism(
        name="synthesis: empty messages",
        lines=_source(
            f"{_SYNTHESIS}.synthesis:_Synthesiser._with_empty",
            f"{_SYNTHESIS}.synthesis:_Synthesiser._emptied",
        ),
        off=_replaced(f"{_LEARNER}._with_empty", lambda _, rules, *__: (rules, [])),
        is_used=_has("empty"),
    )
    yield Mechanism(
        name="synthesis: empty messages that print nothing",
        lines=_source(f"{_SYNTHESIS}.synthesis:_Synthesiser._silent"),
        off=_replaced(f"{_LEARNER}._silent", lambda _, rules, *__: rules),
        is_used=_has("silent"),
    )
    yield Mechanism(
        name="synthesis: what all messages of a role begin with",
        lines=_source(f"{_SYNTHESIS}.learning:_Learner._opening"),
        off=_replaced(f"{_SYNTHESIS}.learning._Learner._opening", lambda *_: {}),
        is_used=_has("opening"),
    )
    for fact in facts.FACTS:
        others = tuple(name for name in facts.FACTS if name != fact)
        yield Mechanism(
            name=f"synthesis: the fact '{fact}'",
            lines=_lines_of_fact(fact),
            off=_replaced(f"{_SYNTHESIS}.learning.FACTS", others),
            is_used=_has(f"fact {fact}"),
        )
    yield Mechanism(
        name="Ollama's parsers of answers",
        lines=_lines("gguf2ollama/chat/answers/ollama_parsers.py"),
        off=_replaced("gguf2ollama.chat.answers.ollama_parsers.known_parsers", lambda *_: ()),
        is_used=lambda outcome, _: "answer parser" in outcome.why,
    )
    for profile in sorted(load_profiles(), key=lambda profile: profile.family):
        yield Mechanism(
            name=f"family: {profile.family}",
            lines=_lines_of_profile(profile.path, profile.template),
            off=functools.partial(_without_family, profile.family),
            is_used=functools.partial(_is_of_family, profile.family),
        )


def _is_patched_by(make: Callable[[str], patches.Patch | None], outcome: Outcome, text: str) -> bool:
    patch = make(text) if outcome.origin == "patched" else None
    return patch is not None and any(why in outcome.why for why in patch.why)


def _is_of_family(name: str, outcome: Outcome, _: str) -> bool:
    return outcome.origin == "profile" and outcome.family == name


def _has(part: str) -> Callable[[Outcome, str], bool]:
    return lambda outcome, _: part in outcome.parts


def _replaced(target: str, value: object) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    return functools.partial(mock.patch, target, value)


def _without_change(number: int) -> contextlib.AbstractContextManager[Any]:
    kept = [change for at, change in enumerate(patches.changes()) if at != number]
    return mock.patch("gguf2ollama.chat.choice.selection.changes", return_value=kept)


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
    return _REWRITINGS.get(rewrite.__name__, len(inspect.getsource(rewrite).splitlines()))


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
    metadata = metadata_of(subject)
    detection = detect(metadata, profiles=load_profiles())
    family = detection.profile.family if detection.profile is not None else ""
    is_native = not version.startswith("0.24")
    question = Question(
        authors=Authors(chat_template=subject.text, bos=BOS, eos=EOS, adds_bos=True),
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
        parts=frozenset(_parts_of(learnt[-1])) if is_learnt else frozenset(),
        family=family,
    )


def _parts_of(learnt: synthesis.Synthesis) -> Iterator[str]:
    """Yield what a learnt TEMPLATE is made of."""
    yield from _parts(learnt.rules)
    if any("rejects system messages" in lack.reason for lack in learnt.lacking):
        yield "rejected system"


def _parts(value: object) -> Iterator[str]:
    """Yield what rules are made of: names of classes, of parts, and facts on which something depends."""
    if dataclasses.is_dataclass(value):
        yield type(value).__name__
        if (fact := getattr(value, "fact", None)) is not None:
            yield f"fact {fact}"
        for part in dataclasses.fields(value):
            found = getattr(value, part.name)
            yield from _named(part.name, found)
            yield from _parts(found)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _parts(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _parts(item)


def _named(part: str, value: object) -> Iterator[str]:
    if part in {"dates", "silent"} and value:
        yield part
    if part in {"ignored", "blank", "silent", "empty"} and value:
        yield "empty"
    if part == "opening" and value != Leaf(""):
        yield part


def baseline(subject: Subject) -> dict[str, Outcome]:
    """Choose with all mechanisms."""
    with Renderer() as renderer:
        return {
            version: choose(subject, version, renderer=renderer)
            for versions in GENERATIONS.values()
            for version in versions
        }


def loss(subject: Subject, version: str, name: str, usual: frozenset[str]) -> int:
    """Return how many usual conversations a chat template loses without a mechanism."""
    (mechanism,) = (mechanism for mechanism in mechanisms() if mechanism.name == name)
    with Renderer() as renderer, mechanism.off():
        return len(usual - choose(subject, version, renderer=renderer).usual)


def zoo_subjects() -> Iterator[Subject]:
    """Return our own chat templates for the models of the zoo, each text once."""
    models: dict[str, str] = {}
    for model in MODELS.values():
        if model.own_template is not None:
            models.setdefault(model.own_template, model.name)
    for text, name in models.items():
        yield Subject(name=f"{_ZOO}{name}", text=text, bos=BOS, eos=EOS)


def rows(subjects: Sequence[Subject], *, pool: ProcessPoolExecutor) -> Iterator[str]:
    """Return a row for each mechanism."""
    chosen = dict(zip([subject.name for subject in subjects], pool.map(baseline, subjects), strict=True))
    for mechanism in mechanisms():
        cells, losers = [], list[str]()
        for versions in GENERATIONS.values():
            users = [
                (subject, version, outcome)
                for subject in subjects
                for version in versions
                if (outcome := chosen[subject.name][version]).usual
                and mechanism.is_used(outcome, subject.text)
            ]
            names = list(dict.fromkeys(subject.name for subject, *_ in users))
            if len(names) > _MANY:
                cells.append(f"{_counted(names)} use it")
                continue
            runs = [
                pool.submit(loss, subject, version, mechanism.name, outcome.usual)
                for subject, version, outcome in users
            ]
            lost = [subject.name for (subject, *_), run in zip(users, runs, strict=True) if run.result()]
            losers += lost
            cells.append(_counted(set(lost)))
        which = ", ".join(sorted(set(losers)))
        is_few = len(set(losers)) <= _FEW and not any("use it" in cell for cell in cells)
        default = next((why for start, why in _WHY_A_KIND_STAYS if mechanism.name.startswith(start)), "")
        why = WHY_IT_STAYS.get(mechanism.name, default) if is_few else ""
        yield f"| {mechanism.name} | {mechanism.lines} | {' | '.join(cells)} | {which} | {why} |"


def _head(subjects: Sequence[Subject]) -> str:
    zoo = sum(subject.name.startswith(_ZOO) for subject in subjects)
    return _HEAD.format(count=len(subjects) - zoo, zoo=zoo, many=_MANY)


def _counted(names: Collection[str]) -> str:
    """Return how many chat templates are of the corpus, and how many of the zoo."""
    of_zoo = sum(name.startswith(_ZOO) for name in names)
    return f"{len(names) - of_zoo}, {of_zoo}" if names else "0"


def main() -> int:
    """Write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="a folder of chat templates, *.jinja")
    parser.add_argument("--only", metavar="NAME", default="", help="only those whose names contain this")
    options = parser.parse_args()
    corpus = find_subjects(options.corpus)
    subjects = [subject for subject in (*corpus, *zoo_subjects()) if options.only in subject.name]
    with ProcessPoolExecutor(max_workers=2) as pool:
        lines = list(rows(subjects, pool=pool))
    text = "\n".join([_head(subjects), *lines, _REMOVED])
    print(text)
    if not options.only:
        TABLE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
