"""``gguf2ollama download``."""

from __future__ import annotations

import click

from gguf2ollama.cli._options import option, output_options, verb
from gguf2ollama.cli.render.format import size
from gguf2ollama.cli.render.output import Output
from gguf2ollama.sources.parse import parse_user_source

__all__ = ["command"]


@verb("download")
@click.argument("source", metavar="SOURCE")
@option("--quant", metavar="NAME", help="Quantization to download, e.g. Q4_K_M.")
@option("--file", "hub_file", metavar="PATH", help="File to download: a GGUF, any shard of one, or a folder.")
@option("--revision", metavar="REV", help="Branch, tag or commit.  [default: the main branch]")
@option(
    "--local-dir", metavar="DIR", help="Download into this folder.  [default: the cache of the site's tools]"
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
    """Download a model, and print the paths of its files.

    SOURCE is owner/repo, owner/repo:Q4_K_M or hf://owner/repo/path@revision on Hugging Face, the same with
    ms:// on ModelScope, the address of a model's page, or the URL of a GGUF. Interrupted downloads are
    resumed. Environment variables (HF_TOKEN, HF_ENDPOINT, MODELSCOPE_API_TOKEN and so on) work as in the
    site's own tools.

    \b
    gguf2ollama download Qwen/Qwen2.5-7B-Instruct-GGUF --quant q4_k_m
    gguf2ollama download bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0 --local-dir .
    """  # noqa: D301 - click's mark for lines that are not wrapped
    parse_user_source(source)
    from gguf2ollama.api.download import download  # noqa: PLC0415 - not needed for help

    with output.progress() as progress:
        done = download(
            source,
            quant=quant,
            file=hub_file,
            revision=revision,
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
                "downloaded_bytes": done.bytes_fetched,
                "files": [
                    {"path": str(file.path), "size_bytes": file.file.size, "sha256": file.sha256}
                    for file in done.files
                ],
            }
        )
        return
    for file in done.files:
        output.exact(str(file.path))
    output.note(f"Downloaded {size(done.bytes_fetched)}")
