"""The system's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
import time
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

#: Software graphics for the volume viewer, and nothing that asks for addresses of the browser's maker.
ARGUMENTS = [
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]


def find_chromium() -> str | None:
    """Return the path of the system's Chromium, if it has one."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def launch_chromium(playwright: Playwright) -> Browser:
    """Start Chromium without a screen."""
    return playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)


def wait_for_drawing(page: Page, selector: str, seconds: float = 60) -> None:
    """Wait until what a selector names shows an image: more than a fifth of it is neither black nor one colour."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        grey = Image.open(BytesIO(page.locator(selector).first.screenshot())).convert("L")
        counts = grey.histogram()
        if sum(counts[24:]) > 0.2 * sum(counts) and max(counts[24:]) < 0.9 * sum(counts):
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"{selector} stays empty")
