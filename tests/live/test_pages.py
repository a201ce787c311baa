"""The reports as a browser shows them, on a desk and on a phone, in light and in dark, with hostile texts.

With ``GGUF2OLLAMA_PICTURES=FOLDER`` a picture of each is kept there, to be looked at.
"""

import os
from pathlib import Path

import pytest

from gguf2ollama.chat.outcome import Refused
from gguf2ollama.chat.reference_prompt import Authors
from gguf2ollama.cli.render.memory_plot import plot_memory
from gguf2ollama.engines.engine import EngineMemory
from gguf2ollama.engines.fit import Need
from gguf2ollama.engines.measurement import Measurement
from gguf2ollama.engines.settings import EngineSettings
from gguf2ollama.verification.baseline import NotCompared
from gguf2ollama.verification.report import render_report
from gguf2ollama.verification.smoke_tests import Check
from gguf2ollama.verification.survey_report import render_survey
from gguf2ollama.verification.template_survey import survey_templates
from tests.builders import CHATML_TEMPLATE
from tests.live.browser import DESKTOP, PHONE, find_browser, running_browser
from tests.live.conftest import missing
from tests.reports import HOSTILE, case, verification

WRITTEN_BY = "gguf2ollama 1.0"
MIB = 1 << 20
LONG = "word " * 200_000  # a megabyte
UNBROKEN = "x" * 100_000
ARABIC = "\u0645\u0631\u062d\u0628\u0627 \u200f\u202e\u2066 (1) <b>"

# For each text that is seen: how its colour stands out from what is behind it, by WCAG 2's formula
CONTRASTS = """(() => {
  const parse = text => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return {rgb: [r, g, b], a};
  };
  const light = ({rgb}) => rgb.map(c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const probe = document.documentElement.appendChild(document.createElementNS(
    document.documentElement.namespaceURI, document.body ? 'div' : 'g'));
  probe.style.color = 'Canvas';
  const canvas = getComputedStyle(probe).color;
  probe.remove();
  const behind = element => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (parse(colour).a) return colour;
    }
    return canvas;
  };
  const found = [];
  for (const element of document.querySelectorAll('body *, svg text')) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    const style = getComputedStyle(element);
    const colour = element.tagName === 'text' ? style.fill : style.color;
    const [a, b] = [light(parse(colour)), light(parse(behind(element)))];
    found.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05), element.textContent.slice(0, 40)]);
  }
  return found;
})()"""

# CSS pixels on the screen of the lowest line of text; an SVG is scaled, and so is what is laid out wider
SMALLEST = """(() => {
  const scale = screen.width / innerWidth;
  return Math.min(...[...document.querySelectorAll('body p, body td, body pre, body summary, svg text')]
    .filter(element => element.getClientRects().length)
    .map(element => element.tagName === 'text' ? element.getBoundingClientRect().height
                                               : parseFloat(getComputedStyle(element).lineHeight))) * scale;
})()"""


def usual_verification():
    return render_report(
        verification(
            case("one turn"),
            case("two turns", want="<s>Hello there\n", got="<s>Hello\tthere \n"),
            case("a call", want='{"x": 1, "y": 2}', got='{"y": 2, "x": 1}', feature="tools"),
            case("a result", got=Refused("no tools"), feature="tools"),
            checks=(
                Check(name="loads", state="passed", detail="The server runs it."),
                Check(name="ends", state="failed", detail="The answer did not end within 200 tokens. " * 3),
            ),
        ),
        written_by=WRITTEN_BY,
    )


def hostile_verification():
    texts = (HOSTILE, ARABIC, UNBROKEN)
    return render_report(
        verification(
            *(case(f"{number} {text}", want=text, got=text[::-1]) for number, text in enumerate(texts)),
            case("long", want=LONG, got=LONG + "!"),
            case("quite different", want=LONG, got=LONG.upper()),
            case("many lines", want="a\nb\n" * 900, got="b\na\n" * 900),
            case("many letters", want="ab" * 1900, got="ba" * 1900),
            *(case(f"long {number}", want=LONG, got=LONG) for number in range(10)),
            authors=Authors(chat_template=HOSTILE + UNBROKEN, bos=HOSTILE, eos=ARABIC),
            capabilities=texts,
            server=UNBROKEN,
            ollama_default=NotCompared(HOSTILE),
            checks=tuple(Check(name=text, state="failed", detail=text) for text in texts),
        ),
        written_by=WRITTEN_BY,
    )


