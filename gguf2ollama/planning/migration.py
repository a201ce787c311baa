"""Whether Ollama 0.40 and later would write a second copy of an uploaded model.

After the first chat with a model whose manifest doesn't say ``runner: llamacpp``, 0.40 rewrites some GGUFs
into a second file, in the background. The server writes the manifest of an upload; what is linked or pulled
has our manifest, which has that field. The rules were read in the change that became 0.40.0
(``llama3NeedsMetadataFix`` and the like); they were not tested against a 0.40.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gguf2ollama.ggufio import ShardSet
from gguf2ollama.ollama import ServerFeatures, ServerVersion

__all__ = ["is_migrated", "warn_of_second_copy"]

# names of architectures that only Ollama's own converter uses
_ARCHITECTURES = ("deepseekocr", "glm4moelite", "glmocr", "gptoss", "olmo3", "qwen25vl")
_EOT, _EOT_ID, _OLD_EOS_ID = "<|eot_id|>", 128009, 128001  # Llama 3: end of turn, and end of text


def is_migrated(metadata: Mapping[str, Any]) -> bool:
    """Return whether Ollama 0.40 rewrites a GGUF with this metadata.

    It also rewrites files with tensors that only Ollama's own converter writes; these are not detected.
    """
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        return architecture in _ARCHITECTURES
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, Sequence) or len(tokens) <= _EOT_ID or tokens[_EOT_ID] != _EOT:
        return False
    is_old = metadata.get("tokenizer.ggml.eos_token_id") == _OLD_EOS_ID
    return is_old or metadata.get("tokenizer.ggml.pre", "") in ("", "default")


def warn_of_second_copy(version: ServerVersion, model: ShardSet) -> tuple[str, ...]:
    """Return the warning that an upload to this Ollama ends in two copies; empty where it does not."""
    if not ServerFeatures.of(version).migrates_models or not is_migrated(model.metadata):
        return ()
    size = sum(shard.size for shard in model.shards)
    warning = (
        f"Ollama {version} writes a second copy of this file after the first chat ({size:,} bytes more on its"
        " disk); --via link or --via pull, on the server's own machine, prevents that"
    )
    return (warning,)
