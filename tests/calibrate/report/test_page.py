"""The page in a browser: its elements, its console, a phone, the dark mode, the keyboard."""

import pytest

from tests.calibrate.report.browser import PROGRAM, Browser

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs Chromium")

DRAWN = "[...document.querySelectorAll('.chart')].map((each) => each._fullData?.length ?? 0)"
WIDTHS = "[document.documentElement.scrollWidth, innerWidth]"
FONT = "document.querySelector('.chart')._fullLayout.font.color"
GROUND = "getComputedStyle(document.body).backgroundColor"
CATEGORIES = "document.querySelector('.map .chart')._fullData.map((each) => each.name)"
CHOOSE = """(() => {
  const select = document.querySelector('.map .colour');
  select.value = [...select.options].findIndex((each) => each.text === 'right or wrong');
  select.dispatchEvent(new Event('change'));
})()"""
HOVER = """(() => {
  const chart = document.querySelector('.map .chart');
  const rows = chart._fullData.flatMap((each) => each.customdata);
  const found = JSON.parse(document.querySelector('script.map').textContent);
  const row = rows.find((each) => found.pictures[each]);
  chart.emit('plotly_hover', {points: [{customdata: row}]});
  const output = document.querySelector('.chosen');
  return [output.textContent.includes('class: '), output.querySelectorAll('img').length,
          output.querySelectorAll('script').length];
})()"""

# Number of elements, of those that a line end divides, and of those beyond the right edge.
IN_VIEW = """(selector) => {
  const found = [...document.querySelectorAll(selector)];
  const boxes = found.map((each) => each.getBoundingClientRect());
  return [found.length, found.filter((each) => each.getClientRects().length > 1).length,
          boxes.filter((each) => each.right > innerWidth).length];
}"""


@pytest.fixture(scope="module")
def browser(reported, tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.resize(1200)
        browser.set_scheme("light")
        browser.open(reported.page)
        yield browser


def test_every_plot_is_drawn_without_an_error_or_a_request(browser):
    drawn = browser.evaluate(DRAWN)
    assert len(drawn) == 12
    assert all(drawn)
    assert browser.problems == []


def test_the_map_changes_its_colours(browser):
    assert len(browser.evaluate(CATEGORIES)) == 4
    browser.evaluate(CHOOSE)
    names = browser.evaluate(CATEGORIES)
    assert [name.partition(" ")[0] for name in names] == ["right", "wrong"]


def test_pointing_at_an_image_shows_its_picture_and_no_markup_of_names(browser):
    assert browser.evaluate(HOVER) == [True, 1, 0]


def test_the_first_key_reaches_the_skip_link(browser):
    for kind in ("keyDown", "keyUp"):
        browser.send("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)
    assert browser.evaluate("document.activeElement.textContent") == "Skip to the report"


def test_a_dark_system_gets_a_dark_page_with_light_plots(browser):
    light = browser.evaluate(f"[{FONT}, {GROUND}]")
    browser.set_scheme("dark")
    assert light == ["#1b1b1b", "rgb(255, 255, 255)"]
    assert browser.evaluate(f"[{FONT}, {GROUND}]") == ["#e8e8e8", "rgb(22, 24, 28)"]


def test_a_phone_scrolls_the_page_in_one_direction(browser):
    browser.resize(375)
    assert browser.evaluate(WIDTHS) == [375, 375]
    assert browser.problems == []


def test_a_phone_shows_whole_titles_of_wide_tables_and_whole_names_of_options(browser):
    browser.resize(375)
    captions, _, hidden = browser.evaluate(f"({IN_VIEW})('caption span')")
    assert captions > 5
    assert hidden == 0
    options, divided, _ = browser.evaluate(f"({IN_VIEW})('.option')")
    assert options > 5
    assert divided == 0
