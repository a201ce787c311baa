"""How a model fills in the middle of a text: its tokens for that, and the TEMPLATE that writes them.

Ollama passes ``suffix`` of ``/api/generate`` to a TEMPLATE that names ``.Suffix``, and lists ``insert`` among
the capabilities then (``server/images.go``); a chat template knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.families.stops import token_text
from gguf2ollama.families.vocabulary import Vocabulary
from gguf2ollama.gotmpl.write import go_print

if TYPE_CHECKING:
    from gguf2ollama.gotmpl.lex import Token

__all__ = ["FILL_IN_KEYS", "FillIn", "fill_in_problems", "find_fill_in", "with_fill_in"]

# those of llama.cpp (`LLM_KV_TOKENIZER_FIM_PRE_ID` …) and, behind them, those of older converters
_KEYS = {"prefix": ("fim_pre", "prefix"), "suffix": ("fim_suf", "suffix"), "middle": ("fim_mid", "middle")}
FILL_IN_KEYS = tuple(f"tokenizer.ggml.{key}_token_id" for keys in _KEYS.values() for key in keys)
"""The keys of a header that name these tokens."""

# how vocabularies name them: a word for the role in brackets, behind `fim` or `code` or alone, such as
# <|fim_prefix|>, <fim-prefix>, DeepSeek's with wide bars, <|code_prefix|>, <[fim-prefix]>, ▁<PRE>, [PREFIX]
_NAME = lazy_pattern(
    r"(?i)(?P<open>▁?[<\[][|\uff5c\[]?)(?:(?P<family>fim|code)(?P<joint>[-_▁ ]))?"
    r"(?P<word>prefix|suffix|middle|pre|suf|mid|begin|hole|end)(?P<close>[|\uff5c\]]?[>\]])"
)
_WORDS = {
    word: role
    for role, words in {
        "prefix": ("pre", "begin"),
        "suffix": ("suf", "hole"),
        "middle": ("mid", "end"),
    }.items()
    for word in (role, *words)
}
# those that llama.cpp takes for control tokens whatever their type (`llama_vocab::impl::load`, b11095)
_CONTROL_BY_NAME = tuple(
    form.format(word)
    for words, forms in {
        ("prefix", "suffix", "middle"): ("<|fim_{}|>", "<fim-{}>", "<fim_{}>", "<|code_{}|>", "<|{}|>"),
        ("begin", "hole", "end"): ("<\uff5cfim▁{}\uff5c>",),
        ("PRE", "SUF", "MID"): ("<{}>", "▁<{}>"),
    }.items()
    for form in forms
    for word in words
)
_ONLY_OF_FIM = frozenset({"begin", "hole", "end"})
_CODE = lazy_pattern(r"(?i)code|(?<![a-z])fim(?![a-z])|mellum|starcoder")
_SUFFIX_FIRST = lazy_pattern(r"(?i)mellum")  # by its model card; of other models the tokens say it
_CAP_TAGS = 256
_CAP_CHARACTERS = 256  # of a name
_OPENING = frozenset({"if", "range", "with", "block", "define"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FillIn:
    """How a model fills in the middle.

    Attributes:
        go_actions: The Go actions that write the prompt, of ``.Prompt`` and ``.Suffix``.
        source: What says so, a phrase.
        is_certain: Whether the model is for that: some vocabularies have the tokens without any training.
    """

    go_actions: str
    source: str
    is_certain: bool


def find_fill_in(
    metadata: Mapping[str, Any], *, tags: Iterable[str] = (), names: Iterable[str] = ()
) -> FillIn | None:
    """Return how a model fills in the middle; ``None`` if it has no tokens for that.

    Args:
        metadata: The metadata of the GGUF.
        tags: Those of its repository.
        names: Those of its file and repository.
    """
    own = [metadata.get(f"general.{key}") for key in ("name", "basename", "finetune", "tags")]
    words = [*own, *(own[-1][:_CAP_TAGS] if isinstance(own[-1], Sequence) else ()), *tags, *names]
    said = " ".join(word[:_CAP_CHARACTERS] for word in words if isinstance(word, str))
    if named := _by_keys(metadata):
        return _fill_in(named, said=said, source="the GGUF names its tokens", is_certain=True)
    is_for_code = _CODE.search(said) is not None
    found = _by_names(Vocabulary(metadata).special_texts())
    if not found and is_for_code:
        tokens = metadata.get("tokenizer.ggml.tokens")
        if isinstance(tokens, Sequence) and not isinstance(tokens, str):
            found = _by_names(text for text in _CONTROL_BY_NAME if text in tokens)
    if not found:
        return None
    source = f"its vocabulary has {found['prefix']!r} and {found['suffix']!r}"
    return _fill_in(found, said=said, source=source, is_certain=is_for_code)


def fill_in_problems(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Return what is wrong with the keys that name these tokens, one sentence each."""
    for key in FILL_IN_KEYS:
        if key in metadata and not _text_of(metadata, key):
            yield f"{key} in the GGUF is not the number of a token, so it is not used"


