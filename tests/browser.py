"""A real browser for the tests of the HTML: Debian's Chromium, driven by Playwright; skipped where one is missing."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SIZES = ((1280, 900), (390, 844))

# What to install, or None where all is there.
BROWSER_LACKS = (
    "no Chromium (Debian's package chromium)"
    if CHROMIUM is None
    else "no Playwright (pip install playwright)"
    if importlib.util.find_spec("playwright") is None
    else None
)
needs_browser = pytest.mark.skipif(BROWSER_LACKS is not None, reason=str(BROWSER_LACKS))


@contextmanager
def chromium() -> Iterator[Any]:
    """A running browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, path: Path, size: tuple[int, int] = SIZES[0], scheme: str = "light") -> Iterator[Any]:
    """A page from the disk, without a network. It may not complain, nor ask for anything but itself."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, offline=True, reduced_motion="reduce"
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.resolve().as_uri())
    try:
        yield page
        assert complaints == []
        assert [url for url in asked if not url.startswith("data:")] == [path.resolve().as_uri()]
    finally:
        context.close()


def overhang(page: Any) -> int:
    """How many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
