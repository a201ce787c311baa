"""``gguf2ollama build``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gguf2ollama.cli._options import host_option, output_options, source_argument
from gguf2ollama.cli._output import Output
from gguf2ollama.cli._plan import describe, describe_origin, plan_json
from gguf2ollama.cli._preferences import preference_options, verify_option
from gguf2ollama.errors import UsageProblem

if TYPE_CHECKING:
    from gguf2ollama.api.build_job import Built
    from gguf2ollama.install.transport import Via
    from gguf2ollama.planning.plan import Preferences

__all__ = ["command"]


@click.command("build", short_help="Make an Ollama model from a GGUF.")
@source_argument
@click.option("--name", metavar="NAME", help="The model's name.  [default: made from the file's]")
@preference_options
@verify_option
@click.option("--run", "prompt", metavar="PROMPT", help="Ask the model this when it is there.")
@click.option(
    "--via",
    type=click.Choice(["auto", "link", "pull", "upload"]),
    default="auto",
    help="The way to the server: link into its store, pull by it from us, upload through its interface.",
)
@click.option("--rehash", is_flag=True, help="Hash files even where their digests are remembered.")
@click.option(
    "--no-load", is_flag=True, help="Do not load the model to see whether it runs and how it is prompted."
)
@click.option("--allow-mismatch", is_flag=True, help="Keep a model that is not quite what was asked for.")
@click.option("--dry-run", is_flag=True, help="Show what would be made, and make nothing.")
@click.option("--store", metavar="DIR", help="Write the folder of a store; no server is asked.")
@click.option("--for-ollama", metavar="VERSION", help="With --store: the Ollama that will run it.")
@click.option("--stream", is_flag=True, help="From a repository into the server, with no copy here.")
@click.option("--lock", metavar="FILE", help="Write down what it was made of: commit, digests, version.")
@click.option("--locked", metavar="FILE", help="Make what that file says, or nothing.")
@click.option("--quantize", hidden=True, metavar="TYPE")
@host_option
@output_options
def command(
    *,
    source: str,
    name: str | None,
    prompt: str | None,
    via: Via,
    rehash: bool,
    no_load: bool,
    no_verify: bool,
    allow_mismatch: bool,
    dry_run: bool,
    store: str | None,
    for_ollama: str | None,
    stream: bool,
    lock: str | None,
    locked: str | None,
    quantize: str | None,
    host: str | None,
    preferences: Preferences,
    output: Output,
) -> None:
    """Make an Ollama model from SOURCE: a GGUF file, any shard of one, a folder, a repository, or a URL.

    \b
    gguf2ollama build Qwen/Qwen2.5-7B-Instruct-GGUF --quant q4_k_m
    gguf2ollama build ms://Qwen/Qwen2.5-7B-Instruct-GGUF --quant q4_k_m
    gguf2ollama build https://example.org/model-Q4_K_M.gguf
    gguf2ollama build ./SmolLM2-135M-Instruct.Q4_1.gguf --name smol --run "Say hi"
    gguf2ollama build ./qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf
    gguf2ollama build ./model.gguf --store /srv/ollama/models
    """  # noqa: D301 - click's mark for lines that are not wrapped
    from gguf2ollama.api.build import build  # noqa: PLC0415 - not needed for help
    from gguf2ollama.cli._server import ca_file  # noqa: PLC0415

    _check(quantize=quantize, prompt=prompt, store=store, dry_run=dry_run)
    with output.progress() as progress:
        built = build(
            source,
            name=name,
            host=host,
            ca_file=ca_file(),
            store=store,
            via=via,
            for_ollama=for_ollama,
            rehash=rehash,
            load=not no_load,
            verify=not no_verify,
            allow_mismatch=allow_mismatch,
            dry_run=dry_run,
            locked=locked,
            stream=stream,
            progress=progress,
            notify=output.note,
            **preferences,
        )
    if lock is not None:
        from gguf2ollama.planning.lock import write_lock  # noqa: PLC0415 - with --lock alone

        write_lock(lock, built)
    _report(built, output=output)
    if prompt is not None:
        _ask(built, prompt, host=host, output=output)


def _check(*, quantize: str | None, prompt: str | None, store: str | None, dry_run: bool) -> None:
    if quantize is not None:
        raise UsageProblem(
            "Ollama from 0.30 on quantizes no GGUF while it makes a model",
            hint=f"run `llama-quantize IN.gguf OUT.gguf {quantize.upper()}` of llama.cpp first, or choose a"
            " GGUF of that quantization",
        )
    if prompt is not None and (store is not None or dry_run):
        raise UsageProblem("--run needs a server that has the model", hint="leave out --store and --dry-run")


def _report(built: Built, *, output: Output) -> None:
    for warning in built.inspection.warnings:
        output.warn(warning)
    for warning in built.warnings:
        output.warn(warning)
    for difference in built.differences:
        output.warn(f"{difference} (allowed by --allow-mismatch)")
    if output.as_json:
        output.data(plan_json(built))
        return
    if not built.is_done and built.inspection.files.origin is not None:
        output.note(describe_origin(built.inspection))
    if not built.is_done or output.verbose:
        output.text(describe(built.inspection))
    verb = "made" if built.is_done else "would make"
    output.note(f"{verb} {built.name.short} at {built.where} (Ollama {built.version})")


def _ask(built: Built, prompt: str, *, host: str | None, output: Output) -> None:
    from gguf2ollama.cli._server import connect  # noqa: PLC0415 - with --run alone
    from gguf2ollama.cli.run import answer  # noqa: PLC0415

    with connect(host) as client:
        if "embedding" in built.inspection.recipe.capabilities:
            raise UsageProblem(f"{built.name.short} embeds texts and does not chat", hint="leave out --run")
        quiet = Output(as_json=False, quiet=output.quiet, verbose=output.verbose)
        answer(client, str(built.name), [{"role": "user", "content": prompt}], output=quiet)
