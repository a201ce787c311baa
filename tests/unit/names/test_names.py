from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gguf2ollama.errors import UsageProblem
from gguf2ollama.names import (
    TEMPORARY_NAMESPACE,
    HubSource,
    LocalSource,
    ModelName,
    ServerAddress,
    UrlSource,
    parse_source,
)

NAME_PIECES = st.lists(
    st.sampled_from(
        ("a", "B", "9", "_", "-", ".", "..", "/", "\\", ":", "://", "http", "@", "~", "c:", "é", "\0", " ")
    )
    | st.text(max_size=3),
    max_size=10,
).map("".join)
ANY = "0.0.0.0"  # noqa: S104 - read, not bound
ADDRESS_PIECES = st.lists(
    st.sampled_from(
        (
            *("http://", "https://", "HTTP://", "127.0.0.1", ANY, "::1", "::", "[", "]", ":", "/", "@"),
            *("localhost", "example.com", "bücher.de", "11434", "99999", "0", "-1", "a/b", "?", "#", "%41"),
            *(" ", '"', "'", "fe80::1%eth0", "ollama.com", "..", "user:secret"),
        )
    )
    | st.text(max_size=3),
    max_size=6,
).map("".join)
SOURCE_PIECES = st.lists(
    st.sampled_from(
        (
            *("hf://", "https://", "http://", "owner", "repo", "/", ":", "@", "Q4_K_M", "main", "refs/pr/3"),
            *("..", ".", "~", "\\", "C:\\", ".gguf", " ", "\0", "?x=1", "#", "user:secret@"),
        )
    )
    | st.text(max_size=3),
    max_size=8,
).map("".join)


