"""Hold what users read to the field's words: every literal of the package, found in the syntax tree.

`make lint` runs it: it prints what it refuses, with the place.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Complaint",
    "complaints_of_package",
    "complaints_of_python",
    "complaints_of_template",
    "refused_words",
]

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = CHECKOUT / "gguf2ollama"
TEMPLATES = CHECKOUT / "templates"

# conversations and tools that models and templates are tried with; no user reads them
_CONVERSATIONS = {
    "chat/battery/test_conversations.py",
    "chat/special_cases.py",
    "chat/synthesis/tool_forms/probe_tools.py",
}

_REFUSED = {
    pattern: re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\bfore(told|tells?|seen)\b",
        r"\banew\b",
        r"\b(gone|goes|go|going) on with\b",
        r"\bbeside\b",
        r"\bone reads\b",
        r"(?<!\bthere )\b(is|are|was|were) no\b(?! longer\b)(?!\.)",
        r"(?<!\bthere )\b(is|are|was|were) none\b",
        r"\b(told|tell|tells|telling)\b",
        r"\bmakes? (\w+ )?of\b",
        r"\bto be had\b",
        r"\bthe way to\b",
        r"\bway: ",
        r"\bmeant\b",
        r"\bwish(es)?\b",
        r"\bstand-?ins?\b",
        r"\bby itself\b",
        r"\b(is|are|was|were) not there\b",
        r"\b(is|are|was|were) there( already)?\b(?! (a|an|any|no)\b)",
        r"\bours to write\b",
        r"\bbroken off\b",
        r"\bmend(s|ed)?\b",
        r"\basked too often\b",
        r"\bnobody\b",
        r"\bof another (age|kind)\b",
        r"\bin thought\b",
        r"\bnot quite\b",
        r"\b(is for|has) no chats\b",
        r"\bas it was put\b",
        r"\bput into words\b",
        r"\bhonou?red\b",
        r"\ba fault\b",
    )
}
_NAMES = frozenset({"Ollama", "Go", "Jinja", "Python", "Linux", "Windows", "Hugging", "Modelfile", "Docker"})
_CAPITAL = re.compile(r"[A-Z][a-z]+\b")
_FULL_STOP = re.compile(r"(?<!\.)\.$")
_TEMPORARY = re.compile(r"\b\w*(tempor|tmp|partial|staging)\w*", re.IGNORECASE)
_ERROR = re.compile(
    r"(Error|Problem|NotFound|Invalid\w+|Server[A-Z]\w+|VerificationFailed|NotEnoughSpace|FileChanged)$"
)
_CODE = re.compile(r"\{\{|\{%|#\}|\(\?:")  # templates, and patterns
_NO_PROSE = {"compile", "TypeVar", "getLogger", "fullmatch", "search", "match", "sub"}
_JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<style>.*?</style>", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """A text that users should not read.

    Attributes:
        path: The file, below the package or ``templates``.
        line: Its line.
        rule: What is refused: a pattern, or a rule of style.
        text: The text; values that are put in are shown in braces.
    """

    path: str
    line: int
    rule: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """A literal: ``kind`` is ``error`` or ``hint`` for those of an error, else ``text``.

    Of values that are put in, ``text`` has nothing, ``shown`` their expressions.
    """

    line: int
    text: str
    kind: str = "text"
    shown: str = ""
    fields: tuple[str, ...] = ()


def complaints_of_package() -> list[Complaint]:
    """Return all that is refused in the package and in ``templates``."""
    found: list[Complaint] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in _CONVERSATIONS:
            found += complaints_of_python(path.read_text(encoding="utf-8"), path=name)
    for folder in ("report", "modelfile"):
        for path in sorted((TEMPLATES / folder).rglob("*.j2")):
            name = path.relative_to(CHECKOUT).as_posix()
            found += complaints_of_template(path.read_text(encoding="utf-8"), path=name)
    return found


def complaints_of_python(source: str, *, path: str) -> list[Complaint]:
    """Return what is refused in a module: words in any text, and style in errors and hints."""
    return [
        Complaint(path=path, line=text.line, rule=rule, text=text.shown or text.text)
        for text in _texts(ast.parse(source))
        for rule in _broken_rules(text)
    ]


def complaints_of_template(source: str, *, path: str) -> list[Complaint]:
    """Return the words that are refused in a template's own text."""
    plain = _JINJA.sub(lambda match: "\n" * match[0].count("\n"), source)
    return [
        Complaint(path=path, line=number, rule=rule, text=line.strip())
        for number, line in enumerate(plain.splitlines(), 1)
        for rule in _broken_rules(_Text(line=number, text=line))
    ]


