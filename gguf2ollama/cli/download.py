"""``gguf2ollama download``."""

from __future__ import annotations

import click

from gguf2ollama.cli._format import size
from gguf2ollama.cli._options import output_options
from gguf2ollama.cli._output import Output

__all__ = ["command"]


@click.command("download", short_help="Download a model.")
@click.argument("source", metavar="SOURCE")
@click.option("--quant", metavar="NAME", help="The quantization, such as Q4_K_M.")
@click.option("--file", "hub_file", metavar="PATH", help="A file, any shard of one, or a folder.")
@click.option("--revision", metavar="REV", help="A branch, a tag or a commit.")
@click.option(
    "--local-dir", metavar="DIR", help="Put the files there.  [default: the cache of the site's tools]"
)
@output_options
def command(
    *,
    source: str,
    quant: str | None,
    hub_file: str | None,
    revision: str | None,
    local_dir: str | None,
    output: Output,
) -> None:
    """Download a model, and print where its files are.

    SOURCE is owner/repo, owner/repo:Q4_K_M or hf://owner/repo/path@revision on the Hub, the same with ms://
    on ModelScope, the address of a page of one, or the URL of a GGUF. A download that was broken off is gone
    on with. The variables of the environment (HF_TOKEN, HF_ENDPOINT, MODELSCOPE_API_TOKEN and so on) mean
    what they do to all tools of the site.

    \b
    gguf2ollama download Qwen/Qwen2.5-7B-Instruct-GGUF --quant q4_k_m
    gguf2ollama download bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0 --local-dir .
    """  # noqa: D301 - click's mark for lines that are not wrapped
    from gguf2ollama.sources.fetch_model import download  # noqa: PLC0415 - not needed for help
    from gguf2ollama.sources.remote import SourceSelection  # noqa: PLC0415

    with output.progress() as progress:
        done = download(
            source,
            selection=SourceSelection(quant=quant, file=hub_file, revision=revision),
            folder=local_dir,
            progress=progress,
            notify=output.note,
        )
    if output.as_json:
        info = done.model.repository.info
        output.data(
            {
                "repository": info.name,
                "commit": done.model.commit,
                "bytes_fetched": done.bytes_fetched,
                "files": [
                    {"path": str(one.path), "bytes": one.file.size, "sha256": one.sha256}
                    for one in done.files
                ],
            }
        )
        return
    for one in done.files:
        output.text(str(one.path))
    output.note(f"fetched {size(done.bytes_fetched)}")
