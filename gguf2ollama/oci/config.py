"""The config blob of a model."""

from __future__ import annotations

from gguf2ollama._dataclass import dataclass
from gguf2ollama.oci.encoding import go_json

__all__ = ["ModelConfig", "parameter_size_label"]

_THOUSAND, _MILLION, _BILLION = 10**3, 10**6, 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The config of a model, shown by Ollama without opening the model (``types/model/config.go``).

    Attributes:
        family: The architecture, such as ``llama``.
        families: The architectures of the model and its projectors.
        parameter_size: A label such as ``134.52M``.
        file_type: The quantization, such as ``Q4_K_M``.
        renderer, parser: Names of built-in renderers and parsers, or empty.
        requires: The lowest version of Ollama that can run it, or empty.
        draft: The architecture of its draft, or empty.
    """

    family: str
    families: tuple[str, ...]
    parameter_size: str
    file_type: str
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    draft: str = ""

    def to_bytes(self) -> bytes:
        """Return the blob as Ollama writes it."""
        value: dict[str, object] = {
            "model_format": "gguf",
            "model_family": self.family,
            "model_families": list(self.families),
            "model_type": self.parameter_size,
            "file_type": self.file_type,
        }
        optional = {"renderer": self.renderer, "parser": self.parser, "requires": self.requires}
        draft = {"draft": {"model_format": "gguf", "architecture": self.draft}} if self.draft else {}
        return go_json(value | {key: text for key, text in optional.items() if text} | draft)


def parameter_size_label(parameters: int) -> str:
    """Format a number of parameters as Ollama does: ``134.52M``, ``7.6B``, ``1B`` (``format/format.go``)."""
    if parameters >= _BILLION:
        number = parameters / _BILLION
        return f"{number:.0f}B" if number == int(number) else f"{number:.1f}B"
    if parameters >= _MILLION:
        number = parameters / _MILLION
        return f"{number:.0f}M" if number == int(number) else f"{number:.2f}M"
    if parameters >= _THOUSAND:
        return f"{parameters / _THOUSAND:.0f}K"
    return str(parameters)
