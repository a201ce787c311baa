"""Record what is chosen for each chat template of a folder, and digests of the prompts; or compare with that.

For each of three versions of Ollama, and for link and pull as for upload, a row of
``benchmarks/frozen/choices.json`` says what renders the chats and has a digest of the prompts of each
feature, predicted for a fixed set of conversations and a clock that stands still. No server is asked. A later
change shows with ``--check`` that behaviour stays, or which of it changes.

Each chat template is that of a model of no architecture, with tokens that no chat template writes.

Run: ``python -m benchmarks.frozen [--check] [--only NAME] [--prompts FILE]``, some 3 minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from benchmarks.frozen_conversations import CONVERSATIONS
from benchmarks.parity_subjects import CORPUS, Subject, find_subjects
from gguf2ollama.chat.conversation import Conversation, Feature
from gguf2ollama.chat.llamacpp import Prediction, read_native
from gguf2ollama.chat.outcome import Refused, Rendered
from gguf2ollama.chat.reference import Renderer
from gguf2ollama.chat.reference_prompt import as_asked
from gguf2ollama.errors import Gguf2OllamaError
from gguf2ollama.families import Detection, detect, load_profiles
from gguf2ollama.gotmpl.parse import parse
from gguf2ollama.ollama_template import read, render
from gguf2ollama.planning.settings import ModelSettings, choose_system
from gguf2ollama.planning.stored.choice_form import choice_form
from gguf2ollama.planning.target import Target, parse_version, target_of
from gguf2ollama.planning.templates.selected_template import TemplateSelection
from gguf2ollama.planning.templates.template_selection import select_template

if TYPE_CHECKING:
    from gguf2ollama.planning.stored.choice_form import Choice

__all__ = [
    "TABLE",
    "Frozen",
    "Row",
    "Table",
    "absent",
    "compare",
    "freeze",
    "freeze_all",
    "load_table",
    "summarise",
    "table_as_json",
    "table_of",
    "targets",
]

TABLE = Path(__file__).with_name("frozen") / "choices.json"
VERSIONS = ("0.24.0", "0.32.15", "0.34.4")
NOW = datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC)
BOS, EOS = "<|gguf2ollama-bos|>", "<|gguf2ollama-eos|>"
_WAY = ("origin", "parser", "companion")
_DIGITS = 12  # of a digest, in hexadecimal: a table that is compared with its successor needs no more

Row: TypeAlias = Mapping[str, Any]
"""What is chosen in one way: ``origin``, and where there are any ``parser``, ``companion`` (``with tags`` or
``without tags``), ``texts`` (a digest of each) and ``prompts`` (by feature a digest of all of them, and how
many conversations have none)."""
Table: TypeAlias = Mapping[str, Mapping[str, Any]]
"""By the sha256 of a chat template its ``file``, a name for people, and a row for each version and way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A row, and the prompts that its digests are made of.

    Attributes:
        row: The row.
        outcomes: The conversations, each with what was predicted; empty where nothing renders them.
    """

    row: Row
    outcomes: Sequence[tuple[Conversation, Prediction]] = ()


def targets() -> dict[str, Target]:
    """Return the Ollamas of the table by version and way: before 0.30 all ways lead to the same model."""
    found: dict[str, Target] = {}
    for text in VERSIONS:
        version = parse_version(text)
        link, upload = (
            # an upload sends the weights anyway, so that a changed header costs no copy
            target_of(
                version,
                create_replaces_template=create_replaces_template,
                patch_copies=not create_replaces_template,
            )
            for create_replaces_template in (False, True)
        )
        has_ways = upload.create_replaces_template
        found |= {f"{text} link, pull": link, f"{text} upload": upload} if has_ways else {text: link}
    return found


def metadata_of(subject: Subject) -> dict[str, Any]:
    """Return the metadata of a model that has a chat template, and a tokenizer that adds BOS."""
    return {
        "tokenizer.chat_template": subject.text,
        "tokenizer.ggml.tokens": (BOS, EOS),
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.add_bos_token": True,
    }


def freeze(subject: Subject, *, target: Target, renderer: Renderer) -> Frozen:
    """Choose what renders a chat template's chats on an Ollama, and predict the prompts."""
    metadata = metadata_of(subject)
    detection = detect(metadata, profiles=load_profiles())
    try:
        selection = select_template(
            metadata, detection=detection, settings=ModelSettings(), target=target, renderer=renderer
        )
    except Gguf2OllamaError:  # without its words, which may change while behaviour stays
        return Frozen(row={"origin": "refused"})
    _require_storable((detection, selection))
    if not isinstance(selection, TemplateSelection):
        return Frozen(row={"origin": "nothing renders"})
    chosen = selection.choice.chosen
    texts = {
        "TEMPLATE": chosen.go_template,
        "chat template": chosen.chat_template,
        "companion": chosen.companion,
    }
    outcomes = list(_predict(subject, selection, detection=detection))
    row: dict[str, Any] = {"origin": chosen.origin}
    if chosen.parser is not None:
        row["parser"] = chosen.parser.name
    if chosen.companion is not None:
        has_tags = all(read(parse(chosen.companion)).thinking)
        row["companion"] = "with tags" if has_tags else "without tags"
    if digests := {name: _digest(text) for name, text in texts.items() if text is not None}:
        row["texts"] = digests
    row["prompts"] = summarise(outcomes)
    return Frozen(row=row, outcomes=outcomes)


