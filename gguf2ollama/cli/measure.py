"""``gguf2ollama measure``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gguf2ollama.cli._engine_options import source_options, tokens
from gguf2ollama.cli._options import host_option, option, output_options, source_argument, verb
from gguf2ollama.cli._server import ca_file
from gguf2ollama.cli.render.output import Output
from gguf2ollama.errors import UsageProblem

if TYPE_CHECKING:
    from gguf2ollama.cli._engine_options import LoadKeywords

__all__ = ["command"]


@verb("measure")
@source_argument
@option(
    "--engine",
    "engines",
    group="model",
    default="llama.cpp",
    show_default=True,
    metavar="NAME,...",
    help="Engines: llama.cpp, llama-cpp-python, transformers, ollama.",
)
@option(
    "--gpu-layers",
    group="model",
    default="auto",
    show_default=True,
    metavar="N|all|auto,...",
    help="Layers on GPUs, the output counted as one, e.g. 0,8,all.",
)
@option("--ctx", group="model", metavar="N,...", help="Context lengths in tokens.  [default: 4096]")
@option(
    "--cache-type",
    group="model",
    default="f16",
    show_default=True,
    metavar="TYPE,...",
    help="Types of the KV cache, e.g. f16,q8_0.",
)
@option("--threads", group="model", type=int, metavar="N", help="Threads of the CPU to use.")
@option("--prompt", group="model", metavar="TEXT", help="What the model is asked.")
@option(
    "--tokens",
    "answer_tokens",
    group="model",
    type=int,
    default=50,
    show_default=True,
    metavar="N",
    help="Most tokens of the answer.",
)
@option("--force", group="model", is_flag=True, help="Load even if too little memory is free.")
@source_options
@host_option
@option("--csv", "as_csv", is_flag=True, help="Write the results as CSV to stdout.")
@option("--plot", metavar="FILE.svg", help="Draw the memory of each case.")
@output_options
def command(
    *,
    source: str,
    engines: str,
    gpu_layers: str,
    ctx: str | None,
    cache_type: str,
    threads: int | None,
    prompt: str | None,
    answer_tokens: int,
    force: bool,
    load_keywords: LoadKeywords,
    host: str | None,
    as_csv: bool,
    plot: str | None,
    output: Output,
) -> None:
    """Load SOURCE into engines, each case in a fresh process, and measure memory and speed.

    The estimate stands next to each measurement, with its error. A case that fails is shown with its reason;
    if all do, the first reason is the error.
    """
    from gguf2ollama.api.measure import DEFAULT_PROMPT, measure  # noqa: PLC0415 - not needed for help
    from gguf2ollama.cli.render import measurements as render  # noqa: PLC0415 - not needed for help
    from gguf2ollama.engines.settings import parse_gpu_layers  # noqa: PLC0415 - not needed for help
    from gguf2ollama.fs.atomic import require_writable  # noqa: PLC0415 - not needed for help

    if answer_tokens < 1:
        raise UsageProblem(f"invalid --tokens {answer_tokens}", hint="use 1 or more")
    if as_csv and output.as_json:
        raise UsageProblem("--csv and --json exclude each other", hint="use only one of them")
    if plot is not None:
        if Path(plot).suffix.lower() != ".svg":
            raise UsageProblem(f"{plot} is not an SVG", hint="name a file that ends with .svg")
        require_writable(Path(plot), kind="plot")
    with output.progress() as progress:
        found = []
        for measurement in measure(
            source,
            engines=_parts(engines),
            gpu_layers=tuple(map(parse_gpu_layers, _parts(gpu_layers))),
            contexts=tuple(map(tokens, _parts(ctx))) if ctx else (None,),
            cache_types=tuple(kind.lower() for kind in _parts(cache_type)),
            threads=threads,
            prompt=prompt or DEFAULT_PROMPT,
            tokens=answer_tokens,
            force=force,
            host=host,
            ca_file=ca_file(),
            progress=progress,
            notify=output.note,
            quant=load_keywords.get("quant"),
            file=load_keywords.get("file"),
            revision=load_keywords.get("revision"),
        ):
            found.append(measurement)
            output.note(render.describe_case(measurement))
    problems = [measurement.problem for measurement in found if measurement.problem is not None]
    if problems and len(problems) == len(found):
        raise problems[0]
    if output.as_json:
        output.data({"cases": [render.measurement_json(measurement) for measurement in found]})
    elif as_csv:
        output.exact(render.measurement_csv(found), newline=False)
    else:
        output.text(render.measurement_table(found))
    if plot is not None:
        from gguf2ollama.cli.render.memory_plot import plot_memory  # noqa: PLC0415 - for a plot alone
        from gguf2ollama.cli.render.reports import write_report  # noqa: PLC0415 - as above

        write_report(plot_memory(found, title=source), plot, kind="plot", output=output)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
