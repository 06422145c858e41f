"""Shared by every test: a clean environment, the test data, and a list of what a missing package skipped.

Fixtures
--------
browser
    The system's Chromium, driven by Playwright; tests that need it are skipped where it is missing.
data
    Folder of real DICOM files (``AURELIUS_TEST_DATA``, else ``../shared/data`` beside the checkout);
    tests that need it are skipped, with the reason, where it is missing.

What a test skips because a system package is missing is listed at the end with the remedy.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from support.chromium import find_chromium, launch_chromium

ROOT = Path(__file__).parent.parent
#: Variables of the house that a developer's shell may carry and a test must not see.
HOUSE_PREFIXES = ("AURELIUS_", "JUPYTERHUB_")
KEPT = {"AURELIUS_TEST_DATA", "AURELIUS_CACHE"}
REMEDIES = {
    "chromium": "apt-get install chromium",
    "dciodvfy": "apt-get install dicom3tools",
    "java": "apt-get install openjdk-17-jre-headless maven (for the real Keycloak)",
    "orthanc": "apt-get install orthanc orthanc-dicomweb",
    "postgresql": "apt-get install postgresql",
    "dcmtk": "apt-get install dcmtk",
    "tesseract": "apt-get install tesseract-ocr",
    "test data": "set AURELIUS_TEST_DATA to a folder laid out like the one CONTRIBUTING.md describes",
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(HOUSE_PREFIXES) and name not in KEPT:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def shared_servers() -> Iterator[None]:
    yield
    houses = sys.modules.get("support.houses")  # which takes seconds to import, and not every test needs
    if houses is not None:
        houses.stop_servers()


@pytest.fixture(scope="session")
def data() -> Path:
    folder = Path(os.environ.get("AURELIUS_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the test data is not here ({folder.name}): set AURELIUS_TEST_DATA")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    if find_chromium() is None:
        pytest.skip("Chromium is missing: apt-get install chromium")
    # Module-wide, not longer: while it runs, no other event loop can run in this thread.
    with sync_playwright() as playwright:
        running = launch_chromium(playwright)
        yield running
        running.close()


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    yield
    reasons = " ".join(str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])).lower()
    wanted = {remedy for word, remedy in REMEDIES.items() if word in reasons}
    if wanted:
        terminalreporter.section("to run what was skipped")
        for remedy in sorted(wanted):
            terminalreporter.line(remedy)
