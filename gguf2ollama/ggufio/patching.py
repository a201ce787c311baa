"""Changes of keys in a header; everything else in the file stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType

from gguf2ollama._dataclass import dataclass
from gguf2ollama._lazy import lazy_pattern
from gguf2ollama.errors import UsageProblem
from gguf2ollama.ggufio.metadata import MAX_KEY_BYTES, MAX_STRING_BYTES
from gguf2ollama.ggufio.reader import SPLIT_KEYS, GgufFile
from gguf2ollama.ggufio.values import GgufArray, ValueType
from gguf2ollama.ggufio.writer import TypedValue, encode_entry

__all__ = [
    "CHAT_TEMPLATE",
    "ORIGINAL_CHAT_TEMPLATE",
    "UNCHANGED",
    "HeaderPatch",
    "chat_template_patch",
    "chat_template_variants",
]

CHAT_TEMPLATE = "tokenizer.chat_template"
"""The key of the chat template; that of a named variant has a dot and its name appended."""

ORIGINAL_CHAT_TEMPLATE = "gguf2ollama.chat_template"
"""The key of the authors' chat template in a GGUF whose header has a changed one."""

_VARIANT_NAMES = "tokenizer.chat_templates"
_VARIANT_NAME = lazy_pattern(r"[A-Za-z0-9_]{1,64}")  # the characters that gguf-py keeps in a name
_LAYOUT = {"general.alignment", *SPLIT_KEYS}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderPatch:
    """Keys of a header to change, add or remove.

    Attributes:
        changes: The new value of each key; ``None`` removes it. An existing key keeps its position, a new
            one is appended.

    Raises:
        UsageProblem: A key or a string is too long for a GGUF, or the positions of the tensors
            depend on the key.
    """

    changes: Mapping[str, TypedValue | None] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for key, value in self.changes.items():
            _check(key, value)

    def __bool__(self) -> bool:
        return bool(self.changes)

    def entries(self, gguf: GgufFile) -> dict[str, bytes]:
        """Return all keys of the header in order, each with the bytes of key, type and value.

        Raises:
            UsageProblem: A value does not fit its type.
        """
        entries = {key: gguf.metadata.raw(key) for key in gguf.metadata}
        for key, value in self.changes.items():
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = encode_entry(key, value, byte_order=gguf.byte_order)
        return entries

    def in_later_shard(self, gguf: GgufFile) -> HeaderPatch:
        """Return the part of the patch for a later shard, which may repeat keys of the first."""
        return HeaderPatch(
            changes={key: value for key, value in self.changes.items() if key in gguf.metadata}
        )


UNCHANGED = HeaderPatch()


def chat_template_variants(gguf: GgufFile) -> tuple[str, ...]:
    """Return the names of the chat template's variants in a header, without the default."""
    prefix = f"{CHAT_TEMPLATE}."
    return tuple(key.removeprefix(prefix) for key in gguf.metadata if key.startswith(prefix))


def chat_template_patch(
    gguf: GgufFile, text: str | None, *, variant: str | None = None, keep_variants: bool = False
) -> HeaderPatch:
    """Return a patch that sets or removes the chat template; it is empty if the header has that one already.

    llama.cpp renders chats with tools with the variant ``tool_use`` if it exists, whatever the default
    template is (``common_chat_templates_init``): so a new one replaces all variants, unless
    they are to be kept. It also replaces the authors' chat template kept in the header.

    Args:
        gguf: The header; for shards, that of the first.
        text: The Jinja text; ``None`` removes the template.
        variant: The name of the only variant to change; the default template by default.
        keep_variants: Whether named variants are kept when the default template is changed.

    Raises:
        UsageProblem: The text contains a NUL, is too long for a GGUF, or the variant's name is invalid.
    """
    if text is not None and "\x00" in text:
        raise UsageProblem("the chat template contains a NUL character, where llama.cpp would cut it off")
    value = None if text is None else TypedValue(ValueType.STRING, text)
    wanted: dict[str, TypedValue | None]
    if variant is not None:
        wanted = {
            _variant_key(variant): value,
            _VARIANT_NAMES: _names(gguf, variant, is_there=text is not None),
        }
    elif keep_variants:
        wanted = {CHAT_TEMPLATE: value}
    else:
        others = [f"{CHAT_TEMPLATE}.{name}" for name in chat_template_variants(gguf)]
        wanted = {CHAT_TEMPLATE: value} | dict.fromkeys([_VARIANT_NAMES, *others, ORIGINAL_CHAT_TEMPLATE])
    return HeaderPatch(changes={key: value for key, value in wanted.items() if not _is_so(gguf, key, value)})


def _check(key: str, value: TypedValue | None) -> None:
    if key in _LAYOUT and not (value is None and key in SPLIT_KEYS):  # they may go where they are left over
        raise UsageProblem(f"cannot change {key}: the positions of the tensors depend on it")
    try:
        length = len(key.encode())
    except UnicodeEncodeError as error:
        raise UsageProblem(f"invalid key {key!r}: not valid Unicode") from error
    if not 0 < length <= MAX_KEY_BYTES or "\x00" in key:
        raise UsageProblem(f"invalid key {key[:60]!r}: a key has 1 to {MAX_KEY_BYTES:,} bytes and no NUL")
    if value is not None and isinstance(value.value, str):
        size = len(value.value.encode("utf-8", "surrogatepass"))
        if size > MAX_STRING_BYTES:
            raise UsageProblem(
                f"the value of {key} is too long: {size:,} bytes, the limit is {MAX_STRING_BYTES:,}"
            )


def _variant_key(variant: str) -> str:
    if variant == "default" or not _VARIANT_NAME.fullmatch(variant):
        raise UsageProblem(
            f"invalid variant name {variant[:80]!r}",
            hint="use letters, digits and _, such as tool_use; the default template has no name",
        )
    return f"{CHAT_TEMPLATE}.{variant}"


def _names(gguf: GgufFile, variant: str, *, is_there: bool) -> TypedValue | None:
    """Return the list of variants as gguf-py writes it, with or without this one; ``None`` if empty."""
    found = gguf.metadata.get(_VARIANT_NAMES)
    names = list(chat_template_variants(gguf))
    if isinstance(found, GgufArray) and found.element_type is ValueType.STRING:
        names = [str(name) for name in found]
    if not is_there:
        names = [name for name in names if name != variant]
    elif variant not in names:
        names.append(variant)
    return TypedValue.array(ValueType.STRING, names) if names else None


def _is_so(gguf: GgufFile, key: str, value: TypedValue | None) -> bool:
    if value is None:
        return key not in gguf.metadata
    entry = encode_entry(key, value, byte_order=gguf.byte_order)
    return key in gguf.metadata and gguf.metadata.raw(key) == entry