class TestModelName:
    @pytest.mark.parametrize(
        "text, full, short",
        [
            ("m", "registry.ollama.ai/library/m:latest", "m:latest"),
            ("m:t", "registry.ollama.ai/library/m:t", "m:t"),
            ("me/m", "registry.ollama.ai/me/m:latest", "me/m:latest"),
            ("Library/m", "registry.ollama.ai/Library/m:latest", "m:latest"),
            ("localhost:5000/me/m:t", "localhost:5000/me/m:t", "localhost:5000/me/m:t"),
            ("http://localhost:5000/me/m", "localhost:5000/me/m:latest", "localhost:5000/me/m:latest"),
            ("host/library/m", "host/library/m:latest", "host/library/m:latest"),
            ("_why/_the/_lucky:_stiff", "_why/_the/_lucky:_stiff", "_why/_the/_lucky:_stiff"),
            (" m \n", "registry.ollama.ai/library/m:latest", "m:latest"),
        ],
    )
    def test_parts_that_are_left_out_take_their_defaults(self, text: str, full: str, short: str) -> None:
        name = ModelName.parse(text)
        assert (name.full, name.short) == (full, short)
        assert "/".join(name.manifest_parts) == full.replace(f":{name.tag}", f"/{name.tag}")

    @pytest.mark.parametrize(
        "text, part",
        [
            ("", "model"),
            (":t", "model"),
            ("m:", "tag"),
            ("//m", "host"),
            ("/m", "namespace"),
            ("me/", "model"),
            ("..", "model"),
            (".hidden", "model"),
            ("-m", "model"),
            ("../m", "namespace"),
            ("a.b/m", "namespace"),
            ("../../m", "host"),
            ("host/../m", "namespace"),
            ("m:..", "tag"),
            ("m:a/b", "namespace"),
            ("m@sha256", "model"),
            ("a\\b", "model"),
            ("ünicode", "model"),
            ("m\0", "model"),
            ("a" * 81, "model"),
            ("m:" + "a" * 81, "tag"),
            ("h" * 351 + "/n/m", "host"),
            ("c:/models/m", "host"),
        ],
    )
    def test_an_invalid_part_is_named(self, text: str, part: str) -> None:
        with pytest.raises(UsageProblem, match=part) as caught:
            ModelName.parse(text)
        assert caught.value.hint

    def test_the_longest_parts_are_taken(self) -> None:
        text = f"{'h' * 350}/{'n' * 80}/{'m' * 80}:{'t' * 80}"
        assert ModelName.parse(text).full == text

    def test_the_scheme_of_a_registry_is_kept(self) -> None:
        assert ModelName.parse("HTTP://localhost:1/me/m").protocol_scheme == "http"
        assert ModelName.parse("localhost:1/me/m").protocol_scheme == "https"
        with pytest.raises(UsageProblem, match="scheme"):
            ModelName.parse("ftp://localhost:1/me/m")

    def test_names_that_differ_in_case_are_one_to_the_server(self) -> None:
        assert ModelName.parse("Me/Model:Q4").is_same(ModelName.parse("me/model:q4"))
        assert not ModelName.parse("me/model:q4").is_same(ModelName.parse("me/model:q8"))

    def test_another_tag_is_checked(self) -> None:
        assert ModelName.parse("me/m").with_tag("q4").full == "registry.ollama.ai/me/m:q4"
        with pytest.raises(UsageProblem):
            ModelName.parse("m").with_tag("../q4")

    @pytest.mark.parametrize("tag", ["cloud", "Local", "20b-cloud"])
    def test_a_tag_that_means_a_place_is_reported(self, tag: str) -> None:
        assert ModelName(model="m", tag=tag).has_reserved_tag
        assert not ModelName(model="m", tag="clouds").has_reserved_tag

    @pytest.mark.parametrize(
        "text,tag",
        [
            (f"localhost:5000/me/{'m' * 80}:q4", "0123-q4"),
            ("DeepSeek-R1:7b", "0123-7b"),
            ("a/gemma4:E2B", "0123-E2B"),
            (f"m:{'t' * 80}", f"0123-{'t' * 71}"),
        ],
    )
    def test_a_temporary_name_keeps_model_part_and_tag_in_a_namespace_of_its_own(
        self, text: str, tag: str
    ) -> None:
        name = ModelName.parse(text)
        temporary = name.temporary("0123")
        assert temporary.manifest_parts == ("registry.ollama.ai", TEMPORARY_NAMESPACE, name.model, tag)
        assert ModelName.parse(temporary.full) == temporary
        assert temporary.with_tag(f"{temporary.tag}-old").model == name.model

    @pytest.mark.parametrize("token", ["../x", "", "-1", "a", "12b", "1" * 17])
    def test_what_could_not_begin_a_temporary_tag_is_refused(self, token: str) -> None:
        with pytest.raises(UsageProblem):
            ModelName.parse("m").temporary(token)

    @given(text=NAME_PIECES)
    @example("Registry.Ollama.AI/LIBRARY/m")
    def test_any_text_is_a_name_that_reads_back_or_a_usage_problem(self, text: str) -> None:
        try:
            name = ModelName.parse(text)
        except UsageProblem:
            return
        assert ModelName.parse(str(name)) == name
        assert ModelName.parse(name.full).is_same(name)
        assert name.temporary("0").namespace != name.namespace

    @given(text=NAME_PIECES)
    @example("c:80/n/m")
    def test_no_name_leads_out_of_the_folder_of_manifests(self, text: str) -> None:
        try:
            parts = ModelName.parse(text).manifest_parts
        except UsageProblem:
            return
        for root in (PurePosixPath("/store/manifests"), PureWindowsPath("D:\\store\\manifests")):
            path = root.joinpath(*parts)
            assert path.is_relative_to(root)
            assert len(path.parts) == len(root.parts) + len(parts)
            assert not {"..", "."} & set(path.parts)


