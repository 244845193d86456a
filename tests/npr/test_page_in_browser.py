"""The page on data quality in a real browser: no error, no request, nothing that runs over its edge, light and dark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fhir_facade.cli import app
from tests.browser import Browser, browser, chromium
from tests.npr_stays import END, HEAD, PATIENT, TODAY

PICTURES = Path(__file__).resolve().parents[2] / "build" / "pictures"
PNG = b"\x89PNG\r\n\x1a\n"
CHARTS = 'document.querySelectorAll("svg")'


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    """A tab; there must be a browser where the whole suite decides."""
    program = chromium()
    if program is None:
        assert not os.environ.get("CI"), "no Chromium on this machine; make browser installs it"
        pytest.skip("no Chromium on this machine; make browser installs it")
    with browser(program) as opened:
        yield opened


@pytest.fixture(scope="module", params=["nb", "en"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with something in every part."""
    folder = tmp_path_factory.mktemp("page")
    patients = [PATIENT.format(nr=number) for number in range(12)]
    for place, (before, after) in enumerate((
        ("T09:10:00", "T00:00:00"), ('debitor="1"', 'debitor="999"'), (' vurdDato="2024-01-15"', ""),
        ("2024-02-20", "2023-11-07"), ('rettTilHelsehjelp="5"', 'rettTilHelsehjelp="3" fristStartBehandling="2024-02-01"'),
        ('innmateHast="4" ', ""), ('kodeVerdi="F102"', 'kodeVerdi="F10.2"'),
    )):  # fmt: skip
        assert before in patients[place]
        patients[place] = patients[place].replace(before, after)
    message = folder / "message.xml"
    message.write_text(HEAD + "".join(patients) + END, "utf-8")
    arguments = ["npr", "check", str(message), "--on", TODAY, "--format", "html", "--lang", request.param]
    page = folder / f"quality-{request.param}.html"
    page.write_bytes(CliRunner().invoke(app, arguments).stdout_bytes)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_without_an_error_and_without_a_request(window: Browser, page: Path, scheme: str) -> None:
    window.seen_as(scheme, 1200)
    window.open(page.as_uri())
    assert window.value("document.readyState") == "complete"
    shapes = f"[...{CHARTS}].map(each => each.getBoundingClientRect()).every(box => box.width > 0 && box.height > 0)"
    assert window.value(f"{CHARTS}.length") > 8
    assert window.value(shapes) is True
    dark = window.value("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
    assert dark == (scheme == "dark")
    drawn = window.picture()
    assert drawn.startswith(PNG)
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{page.stem}-{scheme}.png").write_bytes(drawn)
    assert window.faults() == []
    assert [asked for asked in window.requests() if asked not in (page.as_uri(), "data:,")] == []


def test_the_page_is_no_wider_than_a_small_screen(window: Browser, page: Path) -> None:
    window.seen_as("light", 390)
    window.open(page.as_uri())
    assert window.value("document.documentElement.scrollWidth") <= 390


def test_words_and_colours_of_the_page_stand_out(window: Browser, page: Path) -> None:
    """WCAG 2.1, 1.4.3 and 1.4.11: 4.5 to 1 for text, 3 to 1 for what a chart is made of."""
    for scheme in ("light", "dark"):
        window.seen_as(scheme, 1200)
        window.open(page.as_uri())
        assert (
            window.value(CONTRAST.replace("ASKED", "p, td, th, a, dt, dd, summary, h1, h2").replace("STYLE", "color"))
            >= 4.5
        )
        assert window.value(CONTRAST.replace("ASKED", "svg rect").replace("STYLE", "fill")) >= 3


CONTRAST = """(() => {
  const light = text => { const [r, g, b] = text.match(/[0-9.]+/g).map(Number).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const ground = light(getComputedStyle(document.body).backgroundColor);
  return Math.min(...[...document.querySelectorAll("ASKED")].map(each => light(getComputedStyle(each).STYLE))
    .map(one => (Math.max(one, ground) + 0.05) / (Math.min(one, ground) + 0.05)));
})()"""
"""The least contrast of some elements with the ground."""


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        ("<img src='http://127.0.0.1:9/x.png'>", "request"),
        ("<script>throw new Error('x')</script>", "console"),
    ],
)
def test_a_page_that_fetches_or_fails_is_noticed(window: Browser, page: Path, spoilt: str, told: str) -> None:
    """The policy of the page is taken out, or nothing would be asked for."""
    bad = page.with_name("bad.html")
    text = page.read_text("utf-8").replace("Content-Security-Policy", "x-none")
    bad.write_text(text.replace("<main>", f"<main>{spoilt}"), "utf-8")
    window.open(bad.as_uri())
    window.value("new Promise(done => setTimeout(done, 300))")
    asked = [each for each in window.requests() if each.startswith("http")]
    assert bool(asked) == (told == "request")
    assert window.faults() != []
