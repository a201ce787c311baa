"""Recognize files that are not GGUF, so that the error can say what to do."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["HEAD_BYTES", "describe_stranger"]

HEAD_BYTES = 512
"""The bytes at the start of a file that :func:`describe_stranger` needs."""

_DOWNLOAD = "download the file itself"
_CONVERT = "convert it to GGUF first, with llama.cpp's convert_hf_to_gguf.py"
_OLD = "the format was replaced in August 2023; get a GGUF of the same model"

_MAGICS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs.github.com/spec/",
        "it is a Git LFS pointer",
        "fetch the file itself: git lfs pull",
    ),
    (b"lmgg", "it is a GGML file, a format that llama.cpp no longer supports", _OLD),
    (b"fmgg", "it is a GGMF file, a format that llama.cpp no longer supports", _OLD),
    (b"tjgg", "it is a GGJT file, a format that llama.cpp no longer supports", _OLD),
    (b"algg", "it is a GGLA file, a LoRA format that llama.cpp no longer supports", _OLD),
    (
        b"PK\x03\x04",
        "it is a ZIP archive (such as a PyTorch checkpoint)",
        f"unpack it; if it is a checkpoint, {_CONVERT}",
    ),
    (b"\x80\x02", "it is a Python pickle, such as an old PyTorch checkpoint", _CONVERT),
    (b"\x80\x04", "it is a Python pickle", _CONVERT),
    (b"\x1f\x8b", "it is gzip-compressed", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "it is zstd-compressed", "unpack it first"),
    (b"BZh", "it is bzip2-compressed", "unpack it first"),
    (b"\xfd7zXZ\x00", "it is xz-compressed", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "it is a 7-Zip archive", "unpack it first"),
    (b"Rar!\x1a\x07", "it is a RAR archive", "unpack it first"),
    (
        b"MZqFpD=",
        "it is a llamafile, a program with a model in it",
        "take the model out of it: unzip FILE '*.gguf'",
    ),
)
_LONGEST_NAME = 200  # of a tensor
_MOST_SHOWN = 60  # characters
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--")


def describe_stranger(head: bytes) -> tuple[str, str]:
    """Return what a file that is not GGUF seems to be by its first bytes, and a hint what to do."""
    for magic, problem, hint in _MAGICS:
        if head.startswith(magic):
            return problem, hint
    for is_it, problem, hint in _KINDS:
        if is_it(head):
            return problem, hint
    if _is_text(head):
        return f"it is text: {_first_line(head)!r}", f"{_DOWNLOAD}; this may be a server's error message"
    return f"it begins with {head[:4]!r}, expected b'GGUF'", "check that this is the right file"


def _text(head: bytes) -> bytes:
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()


def _is_safetensors(head: bytes) -> bool:
    """Check for a length of eight bytes and a JSON object: https://github.com/huggingface/safetensors."""
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 1 < length <= 100_000_000  # noqa: PLR2004 - the format's own limits


def _is_imatrix(head: bytes) -> bool:
    """Check for a count and the length and the name of a tensor, as ``llama-imatrix`` wrote before GGUF."""
    length = int.from_bytes(head[4:8], "little")
    return 0 < length <= _LONGEST_NAME and head[8 : 8 + length].endswith(b".weight")


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # but for a character that the end cuts
            return False
        text = head[: error.start].decode()
    return bool(text.strip()) and all(char.isprintable() or char in "\t\r\n" for char in text)


def _first_line(head: bytes) -> str:
    return head.decode(errors="replace").strip().splitlines()[0][:_MOST_SHOWN]


_KINDS: tuple[tuple[Callable[[bytes], bool], str, str], ...] = (
    (
        lambda head: _text(head).startswith(_PAGES),
        "it is a web page, not a model",
        f"{_DOWNLOAD}: on Hugging Face, use the link with /resolve/ instead of /blob/",
    ),
    (_is_safetensors, "it is a safetensors file", _CONVERT),
    (
        lambda head: _text(head).startswith((b"{", b"[")),
        "it is JSON, not a model",
        f"{_DOWNLOAD}; this may be a server's error message",
    ),
    (lambda head: head[257:262] == b"ustar", "it is a tar archive", "unpack it first"),
    (
        _is_imatrix,
        "it is an importance matrix, not a model",
        "llama-quantize uses it; give the model that it was made for",
    ),
    (
        lambda head: not head.strip(b"\x00"),
        "it begins with zeros only, as interrupted downloads do",
        f"{_DOWNLOAD} again",
    ),
)