def _require_storable(choice: Choice) -> None:
    """Check that a choice comes back from the cache of plans as it is."""
    form = choice_form()
    stored = json.dumps(form.write(choice))
    assert form.read(json.loads(stored)) == choice, "the cache of plans would change it"


def _predict(
    subject: Subject, selection: TemplateSelection, *, detection: Detection
) -> Iterator[tuple[Conversation, Prediction]]:
    """Predict the prompts, the system message of the model included."""
    chosen = selection.choice.chosen
    system = choose_system(detection, settings=ModelSettings()).value or ""
    go_template = None if chosen.go_template is None else parse(chosen.go_template)
    native = read_native(
        chosen.chat_template or subject.text,
        version=selection.version,
        now=NOW,
        bos=selection.authors.bos,
        eos=selection.authors.eos,
        adds_bos=selection.authors.adds_bos,
    )
    for conversation in CONVERSATIONS:
        asked = as_asked(conversation, thinks="thinking" in chosen.capabilities, system=system)
        if go_template is None:
            yield conversation, native.render(asked)
            continue
        try:
            prompt = render(
                go_template,
                asked.for_ollama(),
                version=selection.version,
                now=NOW,
                capabilities=chosen.capabilities,
            )
            yield conversation, Rendered(prompt)
        except Gguf2OllamaError as error:
            yield conversation, Refused(error.message)


def summarise(outcomes: Iterable[tuple[Conversation, Prediction]]) -> dict[str, str]:
    """Return a digest for each feature, with the number of conversations that have no prompt."""
    prompts: dict[Feature, dict[str, str | None]] = {}
    missing: dict[Feature, list[str]] = {}
    for conversation, outcome in outcomes:
        prompt = outcome.prompt if isinstance(outcome, Rendered) else None
        prompts.setdefault(conversation.feature, {})[conversation.name] = prompt
        if prompt is None:
            kind = "refused" if isinstance(outcome, Refused) else "unpredictable"
            missing.setdefault(conversation.feature, []).append(kind)
    cells = {}
    for feature, by_name in prompts.items():
        kinds = missing.get(feature, [])
        counts = [f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))]
        digest = [_digest(json.dumps(by_name))] if len(kinds) < len(by_name) else []
        cells[str(feature)] = ", ".join(digest + counts)
    return cells


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def freeze_all(subjects: Sequence[Subject]) -> Iterator[tuple[Subject, Mapping[str, Frozen]]]:
    """Freeze the rows of each chat template."""
    with Renderer() as renderer:
        for subject in subjects:
            rows = {
                name: freeze(subject, target=target, renderer=renderer) for name, target in targets().items()
            }
            yield subject, rows


