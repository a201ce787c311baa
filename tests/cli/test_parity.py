"""``gguf2ollama parity``: what an Ollama makes of each chat template of a folder."""

import pytest

from tests.builders import CHATML_TEMPLATE

HEADERLESS = "{% for message in messages %}[{{ message.role }}] {{ message.content }} ~~ {% endfor %}"
DATED = (
    "{% if not date_string is defined %}{% set date_string = 'May' %}{% endif %}{{ date_string }}"
    + HEADERLESS
    + "{% if add_generation_prompt %}[assistant] {% endif %}"
)
BAD = {
    "broken": (b"{% for message in messages %}{{ oops", "not valid Jinja"),
    "empty": (b" \n", "empty"),
    "endless": (
        b"{% for a in range(99999) %}{% for b in range(99999) %}{{ 'x' * 999 }}{% endfor %}{% endfor %}",
        "more than",
    ),
    "huge": (b"x" * ((1 << 20) + 1), "1,048,576"),
    "no text": (b"\xff\xfe", "not valid UTF-8 at byte 0"),
    "refusing": (b"{{ raise_exception('Nobody may ask.') }}", "Nobody may ask."),
    "reaching": (b"{{ messages.__class__.__mro__ }}", ""),
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "chatml.jinja").write_text(CHATML_TEMPLATE, encoding="utf-8")
    return folder


def test_each_template_is_listed_with_what_renders_it_and_how_well(call, folder):
    (folder / "a.jinja").write_text(DATED, encoding="utf-8")
    (folder / "b.jinja").write_text(HEADERLESS, encoding="utf-8")
    (folder / "notes.txt").write_text("no template")
    (folder / "c.jinja").mkdir()
    done = call("parity", folder)
    assert done.code == 0, done.err
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[0] == ["TEMPLATE", "RENDERER", "PLAIN", "IRREGULAR", "PREFILL", "ODD"]  # and nothing else
    assert [row[:3] for row in rows[1:4]] == [
        ["a", "synthesised", "25/25"],
        ["b", "native", "25/25"],
        ["chatml", "native", "25/25"],
    ]
    assert rows[4] == ["all", "exact", "3/3", "2/3", "2/3", "3/3"]
    assert "3 of 3 templates render (Ollama 0.34.4)" in done.err


def test_json_has_everything(call, folder):
    (folder / "a.jinja").write_text(DATED, encoding="utf-8")
    (folder / "b.jinja").write_text(HEADERLESS, encoding="utf-8")
    result = call("parity", folder, "--json").json
    assert (result["ollama_version"], result["rendered_count"]) == ("0.34.4", 3)
    assert result["totals"]["plain"] == {"exact": 3, "json_equal": 0, "compared": 3}
    dated, headerless, chatml = result["templates"]
    assert "{{" in dated["go_template"]
    (patched,) = (other for other in dated["alternatives"] if other["origin"] == "patched")
    assert patched["scores"]["irregular"] == {"exact": 10, "json_equal": 0, "compared": 10}
    assert (headerless["go_template"], headerless["chat_template"]) == (None, None)
    assert [one["exact"] for one in result["templates"]] == [False, False, True]
    assert headerless["alternatives"][0]["origin"] == "synthesised"
    assert headerless["reason"].endswith("plain 25/25, irregular 10/10, prefill 0/3, odd 5/5")
    assert chatml["origin"] == "native"


# a text goes before all that was said once there are three messages, which no rule of ours tells
UNRULY = "{% if messages|length == 3 %}{{ messages|tojson(indent=3) }}{% endif %}" + HEADERLESS


def test_conversations_that_differ_are_shown_with_both_prompts(call, folder):
    (folder / "chatml.jinja").write_text(HEADERLESS, encoding="utf-8")
    (one,) = call("parity", folder, "--json").json["templates"]
    assert (one["origin"], one["exact"]) == ("native", False)
    (folder / "chatml.jinja").write_text(UNRULY, encoding="utf-8")
    (one,) = call("parity", folder, "--json").json["templates"]
    assert one["origin"] in {"native", "patched"}
    assert one["mismatches"]
    assert all(case["expected"] != case["actual"] for case in one["mismatches"])


def test_a_report_has_each_template_and_what_differs(call, folder, tmp_path):
    (folder / "b.jinja").write_text(HEADERLESS, encoding="utf-8")
    (folder / "bad.jinja").write_text("{% for message in", encoding="utf-8")
    report = tmp_path / "report.html"
    done = call("parity", folder, "--report", report)
    assert done.code == 0, done.err
    assert f"Wrote {report}" in done.err
    page = report.read_text(encoding="utf-8")
    for part in (
        "2 of 3 templates render; plain chats match exactly in 2 of 2",
        "not valid Jinja",
        "3 prompts differ",
        "prefill, ",
    ):
        assert part in page


def test_a_report_that_cannot_be_written_is_refused_first(call, folder, tmp_path):
    done = call("parity", folder, "--report", tmp_path / "nowhere" / "report.html")
    assert (done.code, done.out) == (3, ""), done.err
    assert "nowhere" in done.err


def test_what_an_ollama_cannot_render_at_all_counts_as_exact_in_nothing(call, folder):
    (folder / "unruly.jinja").write_text(UNRULY, encoding="utf-8")
    result = call("parity", folder, "--json", "--for-ollama", "0.29.0").json
    assert result["templates"][1]["renders"] is True
    reason = result["templates"][1]["reason"]
    assert "nothing is known to render its chats on Ollama 0.29.0: no TEMPLATE could be generated" in reason
    assert result["rendered_count"] == 2
    assert (result["totals"]["plain"]["exact"], result["totals"]["plain"]["compared"]) == (1, 2)


@pytest.mark.parametrize("kind", BAD)
def test_a_template_that_does_not_render_hides_no_other(call, folder, kind):
    content, words = BAD[kind]
    (folder / "bad.jinja").write_bytes(content)
    result = call("parity", folder, "--json")
    assert result.code == 0, result.err
    bad, good = result.json["templates"]
    assert (bad["name"], bad["renders"], bad["origin"]) == ("bad", False, None)
    assert words in bad["reason"]
    assert (good["name"], good["exact"]) == ("chatml", True)
    assert result.json["totals"]["plain"]["compared"] == 1
    assert "NOT RENDERED" in call("parity", folder).out


def test_an_older_ollama_renders_with_a_go_template_alone(call, folder):
    result = call("parity", folder, "--for-ollama", "0.17.4", "--json").json
    (one,) = result["templates"]
    assert result["ollama_version"] == "0.17.4"
    assert one["origin"] in {"profile", "synthesised"}
    plain = one["scores"]["plain"]
    assert plain["exact"] == plain["compared"] == 25


def test_a_folder_without_templates_and_none_at_all_are_not_found(call, tmp_path):
    assert call("parity", tmp_path / "nowhere").code == 3
    done = call("parity", tmp_path)
    assert (done.code, ".jinja" in done.err) == (3, True), done.err


def test_a_version_must_be_one(call, folder):
    done = call("parity", folder, "--for-ollama", "new")
    assert done.code == 2, done.err
    assert "'new'" in done.err
