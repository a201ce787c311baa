"""Compare prompts with what the authors of chat templates mean: ours, Ollama's own, and npm's.

Every chat template of a folder rides on a tiny model through a real server, in each way in which a user can
come to prompts, and every conversation of the battery is compared byte for byte. Over the whole corpus, which
takes some 10 minutes, it also writes ``benchmarks/PARITY.md``, for an older server ``PARITY-VERSION.md``.

Run: ``python -m benchmarks.parity [--corpus DIR] [--ollama VERSION] [--sample N] [--way WAY]``; for
``@huggingface/ollama-utils`` it needs Node 20 with npm, and the network once.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.parity_npm import PACKAGE, convert_all, is_available
from benchmarks.parity_report import Result, report, results_path, tables, unexplained
from benchmarks.parity_server import PromptServer
from benchmarks.parity_subjects import CORPUS, Subject, find_subjects
from benchmarks.parity_trial import WAYS, Trial
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.errors import InvalidInput
from gguf2ollama.ollama import Client
from tests.live import parts
from tests.live.servers import running_ollama


def compare_all(subjects: Sequence[Subject], *, part: parts.Ollama, ways: Sequence[str]) -> list[Result]:
    """Go all ways with all chat templates, on a server of its own."""
    converted = convert_all(subjects) if "ollama-utils" in ways else [None] * len(subjects)
    results = []
    with (
        tempfile.TemporaryDirectory(prefix="gguf2ollama-bench-") as folder,
        running_ollama(part, part.program, Path(folder)) as ollama,
        Client(ollama.url) as client,
        Renderer() as renderer,
    ):
        server = PromptServer(ollama, client)
        for number, (subject, made) in enumerate(zip(subjects, converted, strict=True), 1):
            print(f"{number}/{len(subjects)} {subject.name}", flush=True)
            try:
                trial = Trial(subject, server=server, renderer=renderer, converted=made)
                answers = {way: trial.answer(way) for way in ways}
            except InvalidInput as error:
                print(f"  left out: {error.message}")
                continue
            for way, answer in answers.items():
                print(f"  {way:12} {answer.parity}", flush=True)
                if answer.broken:
                    print(f"  {'':12} predicted to be exact, and not: {', '.join(answer.broken)}")
            results.append(Result(name=subject.name, answers=answers))
    return results


def differences(results: Sequence[Result]) -> Iterator[str]:
    """Write a line of JSON for each prompt that is not exact."""
    for result in results:
        for way, answer in result.answers.items():
            for case in answer.parity.faults:
                told = {
                    "template": result.name,
                    "way": way,
                    "rendered": "native" if answer.is_native else "TEMPLATE",
                    "feature": case.conversation.feature,
                    "conversation": case.conversation.name,
                    "verdict": case.verdict.value,
                    "want": case.want.prompt if isinstance(case.want, Rendered) else None,
                    "got": case.got.prompt if isinstance(case.got, Rendered) else None,
                    "refused": case.got.reason if isinstance(case.got, Refused) else None,
                }
                yield json.dumps(told, ensure_ascii=False) + "\n"


def main() -> int:
    """Compare, print and write; exit 1 where a prediction fails, or `create` does better for no reason."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    versions = {part.version: part for part in parts.OLLAMAS}
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="a folder of chat templates, *.jinja")
    parser.add_argument("--ollama", choices=versions, default=parts.OLLAMAS[0].version)
    parser.add_argument("--sample", type=int, metavar="N", help="take so many templates, and write no file")
    parser.add_argument(
        "--way", action="append", choices=WAYS, help="go this way alone (again for more), and write no file"
    )
    parser.add_argument(
        "--differences", type=Path, metavar="FILE", help="write what is not exact, as JSON lines"
    )
    asked = parser.parse_args()
    if asked.sample is not None and asked.sample < 1:
        parser.error("--sample takes a count from 1 on")
    part = versions[asked.ollama]
    if not part.is_there:
        raise SystemExit(f"Ollama {part.version} is missing: `python tests/live/parts.py get` gets it")
    subjects = find_subjects(asked.corpus, sample=asked.sample)
    ways = [way for way in WAYS if not asked.way or way in asked.way]
    if "ollama-utils" in ways and not is_available():
        print(f"{PACKAGE} is left out: node and npm are not on PATH")
        ways.remove("ollama-utils")
    results = compare_all(subjects, part=part, ways=ways)
    if asked.differences is not None:
        with asked.differences.open("w", encoding="utf-8") as file:
            file.writelines(differences(results))
    print("\n" + "\n".join(tables(results)))
    if asked.corpus == CORPUS and not asked.sample and ways == list(WAYS):
        results_path(part).write_text(report(results, part=part), encoding="utf-8")
    if names := unexplained(results):
        print(f"`ollama create` does better, and nothing says why: {', '.join(names)}")
    is_broken = any(answer.broken for result in results for answer in result.answers.values())
    return 1 if names or is_broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