def with_fill_in(go_template: str, fill_in: FillIn) -> str | None:
    """Return a TEMPLATE that fills in the middle, too; ``None`` if its definitions are in the way.

    In Go they stand outside of all else: those at its beginning stay there.
    """
    start = _end_of_definitions(go_template)
    if start is None:
        return None
    head, body = go_template[:start], go_template[start:]
    return f"{head}{{{{ if .Suffix }}}}{fill_in.go_actions}{{{{ else }}}}{body}{{{{ end }}}}"


def _text_of(metadata: Mapping[str, Any], key: str) -> str:
    return token_text(metadata, key.removeprefix("tokenizer.ggml.").removesuffix("_token_id"))


def _by_keys(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of the tokens that the header names; none unless it names enough."""
    found = {
        role: next(filter(None, (_text_of(metadata, f"tokenizer.ggml.{key}_token_id") for key in keys)), "")
        for role, keys in _KEYS.items()
    }
    return found if _is_whole(found) else {}


def _by_names(texts: Iterable[str]) -> dict[str, str]:
    """Return the texts of the tokens of a vocabulary that are called so, each with the same brackets."""
    groups: dict[tuple[str, ...], dict[str, str]] = {}
    for text in texts:
        if (match := _NAME.fullmatch(text)) is None:
            continue
        word, family = match["word"].lower(), (match["family"] or "").lower()
        if word in _ONLY_OF_FIM and family != "fim":
            continue
        frame = (family, *(str(match[part] or "") for part in ("open", "joint", "close")))
        groups.setdefault(frame, {}).setdefault(_WORDS[word], text)
    # those with `fim` first, then those with `code`
    by_family = sorted(groups, key=lambda frame: (frame[0] != "fim", frame[0] != "code", frame))
    return next((groups[frame] for frame in by_family if _is_whole(groups[frame])), {})


def _is_whole(tokens: Mapping[str, str]) -> bool:
    """Return whether a prompt can be written; Mistral's needs no token for the middle."""
    prefix = tokens.get("prefix", "")
    return bool(prefix and tokens.get("suffix")) and (bool(tokens.get("middle")) or prefix.startswith("["))


def _fill_in(tokens: Mapping[str, str], *, said: str, source: str, is_certain: bool) -> FillIn:
    return FillIn(go_actions=_actions(tokens, said=said), source=source, is_certain=is_certain)


def _actions(tokens: Mapping[str, str], *, said: str) -> str:
    """Return the actions that write a prompt, in the order in which the model was trained.

    Most go by prefix, suffix, middle. Mistral's ``[SUFFIX]`` and ``[PREFIX]`` have no token for the middle
    (``encode_fim`` in mistral-common); with ByteDance's ``<[fim-suffix]>`` (technical report of Seed-Coder)
    and in JetBrains' Mellum, the suffix goes first. Meta writes spaces around ``<PRE>``, ``<SUF>`` and
    ``<MID>``: in the vocabulary of Code Llama they belong to the tokens (``▁<PRE>``), and llama.cpp finds
    these by their own texts only.
    """
    prefix, suffix, middle = tokens["prefix"], tokens["suffix"], tokens.get("middle", "")
    prompt, rest = "{{ .Prompt }}", "{{ .Suffix }}"
    if prefix.startswith("["):
        return f"{_print(suffix)}{rest}{_print(prefix)}{prompt}"
    if prefix.startswith("<[") or _SUFFIX_FIRST.search(said):
        return f"{_print(suffix)}{rest}{_print(prefix)}{prompt}{_print(middle)}"
    if prefix == "<PRE>":
        return f"{prefix} {prompt} {_print(suffix)}{rest} {_print(middle)}"
    return f"{_print(prefix)}{prompt}{_print(suffix)}{rest}{_print(middle)}"


def _print(token: str) -> str:
    """Return the Go text that prints a token: itself, or an action where a Modelfile could not hold it."""
    is_plain = token.isprintable() and token == token.strip() and not {"{", '"'} & set(token)
    return token if is_plain else go_print(token)


def _end_of_definitions(go_template: str) -> int | None:
    """Return where the definitions at the beginning end; ``None`` if there are others, or no template."""
    from gguf2ollama.gotmpl.lex import tokenize  # noqa: PLC0415 - for code models that chat

    tokens = [token for token in tokenize(go_template) if token.kind != "space"]
    at, end = 0, 0
    while (start := at + (tokens[at].kind == "text" and not tokens[at].value.strip())) < len(tokens) - 1:
        if (tokens[start].kind, tokens[start + 1].kind) != ("{{", "define"):
            break
        at = _behind_end(tokens, start)
        end = tokens[at - 1].at + 2
        if not go_template.startswith("}}", end - 2):  # " -}}", which removes the white space behind it
            end += 2 + len(go_template[end + 2 :]) - len(go_template[end + 2 :].lstrip())
    is_template = tokens[-1].kind == "eof"
    return end if is_template and all(token.kind != "define" for token in tokens[at:]) else None


def _behind_end(tokens: Sequence[Token], start: int) -> int:
    """Return the index behind the ``{{ end }}`` of what begins at an index, or that of the last token."""
    depth = 0
    for at in range(start, len(tokens) - 1):
        if tokens[at].kind == "{{":
            keyword = tokens[at + 1].kind
            depth += (keyword in _OPENING) - (keyword == "end")
        elif tokens[at].kind == "}}" and not depth:
            return at + 1
    return len(tokens) - 1
