"""``gguf2ollama build``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from gguf2ollama.cli._model_options import model_options, verify_option
from gguf2ollama.cli._options import host_option, option, output_options, verb
from gguf2ollama.cli.render.library import library_json, library_summary, library_table
from gguf2ollama.cli.render.output import Output
from gguf2ollama.cli.render.plan import describe, describe_origin, plan_json, result_json
from gguf2ollama.errors import Gguf2OllamaError, NameTaken, UsageProblem
from gguf2ollama.sources.parse import check_source

if TYPE_CHECKING:
    from gguf2ollama.api.build_steps import BuildResult
    from gguf2ollama.planning.options import BuildKeywords, ModelKeywords
    from gguf2ollama.planning.plan import BuildPlan
    from gguf2ollama.planning.target import Via

__all__ = ["command"]


class _Destination(TypedDict):
    """What `build` and `plan_build` are called with beside their keywords."""

    host: str | None
    ca_file: Path | None
    store: str | None
    for_ollama: str | None
    locked: str | None


@verb("build")
@click.argument("sources", metavar="SOURCE", nargs=-1, required=True)
@option(
    "--all",
    "builds_all",
    group="source",
    is_flag=True,
    help="Build every model in the directories SOURCE...; those that exist are left as they are.",
)
@option(
    "--name", "-n", group="model", metavar="NAME", help="Name of the model.  [default: from the file name]"
)
@option(
    "--replace",
    group="model",
    is_flag=True,
    help="Without --name: replace a model that has other weights.",
)
@model_options
@option(
    "--locked",
    group="source",
    metavar="FILE",
    help="Build exactly what the lock file records, or fail.",
)
@option("--rehash", group="source", is_flag=True, help="Compute digests again instead of using cached ones.")
@option(
    "--via",
    group="transport",
    type=click.Choice(["auto", "link", "pull", "upload"]),
    default="auto",
    help="How the files reach Ollama: link (no copy), pull, upload or auto.  [default: auto]",
)
@option(
    "--discard-download",
    group="transport",
    is_flag=True,
    help="Remove what was downloaded once Ollama has a copy of its own.",
)
@option(
    "--symlink",
    group="transport",
    is_flag=True,
    help="Link symbolically where the model directory is on another file system, instead of copying.",
)
@option(
    "--stream",
    group="transport",
    is_flag=True,
    help="Upload from a repository without keeping a local copy.",
)
@host_option
@option(
    "--store",
    group="transport",
    metavar="DIR",
    help="Write into an Ollama model directory; no server is used.",
)
@option(
    "--for-ollama",
    group="transport",
    metavar="VERSION",
    help="Ollama version that will run the model (with --store).  [default: the newest tested]",
)
@verify_option
@option(
    "--no-load",
    group="verification",
    is_flag=True,
    help="Do not load the model to check that it runs and how it is prompted.",
)
@option(
    "--allow-mismatch",
    group="verification",
    is_flag=True,
    help="Keep the model even if verification fails.",
)
@option("--run", "prompt", metavar="PROMPT", help="Ask the model this once it is created.")
@option("--dry-run", is_flag=True, help="Show what would be created, and create nothing.")
@option("--lock", metavar="FILE", help="Write a lock file (commit, digests, Ollama version).")
@option("--quantize", hidden=True, metavar="TYPE")
@output_options
def command(
    *,
    sources: tuple[str, ...],
    builds_all: bool,
    name: str | None,
    replace: bool,
    prompt: str | None,
    via: Via,
    rehash: bool,
    no_load: bool,
    no_verify: bool,
    allow_mismatch: bool,
    dry_run: bool,
    store: str | None,
    for_ollama: str | None,
    symlink: bool,
    discard_download: bool,
    stream: bool,
    lock: str | None,
    locked: str | None,
    quantize: str | None,
    host: str | None,
    model_keywords: ModelKeywords,
    output: Output,
) -> None:
    """Create an Ollama model from SOURCE: a GGUF, any shard, a folder, a repository, a URL or a Modelfile.

    A model of the same name is kept until the new one is verified. Options precede what a Modelfile says;
    FROM in it names files, hf.co/owner/repo or a model of the server. ollama:NAME is a model of the server,
    which is made right by the files that it has.

    With --all, SOURCE are directories, such as those of LM Studio, llama.cpp or the Hub's cache: every model
    in them is built, with its projector, and none is loaded.

    \b
    gguf2ollama build Qwen/Qwen2.5-7B-Instruct-GGUF --quant q4_k_m
    gguf2ollama build ms://Qwen/Qwen2.5-7B-Instruct-GGUF --quant q4_k_m
    gguf2ollama build https://example.org/model-Q4_K_M.gguf
    gguf2ollama build ./SmolLM2-135M-Instruct.Q4_1.gguf --name smol --run "Say hi"
    gguf2ollama build ./qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf
    gguf2ollama build ./Modelfile --name mine
    gguf2ollama build ollama:llama3.2
    gguf2ollama build ./model.gguf --store /srv/ollama/models
    gguf2ollama build --all ~/.lmstudio/models --dry-run
    """  # noqa: D301 - click's mark for lines that are not wrapped
    _check(quantize=quantize, prompt=prompt, has_server=store is None and not dry_run and not builds_all)
    if not builds_all:
        check_source(_require_one(sources))
    from gguf2ollama.cli._server import ca_file  # noqa: PLC0415 - not needed for help

    destination: _Destination = {
        "host": host,
        "ca_file": ca_file(),
        "store": store,
        "for_ollama": for_ollama,
        "locked": locked,
    }
    keywords: BuildKeywords = {
        **model_keywords,
        "name": name,
        "replace": replace,
        "via": via,
        "verify": not no_verify,
        "load": not no_load,
        "rehash": rehash,
        "allow_mismatch": allow_mismatch,
        "stream": stream,
        "symlink": symlink,
        "discard_download": discard_download,
    }
    if builds_all:
        _build_all(
            sources, dry_run=dry_run, lock=lock, destination=destination, keywords=keywords, output=output
        )
        return
    source = sources[0]
    if dry_run:
        _show_plan(source, lock=lock, destination=destination, keywords=keywords, output=output)
        return
    from gguf2ollama.api.build import build  # noqa: PLC0415 - not needed for help

    def create() -> BuildResult:
        with output.progress() as progress:
            return build(source, lock=lock, progress=progress, notify=output.note, **destination, **keywords)

    try:
        result = create()
    except NameTaken as taken:
        if not output.confirms(f"{taken.message}. Replace it?"):
            raise
        keywords["replace"] = True
        result = create()
    _report(result, output=output)
    if prompt is not None:
        _ask(result, prompt, host=host, output=output)


def _check(*, quantize: str | None, prompt: str | None, has_server: bool) -> None:
    if quantize is not None:
        raise UsageProblem(
            "Ollama 0.30+ cannot quantize GGUF files",
            hint=f"run `gguf2ollama quantize IN.gguf OUT.gguf {quantize.upper()}` first, or choose a"
            " GGUF of that quantization",
        )
    if prompt is not None and not has_server:
        raise UsageProblem(
            "--run needs a server and one model", hint="leave out --store, --dry-run and --all"
        )


def _require_one(sources: tuple[str, ...]) -> str:
    if len(sources) > 1:
        raise UsageProblem(
            f"build takes one SOURCE, got {len(sources)}",
            hint="name one file, directory or repository; --all takes several directories",
        )
    return sources[0]


def _build_all(
    folders: tuple[str, ...],
    *,
    dry_run: bool,
    lock: str | None,
    destination: _Destination,
    keywords: BuildKeywords,
    output: Output,
) -> None:
    if lock is not None or destination["locked"] is not None:
        raise UsageProblem("a lock file is of one model", hint="leave out --lock and --locked, or --all")
    from gguf2ollama.api.build_all import build_all  # noqa: PLC0415 - with --all alone

    with output.progress() as progress:
        result = build_all(
            folders,
            dry_run=dry_run,
            progress=progress,
            notify=output.detail,
            host=destination["host"],
            ca_file=destination["ca_file"],
            store=destination["store"],
            for_ollama=destination["for_ollama"],
            **keywords,
        )
    for file in result.skipped:
        output.detail(f"Skipped {file.path}: {file.reason}")
    if output.as_json:
        output.data(library_json(result))
    else:
        output.text(library_table(result))
        output.note(library_summary(result))
    if failed := result.count("failed"):
        raise Gguf2OllamaError(
            f"{failed} of {len(result.models)} models were not built",
            hint="the table says why; build one of them alone to see more",
        )


def _show_plan(
    source: str,
    *,
    lock: str | None,
    destination: _Destination,
    keywords: BuildKeywords,
    output: Output,
) -> None:
    from gguf2ollama.api.build import plan_build  # noqa: PLC0415 - not needed for help

    plan = plan_build(source, notify=output.note, **destination, **keywords)
    if lock is not None:
        from gguf2ollama.planning.lock import write_lock  # noqa: PLC0415 - with --lock alone

        write_lock(lock, plan)
    for warning in plan.warnings:
        output.warn(warning)
    if output.as_json:
        output.data(plan_json(plan))
        return
    if plan.inspection.files.origin is not None:
        output.note(describe_origin(plan.inspection))
    output.text(describe(plan.inspection))
    output.note(f"Would create {_where(plan)}")


def _report(result: BuildResult, *, output: Output) -> None:
    plan = result.plan
    for warning in (*plan.warnings, *result.warnings):
        output.warn(warning)
    for difference in result.differences:
        output.warn(f"{difference} (allowed by --allow-mismatch)")
    if output.as_json:
        output.data(result_json(result))
        return
    if output.verbose:
        output.text(describe(plan.inspection))
    run = "" if plan.destination.transport == "store" else f". Run it with: ollama run {plan.name.short}"
    output.note(f"Created {_where(plan)}{run}")


def _where(plan: BuildPlan) -> str:
    at = plan.destination
    return (
        f"{plan.name.short} {'in' if at.transport == 'store' else 'on'} {at.location} (Ollama {at.version})"
    )


def _ask(result: BuildResult, prompt: str, *, host: str | None, output: Output) -> None:
    from gguf2ollama.cli._server import connect  # noqa: PLC0415 - with --run alone
    from gguf2ollama.cli.run import answer  # noqa: PLC0415

    with connect(host) as client:
        if "embedding" in result.plan.inspection.recipe.capabilities:
            raise UsageProblem(
                f"{result.name.short} is an embedding model and cannot chat", hint="leave out --run"
            )
        quiet = Output(as_json=False, quiet=output.quiet, verbose=output.verbose)
        answer(client, str(result.name), [{"role": "user", "content": prompt}], output=quiet)