def survey_of(folder, templates):
    folder.mkdir()
    for name, text in templates.items():
        (folder / f"{name}.jinja").write_text(text, encoding="utf-8")
    return render_survey(survey_templates(folder), written_by=WRITTEN_BY)


# what no rule of ours foresees
UNRULY = "{% if messages|length == 3 %}{{ messages|tojson(indent=3) }}{% endif %}"
HEADERLESS = "{% for message in messages %}[{{ message.role }}] {{ message.content }} ~~ {% endfor %}"


def usual_survey(folder):
    return survey_of(
        folder,
        {"chatml": CHATML_TEMPLATE, "unruly": UNRULY + HEADERLESS, "broken": "{% for message in"},
    )


def hostile_survey(folder):
    return survey_of(
        folder,
        {
            '"><img src=x onerror=alert(1)>': f"{UNRULY}<script>alert(2)</script>{HEADERLESS}",
            "\u202e\u0645\u0631\u062d\u0628\u0627 ": CHATML_TEMPLATE,
            "x" * 200: f"{{{{ raise_exception('{UNBROKEN}<img src=x onerror=alert(3)>') }}}}",
        },
    )


def plot(title, *, gpu=0):
    measured = Measurement(
        engine="llama.cpp",
        settings=EngineSettings(context=131_072, cache_type="q8_0"),
        context=131_072,
        layers=33,
        need=Need(engine="llama.cpp", ram=9000 * MIB, gpus=(gpu * 9 // 10,) if gpu else ()),
        before=EngineMemory(resident=50 * MIB, gpu=0 if gpu else None),
        answering=EngineMemory(resident=8000 * MIB, gpu=gpu or None),
    )
    return plot_memory([measured, measured], title=title)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Write each report once; return their paths by name."""
    folder = tmp_path_factory.mktemp("pages")
    contents = {
        "verification.html": usual_verification(),
        "verification-hostile.html": hostile_verification(),
        "survey.html": usual_survey(folder / "usual"),
        "survey-hostile.html": hostile_survey(folder / "hostile"),
        "memory.svg": plot("qwen2.5-7b-instruct-q4_k_m.gguf", gpu=4000 * MIB),
        "memory-hostile.svg": plot(f"$x_1$ ]]>{HOSTILE}\uffff{ARABIC}{UNBROKEN}"),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content.encode("utf-8", "backslashreplace"))
    return folder


NAMES = tuple(
    f"{kind}{which}.{form}"
    for kind, form in (("verification", "html"), ("survey", "html"), ("memory", "svg"))
    for which in ("", "-hostile")
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Run a browser."""
    if (program := find_browser()) is None:
        missing("Chromium (`apt-get install chromium`)")
    with running_browser(program, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", NAMES)
def test_a_report_is_readable_and_asks_for_nothing(browser, pages, name, size, is_dark):
    page = pages / name
    browser.open(page, size=size, is_dark=is_dark)
    if folder := os.environ.get("GGUF2OLLAMA_PICTURES"):
        browser.picture(Path(folder, f"{name}-{size[0]}-{'dark' if is_dark else 'light'}.png"))
    browser.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    contrasts = browser.evaluate(CONTRASTS)
    assert contrasts
    assert [entry for entry in contrasts if entry[0] < 4.5] == []
    if page.suffix == ".html":  # an SVG is scaled to the width that there is
        assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert browser.evaluate(SMALLEST) >= 11
    assert browser.requests == [page.resolve().as_uri()]
    assert browser.complaints == []


@pytest.mark.parametrize("name", NAMES)
def test_a_report_follows_light_and_dark(browser, pages, name):
    colour = "getComputedStyle(document.querySelector('h1, text'))[document.body ? 'color' : 'fill']"
    browser.open(pages / name)
    in_light = browser.evaluate(colour)
    browser.open(pages / name, is_dark=True)
    assert browser.evaluate(colour) != in_light


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_a_report_is_a_script_or_a_picture(browser, pages, name):
    browser.open(pages / name)
    assert browser.evaluate("document.querySelectorAll('script, img, image, iframe, link, a').length") == 0
    assert browser.evaluate("document.querySelectorAll('parsererror').length") == 0


def test_what_asks_for_something_or_runs_is_noticed(browser, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        "<img src='http://127.0.0.1:9/x'><script>console.log(1)</script><p style='width:2000px'>x"
    )
    browser.open(page, size=PHONE)
    assert "http://127.0.0.1:9/x" in browser.requests
    assert browser.complaints
    width, shown = browser.evaluate("[document.documentElement.scrollWidth, screen.width]")
    assert width > shown