class TestServerAddress:
    @pytest.mark.parametrize(
        "text, url",
        [
            (None, "http://127.0.0.1:11434"),
            ("", "http://127.0.0.1:11434"),
            ("  ", "http://127.0.0.1:11434"),
            ("1.2.3.4", "http://1.2.3.4:11434"),
            ("1.2.3.4:5678", "http://1.2.3.4:5678"),
            (":5678", "http://127.0.0.1:5678"),
            ("example.com", "http://example.com:11434"),
            ("Example.COM:", "http://example.com:11434"),
            ("http://example.com", "http://example.com:80"),
            ("https://example.com", "https://example.com:443"),
            ("HTTPS://example.com:8", "https://example.com:8"),
            ("https://example.com/ollama/", "https://example.com:443/ollama"),
            ("example.com:1/a/b", "http://example.com:1/a/b"),
            ("example.com/a b", "http://example.com:11434/a%20b"),
            (ANY, "http://127.0.0.1:11434"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("http://0.0.0.0", "http://127.0.0.1:80"),
            ("::", "http://[::1]:11434"),
            ("[::]:8080", "http://[::1]:8080"),
            ("::1", "http://[::1]:11434"),
            ("[::1]", "http://[::1]:11434"),
            ("http://[::1]/x", "http://[::1]:80/x"),
            ("[0:0:0:0:0:0:0:1]:5", "http://[::1]:5"),
            ("[example.com]:5", "http://example.com:5"),
            ("::ffff:1.2.3.4", "http://1.2.3.4:11434"),
            ("fe80::1%eth0", "http://[fe80::1%eth0]:11434"),
            ("' example.com:1 '", "http://example.com:1"),
            ('"example.com:1"', "http://example.com:1"),
            ("example.com:99999", "http://example.com:11434"),
            ("https://example.com:99999", "https://example.com:443"),
            ("example.com:0", "http://example.com:11434"),
            ("example.com:port", "http://example.com:11434"),
            ("ollama.com", "https://ollama.com:443"),
            ("ollama.com:11434", "http://ollama.com:11434"),
            ("bücher.example", "http://xn--bcher-kva.example:11434"),
        ],
    )
    def test_every_form_of_the_variable_is_read(self, text: str | None, url: str) -> None:
        assert ServerAddress.parse(text).base_url == url

    @pytest.mark.parametrize(
        "text",
        [
            *("ftp://example.com", "unix:///run/ollama", "://x", "a:b:c", "[::1", "[::1]x", "a b"),
            *("exa mple", "a..b", "http://x/?q", "x/#y", "x" * 3000, "a" * 300, "x\0y", "x/\ny", "<host>"),
        ],
    )
    def test_what_is_no_address_is_refused(self, text: str) -> None:
        with pytest.raises(UsageProblem) as caught:
            ServerAddress.parse(text)
        assert caught.value.hint

    @pytest.mark.parametrize("text", ["http://user:secret@host", "user:secret@host:1"])
    def test_a_password_is_refused_and_not_repeated(self, text: str) -> None:
        with pytest.raises(UsageProblem) as caught:
            ServerAddress.parse(text)
        assert "secret" not in f"{caught.value} {caught.value.hint}"

    @pytest.mark.parametrize(
        "text, expected",
        [
            *(("", True), ("localhost", True), ("a.localhost", True), ("127.9.9.9", True), ("::1", True)),
            *((ANY, True), ("10.0.0.1", False), ("localhost.example", False), ("fe80::1", False)),
        ],
    )
    def test_loopback_is_distinguished_from_the_rest(self, text: str, *, expected: bool) -> None:
        assert ServerAddress.parse(text).is_loopback is expected

    def test_the_environment_gives_the_address_and_a_fault_names_the_variable(self) -> None:
        assert ServerAddress.from_environment({"OLLAMA_HOST": "host:1"}).base_url == "http://host:1"
        assert ServerAddress.from_environment({}).base_url == "http://127.0.0.1:11434"
        with pytest.raises(UsageProblem, match="OLLAMA_HOST"):
            ServerAddress.from_environment({"OLLAMA_HOST": "a:b:c"})

    @given(text=ADDRESS_PIECES)
    def test_any_text_is_an_address_that_reads_back_or_a_usage_problem(self, text: str) -> None:
        try:
            address = ServerAddress.parse(text)
        except UsageProblem:
            return
        assert ServerAddress.parse(str(address)) == address
        assert address.base_url.isascii()
        assert not address.base_url.endswith("/")


class TestSource:
    @pytest.fixture(autouse=True)
    def _empty_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))

    @pytest.mark.parametrize(
        "text",
        [
            "./x",
            "../x",
            "/x/y",
            ".",
            "model.gguf",
            "C:\\m\\x",
            "C:/m/x",
            "models\\x",
            "a/b/c.gguf",
            "a/b.GGUF",
        ],
    )
    def test_what_looks_like_a_path_is_local(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        assert parse_source(text) == LocalSource(path=Path(text))

    def test_a_home_folder_is_expanded(self, tmp_path: Path) -> None:
        assert parse_source("~/x.gguf") == LocalSource(path=tmp_path / "home" / "x.gguf")

    def test_what_exists_is_local_whatever_it_looks_like(self, tmp_path: Path) -> None:
        assert isinstance(parse_source("owner/repo"), HubSource)
        (tmp_path / "owner" / "repo").mkdir(parents=True)
        assert parse_source("owner/repo") == LocalSource(path=Path("owner/repo"))
        assert parse_source("owner") == LocalSource(path=Path("owner"))

    def test_a_path_is_written_so_that_it_stays_one(self) -> None:
        source = LocalSource(path=Path("owner/repo"))
        assert parse_source(str(source)) == source

    @pytest.mark.parametrize(
        "text, source",
        [
            ("owner/repo", HubSource(owner="owner", repo="repo")),
            ("owner/repo.v1-GGUF:Q4_K_M", HubSource(owner="owner", repo="repo.v1-GGUF", quant="Q4_K_M")),
            ("hf://owner/repo", HubSource(owner="owner", repo="repo")),
            ("hf://owner/repo/", HubSource(owner="owner", repo="repo")),
            ("hf://owner/repo:Q8_0@v1", HubSource(owner="owner", repo="repo", quant="Q8_0", revision="v1")),
            ("hf://owner/repo/a/b c.gguf", HubSource(owner="owner", repo="repo", path="a/b c.gguf")),
            ("hf://o/r/a.gguf@main", HubSource(owner="o", repo="r", path="a.gguf", revision="main")),
            ("hf://o/r@main/a.gguf", HubSource(owner="o", repo="r", path="a.gguf", revision="main")),
            ("hf://o/r@refs/pr/3/a", HubSource(owner="o", repo="r", path="a", revision="refs/pr/3")),
            ("hf://o/r/a@refs/pr/3", HubSource(owner="o", repo="r", path="a", revision="refs/pr/3")),
            ("https://host/a.gguf?sig=1", UrlSource(url="https://host/a.gguf?sig=1")),
            ("http://127.0.0.1:8/a", UrlSource(url="http://127.0.0.1:8/a")),
            # a repository may be called like a file, and a file in one is named without a scheme
            ("owner/repo.gguf", HubSource(owner="owner", repo="repo.gguf")),
            ("owner/repo/a/b.gguf", HubSource(owner="owner", repo="repo", path="a/b.gguf")),
            ("owner/repo/UD-Q4_K_XL", HubSource(owner="owner", repo="repo", path="UD-Q4_K_XL")),
            ("owner/repo@v1", HubSource(owner="owner", repo="repo", revision="v1")),
            # as ollama names it
            ("owner/repo:latest", HubSource(owner="owner", repo="repo")),
            ("hf.co/o/r:m-Q4_0.gguf", HubSource(owner="o", repo="r", path="m-Q4_0.gguf")),
            # a branch with a slash
            ("hf://o/r@a%2Fb/c.gguf", HubSource(owner="o", repo="r", path="c.gguf", revision="a/b")),
            ("hf://o/r/c.gguf@a%2Fb", HubSource(owner="o", repo="r", path="c.gguf", revision="a/b")),
        ],
    )
    def test_repositories_and_urls_are_read(self, text: str, source: HubSource | UrlSource) -> None:
        assert parse_source(text) == source

    @pytest.mark.parametrize(
        "text",
        [
            *(
                "",
                " ",
                "llama3",
                "a\0.gguf",
                "x" * 9000,
                "a/b:",
                "a/..",
                "a..b/c",
                "-a/b",
                "a/b:Q4/x",
            ),
            *("hf://a", "hf://a/b/../c", "hf://a/b//c", "hf://a/b/c@", "hf://a/b@x/c@y", "hf://a/b:Q4/c"),
            *(
                "hf://a/b/c\n",
                "hf://a/b@../x",
                "ftp://a/b",
                "https://",
                "https://[::1/x",
                "https://h:x/",
                "http://a b/",
            ),
        ],
    )
    def test_what_is_no_source_is_refused(self, text: str) -> None:
        with pytest.raises(UsageProblem) as caught:
            parse_source(text)
        assert caught.value.hint
        assert len(str(caught.value)) < 200

    @pytest.mark.parametrize(
        "text", ["https://user:secret@host/x", "ftp://h/x?token=secret", "ftp://u:secret@h/x"]
    )
    def test_a_secret_in_a_url_is_not_repeated(self, text: str) -> None:
        with pytest.raises(UsageProblem) as caught:
            parse_source(text)
        assert "secret" not in f"{caught.value} {caught.value.hint}"

    @given(text=SOURCE_PIECES)
    @example("~\ud800")
    @example("~nobody-of-this-name/x")
    def test_any_text_is_a_source_that_reads_back_or_a_usage_problem(self, text: str) -> None:
        try:
            source = parse_source(text)
        except UsageProblem:
            return
        assert parse_source(str(source)) == source
