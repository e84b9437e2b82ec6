"""Makes report.png and gallery.png, which docs/report.md shows, of a report of the demo's pictures.

    hrnetae demo --out demo
    hrnetae eval --data_root demo --output_data demo/outputs/fp32 --datalist_txt demo/datalist.txt --report demo/report
    python docs/figures/report_pictures.py demo/report/index.html

Needs Chromium and Playwright (pip install playwright).
"""

import shutil
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
COLOURS = 128  # of a picture's palette, which makes it several times smaller


def save(png: bytes, name: str) -> None:
    """As PNG with a palette."""
    picture = Image.open(BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(HERE / name, optimize=True)


def main(report: Path) -> None:
    """Both pictures of one report."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
        page.goto(report.resolve().as_uri())
        page.set_viewport_size({"width": 1280, "height": 1090})
        save(page.screenshot(), "report.png")
        page.emulate_media(color_scheme="dark")
        page.get_by_role("radio", name="Typical").check(force=True)
        page.locator("#pictures").evaluate("(one) => one.scrollIntoView({behavior: 'instant'})")
        page.set_viewport_size({"width": 1280, "height": 920})
        save(page.screenshot(), "gallery.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
