import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama.errors import UsageProblem
from gguf2ollama.names import HubSource, UrlSource, parse_source
from gguf2ollama.sources.model import SourceSelection
from gguf2ollama.sources.parse import server_model


def source(**rest):
    return HubSource(owner="o", repo="r-GGUF", **rest)


@pytest.mark.parametrize(
    "text,expected",
    [
        ("https://huggingface.co/o/r-GGUF", source()),
        ("https://huggingface.co/o/r-GGUF/", source()),
        ("https://huggingface.co/o/r-GGUF/tree/main", source(revision="main")),
        ("https://huggingface.co/o/r-GGUF/tree/main/UD-Q4", source(revision="main", path="UD-Q4")),
        ("https://huggingface.co/o/r-GGUF/blob/main/a/b.gguf", source(revision="main", path="a/b.gguf")),
        ("https://hf.co/o/r-GGUF/resolve/v1/b.gguf?download=true", source(revision="v1", path="b.gguf")),
        (
            "https://huggingface.co/o/r-GGUF/blob/refs%2Fpr%2F3/b.gguf",
            source(revision="refs/pr/3", path="b.gguf"),
        ),
        ("https://huggingface.co/o/r-GGUF?show_file_info=Q8_0%2Fb.gguf", source(path="Q8_0/b.gguf")),
        ("https://huggingface.co/o/r-GGUF?local-app=ollama", source()),
        ("https://huggingface.co/o/r-GGUF/blob/main/a%20b.gguf", source(revision="main", path="a b.gguf")),
        ("https://huggingface.co/o/r-GGUF:IQ3_M", source(quant="IQ3_M")),
        ("https://huggingface.co/o/r-GGUF:latest", source()),
        ("https://huggingface.co/o/r-GGUF:m-IQ3_M.gguf", source(path="m-IQ3_M.gguf")),
        (
            "https://huggingface.co/o/r-GGUF/blob/feature%2Fnew/b.gguf",
            source(revision="feature/new", path="b.gguf"),
        ),
        ("https://huggingface.co/o/r-GGUF/tree/feature%2Fnew", source(revision="feature/new")),
        ("hf.co/o/r-GGUF", source()),
        ("mirror:8080/hf/o/r-GGUF:Q4_K_M", source(quant="Q4_K_M")),
        ("http://mirror:8080/hf/o/r-GGUF:Q4_K_M", source(quant="Q4_K_M")),
        ("hf.co/o/r-GGUF:Q4_K_M", source(quant="Q4_K_M")),
        ("huggingface.co/o/r-GGUF/blob/main/b.gguf", source(revision="main", path="b.gguf")),
        ("http://mirror:8080/hf/o/r-GGUF/blob/main/b.gguf", source(revision="main", path="b.gguf")),
        ("http://mirror:8080/other/b.gguf", UrlSource(url="http://mirror:8080/other/b.gguf")),
    ],
)
def test_a_page_of_the_hub_is_a_place_on_it(text, expected):
    assert parse_source(text, hub_endpoint="http://mirror:8080/hf") == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/datasets/o/r",
        "https://huggingface.co/o",
        "https://huggingface.co/o/r/blob/main/../x.gguf",
        "https://huggingface.co/o/r/blob/main/%2e%2e/x.gguf",
        "https://huggingface.co/o/r?show_file_info=../x.gguf",
        "https://huggingface.co/o/r/settings",
    ],
)
def test_another_page_is_refused(text):
    with pytest.raises(UsageProblem, match="not the page of a model"):
        parse_source(text)


@pytest.mark.parametrize("page", ["o/r:Q4_K_M", "o/r/blob/main/m.bin", "o/r/tree/main"])
def test_a_page_of_an_unknown_mirror_is_explained(page):
    with pytest.raises(UsageProblem) as caught:
        parse_source(f"https://mirror.example/{page}")
    assert "HF_ENDPOINT=https://mirror.example" in (caught.value.hint or "")


@given(st.text(alphabet="abr-_./%2e:@#?", max_size=40))
def test_whatever_stands_behind_the_host_leads_nowhere_else(rest):
    try:
        found = parse_source(f"https://hf.co/{rest}")
    except UsageProblem:
        return
    assert isinstance(found, HubSource)
    assert ".." not in (found.path or "").split("/")


@pytest.mark.parametrize(
    "text, shown",
    [
        ("ollama:llama3.2", "ollama:llama3.2:latest"),
        ("ollama:hf.co/owner/repo:Q4_K_M", "ollama:hf.co/owner/repo:Q4_K_M"),
    ],
)
def test_a_model_of_a_server_is_a_source(text, shown):
    assert str(parse_source(text)) == shown
    assert parse_source(shown) == parse_source(text)


def test_a_model_of_a_server_has_no_quantization_to_choose():
    assert server_model("owner/repo", selection=SourceSelection(quant="Q4_K_M")) is None
    with pytest.raises(UsageProblem, match="--quant, --file and --revision are for repositories"):
        server_model("ollama:llama3.2", selection=SourceSelection(quant="Q4_K_M"))


def test_a_model_of_a_server_has_a_valid_name():
    with pytest.raises(UsageProblem):
        parse_source("ollama:a//b")