def refused_words(text: str) -> list[str]:
    """Return the patterns of refused words that a text matches."""
    return [rule for rule, pattern in _REFUSED.items() if pattern.search(text)]


def _broken_rules(text: _Text) -> Iterator[str]:
    yield from refused_words(text.text)
    if text.kind == "text":
        return
    first = _CAPITAL.match(text.text)
    if first and first[0] not in _NAMES:
        yield "begins with a capital"
    if _FULL_STOP.search(text.text):
        yield "ends with a full stop"
    if text.kind == "error" and any(_TEMPORARY.search(field) for field in text.fields):
        yield "names a temporary file"


def _texts(tree: ast.Module) -> Iterator[_Text]:
    """Find the texts of a module: of several words, or said by an error. Docstrings only of commands."""
    kinds = {id(node): kind for call in ast.walk(tree) for node, kind in _said_by_error(call)}
    skipped = {id(node) for parent in ast.walk(tree) for node in _not_shown(parent)}

    def visit(node: ast.AST) -> Iterator[_Text]:
        if id(node) in skipped:
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            kind = kinds.get(id(node), "text")
            if kind != "text" or (" " in node.value.strip() and not _CODE.search(node.value)):
                yield _Text(line=node.lineno, text=node.value, kind=kind)
        elif isinstance(node, ast.JoinedStr):
            fields = [part for part in node.values if isinstance(part, ast.FormattedValue)]
            yield _Text(
                line=node.lineno,
                text="".join(
                    str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
                ),
                kind=kinds.get(id(node), "text"),
                shown=ast.unparse(node)[2:-1],
                fields=tuple(ast.unparse(field.value) for field in fields),
            )
            for field in fields:
                yield from visit(field.value)
        else:
            for child in ast.iter_child_nodes(node):
                yield from visit(child)

    return visit(tree)


def _said_by_error(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Find what an error says, and every hint: also in both branches of a condition."""
    if not isinstance(node, ast.Call):
        return
    if _ERROR.search(_name(node.func)) and node.args:
        yield from ((text, "error") for text in _alternatives(node.args[0]))
    for keyword in node.keywords:
        if keyword.arg == "hint":
            yield from ((text, "hint") for text in _alternatives(keyword.value))


def _alternatives(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.IfExp):
        yield from _alternatives(node.body)
        yield from _alternatives(node.orelse)
    else:
        yield node


def _not_shown(node: ast.AST) -> Iterator[ast.AST]:
    """Find literals that no user reads: docstrings but those of commands, patterns, annotations."""
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and not _is_command(node):
        yield from (
            one for one in node.body if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
        )
    if isinstance(node, ast.Call) and _name(node.func) in _NO_PROSE:
        yield node
    if isinstance(node, ast.FunctionDef) and node.returns is not None:
        yield node.returns
    if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation is not None:
        yield node.annotation


def _is_command(node: ast.AST) -> bool:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else ()
    return any(isinstance(one, ast.Call) and _name(one.func) in {"verb", "group"} for one in decorators)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def main() -> int:
    """Print what is refused."""
    found = complaints_of_package()
    for complaint in found:
        print(f"{complaint.path}:{complaint.line}: {complaint.rule}: {complaint.text!r}")  # noqa: T201 - a script
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
