"""The keys of ``--json``, for each command: they are an interface, to which keys may be added only.

A shape is a text ``"type: meaning"``, a list of one shape, or a mapping of keys to shapes. A key that ends
with ``?`` may be missing; a value whose shape is in a tuple with ``None`` may be null; the key ``*`` is any
name. The reference is written from this table, and the tests hold every command to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

__all__ = ["ERROR", "SHAPES", "Shape", "rows"]

Shape: TypeAlias = str | list["Shape"] | tuple["Shape", None] | Mapping[str, "Shape"]

_SCORES: Shape = {
    "*": {
        "exact": "integer: prompts that match byte for byte, by feature (`plain`, `thinking`, `tools`, …)",
        "json_equal": "integer: prompts that match except for how JSON in them is written",
        "compared": "integer: prompts compared",
    }
}
_CASE: dict[str, Shape] = {
    "name": "string: the conversation",
    "feature": "string: the feature it needs",
    "verdict": "string: exact, JSON-equal, different, unknown or refused",
    "expected": ("string: the prompt of the model's chat template; null if that rejects it", None),
    "actual": ("string: the prompt that is rendered; null if there is none", None),
    "note": "string: why `actual` is unknown, else empty",
}
_CANDIDATE: dict[str, Shape] = {
    "origin": "string: user, native, patched, profile or synthesised",
    "description": "string: what renders",
    "parser": ("string: built-in parser of model output", None),
    "companion_template": ("string: TEMPLATE that goes with the chat template and does not render", None),
    "generate_note": "string: why reasoning will show in /api/generate, else empty",
    "exact": "boolean: whether all prompts match",
    "scores": _SCORES,
}
_CHOICE: dict[str, Shape] = {
    **_CANDIDATE,
    "reason": "string: why it was selected",
    "capabilities": ["string: tools, thinking"],
    "mismatches": [_CASE],
    "alternatives": [_CANDIDATE],
    "cutting_stops": ["string: stop string that would cut an answer"],
    "notes": ["string: why something was not tried or found"],
}
_ALWAYS = {"origin", "exact", "reason"}  # of a template that nothing renders, too
_SOURCED: Shape = {"value": ("string: its text", None), "source": "string: where it comes from"}
_PROCESS_MEMORY: Shape = {
    "resident_bytes": "integer: what of the process is in RAM, pages of mapped files included",
    "peak_bytes": ("integer: the most that was", None),
    "own_bytes": ("integer: without pages of files", None),
    "gpu_bytes": ("integer: what the process has on GPUs; null if no driver says", None),
}
_ROOM: Shape = (
    {
        "ram_bytes": "integer: RAM of this machine for models",
        "gpu_bytes": ["integer: memory of a GPU for models"],
        "unified": "boolean: whether GPUs use RAM",
    },
    None,
)
_INSPECTION: dict[str, Shape] = {
    "model": {
        "name": "string: general.name",
        "architecture": "string: general.architecture",
        "parameter_count": "integer: number of weights",
        "quantization": "string: name of general.file_type",
        "size_bytes": "integer: all shards",
        "tensor_count": "integer: tensors in all shards",
        "gguf_version": "integer: version of the format",
        "byte_order": "string: little or big",
        "files": ["string: path of a shard"],
        "projectors": ["string: path of a projector"],
        "drafts": ["string: path of a draft, which predicts tokens for the model to check"],
    },
    "origin": (
        {
            "location": "string: the repository or URL",
            "commit": ("string: the commit", None),
            "reason": "string: why this file was selected",
            "downloaded_bytes": "integer: bytes downloaded so far",
        },
        None,
    ),
    "memory": {
        "weight_bytes": "integer: the weights",
        "context_length": ("integer: context in tokens that the model was trained for", None),
        "cache_bytes_per_token": "integer: KV cache of one more token, beyond any sliding window",
        "is_known": "boolean: whether the architecture is known; if not, estimates are upper bounds",
        "room": _ROOM,
        "context": {
            "tokens": ("integer: context length that was chosen; null leaves it to the server", None),
            "requested": "string: auto, max, server or tokens",
            "reason": "string: why it was chosen",
            "is_recorded": "boolean: whether the model that is replaced had it, for that reason",
        },
        "estimates": [
            {
                "context": "integer: context in tokens; for a build, only the one it gets",
                "cache_type": "string: type of cached keys and values (f16, q8_0, q4_0)",
                "place": "string: gpu, split (a part on the GPU), ram or none (it does not fit)",
                "gpu_layers": "integer: layers on GPUs",
                "layers": "integer: all layers",
                "total_bytes": "integer: all that it takes",
                "gpu_bytes": "integer: of that, on GPUs",
                "ram_bytes": "integer: of that, in RAM",
                "weight_bytes": "integer: weights",
                "kv_bytes": "integer: KV cache",
                "recurrent_bytes": "integer: recurrent state",
                "compute_bytes": "integer: compute buffers",
                "output_bytes": "integer: output buffer",
                "projector_bytes": "integer: weights of the projector and of the draft",
            }
        ],
    },
    "embeddings": (
        {
            "pooling": "string: mean, cls or last",
            "source": "string: where it comes from",
            "prompts": [
                {"name": "string: its use, e.g. query", "text": "string: what its authors put before a text"}
            ],
        },
        None,
    ),
    "detection": {
        "kind": "string: chat, base, embedding, projector or adapter",
        "family": ("string: family of the profile", None),
        "confidence": "string: template, architecture, name or none",
        "reason": "string: the strongest evidence",
        "evidence": [
            {
                "kind": "string: kind of evidence",
                "description": "string: what was found",
                "weight": "number: how much it counts",
            }
        ],
        "ruled_out": [{"family": "string: another family", "reason": "string: why not"}],
    },
    "recipe": {
        "parameters": {
            "*": {"value": "any: value, or list of values", "source": "string: where it comes from"}
        },
        "system": _SOURCED,
        "template": {
            "value": ("string: the TEMPLATE; null if the chat template in the GGUF renders", None),
            "source": "string: where it comes from",
            "origin": ("string: as `prompts.origin`", None),
        },
        "parser": _SOURCED,
        "companion_template": (
            {
                "value": "string: TEMPLATE that goes with the chat template and does not render",
                "has_think_tags": "boolean: whether it declares think tags",
            },
            None,
        ),
        "requires": ("string: oldest Ollama that can run it", None),
        "patched_keys": ["string: header key that is changed"],
        "licenses": ["string: license text"],
        "messages": [
            {"role": "string: system, user or assistant", "content": "string: text before every chat"}
        ],
        "capabilities": ["string: capability, as in /api/show"],
        "warnings": ["string: warning"],
    },
    "prompts": ({"ollama_version": "string: version that prompts are predicted for", **_CHOICE}, None),
}
_SAFETY: list[Shape] = [
    {
        "template": "string: name of the chat template in the GGUF, default or another",
        "only_prints": "boolean: whether nothing was found",
        "suspicious": "boolean: whether something was found that ordinary chat templates do not do",
        "findings": [
            {
                "kind": "string: decides-on-mark, decides-on-word, changes-contents, url, long-text,"
                " hidden-character, hidden-text, encoded-text, python-internals, differs-from-upstream or"
                " unreadable",
                "text": "string: the text that is tested for, the address or the character",
                "line": ("integer: line of the chat template", None),
                "suspicious": "boolean: as above",
            }
        ],
    }
]
_TENSOR: dict[str, Shape] = {
    "file": "string: path of the shard",
    "tensor": "string: name of the tensor",
    "type": "string: its type",
}
_MODEL_DETAILS: dict[str, Shape] = {
    "family": "string: architecture",
    "parameter_size": "string: size as Ollama writes it, e.g. 134.52M",
    "quantization": "string: quantization as Ollama writes it",
    "capabilities": ["string: capability"],
}
_FILE: dict[str, Shape] = {"file": "string: path that was written", "size_bytes": "integer: its size"}

_PLAN: dict[str, Shape] = {
    "file": "string: the file of models",
    "fingerprint": "string: what identifies the plan",
    "has_changes": "boolean: whether anything would change",
    "hosts": [
        {
            "name": "string: name of the host",
            "url": "string: its address",
            "ollama_version": ("string: its version", None),
            "transport": ("string: link, pull or upload", None),
            "error": (
                {"message": "string: why it could not be observed", "hint": ("string: what to do", None)},
                None,
            ),
            "bytes_to_send": ("integer: weights that it would be sent", None),
            "free_bytes": ("integer: free for models, if known", None),
            "fits": ("boolean: whether there is room", None),
            "needs_force": "boolean: whether more than a third of its models would be deleted",
            "models": [
                {
                    "name": "string: name of the model",
                    "action": "string: create, update, keep, delete or fail",
                    "reason": "string: why; of a failure, its message",
                    "hint": ("string: what to do about a failure", None),
                    "in_use": "boolean: whether it is in memory",
                    "target": ("string: what it would record that it was made of", None),
                    "bytes_to_send": ("integer: weights that the host lacks", None),
                    "differences": [
                        {
                            "what": "string: source, weights, recipe, template, parser, system, messages,"
                            " license or parameters.NAME",
                            "current": ("string: what it is", None),
                            "wanted": ("string: what it should be", None),
                            "changed_on_host": "boolean: whether it was changed on the host",
                        }
                    ],
                }
            ],
        }
    ],
}
_APPLIED: dict[str, Shape] = {
    "plan": _PLAN,
    "changed": "boolean: whether anything was changed",
    "exit_code": "integer: exit code of the call",
    "bytes_sent": {"*": "integer: weights that the host was sent, by its name"},
    "results": [
        {
            "host": "string: name of the host",
            "model": "string: name of the model",
            "action": "string: create, update, keep, delete or fail",
            "state": "string: done, failed or unchanged",
            "error": (
                {
                    "message": "string: what failed and why",
                    "hint": ("string: what to do", None),
                    "exit_code": "integer: its exit code",
                },
                None,
            ),
            "bytes_sent": "integer: weights that were sent",
            "seconds": "number: how long it took",
            "warnings": ["string: warning"],
        }
    ],
}

SHAPES: Mapping[str, Shape] = {
    "build --all": {
        "location": "string: address of the server, or the directory",
        "models": [
            {
                "name": ("string: name of the model; null if none can be derived", None),
                "path": "string: its first file",
                "size_bytes": "integer: size of all its files",
                "projectors": ["string: path of a projector"],
                "state": "string: created, new (with `--dry-run`), exists, taken (by others) or failed",
                "reason": "string: why it was not created",
                "warnings": ["string: warning"],
            }
        ],
        "skipped": [
            {"path": "string: GGUF file that is not a model", "reason": "string: what it is, or why not"}
        ],
    },
    "build": {
        "name": "string: name of the model",
        "location": "string: address of the server, or the directory",
        "transport": "string: link, pull, upload or store",
        "transport_reason": "string: why this transport",
        "ollama_version": "string: version of Ollama it is for",
        "created": "boolean: whether the model exists now (false with `--dry-run`)",
        "download_bytes": "integer: bytes to download, some of which may be cached",
        "layers": [
            {
                "media_type": "string: media type",
                "name": ("string: file name", None),
                "size_bytes": "integer: its size",
            }
        ],
        "differences": ["string: difference from the plan that --allow-mismatch accepted"],
        "server_warnings": ["string: warning about what the server created"],
        **_INSPECTION,
    },
    "inspect": {
        **_INSPECTION,
        "template_safety": _SAFETY,
        "engines": [
            {
                "engine": "string: llama.cpp, llama-cpp-python, transformers or ollama",
                "is_known": "boolean: whether it knows the architecture, as far as that is known",
                "weights": "string: packed (as in the file) or dequantized (32 bits each)",
                "weight_bytes": "integer: bytes of the weights in memory",
                "note": "string: what there is to say of it, else empty",
            }
        ],
        "metadata?": {"*": "any: value of a key of the GGUF (`--metadata`)"},
        "explanation?": {
            "rules": (["string: line that describes a rule (`--explain-template`)"], None),
            "reason": ("string: why no rules were found", None),
            "go_template": ("string: the TEMPLATE generated from the rules", None),
            "limitations": [{"feature": "string: feature", "reason": "string: why it is unsupported"}],
            "uncovered_branches": [
                {
                    "line": "integer: line of the chat template",
                    "kind": "string: if, elif, else or for",
                    "text": "string: its condition",
                }
            ],
        },
        "tensor_check?": {
            "tensor_count": "integer: tensors of the model (`--check-tensors`)",
            "checked_count": "integer: tensors that were checked",
            "element_count": "integer: elements that were checked",
            "damaged": [
                {
                    **_TENSOR,
                    "block": "integer: first damaged block",
                    "first_element": "integer: its first element",
                    "last_element": "integer: its last element",
                    "offset_bytes": "integer: its offset in the file",
                    "problem": "string: what is wrong",
                }
            ],
            "skipped": [{**_TENSOR, "reason": "string: why it was not checked"}],
            "zero_tensors": ["string: tensor that contains only zeros"],
        },
    },
    "modelfile": {"modelfile": "string: the Modelfile"},
    "modelfile --lint": [
        {
            "level": "string: error, warning or note",
            "code": "string: name of the rule",
            "message": "string: what is wrong",
            "hint": ("string: what to do", None),
            "line": ("integer: line of the Modelfile", None),
        }
    ],
    "quants": {
        "repository": "string: owner/repo",
        "commit": "string: commit of the listing",
        "parameter_count": ("integer: number of weights", None),
        "models": [
            {
                "quantization": ("string: name of the quantization", None),
                "size_bytes": "integer: all shards",
                "files": ["string: path in the repository"],
                "missing_shards": ["integer: number of a shard that is missing"],
                "bits_per_weight": ("number: average", None),
                "fits_memory": ("boolean: whether it fits this machine's memory", None),
                "place": ("string: gpu, split (a part on the GPU), ram or none (it does not fit)", None),
            }
        ],
        "other_files": [
            {
                "kind": "string: projector, imatrix, adapter, …",
                "size_bytes": "integer: all its files",
                "files": ["string: path in the repository"],
            }
        ],
        "room": _ROOM,
        "default": (
            {"file": "string: first file of the default model", "reason": "string: why it is the default"},
            None,
        ),
    },
    "download": {
        "repository": "string: owner/repo, or the URL",
        "commit": ("string: the commit", None),
        "downloaded_bytes": "integer: bytes downloaded by this call",
        "files": [
            {
                "path": "string: path on this machine",
                "size_bytes": "integer: its size",
                "sha256": ("string: its SHA-256, if known", None),
            }
        ],
    },
    "merge": {**_FILE, "shard_count": "integer: shards that were merged"},
    "split": {"shards": [_FILE]},
    "quantize": {
        "file": "string: the file that was written",
        "type": "string: its type",
        "size_bytes": "integer: its size",
    },
    "patch-template": {**_FILE, "removed_variants": ["string: variant that was removed as well"]},
    "verify": {
        "name": "string: name of the model",
        "server": "string: address of the server",
        "ollama_version": "string: its version",
        "verified": "boolean: whether everyday prompts match and no check failed",
        "rendered_by": ("string: native, TEMPLATE or RENDERER; null for a model without chats", None),
        "capabilities": ["string: capability that the server reports"],
        "quick": "boolean: whether a probe model was used",
        "scores": _SCORES,
        "template_safety": _SAFETY,
        "ollama_create": {
            "rendered_by": ("string: as above, for a plain `ollama create`", None),
            "scores": (_SCORES, None),
            "reason": ("string: why it was not compared", None),
        },
        "conversations": [_CASE],
        "checks": [
            {
                "name": "string: name of the check",
                "state": "string: passed, failed or inconclusive",
                "detail": "string: what happened",
            }
        ],
    },
    "parity": {
        "ollama_version": "string: version that prompts are predicted for",
        "rendered_count": "integer: templates that render",
        "totals": _SCORES,
        "templates": [
            {
                "name": "string: file name without suffix",
                "file": "string: path",
                "renders": "boolean: whether transformers renders it",
                "origin": ("string: as below; null if nothing renders it", None),
                "exact": "boolean: whether all prompts match",
                "reason": "string: why it was selected, or why nothing renders it",
                **{
                    f"{key}?": shape
                    for key, shape in _CHOICE.items()
                    if key not in {"origin", "exact", "reason"}
                },
                "go_template?": ("string: the TEMPLATE", None),
                "chat_template?": ("string: the changed chat template", None),
            }
        ],
    },
    "list": [
        {
            "name": "string: name of the model",
            "size_bytes": "integer: size of its layers",
            "digest": "string: digest of its manifest",
            "modified_at": ("string: time in ISO 8601", None),
            **_MODEL_DETAILS,
        }
    ],
    "show": {
        "made_from": (
            {
                "source": "string: hf://owner/repo/path@revision, a URL, or the name of a file",
                "commit": ("string: commit of the repository", None),
                "file": "string: first file of its weights",
                "file_count": "integer: how many files they are",
                "sha256": "string: of that file, or of the lines of the SHA-256 of all files",
                "transport": "string: link, pull, upload or store",
                "given": ["string: option or PARAMETER that was given"],
                "recipe_sha256": "string: of all but the weights",
            },
            None,
        ),
        **_MODEL_DETAILS,
        "template": "string: template that the server reports",
        "system": "string: system prompt",
        "parameters": {"*": "any: value, or list of values"},
        "messages": [{"role": "string: role", "content": "string: text"}],
        "license": "string: license texts",
        "modelfile": "string: the Modelfile",
        "requires": "string: oldest Ollama that can run it, or empty",
        "metadata": {"*": "any: value of a key of the GGUF"},
    },
    "run": {
        "content": "string: the answer",
        "thinking": "string: the reasoning",
        "tool_calls": [{"name": "string: tool", "arguments": {"*": "any: argument"}}],
        "done_reason": "string: stop, length, …",
        "token_count": "integer: tokens generated",
    },
    "measure": {
        "cases": [
            {
                "engine": "string: the engine",
                "library": "string: what loaded the model, with its version; empty if nothing did",
                "gpu_layers": "integer: layers on GPUs that were asked for, the output counted as one",
                "context": "integer: context in tokens",
                "cache_type": "string: type of cached keys and values",
                "before": _PROCESS_MEMORY,
                "loaded": _PROCESS_MEMORY,
                "answering": _PROCESS_MEMORY,
                "estimate": {
                    "ram_bytes": "integer: RAM, estimated",
                    "gpu_bytes": "integer: GPU memory, estimated",
                    "ram_error_percent": (
                        "number: how far that is above the growth of `resident_bytes`",
                        None,
                    ),
                    "gpu_error_percent": ("number: the same of `gpu_bytes`", None),
                },
                "reported_bytes": ("integer: what Ollama says that the model takes (`/api/ps`)", None),
                "load_seconds": "number: loading, without the start of the process",
                "first_token_seconds": "number: from the question to the first piece of the answer",
                "prompt_tokens": "integer: tokens of the prompt",
                "answer_tokens": "integer: tokens of the answer",
                "prompt_tokens_per_second": "number: tokens read a second; 0 if not known",
                "answer_tokens_per_second": "number: tokens written a second; 0 if not known",
                "problem": ("string: why this case was not measured", None),
            }
        ]
    },
    "ps": [
        {
            "name": "string: name of the model",
            "size_bytes": "integer: memory in use",
            "vram_bytes": "integer: GPU memory in use",
            "context_length": ("integer: context in tokens", None),
            "expires_at": ("string: time in ISO 8601", None),
        }
    ],
    "stop": {"stopped": "string: name of the model"},
    "rm": {"removed": ["string: name of a model"]},
    "cp": {"source": "string: name of the model", "destination": "string: its new name"},
    "pull": {"pulled": "string: name of the model"},
    "push": {"pushed": "string: name of the model"},
    "plan": _PLAN,
    "apply": _APPLIED,
    "update": _APPLIED,
    "export": {
        "url": "string: address of the server",
        "models": [
            {
                "name": "string: name of the model",
                "values": {"*": "any: value of a key of a file of models"},
                "notes": ["string: what to correct"],
                "made_by_gguf2ollama": "boolean: whether it says what it was made of",
            }
        ],
    },
    "outdated": [
        {
            "name": "string: name of the model",
            "state": "string: current, outdated, pinned (to a commit) or unknown",
            "source": ("string: what it was built from", None),
            "commit": ("string: commit it was built from", None),
            "newest_commit": ("string: newest commit", None),
            "reason": "string: why, or empty",
        }
    ],
    "doctor": {
        "system": [
            {
                "topic": "string: what was looked at",
                "level": "string: ok, note, warning or error",
                "message": "string: what was found",
                "hint": ("string: what to do", None),
            }
        ],
        "store": [
            {
                "level": "string: error, warning or note",
                "path": "string: file",
                "message": "string: what is wrong, and what to do",
            }
        ],
    },
}

ERROR: Shape = {
    "error": {
        "message": "string: what failed and why",
        "hint": ("string: what to do", None),
        "exit_code": "integer: exit code of the call",
    }
}


def rows(shape: Shape, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield each value of a shape: its path, its type and its meaning."""
    if isinstance(shape, tuple):
        inner, _ = shape
        if isinstance(inner, str):
            kind, _, meaning = inner.partition(": ")
            yield path, f"{kind} or null", meaning
        else:
            yield path, f"{'array' if isinstance(inner, list) else 'object'} or null", ""
            yield from rows(inner, path)
    elif isinstance(shape, str):
        kind, _, meaning = shape.partition(": ")
        yield path, kind, meaning
    elif isinstance(shape, list):
        yield from rows(shape[0], f"{path}[]")
    else:
        for key, value in shape.items():
            yield from rows(value, f"{path}.{key}" if path else key)
