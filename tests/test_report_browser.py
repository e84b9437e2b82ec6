"""The report in a real browser: opens from the disk, fits the window, filters, can be used with the keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import SIZES, chromium, needs_browser, opened, overhang
from report_scenes import drawn

from hrnetae.evaluation.report.html import write_report

pytestmark = needs_browser
PICTURES = 16  # more than the gallery shows at first
CARDS = ".card:not([hidden])"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    made = {"Command": {"Line": "hrnetae eval " + "x" * 300}}
    one = drawn(folder, PICTURES)
    return write_report(one.job(folder / "out", picture_folder=folder / "val2017", made=made))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


def colour(page: Any, name: str) -> int:
    """The brightness, 0 to 765, of the page's ground or letters."""
    value = page.evaluate(f"getComputedStyle(document.body).{name}")
    return sum(int(part) for part in re.findall(r"\d+", value)[:3])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_opens_and_fits(report: Path, browser: Any, size: tuple[int, int], scheme: str) -> None:
    with opened(browser, report, size, scheme) as page:
        assert overhang(page) == 0
        assert (colour(page, "backgroundColor") < colour(page, "color")) == (scheme == "dark")
        page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        assert overhang(page) == 0
        sizes = page.evaluate("[...document.querySelectorAll('.plot svg[role]')].map((svg) => svg.clientWidth)")
        assert len(sizes) >= 8 and min(sizes) > 120
        letters = page.evaluate(
            "[...document.querySelectorAll('.plot text')].map((text) => text.getBoundingClientRect().height)"
        )
        assert min(letters) >= 10  # as large on the phone as elsewhere


@pytest.mark.parametrize("size", SIZES)
def test_letters_of_charts_stay_in_their_cards(report: Path, browser: Any, size: tuple[int, int]) -> None:
    with opened(browser, report, size) as page:
        out = page.evaluate(
            """[...document.querySelectorAll('.chart')].flatMap((chart) => {
              const box = chart.getBoundingClientRect();
              return [...chart.querySelectorAll('svg text')].filter((text) => {
                const own = text.getBoundingClientRect();
                return own.left < box.left || own.right > box.right || own.top < box.top || own.bottom > box.bottom;
              }).map((text) => text.textContent);
            })"""
        )
        assert out == []


def test_switch_between_light_and_dark(report: Path, browser: Any) -> None:
    for scheme in ("light", "dark"):
        with opened(browser, report, scheme=scheme) as page:
            button = page.get_by_role("button", name="Dark")
            assert button.get_attribute("aria-pressed") == str(scheme == "dark").lower()
            before = colour(page, "backgroundColor")
            button.click()
            assert button.get_attribute("aria-pressed") == str(scheme == "light").lower()
            assert (colour(page, "backgroundColor") > before) == (scheme == "dark")
            button.click()
            assert colour(page, "backgroundColor") == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out(report: Path, browser: Any, scheme: str) -> None:
    """At least 4.5 to 1, as WCAG 2 asks of text, against the ground behind them."""
    with opened(browser, report, scheme=scheme) as page:
        pairs = page.evaluate(
            """[...document.querySelectorAll([
                'main p, main td, main th, main dt, main small, nav a, summary, h2, h3, figcaption, figcaption .note',
                '.legend li, .filters label, .kinds li, .plot text, #theme'].join())]
              .filter((one) => one.checkVisibility()).map((one) => {
                let ground = one;
                const clear = 'rgba(0, 0, 0, 0)';
                while (ground && getComputedStyle(ground).backgroundColor === clear) ground = ground.parentElement;
                const style = getComputedStyle(one);
                const ink = one.closest('svg') ? style.fill : style.color;
                return [ink, getComputedStyle(ground || document.body).backgroundColor, one.className.toString()];
              })"""
        )
    poor = {pair for pair in map(tuple, pairs) if contrast(pair[0], pair[1]) < 4.5}
    assert len(pairs) > 100 and poor == set()