def table_of(results: Iterable[tuple[Subject, Mapping[str, Frozen]]]) -> Table:
    """Return the table."""
    return {
        hashlib.sha256(subject.text.encode()).hexdigest(): {
            "file": subject.name,
            **{name: frozen.row for name, frozen in rows.items()},
        }
        for subject, rows in results
    }


def compare(old: Table, new: Table) -> dict[str, list[str]]:
    """Compare two tables; return what differs by kind, each kind with the rows in which it does.

    Chat templates that the new table lacks are not compared: see :func:`absent`.
    """
    kinds: dict[str, list[str]] = {}
    for digest, entry in new.items():
        before = old.get(digest, {})
        for name in (entry.keys() | before.keys()) - {"file"}:
            for kind, how in _differences(before.get(name), entry.get(name)):
                kinds.setdefault(kind, []).append(f"{entry['file']}, {name}{how}")
    return {kind: sorted(rows) for kind, rows in sorted(kinds.items())}


def absent(old: Table, new: Table) -> list[str]:
    """Return the names of the chat templates that the new table lacks."""
    return sorted(entry["file"] for digest, entry in old.items() if digest not in new)


def _differences(old: Row | None, new: Row | None) -> Iterator[tuple[str, str]]:
    """Return the kinds in which two rows differ, each with how."""
    if old is None or new is None:
        yield ("row is new" if old is None else "row is missing"), ""
        return
    ways = [", ".join(str(row[key]) for key in _WAY if key in row) for row in (old, new)]
    if ways[0] != ways[1]:
        yield "way changed", f": {ways[0]} -> {ways[1]}"
    for kind, key in (("text changed", "texts"), ("prompts changed", "prompts")):
        before, after = old.get(key, {}), new.get(key, {})
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                yield f"{kind}: {name}", ""


def load_table() -> Table:
    """Read the table that is committed; an empty one where there is none."""
    table: Table = json.loads(TABLE.read_text("utf-8")) if TABLE.exists() else {}
    return table


def table_as_json(table: Table) -> str:
    """Return a table as JSON, in the order of the names, a row a line."""
    entries = sorted(table.items(), key=lambda item: (item[1]["file"], item[0]))
    return "{\n" + ",\n".join(_entry(digest, entry) for digest, entry in entries) + "\n}\n"


def _entry(digest: str, entry: Mapping[str, Any]) -> str:
    rows = (f"{json.dumps(name)}:{json.dumps(row, separators=(',', ':'))}" for name, row in entry.items())
    return f"{json.dumps(digest)}:{{" + ",\n".join(rows) + "}"


def prompt_lines(subject: Subject, rows: Mapping[str, Frozen]) -> Iterator[str]:
    """Return a line of JSON for each prompt, to compare those of two checkouts where a digest has changed."""
    for name, frozen in rows.items():
        for conversation, outcome in frozen.outcomes:
            shown = outcome.prompt if isinstance(outcome, Rendered) else {"missing": outcome.reason}
            yield json.dumps([subject.name, name, conversation.name, shown], ensure_ascii=False) + "\n"


def main() -> int:
    """Write the table, or compare with it; exit 1 where a comparison shows a difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and write no table")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="a folder of chat templates, *.jinja")
    parser.add_argument("--only", metavar="NAME", help="the chat templates whose names contain this")
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="write the prompts, as JSON lines")
    options = parser.parse_args()
    subjects = [subject for subject in find_subjects(options.corpus) if (options.only or "") in subject.name]
    results = list(freeze_all(subjects))
    if options.prompts is not None:
        with options.prompts.open("w", encoding="utf-8") as file:
            for subject, rows in results:
                file.writelines(prompt_lines(subject, rows))
    old, new = load_table(), table_of(results)
    kinds = compare(old, new)
    for kind, names in kinds.items():
        print(f"{kind} ({len(names)})", *names, sep="\n  ")
    if not options.only and (names := absent(old, new)):
        print(f"not compared, not in {options.corpus} ({len(names)})", *names, sep="\n  ")
    print(f"{len(new)} chat templates, {sum(len(entry) - 1 for entry in new.values())} rows")
    if options.check:
        return 1 if kinds else 0
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(table_as_json({**old, **new}), encoding="utf-8")  # the rows of absent ones stay
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
