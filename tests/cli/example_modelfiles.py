"""Write the Modelfiles in ``examples/modelfiles/`` from the profiles."""

from __future__ import annotations

from pathlib import Path

from gguf2ollama.families import Profile, load_profiles
from gguf2ollama.modelfiles import Modelfile, Parameter, render_modelfile

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "modelfiles"
FAMILIES = ("gemma3", "llama3.1", "mistral-nemo", "qwen2.5", "smollm2")


def examples() -> dict[Path, str]:
    """Return the text of each example by its path."""
    profiles = {profile.family: profile for profile in load_profiles()}
    return {FOLDER / f"{family}.Modelfile": _text(profiles[family]) for family in FAMILIES}


def _text(profile: Profile) -> str:
    system = profile.system.text if profile.system else None
    sampling = [Parameter(name=one.name, value=one.value) for one in profile.parameters]
    stops = [Parameter(name="stop", value=text) for text in profile.stops]
    modelfile = Modelfile(
        sources=("./model.gguf",),
        parameters=(*sampling, Parameter(name="num_ctx", value=8192), *stops),
        template=profile.go_template(system=system),
        system=system,
    )
    head = (
        f"{profile.title}: put the path of your GGUF behind FROM, then"
        f" `ollama create NAME -f {profile.family}.Modelfile`.\n"
        "`gguf2ollama build` makes the same in one step, from the GGUF at hand."
    )
    comments = {one.name: one.source for one in profile.parameters} | {"": head}
    if profile.system:
        comments["SYSTEM"] = profile.system.source
    return render_modelfile(modelfile, comments=comments)


if __name__ == "__main__":
    for path, text in examples().items():
        path.write_bytes(text.encode())