def contrast(a: str, b: str) -> float:
    """Of two colours as CSS writes them: WCAG 2's ratio of relative luminances."""
    lights = sorted(map(luminance, (a, b)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(text: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", text)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_filters(report: Path, browser: Any) -> None:
    with opened(browser, report) as page:
        every = page.locator(".card").count()
        assert every == PICTURES and page.locator(CARDS).count() == 12
        assert page.locator(".shown").inner_text() == f"12 of {every} pictures shown"
        page.get_by_role("button", name="Show more").click()
        assert page.locator(CARDS).count() == every and not page.get_by_role("button", name="Show more").is_visible()
        page.get_by_role("radio", name=re.compile("Inversion")).check(force=True)
        kinds = page.locator(CARDS).evaluate_all("(all) => all.map((one) => one.dataset.kinds.split(' '))")
        assert kinds and all("inversion" in of for of in kinds)
        assert (
            page.locator(".shown").inner_text().startswith(f"{len(kinds)} of {len(kinds)} pictures shown (of {every}")
        )
        counts = page.locator(CARDS).evaluate_all("(all) => all.map((one) => JSON.parse(one.dataset.ranks).inversion)")
        assert counts == sorted(counts, reverse=True)
        both = page.locator("fieldset[data-filter=choice] label:has(input:enabled)").last
        value = both.locator("input").get_attribute("value")
        both.locator("input").check(force=True)
        shown = page.locator(CARDS).evaluate_all("(all) => all.map((one) => [one.dataset.kinds, one.dataset.choice])")
        assert value and len(shown) == int(both.locator(".count").inner_text()) > 0
        assert all("inversion" in kinds and choice == value for kinds, choice in shown)


def test_every_choice_shows_as_many_as_it_says(report: Path, browser: Any) -> None:
    with opened(browser, report) as page:
        page.get_by_role("radio", name="Typical").check(force=True)
        kinds = page.locator("fieldset[data-filter=kinds] label")
        disabled = 0
        for place in range(kinds.count()):
            count = int(kinds.nth(place).locator(".count").inner_text())
            box = kinds.nth(place).locator("input")
            assert box.is_enabled() == (count > 0)
            disabled += not count
            if count:
                box.check(force=True)
                assert f"of {count} pictures shown" in page.locator(".shown").inner_text()
        assert disabled < kinds.count()


def test_layers(report: Path, browser: Any) -> None:
    with opened(browser, report) as page:
        for name, layer in (("Ground truth", "truth"), ("Found people", "found"), ("Error marks", "marks")):
            drawn_layer = page.locator(f"{CARDS} g.{layer}").first
            display = "(one) => getComputedStyle(one).display"
            assert drawn_layer.evaluate(display) != "none"
            page.get_by_role("checkbox", name=name).uncheck(force=True)
            assert drawn_layer.evaluate(display) == "none"
        weak = page.locator("g.person.weak").first
        assert weak.evaluate(display) == "none"
        page.get_by_role("checkbox", name="Weak strangers").check(force=True)
        assert weak.evaluate(display) != "none"


@pytest.mark.parametrize("size", SIZES)
def test_a_picture_is_enlarged_and_left_by_keyboard(report: Path, browser: Any, size: tuple[int, int]) -> None:
    with opened(browser, report, size) as page:
        first = page.locator(f"{CARDS} .picture").first
        names = page.locator(f"{CARDS} h3").all_inner_texts()
        first.focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        box = dialog.locator(".picture").bounding_box()
        assert dialog.is_visible() and box["width"] <= size[0] and box["width"] > 0.5 * min(size)
        assert dialog.locator("h3").inner_text() == names[0] and overhang(page) == 0
        page.keyboard.press("ArrowRight")
        assert dialog.locator("h3").inner_text() == names[1]
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert dialog.locator("h3").inner_text() not in names[:2]  # from the first one on to the last
        page.get_by_role("button", name="Next picture").click()
        assert dialog.locator("h3").inner_text() == names[0] and dialog.locator("ol").is_visible()
        page.get_by_role("button", name="Next picture").click()
        page.keyboard.press("Escape")
        assert page.get_by_role("dialog").count() == 0
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == f"Enlarge {names[1]}"


def test_keyboard_reaches_everything(report: Path, browser: Any) -> None:
    with opened(browser, report) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        reached = set()
        for _ in range(400):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("[document.activeElement.localName, document.activeElement.className].join('.')"))
            if page.evaluate("document.activeElement === document.body"):
                break
        assert {"button.", "a.", "summary.", "input.", "button.picture", "div.scroll", "button.more"} <= reached


def test_numbers_under_the_pointer(report: Path, browser: Any) -> None:
    with opened(browser, report) as page:
        strip = page.locator(".strip").nth(25)
        strip.scroll_into_view_if_needed()
        page.wait_for_timeout(200)  # scrolling hides what the pointer showed
        strip.hover()
        tip = page.locator("#tip")
        assert tip.is_visible() and tip.inner_text() == strip.get_attribute("data-tip")
        page.mouse.move(2, 2)
        assert not tip.is_visible()


def test_without_script_all_is_there(report: Path, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(report.as_uri())
        assert page.locator(".card").filter(visible=True).count() == PICTURES
        assert not page.locator("fieldset").first.is_visible() and not page.locator("#theme").is_visible()
    finally:
        context.close()


def test_prints(report: Path, browser: Any) -> None:
    with opened(browser, report) as page:
        page.emulate_media(media="print")
        assert not page.locator("nav").is_visible() and page.locator("section").first.is_visible()
