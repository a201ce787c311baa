"""``gguf2ollama completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from gguf2ollama.cli._app import group
from gguf2ollama.cli._options import verb
from gguf2ollama.cli._verbs import PROGRAM
from gguf2ollama.errors import UsageProblem

__all__ = ["command"]


@verb("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  echo 'eval "$(gguf2ollama completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(gguf2ollama completion zsh)"' >> ~/.zshrc
    fish:  gguf2ollama completion fish > ~/.config/fish/completions/gguf2ollama.fish
    """  # noqa: D301 - click's mark for lines that are not wrapped
    script = get_completion_class(shell)
    if script is None:
        raise UsageProblem(f"no completion script for {shell}", hint="choose bash, zsh or fish")
    click.echo(script(group, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())
